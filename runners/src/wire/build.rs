//! Parts that the builders of frames share: the Ethernet header, ICMPv6 (RFC 4443), the Internet
//! checksum (RFC 1071).

use std::net::Ipv6Addr;

use crate::ident::HwAddr;
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
    let pseudo = pseudo_header(source, destination, message.len());
    put_checksum(&mut message, 2, pseudo);

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
fn pseudo_header(source: Ipv6Addr, destination: Ipv6Addr, length: usize) -> u32 {
    sum(&source.octets()) + sum(&destination.octets()) + length as u32 + u32::from(protocol::ICMPV6)
}

/// Returns whether the checksum of an ICMPv6 `message` is correct.
pub(super) fn is_icmpv6_sound(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> bool {
    let last = message.chunks_exact(2).remainder();
    let last = last.first().map_or(0, |byte| u32::from(*byte) << 8);
    let pseudo = pseudo_header(source, destination, message.len());
    fold(sum(message) + last + pseudo) == 0xffff
}

/// Returns the sum of the 16-bit words of `bytes`, without an odd byte at the end.
fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks_exact(2)
        .filter_map(<[u8]>::first_chunk)
        .map(|word| u32::from(u16::from_be_bytes(*word)))
        .sum()
}

/// Returns the ones' complement sum in 16 bits.
fn fold(mut total: u32) -> u32 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total
}

/// Writes the Internet checksum over `bytes` and the sum `more` to the offset `at` of `bytes`.
/// Without room at `at`, `bytes` stay as they are.
pub(super) fn put_checksum(bytes: &mut [u8], at: usize, more: u32) {
    let checksum = !(fold(sum(bytes) + more) as u16);
    if let Some(field) = bytes.get_mut(at..at + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}
