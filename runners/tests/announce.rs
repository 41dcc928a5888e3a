//! Announcements, checked with an independent parser.
#![allow(clippy::unwrap_used, reason = "a test fails by its panic")]

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{
    ArpOperation, IgmpType, LinkSlice, NetSlice, SlicedPacket, TransportSlice, VlanId,
};
use runners::HwAddr;
use runners::wire::announce::{
    gratuitous_arp, igmp_report, mld_report, reverse_arp, unsolicited_na,
};

const HWADDR: HwAddr = HwAddr([0x02, 0x10, 0x20, 0x30, 0x40, 0x50]);
const IP: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 9);
const IP6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x10, 0x20ff, 0xfe30, 0x4050);

/// Builds a frame untagged and tagged, checks its Ethernet header, and checks the packet.
fn each_tagging(
    destination: [u8; 6],
    build: impl Fn(Option<u16>) -> Vec<u8>,
    check: impl Fn(&SlicedPacket<'_>),
) {
    for vlan in [None, Some(42)] {
        let frame = build(vlan);
        let packet = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(LinkSlice::Ethernet2(ethernet)) = &packet.link else {
            panic!("not Ethernet: {packet:?}");
        };
        assert_eq!(ethernet.destination(), destination);
        assert_eq!(ethernet.source(), HWADDR.0);
        let ids: Vec<VlanId> = packet.vlan_ids().into_iter().collect();
        let expected: Vec<VlanId> =
            vlan.map(|id| VlanId::try_new(id).unwrap()).into_iter().collect();
        assert_eq!(ids, expected);
        check(&packet);
    }
}

#[test]
fn gratuitous_arp_requests_its_own_address() {
    let build = |vlan| gratuitous_arp(HWADDR, IP, vlan);
    each_tagging([0xff; 6], build, |packet| {
        let Some(NetSlice::Arp(arp)) = &packet.net else {
            panic!("not ARP: {packet:?}");
        };
        assert_eq!(arp.operation(), ArpOperation::REQUEST);
        assert_eq!(arp.sender_hw_addr(), HWADDR.0);
        assert_eq!(arp.sender_protocol_addr(), IP.octets());
        assert_eq!(arp.target_hw_addr(), [0; 6]);
        assert_eq!(arp.target_protocol_addr(), IP.octets());
    });
    assert_eq!(gratuitous_arp(HWADDR, IP, None).len(), 42);
}

#[test]
fn reverse_arp_requests_the_address_of_its_sender() {
    let build = |vlan| reverse_arp(HWADDR, vlan);
    each_tagging([0xff; 6], build, |packet| {
        let ether_type = packet.payload_ether_type();
        assert_eq!(ether_type.map(|kind| kind.0), Some(0x8035));
    });
    // RFC 903: hardware Ethernet, protocol IPv4, operation 3, equal sender and target.
    let frame = reverse_arp(HWADDR, None);
    assert_eq!(frame[14..22], [0, 1, 8, 0, 6, 4, 0, 3]);
    let addresses = [&HWADDR.0[..], &[0; 4]].concat();
    assert_eq!(frame[22..], addresses.repeat(2));
}

#[test]
fn unsolicited_na_has_the_override_and_router_flags() {
    for (router, flags) in [(false, 0x20), (true, 0xa0)] {
        let build = |vlan| unsolicited_na(HWADDR, IP6, router, vlan);
        each_tagging([0x33, 0x33, 0, 0, 0, 1], build, |packet| {
            let Some(NetSlice::Ipv6(ip)) = &packet.net else {
                panic!("not IPv6: {packet:?}");
            };
            let header = ip.header();
            assert_eq!(header.hop_limit(), 255);
            assert_eq!(header.source_addr(), IP6);
            let Some(TransportSlice::Icmpv6(icmp)) = &packet.transport else {
                panic!("not ICMPv6: {packet:?}");
            };
            assert!(icmp.is_checksum_valid(header.source(), header.destination()));
            assert_eq!((icmp.type_u8(), icmp.code_u8()), (136, 0));
            assert_eq!(icmp.bytes5to8(), [flags, 0, 0, 0]);
            let body = [&IP6.octets()[..], &[2, 1], &HWADDR.0].concat();
            assert_eq!(icmp.slice()[8..], body);
        });
    }
}

#[test]
fn an_igmp_report_is_sent_to_its_group() {
    // The hardware address leaves out the top bit of the second byte.
    let group = Ipv4Addr::new(239, 129, 2, 3);
    let build = |vlan| igmp_report(HWADDR, IP, group, vlan);
    each_tagging([0x01, 0x00, 0x5e, 1, 2, 3], build, |packet| {
        let Some(NetSlice::Ipv4(ip)) = &packet.net else {
            panic!("not IPv4: {packet:?}");
        };
        let header = ip.header();
        assert_eq!(header.ttl(), 1);
        assert_eq!(header.source_addr(), IP);
        assert_eq!(header.destination_addr(), group);
        assert_eq!(header.options(), [0x94, 4, 0, 0]);
        let calculated = header.to_header().calc_header_checksum();
        assert_eq!(header.header_checksum(), calculated);
        let Some(TransportSlice::Igmp(igmp)) = &packet.transport else {
            panic!("not IGMP: {packet:?}");
        };
        assert!(igmp.is_checksum_valid());
        let IgmpType::MembershipReportV2(report) = igmp.igmp_type() else {
            panic!("not a report of version 2: {igmp:?}");
        };
        assert_eq!(report.group_address.octets, group.octets());
    });
}

#[test]
fn an_mld_report_has_a_router_alert_and_names_its_group() {
    let group: Ipv6Addr = "ff15::1:2".parse().unwrap();
    for source in [IP6, Ipv6Addr::UNSPECIFIED] {
        let build = |vlan| mld_report(HWADDR, source, group, vlan);
        each_tagging([0x33, 0x33, 0, 0, 0, 0x16], build, |packet| {
            let Some(NetSlice::Ipv6(ip)) = &packet.net else {
                panic!("not IPv6: {packet:?}");
            };
            let header = ip.header();
            assert_eq!(header.hop_limit(), 1);
            assert_eq!(header.source_addr(), source);
            assert_eq!(header.destination_addr(), "ff02::16".parse::<Ipv6Addr>().unwrap());
            assert_eq!(ip.extensions().slice(), [58, 0, 5, 2, 0, 0, 1, 0]);
            let Some(TransportSlice::Icmpv6(icmp)) = &packet.transport else {
                panic!("not ICMPv6: {packet:?}");
            };
            assert!(icmp.is_checksum_valid(header.source(), header.destination()));
            let mut expected = vec![0, 0, 0, 1, 2, 0, 0, 0];
            expected.extend(group.octets());
            assert_eq!((icmp.type_u8(), icmp.code_u8()), (143, 0));
            assert_eq!(icmp.slice()[4..], expected);
        });
    }
}
