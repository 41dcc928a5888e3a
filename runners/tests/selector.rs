//! The hash of a flow: which fields change it, and that the fast computation gives the defined
//! value.

mod frame;

use std::sync::LazyLock;

use frame::{Frame, Network};
use proptest::prelude::*;
use runners::{HashFields, Selector};

const NAMES: [&str; 7] = ["eth", "vlan", "ipv4", "ipv6", "tcp", "udp", "sctp"];
const SETS: usize = 1 << NAMES.len();

/// One selector for each set of fields; bit N of the index stands for `NAMES[N]`.
static SELECTORS: LazyLock<Vec<Selector>> =
    LazyLock::new(|| (0..SETS).map(|set| Selector::new(fields(set))).collect());

fn fields(set: usize) -> HashFields {
    (0..NAMES.len())
        .filter(|bit| set & (1 << bit) != 0)
        .filter_map(|bit| HashFields::from_name(NAMES[bit]))
        .fold(HashFields::NONE, |all, field| all | field)
}

fn names(set: usize) -> Vec<&'static str> {
    let bits = 0..NAMES.len();
    bits.filter(|bit| set & (1 << bit) != 0).map(|bit| NAMES[bit]).collect()
}

fn ipv4(options: u8, protocol: u8, sample: u8) -> Frame {
    Frame {
        eth: [2, 0, 0, 0, 0, sample, 2, 0, 0, 0, sample, 9],
        tags: Vec::new(),
        network: Network::Ipv4 {
            addresses: [10, 0, 0, sample, 10, 1, sample, 7],
            options,
            fragment: 0x4000,
        },
        protocol,
        ports: [1000 + u16::from(sample), 443],
        filler: 0,
    }
}

fn ipv6(extensions: &[u8], protocol: u8, sample: u8) -> Frame {
    let mut addresses = [0x20; 32];
    addresses[15] = sample;
    Frame {
        network: Network::Ipv6 { addresses, extensions: extensions.to_vec(), fragment: None },
        ..ipv4(0, protocol, sample)
    }
}

fn tagged(tags: &[(u16, u16)], frame: Frame) -> Frame {
    Frame { tags: tags.to_vec(), ..frame }
}

/// One frame of each parsed format, with the `tx_hash` words of its addresses and of its ports.
fn kinds(sample: u8) -> Vec<(Frame, &'static str, &'static str)> {
    let arp = Frame {
        network: Network::Arp { addresses: [10, 0, 0, sample, 10, 0, 1, 1] },
        ..ipv4(0, 0, sample)
    };
    let all_extensions = [0, 60, 43, 51, 60];
    let service = [(0x88a8, 7), (0x8100, 8)];
    vec![
        (ipv4(0, 6, sample), "ipv4", "tcp"),
        (ipv4(0, 17, sample), "ipv4", "udp"),
        (ipv4(0, 132, sample), "ipv4", "sctp"),
        (ipv4(0, 1, sample), "ipv4", ""),
        (ipv4(10, 6, sample), "ipv4", "tcp"),
        (tagged(&[(0x8100, 5)], ipv4(0, 17, sample)), "ipv4", "udp"),
        (tagged(&service, ipv4(3, 6, sample)), "ipv4", "tcp"),
        (ipv6(&[], 6, sample), "ipv6", "tcp"),
        (ipv6(&[], 17, sample), "ipv6", "udp"),
        (ipv6(&[], 132, sample), "ipv6", "sctp"),
        (ipv6(&[], 58, sample), "ipv6", ""),
        (ipv6(&all_extensions, 17, sample), "ipv6", "udp"),
        (tagged(&service, ipv6(&[0], 6, sample)), "ipv6", "tcp"),
        (arp.clone(), "ipv4", ""),
        (tagged(&[(0x8100, 5)], arp), "ipv4", ""),
    ]
}

/// Changes to single fields of a frame, each with the word of `tx_hash` that makes it count.
fn changes(
    frame: &Frame,
    addresses_name: &'static str,
    ports_name: &'static str,
) -> Vec<(&'static str, Frame)> {
    let mut changes = Vec::new();
    let mut change = |name, apply: &dyn Fn(&mut Frame)| {
        let mut changed = frame.clone();
        apply(&mut changed);
        changes.push((name, changed));
    };
    change("eth", &|frame| frame.eth[3] ^= 0x40);
    change("eth", &|frame| frame.eth[11] ^= 1);
    for tag in 0..frame.tags.len() {
        change("vlan", &|frame| frame.tags[tag].1 ^= 0x801);
        // Priority and drop eligibility do not belong to the VLAN id.
        change("", &|frame| frame.tags[tag].1 ^= 0xf000);
    }
    for place in [0, 3, 4, 7] {
        change(addresses_name, &|frame| match &mut frame.network {
            Network::Ipv4 { addresses, .. } | Network::Arp { addresses } => addresses[place] ^= 8,
            Network::Ipv6 { addresses, .. } => {
                addresses[place] ^= 8;
                addresses[31 - place] ^= 4;
            }
        });
    }
    change(ports_name, &|frame| frame.ports[0] ^= 1);
    change(ports_name, &|frame| frame.ports[1] ^= 0x100);
    change("", &|frame| frame.filler = 0xa5);
    changes
}

#[test]
fn named_fields_change_the_bucket_and_others_do_not() {
    const SAMPLES: u8 = 100;
    for (set, selector) in SELECTORS.iter().enumerate() {
        let mut moved: Vec<(usize, usize, &str, usize)> = Vec::new();
        for sample in 0..SAMPLES {
            for (kind, (frame, addresses, ports)) in kinds(sample).iter().enumerate() {
                let before = selector.bucket(&frame.build());
                for (number, (name, changed)) in changes(frame, addresses, ports).iter().enumerate()
                {
                    let moves = usize::from(selector.bucket(&changed.build()) != before);
                    match moved.iter_mut().find(|entry| (entry.0, entry.1) == (kind, number)) {
                        Some(entry) => entry.3 += moves,
                        None => moved.push((kind, number, name, moves)),
                    }
                }
            }
        }
        for (kind, number, name, moves) in moved {
            let set = names(set);
            if set.contains(&name) {
                assert!(moves >= 90, "{set:?}, kind {kind}, change {number} ({name}): {moves}");
            } else {
                assert_eq!(moves, 0, "{set:?}, kind {kind}, change {number} ({name})");
            }
        }
    }
}

#[test]
fn all_frames_have_one_bucket_without_fields() {
    let bucket = SELECTORS[0].bucket(&[]);
    for sample in 0..100 {
        for (frame, ..) in kinds(sample) {
            assert_eq!(SELECTORS[0].bucket(&frame.build()), bucket);
        }
    }
}

/// Another value would move every flow of a running team at an upgrade.
#[test]
fn the_hash_is_the_crc32_of_the_key_multiplied() {
    let frame = Frame::tcp4(0x0a00_0001, 0x0a00_0002, [0x1234, 80]).build();
    let mut key = [0; 36];
    key[20..28].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    key[32..].copy_from_slice(&[0x12, 0x34, 0, 80]);
    let value = crc32fast::hash(&key).wrapping_mul(0x9e37_79b9) >> 24;
    let l3_l4 = fields(0b111_1100);
    assert_eq!(u32::from(Selector::new(l3_l4).bucket(&frame)), value);
}

fn network() -> impl Strategy<Value = Network> {
    let ipv4 = (any::<[u8; 8]>(), 0u8..11, prop_oneof![Just(0), Just(0x4000), any::<u16>()]);
    let extension = proptest::sample::select(vec![0u8, 43, 51, 60]);
    let extensions = proptest::collection::vec(extension, 0..10);
    let ipv6 = (any::<[u8; 32]>(), extensions, any::<Option<u16>>());
    prop_oneof![
        ipv4.prop_map(|(addresses, options, fragment)| Network::Ipv4 {
            addresses,
            options,
            fragment
        }),
        ipv6.prop_map(|(addresses, extensions, fragment)| Network::Ipv6 {
            addresses,
            extensions,
            fragment
        }),
        any::<[u8; 8]>().prop_map(|addresses| Network::Arp { addresses }),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    let tag = (proptest::sample::select(vec![0x8100u16, 0x88a8]), any::<u16>());
    (
        any::<[u8; 12]>(),
        proptest::collection::vec(tag, 0..6),
        network(),
        prop_oneof![Just(6), Just(17), Just(132), any::<u8>()],
        any::<[u16; 2]>(),
        any::<u8>(),
    )
        .prop_map(|(eth, tags, network, protocol, ports, filler)| Frame {
            eth,
            tags,
            network,
            protocol,
            ports,
            filler,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_fast_computation_gives_the_defined_bucket(
        frame in frame(),
        set in 0..SETS,
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = frame.build();
        for (place, flip) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= flip;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            let defined = Selector::defined_bucket(fields(set), bytes);
            prop_assert_eq!(SELECTORS[set].bucket(bytes), defined);
        }
    }

    #[test]
    fn any_bytes_have_the_defined_bucket(bytes in proptest::collection::vec(any::<u8>(), 0..200), set in 0..SETS) {
        let defined = Selector::defined_bucket(fields(set), &bytes);
        prop_assert_eq!(SELECTORS[set].bucket(&bytes), defined);
    }

    #[test]
    fn all_fragments_of_a_datagram_have_one_bucket(
        frame in frame(),
        offsets in proptest::collection::vec((1u16..0x1fff, any::<bool>()), 1..6),
        ports in any::<[u16; 2]>(),
        set in 0..SETS,
    ) {
        // The first fragment contains the ports, others contain other bytes there.
        let place = |frame: &Frame, offset: u16, more: bool| {
            let mut frame = frame.clone();
            match &mut frame.network {
                Network::Ipv4 { fragment, .. } => *fragment = u16::from(more) << 13 | offset,
                Network::Ipv6 { fragment, .. } => *fragment = Some(offset << 3 | u16::from(more)),
                Network::Arp { .. } => {}
            }
            frame.build()
        };
        let first = SELECTORS[set].bucket(&place(&frame, 0, true));
        let rest = Frame { ports, ..frame };
        for (offset, more) in offsets {
            prop_assert_eq!(SELECTORS[set].bucket(&place(&rest, offset, more)), first);
        }
    }
}

#[test]
fn a_frame_truncated_at_any_length_has_the_defined_bucket() {
    for (frame, ..) in kinds(1) {
        let bytes = frame.build();
        for length in 0..bytes.len() {
            for (set, selector) in SELECTORS.iter().enumerate() {
                let cut = &bytes[..length];
                assert_eq!(selector.bucket(cut), Selector::defined_bucket(fields(set), cut));
            }
        }
    }
}
