//! Parts that the builders of frames share: the Ethernet header, ICMPv6 (RFC 4443), the sum over the
//! pseudo-header of IPv6.

use std::net::Ipv6Addr;

use crate::ident::HwAddr;
use crate::wire::checksum::{self, fold, sum};
use crate::wire::{ethertype, protocol};

/// Destination of broadcast frames.
pub(super) const BROADCAST: HwAddr = HwAddr([0xff; 6]);

/// Returns an Ethernet header, with a tag if a VLAN id is given.
pub(super) fn ethernet(
    destination: HwAddr,
    source: HwAddr,
    vlan: Option<u16>,
    ethertype: u16,
) -> Vec<u8> {
    let mut frame = Vec::with_capacity(128);
    frame.extend(destination.0);
    frame.extend(source.0);
    if let Some(id) = vlan {
        frame.extend(ethertype::VLAN.to_be_bytes());
        frame.extend((id & 0x0fff).to_be_bytes());
    }
    frame.extend(ethertype.to_be_bytes());
    frame
}

/// Returns the Ethernet address of a multicast group (RFC 2464 section 7), built from the group's
/// low 32 bits.
pub(super) fn group_hwaddr(group: Ipv6Addr) -> HwAddr {
    let [.., a, b, c, d] = group.octets();
    HwAddr([0x33, 0x33, a, b, c, d])
}

/// Returns an ICMPv6 frame around `message` and fills in the checksum. `options` is a whole
/// hop-by-hop options header with ICMPv6 as its next header, or empty.
pub(super) fn icmpv6(
    hwaddr: HwAddr,
    source: Ipv6Addr,
    (destination_hwaddr, destination): (HwAddr, Ipv6Addr),
    vlan: Option<u16>,
    hop_limit: u8,
    options: &[u8],
    mut message: Vec<u8>,
) -> Vec<u8> {
    let pseudo = pseudo_header(source, destination, message.len(), protocol::ICMPV6);
    checksum::put(&mut message, 2, pseudo);

    let next = match options {
        [] => protocol::ICMPV6,
        _ => protocol::HOP_BY_HOP,
    };
    let mut frame = ethernet(destination_hwaddr, hwaddr, vlan, ethertype::IPV6);
    frame.extend([0x60, 0, 0, 0]);
    frame.extend(((options.len() + message.len()) as u16).to_be_bytes());
    frame.extend([next, hop_limit]);
    frame.extend(source.octets());
    frame.extend(destination.octets());
    frame.extend(options);
    frame.extend(message);
    frame
}

/// Returns the sum over the pseudo-header (RFC 8200 section 8.1): addresses, length, protocol.
pub(super) fn pseudo_header(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    length: usize,
    protocol: u8,
) -> u64 {
    sum(&source.octets()) + sum(&destination.octets()) + length as u64 + u64::from(protocol)
}

/// Returns whether the checksum of an ICMPv6 `message` is correct.
pub(super) fn is_icmpv6_sound(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> bool {
    let pseudo = pseudo_header(source, destination, message.len(), protocol::ICMPV6);
    fold(sum(message) + pseudo) == 0xffff
}
