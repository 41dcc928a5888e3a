//! Announcements of a host whose traffic moves to another port: gratuitous ARP (RFC 5227),
//! unsolicited neighbour advertisements (RFC 4861), IGMP (RFC 2236) and MLD (RFC 3810) reports.
//!
//! Switches and neighbours learn from the announcements where the host is, and which groups the
//! host has joined. Each function returns a whole Ethernet frame. `vlan` is the id of the VLAN of
//! the address; the frame then carries a tag. The interface pads frames to the Ethernet minimum.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::ident::HwAddr;
use crate::wire::build::{BROADCAST, ethernet, group_hwaddr, icmpv6};
use crate::wire::{Arp, NeighbourAdvertisement, checksum, ethertype, icmpv6_type, protocol};

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// All MLDv2-capable routers (RFC 3810 section 5.2.14).
const ALL_MLDV2_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

const ICMPV6_MLDV2_REPORT: u8 = 143;
const IGMPV2_REPORT: u8 = 0x16;

/// Type of service of membership messages (RFC 3376 section 4).
const INTERNETWORK_CONTROL: u8 = 0xc0;

/// Returns an ARP announcement (RFC 5227 section 2.3): a request with `ip` as sender and target.
/// RFC 5227 section 3 recommends the request over the gratuitous reply, because more hosts
/// understand it; the kernel sends requests, too.
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

/// Returns an unsolicited ARP reply: `client` learns that `ip` is at `hwaddr`.
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

/// Returns a reverse ARP request (RFC 903) of a host for its own address. Hypervisors announce a
/// guest with unknown IP addresses that way.
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

/// Returns a learning packet as the bonding driver sends: a message of the Ethernet configuration
/// testing protocol from an address to itself. A switch learns the port of the address and forwards
/// the packet to no other port.
pub fn learning(hwaddr: HwAddr, vlan: Option<u16>) -> Vec<u8> {
    /// Length of the shortest Ethernet frame, without the frame check sequence.
    const MIN_LENGTH: usize = 60;
    let mut frame = ethernet(hwaddr, hwaddr, vlan, ethertype::LOOPBACK);
    frame.resize(MIN_LENGTH, 0);
    frame
}

/// Returns an unsolicited neighbour advertisement (RFC 4861 section 7.2.6) to all nodes, with the
/// Override flag. `router` must be true if the host forwards IPv6: neighbours drop a default router
/// that advertises itself as a host (section 7.2.5).
pub fn unsolicited_na(hwaddr: HwAddr, ip: Ipv6Addr, router: bool, vlan: Option<u16>) -> Vec<u8> {
    neighbour_advertisement(hwaddr, ip, router, (group_hwaddr(ALL_NODES), ALL_NODES), vlan)
}

/// Returns the same advertisement to one neighbour, given by hardware address and IPv6 address.
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
    let mut message = vec![icmpv6_type::NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
    message.extend(ip.octets());
    message.extend(NeighbourAdvertisement::TARGET_LINK_LAYER_ADDRESS);
    message.extend(hwaddr.0);
    // Hop limit 255 proves that no router has forwarded the message (section 7.1.2).
    icmpv6(hwaddr, ip, neighbour, vlan, 255, &[], message)
}

/// Returns an IGMPv2 membership report (RFC 2236) for `group`, sent from `source`, an address of
/// the team device.
///
/// The report has version 2, because routers and snooping switches of version 3 must accept it (RFC
/// 3376 section 7.3) and those of version 2 ignore version 3. The cost: a version 3 router ignores
/// source filters of the group until such reports have ceased for some time.
pub fn igmp_report(
    hwaddr: HwAddr,
    source: Ipv4Addr,
    group: Ipv4Addr,
    vlan: Option<u16>,
) -> Vec<u8> {
    /// Router Alert option (RFC 2113).
    const ROUTER_ALERT: [u8; 4] = [0x94, 4, 0, 0];
    const DONT_FRAGMENT: u16 = 0x4000;
    const HEADER_LEN: u8 = 24;
    const MESSAGE_LEN: u8 = 8;

    let mut message = vec![IGMPV2_REPORT, 0, 0, 0];
    message.extend(group.octets());
    checksum::put(&mut message, 2, 0);

    let mut header = vec![0x40 | (HEADER_LEN / 4), INTERNETWORK_CONTROL];
    header.extend([0, HEADER_LEN + MESSAGE_LEN, 0, 0]);
    header.extend(DONT_FRAGMENT.to_be_bytes());
    header.extend([1, protocol::IGMP, 0, 0]);
    header.extend(source.octets());
    header.extend(group.octets());
    header.extend(ROUTER_ALERT);
    checksum::put(&mut header, 10, 0);

    // The low 23 bits of the group (RFC 1112 section 6.4).
    let [_, b, c, d] = group.octets();
    let destination = HwAddr([0x01, 0x00, 0x5e, b & 0x7f, c, d]);
    let mut frame = ethernet(destination, hwaddr, vlan, ethertype::IPV4);
    frame.extend(header);
    frame.extend(message);
    frame
}

/// Returns an MLDv2 report (RFC 3810) that the host listens to every source of `group`. `source` is
/// a link-local address of the team device, or `::` if the device has none yet.
///
/// The record reports a state, not a change, so routers send no query for other listeners.
pub fn mld_report(hwaddr: HwAddr, source: Ipv6Addr, group: Ipv6Addr, vlan: Option<u16>) -> Vec<u8> {
    const MODE_IS_EXCLUDE: u8 = 2;
    /// Hop-by-hop options: Router Alert for MLD (RFC 2711), then padding.
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
