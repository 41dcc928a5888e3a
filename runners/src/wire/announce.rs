//! What a host announces when its traffic moves to another port: whole Ethernet frames.
//!
//! Switches learn from them where the host is now, and which groups it listens to. `vlan` is
//! the id of the VLAN that the address lives in; its tag is put inside the frame. Frames are
//! not padded to the Ethernet minimum, which is the interface's work.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::ident::HwAddr;
use crate::wire::build::{BROADCAST, ethernet, group_hwaddr, icmpv6, put_checksum};
use crate::wire::{Arp, NeighbourAdvertisement, ethertype, icmpv6_type, protocol};

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// All routers that speak MLDv2 (RFC 3810 section 5.2.14).
const ALL_MLDV2_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

const ICMPV6_MLDV2_REPORT: u8 = 143;
const IGMPV2_REPORT: u8 = 0x16;

/// Network control, as RFC 3376 section 4 asks for membership messages.
const INTERNETWORK_CONTROL: u8 = 0xc0;

/// An ARP announcement (RFC 5227 section 2.3): a request whose sender and target address are
/// both ours. Of the two gratuitous forms the request is the one that RFC 5227 section 3
/// finds understood more widely; the kernel sends it too.
pub fn gratuitous_arp(hwaddr: HwAddr, ip: Ipv4Addr, vlan: Option<u16>) -> Vec<u8> {
    let mut frame = ethernet(BROADCAST, hwaddr, vlan, ethertype::ARP);
    frame.extend(Arp::ETHERNET_IPV4);
    frame.extend(Arp::REQUEST.to_be_bytes());
    frame.extend(hwaddr.0);
    frame.extend(ip.octets());
    frame.extend([0; 6]);
    frame.extend(ip.octets());
    frame
}

/// An ARP reply that nobody asked for: `client` learns that `ip` is at `hwaddr`.
pub fn arp_reply(
    hwaddr: HwAddr,
    ip: Ipv4Addr,
    client: HwAddr,
    client_ip: Ipv4Addr,
    vlan: Option<u16>,
) -> Vec<u8> {
    let mut frame = ethernet(client, hwaddr, vlan, ethertype::ARP);
    frame.extend(Arp::ETHERNET_IPV4);
    frame.extend(Arp::REPLY.to_be_bytes());
    frame.extend(hwaddr.0);
    frame.extend(ip.octets());
    frame.extend(client.0);
    frame.extend(client_ip.octets());
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

/// A message of the Ethernet configuration testing protocol from an address to itself, as the
/// bonding driver sends it: a switch learns from it where that is, and hands it to nobody.
pub fn learning(hwaddr: HwAddr, vlan: Option<u16>) -> Vec<u8> {
    /// The shortest Ethernet frame, without its checksum.
    const SHORTEST: usize = 60;
    let mut frame = ethernet(hwaddr, hwaddr, vlan, ethertype::LOOPBACK);
    frame.resize(SHORTEST, 0);
    frame
}

/// An unsolicited neighbour advertisement (RFC 4861 section 7.2.6) to all nodes, which
/// overrides what they know. `router` must say whether the host forwards IPv6: neighbours
/// forget a default router that advertises itself as a host (section 7.2.5).
pub fn unsolicited_na(hwaddr: HwAddr, ip: Ipv6Addr, router: bool, vlan: Option<u16>) -> Vec<u8> {
    neighbour_advertisement(
        hwaddr,
        ip,
        router,
        (group_hwaddr(ALL_NODES), ALL_NODES),
        vlan,
    )
}

/// The same to one neighbour alone, by its hardware address and its address.
pub fn neighbour_advertisement(
    hwaddr: HwAddr,
    ip: Ipv6Addr,
    router: bool,
    neighbour: (HwAddr, Ipv6Addr),
    vlan: Option<u16>,
) -> Vec<u8> {
    const ROUTER: u8 = 0x80;
    const OVERRIDE: u8 = 0x20;
    let flags = if router { ROUTER | OVERRIDE } else { OVERRIDE };
    let mut message = vec![
        icmpv6_type::NEIGHBOUR_ADVERTISEMENT,
        0,
        0,
        0,
        flags,
        0,
        0,
        0,
    ];
    message.extend(ip.octets());
    message.extend(NeighbourAdvertisement::TARGET_LINK_LAYER_ADDRESS);
    message.extend(hwaddr.0);
    // The hop limit proves that no router has passed it on (section 7.1.2).
    icmpv6(hwaddr, ip, neighbour, vlan, 255, &[], message)
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
        (group_hwaddr(ALL_MLDV2_ROUTERS), ALL_MLDV2_ROUTERS),
        vlan,
        1,
        &ROUTER_ALERT,
        message,
    )
}
