//! Requests of link watches, byte for byte and with an independent parser; and the advertisements
//! that count as answers.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{Icmpv6Type, NetSlice, SlicedPacket, TransportSlice};
use runners::HwAddr;
use runners::wire::announce::unsolicited_na;
use runners::wire::probe::{arp_request, neighbour_solicitation};
use runners::wire::{Ethernet, NeighbourAdvertisement, checksum};

const HWADDR: HwAddr = HwAddr([0x02, 0x10, 0x20, 0x30, 0x40, 0x50]);
const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const TARGET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SOURCE6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x10, 0x20ff, 0xfe30, 0x4050);
const TARGET6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0xab, 0xcdef);

#[test]
fn arp_requests_are_identical_to_teamds() {
    let addresses = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x10, 0x20, 0x30, 0x40, 0x50];
    let request = [
        0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1, 0x02, 0x10, 0x20, 0x30, 0x40, 0x50, 192, 0, 2, 10,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 192, 0, 2, 1,
    ];
    let tag = [0x81, 0, 0x0f, 0xfe];
    let untagged = arp_request(HWADDR, SOURCE, TARGET, None);
    assert_eq!(untagged, [&addresses[..], &request].concat());
    let tagged = arp_request(HWADDR, SOURCE, TARGET, Some(4094));
    assert_eq!(tagged, [&addresses[..], &tag, &request].concat());
    let priority_tag = arp_request(HWADDR, SOURCE, TARGET, Some(0));
    assert_eq!(priority_tag[12..16], [0x81, 0, 0, 0]);
    let without_source = arp_request(HWADDR, Ipv4Addr::UNSPECIFIED, TARGET, None);
    assert_eq!(without_source[28..32], [0; 4]);
}

#[test]
fn neighbour_solicitations_are_identical_to_teamds() {
    let frame = neighbour_solicitation(HWADDR, SOURCE6, TARGET6);
    assert_eq!(frame.len(), 86);
    assert_eq!(frame[..6], [0x33, 0x33, 0xff, 0xab, 0xcd, 0xef]);
    let packet = SlicedPacket::from_ethernet(&frame).expect("a packet");
    let Some(NetSlice::Ipv6(ip)) = &packet.net else {
        panic!("not IPv6: {packet:?}");
    };
    assert_eq!(ip.header().hop_limit(), 255);
    assert_eq!(ip.header().payload_length(), 32);
    assert_eq!(ip.header().source_addr(), SOURCE6);
    let group: Ipv6Addr = "ff02::1:ffab:cdef".parse().expect("an address");
    assert_eq!(ip.header().destination_addr(), group);
    let Some(TransportSlice::Icmpv6(icmp)) = &packet.transport else {
        panic!("not ICMPv6: {packet:?}");
    };
    assert_eq!(icmp.icmp_type(), Icmpv6Type::NeighborSolicitation);
    assert!(icmp.is_checksum_valid(SOURCE6.octets(), group.octets()));
    assert_eq!(icmp.payload()[..16], TARGET6.octets());
    assert_eq!(icmp.payload()[16..], [1, 1, 2, 0x10, 0x20, 0x30, 0x40, 0x50]);
}

fn target(frame: &[u8]) -> Option<Ipv6Addr> {
    let payload = Ethernet::parse(frame)?.payload;
    Some(NeighbourAdvertisement::parse(payload)?.target)
}

/// Offsets in an untagged advertisement.
const VERSION: usize = 14;
const LENGTH: usize = 18;
const NEXT_HEADER: usize = 20;
const HOP_LIMIT: usize = 21;
const TYPE: usize = 54;
const CHECKSUM: usize = 56;
const FLAGS: usize = 58;
const OPTION_LENGTH: usize = 79;

/// Changes a byte, and corrects the checksum for a byte of the ICMPv6 message.
fn with(frame: &[u8], place: usize, byte: u8) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let old = frame.clone();
    frame[place] = byte;
    if place >= TYPE {
        let words = |frame: &[u8]| [frame[place & !1], frame[place | 1]];
        let sum = u16::from_be_bytes([frame[CHECKSUM], frame[CHECKSUM + 1]]);
        let corrected = checksum::corrected(sum, &words(&old), &words(&frame));
        frame[CHECKSUM..CHECKSUM + 2].copy_from_slice(&corrected.to_be_bytes());
    }
    frame
}

#[test]
fn only_valid_advertisements_are_read() {
    let valid = unsolicited_na(HWADDR, TARGET6, false, None);
    assert_eq!(target(&valid), Some(TARGET6));
    assert_eq!(target(&with(&valid, FLAGS, 0x80)), Some(TARGET6));
    let padded = [&valid[..], &[0; 20]].concat();
    assert_eq!(target(&padded), Some(TARGET6), "padding");

    for (what, place, byte) in [
        ("IPv4", VERSION, 0x45),
        ("longer than its frame", LENGTH + 1, 33),
        ("without room for the fields", LENGTH + 1, 23),
        ("another protocol", NEXT_HEADER, 17),
        ("forwarded by a router", HOP_LIMIT, 254),
        ("a solicitation", TYPE, 135),
        ("a code", TYPE + 1, 1),
        ("solicited, to all nodes", FLAGS, 0x60),
        ("a multicast target", 62, 0xff),
        ("an option without length", OPTION_LENGTH, 0),
        ("an option beyond the end", OPTION_LENGTH, 2),
    ] {
        assert_eq!(target(&with(&valid, place, byte)), None, "{what}");
    }
    let mut damaged = valid.clone();
    damaged[85] ^= 1;
    assert_eq!(target(&damaged), None, "a wrong checksum");
    for length in 0..valid.len() {
        assert_eq!(target(&valid[..length]), None, "{length} bytes");
    }
}
