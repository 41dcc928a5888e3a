//! Neighbour advertisements (RFC 4861 section 4.4), validated as section 7.1.2 asks.

use std::net::Ipv6Addr;

use crate::wire::build::is_icmpv6_sound;
use crate::wire::protocol;

/// ICMPv6 types of neighbour discovery.
pub mod icmpv6_type {
    /// Asks for the hardware address of the target.
    pub const NEIGHBOUR_SOLICITATION: u8 = 135;
    /// Announces the hardware address of the target.
    pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
}

/// A valid neighbour advertisement (section 7.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourAdvertisement {
    /// The advertised address.
    pub target: Ipv6Addr,
}

impl NeighbourAdvertisement {
    /// Type and length, in units of 8 bytes, of the option with the target's hardware address.
    pub(crate) const TARGET_LINK_LAYER_ADDRESS: [u8; 2] = [2, 1];

    /// Reads the payload of a frame. Returns `None` for anything but a valid advertisement.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        const HOP_LIMIT: u8 = 255;
        const SOLICITED: u8 = 0x40;
        let (header, rest) = payload.split_first_chunk::<40>()?;
        // Extension headers are allowed, but no host sends them here.
        if header[0] >> 4 != 6 || header[6] != protocol::ICMPV6 || header[7] != HOP_LIMIT {
            return None;
        }
        let length = u16::from_be_bytes([header[4], header[5]]);
        let message = rest.get(..usize::from(length))?;
        let (fixed, options) = message.split_first_chunk::<24>()?;
        if fixed[..2] != [icmpv6_type::NEIGHBOUR_ADVERTISEMENT, 0] {
            return None;
        }
        let source = address(header, 8)?;
        let destination = address(header, 24)?;
        let target = address(fixed, 8)?;
        let is_valid = is_icmpv6_sound(source, destination, message)
            && !target.is_multicast()
            && !(destination.is_multicast() && fixed[4] & SOLICITED != 0)
            && are_options_sound(options);
        is_valid.then_some(NeighbourAdvertisement { target })
    }
}

/// Returns the IPv6 address at the offset `at`.
fn address(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    let bytes = bytes.get(at..)?.first_chunk::<16>()?;
    Some(Ipv6Addr::from(*bytes))
}

/// Returns whether every option has a length, in units of 8 bytes, and ends within the message.
fn are_options_sound(mut options: &[u8]) -> bool {
    while let [_, rest @ ..] = options {
        let length = rest.first().map_or(0, |units| usize::from(*units) * 8);
        match options.get(length..) {
            Some(next) if length > 0 => options = next,
            _ => return false,
        }
    }
    true
}
