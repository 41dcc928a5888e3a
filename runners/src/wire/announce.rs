//! What a host announces when its traffic moves to another port: whole Ethernet frames.
//!
//! Switches learn from them where the host is now, and which groups it listens to. `vlan` is
//! the id of the VLAN that the address lives in; its tag is put inside the frame. Frames are
//! not padded to the Ethernet minimum, which is the interface's work.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::ident::HwAddr;
use crate::wire::{Arp, ethertype, protocol};

const BROADCAST: HwAddr = HwAddr([0xff; 6]);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// All routers that speak MLDv2 (RFC 3810 section 5.2.14).
const ALL_MLDV2_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

const ICMPV6_NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const ICMPV6_MLDV2_REPORT: u8 = 143;
const IGMPV2_REPORT: u8 = 0x16;

/// Network control, as RFC 3376 section 4 asks for membership messages.
const INTERNETWORK_CONTROL: u8 = 0xc0;

/// An ARP announcement (RFC 5227 section 2.3): a request whose sender and target address are
/// both ours. Of the two gratuitous forms the request is the one that RFC 5227 section 3
/// finds understood more widely; the kernel sends it too.
pub fn gratuitous_arp(hwaddr: HwAddr, ip: Ipv4Addr, vlan: Option<u16>) -> Vec<u8> {
    const REQUEST: u16 = 1;
    let mut frame = ethernet(BROADCAST, hwaddr, vlan, ethertype::ARP);
    frame.extend(Arp::ETHERNET_IPV4);
    frame.extend(REQUEST.to_be_bytes());
    frame.extend(hwaddr.0);
    frame.extend(ip.octets());
    frame.extend([0; 6]);
    frame.extend(ip.octets());
    frame
}

/// A reverse ARP request (RFC 903) in which a host asks for its own address: what hypervisors
/// send for a guest whose addresses they do not know, so that switches learn where it is now.
pub fn reverse_arp(hwaddr: HwAddr, vlan: Option<u16>) -> Vec<u8> {
    const REVERSE_REQUEST: u16 = 3;
    let mut frame = ethernet(BROADCAST, hwaddr, vlan, ethertype::RARP);
    frame.extend(Arp::ETHERNET_IPV4);
    frame.extend(REVERSE_REQUEST.to_be_bytes());
    for _sender_then_target in 0..2 {
        frame.extend(hwaddr.0);
        frame.extend([0; 4]);
    }
    frame
}

/// An unsolicited neighbour advertisement (RFC 4861 section 7.2.6) to all nodes, which
/// overrides what they know. `router` must say whether the host forwards IPv6: neighbours
/// forget a default router that advertises itself as a host (section 7.2.5).
pub fn unsolicited_na(hwaddr: HwAddr, ip: Ipv6Addr, router: bool, vlan: Option<u16>) -> Vec<u8> {
    const ROUTER: u8 = 0x80;
    const OVERRIDE: u8 = 0x20;
    const TARGET_LINK_LAYER_ADDRESS: [u8; 2] = [2, 1];
    let flags = if router { ROUTER | OVERRIDE } else { OVERRIDE };
    let mut message = vec![ICMPV6_NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
    message.extend(ip.octets());
    message.extend(TARGET_LINK_LAYER_ADDRESS);
    message.extend(hwaddr.0);
    // The hop limit proves that no router has passed it on (section 7.1.2).
    icmpv6(hwaddr, ip, ALL_NODES, vlan, 255, &[], message)
}

/// An IGMPv2 membership report (RFC 2236) for `group`, sent from `source`, an address of the
/// team device.
///
/// Version 2, because every router and snooping switch of version 3 must take it (RFC 3376
/// section 7.3), while those of version 2 ignore version 3. The price: a router of version 3
/// disregards source filters for this group until no such report has come for a while.
pub fn igmp_report(
    hwaddr: HwAddr,
    source: Ipv4Addr,
    group: Ipv4Addr,
    vlan: Option<u16>,
) -> Vec<u8> {
    /// Tells routers to look inside (RFC 2113).
    const ROUTER_ALERT: [u8; 4] = [0x94, 4, 0, 0];
    const DONT_FRAGMENT: u16 = 0x4000;
    const HEADER_LEN: u8 = 24;
    const MESSAGE_LEN: u8 = 8;

    let mut message = vec![IGMPV2_REPORT, 0, 0, 0];
    message.extend(group.octets());
    put_checksum(&mut message, 2, 0);

    let mut header = vec![0x40 | (HEADER_LEN / 4), INTERNETWORK_CONTROL];
    header.extend([0, HEADER_LEN + MESSAGE_LEN, 0, 0]);
    header.extend(DONT_FRAGMENT.to_be_bytes());
    header.extend([1, protocol::IGMP, 0, 0]);
    header.extend(source.octets());
    header.extend(group.octets());
    header.extend(ROUTER_ALERT);
    put_checksum(&mut header, 10, 0);

    // RFC 1112 section 6.4: the low 23 bits of the group.
    let [_, b, c, d] = group.octets();
    let destination = HwAddr([0x01, 0x00, 0x5e, b & 0x7f, c, d]);
    let mut frame = ethernet(destination, hwaddr, vlan, ethertype::IPV4);
    frame.extend(header);
    frame.extend(message);
    frame
}

/// An MLDv2 report (RFC 3810) that the host listens to `group`, whatever the source, sent
/// from `source`: a link-local address of the team device, or `::` if it has none yet.
///
/// The record tells a state, not a change, so that routers need not ask back who else
/// listens.
pub fn mld_report(hwaddr: HwAddr, source: Ipv6Addr, group: Ipv6Addr, vlan: Option<u16>) -> Vec<u8> {
    const MODE_IS_EXCLUDE: u8 = 2;
    /// Hop-by-hop options: router alert for MLD (RFC 2711), then padding.
    const ROUTER_ALERT: [u8; 8] = [protocol::ICMPV6, 0, 5, 2, 0, 0, 1, 0];
    let mut message = vec![ICMPV6_MLDV2_REPORT, 0, 0, 0, 0, 0, 0, 1];
    message.extend([MODE_IS_EXCLUDE, 0, 0, 0]);
    message.extend(group.octets());
    icmpv6(
        hwaddr,
        source,
        ALL_MLDV2_ROUTERS,
        vlan,
        1,
        &ROUTER_ALERT,
        message,
    )
}

/// The Ethernet header.
fn ethernet(destination: HwAddr, source: HwAddr, vlan: Option<u16>, kind: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(128);
    frame.extend(destination.0);
    frame.extend(source.0);
    if let Some(id) = vlan {
        frame.extend(ethertype::VLAN.to_be_bytes());
        frame.extend((id & 0x0fff).to_be_bytes());
    }
    frame.extend(kind.to_be_bytes());
    frame
}

/// A multicast ICMPv6 frame around `message`, whose checksum is filled in. `options` are
/// whole hop-by-hop options that name ICMPv6 as what follows, or nothing.
fn icmpv6(
    hwaddr: HwAddr,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    vlan: Option<u16>,
    hop_limit: u8,
    options: &[u8],
    mut message: Vec<u8>,
) -> Vec<u8> {
    // RFC 8200 section 8.1: addresses, length and protocol count as well.
    let pseudo = sum(&source.octets())
        + sum(&destination.octets())
        + message.len() as u32
        + u32::from(protocol::ICMPV6);
    put_checksum(&mut message, 2, pseudo);

    // RFC 2464 section 7: the low 32 bits of the group.
    let [.., a, b, c, d] = destination.octets();
    let destination_hwaddr = HwAddr([0x33, 0x33, a, b, c, d]);
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

/// The 16-bit words of `bytes`, of even length, added up.
fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks_exact(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
        .sum()
}

/// Fills in the Internet checksum (RFC 1071) at `place`, over `bytes` and `more`.
fn put_checksum(bytes: &mut [u8], place: usize, more: u32) {
    let mut total = sum(bytes) + more;
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    bytes[place..place + 2].copy_from_slice(&(!(total as u16)).to_be_bytes());
}
