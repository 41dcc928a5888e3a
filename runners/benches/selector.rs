//! Cost of the choice of a bucket, in nanoseconds a frame, parsing included.
//!
//! Prints minimum and median of all repetitions. For comparison: crc32fast over 12 bytes without
//! parsing, and the folding of addresses and ports of DPDK's bonding policy l34 with parsing.
#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use runners::{Distributor, Forwarding, HashFields, PortForwarding, PortId, Selector, TxPolicy};

const FRAMES: usize = 1024;
const ROUNDS: usize = 200;
const REPETITIONS: usize = 101;

fn main() {
    let l3_l4 = fields(&["l3", "l4"]);
    let default = fields(&["eth", "ipv4", "ipv6"]);
    let all = fields(&["eth", "vlan", "l3", "l4"]);
    let tcp4 = frames(tcp4);

    println!("{FRAMES} frames, {REPETITIONS} repetitions of {ROUNDS} rounds; ns/frame");
    println!("{:<44} {:>7} {:>7}", "", "min", "median");
    for (name, fields) in
        [("l3 l4", l3_l4), ("eth ipv4 ipv6 (default)", default), ("eth vlan l3 l4", all)]
    {
        let selector = Selector::new(fields);
        measure(&format!("TCP/IPv4, tx_hash {name}"), &tcp4, |frame| selector.bucket(frame).into());
    }
    let selector = Selector::new(l3_l4);
    for (name, frames) in [("TCP/IPv4 in a VLAN", frames(vlan_tcp4)), ("TCP/IPv6", frames(tcp6))] {
        measure(&format!("{name}, tx_hash l3 l4"), &frames, |frame| selector.bucket(frame).into());
    }
    let mut distributor = load_balance(l3_l4);
    measure("TCP/IPv4, Distributor::select, l3 l4", &tcp4, |frame| {
        distributor.select(frame).ports[0].0
    });
    measure("TCP/IPv4, by the definition, l3 l4", &tcp4, |frame| {
        Selector::defined_bucket(l3_l4, frame).into()
    });
    measure("crc32fast::hash, 12 bytes, no parse", &tcp4, |frame| crc32fast::hash(&frame[26..38]));
    measure("DPDK-style l34 folding", &tcp4, l34_folding);
}

/// Times `hash` over all frames and prints one line.
fn measure(name: &str, frames: &[Vec<u8>], mut hash: impl FnMut(&[u8]) -> u32) {
    let mut times: Vec<f64> = (0..=REPETITIONS)
        .map(|_| {
            let start = Instant::now();
            let mut sum = 0u32;
            for _ in 0..ROUNDS {
                for frame in black_box(frames) {
                    sum = sum.wrapping_add(hash(frame));
                }
            }
            black_box(sum);
            start.elapsed().as_nanos() as f64 / (ROUNDS * frames.len()) as f64
        })
        .skip(1) // The first repetition fills the caches.
        .collect();
    times.sort_by(f64::total_cmp);
    let (min, median) = (times[0], times[REPETITIONS / 2]);
    println!("{name:<44} {min:>7.2} {median:>7.2}");
}

/// Folds addresses and ports by exclusive-or, as documented for DPDK's bonding policy l34.
fn l34_folding(frame: &[u8]) -> u32 {
    let word =
        |at: usize| u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]);
    let half = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let mut l3 = 0;
    let mut l4 = 0;
    if half(12) == 0x0800 {
        l3 = word(26) ^ word(30);
        if half(20) & 0x3fff == 0 && matches!(frame[23], 6 | 17) {
            let ports = 14 + usize::from(frame[14] & 0x0f) * 4;
            l4 = u32::from(half(ports) ^ half(ports + 2));
        }
    }
    let mut hash = l3 ^ l4;
    hash ^= hash >> 16;
    hash ^= hash >> 8;
    hash & 0xff
}

fn fields(names: &[&str]) -> HashFields {
    names
        .iter()
        .filter_map(|name| HashFields::from_name(name))
        .fold(HashFields::NONE, |all, field| all | field)
}

fn load_balance(fields: HashFields) -> Distributor {
    let ports = [PortId(1), PortId(2)];
    let mut distributor = Distributor::new();
    distributor.apply(&Forwarding {
        policy: TxPolicy::LoadBalance {
            fields,
            buckets: Arc::new(std::array::from_fn(|bucket| Some(ports[bucket % 2]))),
            balanced: false,
            neighbours: false,
        },
        ports: ports
            .map(|port| PortForwarding {
                port,
                collecting: true,
                distributing: true,
                linked: true,
                link_from_watch: false,
            })
            .to_vec(),
    });
    distributor
}

/// Returns frames of the least Ethernet length.
fn frames(build: fn(u32) -> Vec<u8>) -> Vec<Vec<u8>> {
    (0..FRAMES as u32)
        .map(|number| {
            let mut frame = build(number.wrapping_mul(0x9e37_79b1));
            frame.resize(60, 0);
            frame
        })
        .collect()
}

fn tcp4(flow: u32) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([8, 0, 0x45, 0, 5, 220, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0]);
    frame.extend((flow >> 16).to_be_bytes()); // End of the source address, start of the destination.
    frame.extend([1, 1]);
    frame.extend((flow as u16).to_be_bytes());
    frame.extend([1, 187]);
    frame
}

fn vlan_tcp4(flow: u32) -> Vec<u8> {
    let mut frame = tcp4(flow);
    frame.splice(12..12, [0x81, 0, 0, 42]);
    frame
}

fn tcp6(flow: u32) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 5, 180, 6, 64]);
    frame.extend([0x20; 12]);
    frame.extend(flow.to_be_bytes());
    frame.extend([0x20; 16]);
    frame.extend((flow as u16).to_be_bytes());
    frame.extend([1, 187]);
    frame
}
