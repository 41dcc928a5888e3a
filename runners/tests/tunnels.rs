//! The words of `tx_hash` that bonding has and teamd lacks: `srcmac`, and `encap` for the packets
//! inside tunnels.

mod frame;

use frame::Frame;
use proptest::prelude::*;
use runners::{HashFields, Selector};

fn selector(names: &[&str]) -> Selector {
    let fields = names.iter().filter_map(|name| HashFields::from_name(name));
    Selector::new(fields.fold(HashFields::NONE, |all, field| all | field))
}

/// Returns an IP packet of flow `flow`.
fn packet(flow: u8) -> Vec<u8> {
    let frame = Frame::tcp4(0x0a00_0001, 0x0a00_0100 + u32::from(flow), [4000, 443]);
    frame.build()[14..].to_vec()
}

/// Builds a frame of a tunnel around `payload`; every flow has the same tunnel endpoints.
fn outer(protocol: u8, ports: [u16; 2], payload: &[u8]) -> Vec<u8> {
    let frame = Frame { protocol, ..Frame::tcp4(0xc000_0201, 0xc000_0202, ports) };
    let mut bytes = frame.build();
    bytes.truncate(14 + 20);
    if protocol == 17 {
        bytes.extend(ports.map(u16::to_be_bytes).concat());
        bytes.extend([0; 4]);
    }
    bytes.extend(payload);
    bytes
}

fn bridged(packet: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &[8, 0], packet].concat()
}

fn tunnels(flow: u8) -> Vec<(&'static str, Vec<u8>)> {
    let packet = packet(flow);
    let vxlan = [&[8, 0, 0, 0, 0, 0, 9, 0][..], &bridged(&packet)].concat();
    let gre = [&[0x20, 0, 8, 0, 0, 0, 0, 1][..], &packet].concat();
    let gretap = [&[0, 0, 0x65, 0x58][..], &bridged(&packet)].concat();
    let twice = outer(4, [0; 2], &packet)[14..].to_vec();
    vec![
        ("vxlan", outer(17, [50_000, 4789], &vxlan)),
        ("gre", outer(47, [0; 2], &gre)),
        ("gretap", outer(47, [0; 2], &gretap)),
        ("ipip", outer(4, [0; 2], &packet)),
        ("ipip in ipip", outer(4, [0; 2], &twice)),
    ]
}

#[test]
fn encap_spreads_the_flows_of_one_tunnel() {
    let outside = selector(&["l3", "l4"]);
    let inside = selector(&["l3", "l4", "encap"]);
    let addresses = selector(&["l3", "encap"]);
    for kind in 0..tunnels(0).len() {
        let name = tunnels(0)[kind].0;
        let buckets = |selector: &Selector| {
            let mut buckets: Vec<u8> =
                (0..100).map(|flow| selector.bucket(&tunnels(flow)[kind].1)).collect();
            buckets.sort_unstable();
            buckets.dedup();
            buckets.len()
        };
        assert_eq!(buckets(&outside), 1, "{name}");
        assert!(buckets(&inside) > 60, "{name}: {}", buckets(&inside));
        assert!(buckets(&addresses) > 60, "{name}");
    }
}

#[test]
fn encap_changes_nothing_without_a_tunnel() {
    let plain = selector(&["eth", "vlan", "l3", "l4"]);
    let inside = selector(&["eth", "vlan", "l3", "l4", "encap"]);
    for flow in 0..100 {
        let frame = Frame::tcp4(0x0a00_0001, flow, [4000, 443]).build();
        assert_eq!(plain.bucket(&frame), inside.bucket(&frame));
    }
}

#[test]
fn srcmac_hashes_the_source_alone() {
    let selector = selector(&["srcmac", "vlan"]);
    let frame = |eth: [u8; 12], tag: u16| {
        let tags = vec![(0x8100, tag)];
        Frame { eth, tags, ..Frame::tcp4(1, 2, [3, 4]) }.build()
    };
    let mut moved = 0;
    for sample in 0..100 {
        let base = [sample; 12];
        let bucket = selector.bucket(&frame(base, 5));
        let (mut other_destination, mut other_source) = (base, base);
        other_destination[5] ^= 1;
        other_source[11] ^= 1;
        assert_eq!(selector.bucket(&frame(other_destination, 5)), bucket);
        moved += usize::from(selector.bucket(&frame(other_source, 5)) != bucket);
        moved += usize::from(selector.bucket(&frame(base, 6)) != bucket);
    }
    assert!(moved > 190, "{moved}");
}

const SETS: [&[&str]; 4] = [
    &["l3", "l4", "encap"],
    &["eth", "l3", "encap"],
    &["srcmac", "vlan"],
    &["srcmac", "eth", "tcp", "encap"],
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_tunnel_has_the_defined_bucket(
        flow in any::<u8>(),
        kind in 0..5usize,
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<proptest::sample::Index>(),
        set in 0..SETS.len(),
    ) {
        let mut bytes = tunnels(flow).swap_remove(kind).1;
        for (place, flip) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= flip;
        }
        let selector = selector(SETS[set]);
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            let defined = Selector::defined_bucket(selector.fields(), bytes);
            prop_assert_eq!(selector.bucket(bytes), defined);
        }
    }
}
