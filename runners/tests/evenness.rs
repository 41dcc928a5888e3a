//! Evenness of regular and random flows over ports.

mod frame;

use frame::{Frame, Network};
use runners::{BUCKETS, HashFields, Selector};

const FLOWS: u32 = 65_536;
const SERVER: u32 = 0xc0a8_0101;

/// Returns the load of the busiest port divided by its fair share: the worst of 2, 3, 4 and 8 ports,
/// with the buckets assigned in turn and in blocks.
fn worst(buckets: &[u32; BUCKETS]) -> f64 {
    let mut worst = 0f64;
    for ports in [2, 3, 4, 8] {
        let mut in_turn = vec![0; ports];
        let mut in_blocks = vec![0; ports];
        for (bucket, flows) in buckets.iter().enumerate() {
            in_turn[bucket % ports] += flows;
            in_blocks[bucket * ports / BUCKETS] += flows;
        }
        for load in in_turn.into_iter().chain(in_blocks) {
            worst = worst.max(f64::from(load) * ports as f64 / f64::from(FLOWS));
        }
    }
    worst
}

/// Checks a pattern of flows with both IP versions, several first addresses, and two sets of fields
/// that distinguish its flows.
fn check(pattern: impl Fn(u32, u32) -> (u32, u32, [u16; 2])) {
    let sets = [&["l3", "l4"][..], &["eth", "vlan", "l3", "l4"]];
    let selectors = sets.map(|names| {
        let fields = names.iter().filter_map(|name| HashFields::from_name(name));
        Selector::new(fields.fold(HashFields::NONE, |all, field| all | field))
    });
    for start in [0, 0x0a0b_0c0d, 0xac10_8000] {
        for ipv6 in [false, true] {
            let mut buckets = [[0; BUCKETS]; 2];
            let (mut frame, places) = template(ipv6);
            for flow in 0..FLOWS {
                let (source, destination, [from, to]) = pattern(start, flow);
                let ports = u32::from(from) << 16 | u32::from(to);
                for (place, value) in places.into_iter().zip([source, destination, ports]) {
                    frame[place..place + 4].copy_from_slice(&value.to_be_bytes());
                }
                for (buckets, selector) in buckets.iter_mut().zip(&selectors) {
                    buckets[usize::from(selector.bucket(&frame))] += 1;
                }
            }
            for (names, buckets) in sets.iter().zip(&buckets) {
                let worst = worst(buckets);
                println!("{names:?} ipv6 {ipv6} from {start:#010x}: {worst:.4}");
                assert!(worst <= 1.05, "{names:?} ipv6 {ipv6} from {start:#010x}: {worst}");
            }
        }
    }
}

/// Returns a TCP frame and the offsets of the last four bytes of source and destination address, and
/// of the ports. With IPv6 both hosts are in 2001:db8::/32.
fn template(ipv6: bool) -> (Vec<u8>, [usize; 3]) {
    let mut frame = Frame::tcp4(0, 0, [0; 2]);
    if !ipv6 {
        return (frame.build(), [26, 30, 34]);
    }
    let mut addresses = [0; 32];
    addresses[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    addresses[16..20].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    frame.network = Network::Ipv6 { addresses, extensions: Vec::new(), fragment: None };
    (frame.build(), [34, 50, 54])
}

/// Maps a number to a pseudo-random one (the finalizer of MurmurHash3).
fn scatter(number: u32) -> u32 {
    let mut x = number;
    x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
    x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}

#[test]
fn random_flows_are_even() {
    check(|start, flow| {
        let number = start.wrapping_add(flow * 3);
        let ports = scatter(number.wrapping_add(2));
        (scatter(number), scatter(number.wrapping_add(1)), [(ports >> 16) as u16, ports as u16])
    });
}

#[test]
fn consecutive_source_ports_are_even() {
    check(|start, flow| (start, SERVER, [flow as u16, 443]));
}

#[test]
fn consecutive_clients_are_even() {
    check(|start, flow| (start.wrapping_add(flow), SERVER, [40_000, 443]));
}

#[test]
fn equal_ports_at_both_ends_are_even() {
    check(|start, flow| (start, SERVER, [flow as u16; 2]));
}

#[test]
fn source_ports_in_steps_of_four_are_even() {
    // 16,384 ports at each of four clients.
    check(|start, flow| {
        let client = start.wrapping_add(flow >> 14);
        (client, SERVER, [(flow << 2) as u16, 443])
    });
}

#[test]
fn consecutive_ports_at_both_ends_are_even() {
    check(|start, flow| {
        let first = start as u16;
        (start, SERVER, [first.wrapping_add(flow as u16), 5000u16.wrapping_add(flow as u16)])
    });
}
