//! Cost and evenness of the port selection on each data path.
#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

use std::hint::black_box;
use std::os::fd::AsRawFd;
use std::time::Instant;

use runners::{BUCKETS, HashFields, Selector};
use teamr::datapath::ebpf::assembler::{Assembler, Reg};
use teamr::datapath::ebpf::bucket;
use teamr::datapath::ebpf::shared::CommonMaps;
use teamr::sys::bpf::Program;

const REPETITIONS: usize = 9;
const FRAMES_EACH: u32 = 1_000_000;

/// A name, and a function that builds such a frame.
type Kind = (&'static str, fn() -> Vec<u8>);
/// See [`Kind`].
pub const FRAMES: [Kind; 3] = [
    ("IPv4", || frame(0x0800, &ipv4(1000))),
    ("IPv4 tagged", || {
        let tag = [&[0, 7, 8, 0][..], &ipv4(1000)].concat();
        frame(0x8100, &tag)
    }),
    ("IPv6", || {
        let mut packet = vec![0x20; 64];
        packet[0] = 0x60;
        packet[6] = 6;
        frame(0x86dd, &packet)
    }),
];

fn fields() -> HashFields {
    let named = ["l3", "l4"].into_iter().filter_map(HashFields::from_name);
    named.fold(HashFields::NONE, |all, field| all | field)
}

fn frame(kind: u16, packet: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &kind.to_be_bytes(), packet].concat()
}

fn ipv4(source_port: u16) -> Vec<u8> {
    let mut packet = vec![0; 46];
    packet[0] = 0x45;
    packet[9] = 6;
    packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    packet[20..22].copy_from_slice(&source_port.to_be_bytes());
    packet
}

/// Returns nanoseconds of the relay's selection, the minimum of several runs.
pub fn relay(frame: &[u8]) -> f64 {
    let selector = Selector::new(fields());
    let time = |_| {
        let begin = Instant::now();
        for _ in 0..FRAMES_EACH {
            black_box(selector.bucket(black_box(frame)));
        }
        begin.elapsed().as_nanos()
    };
    let least = (0..REPETITIONS).map(time).min().unwrap_or_default();
    least as f64 / f64::from(FRAMES_EACH)
}

/// Returns nanoseconds of the eBPF programs' selection, less those of an empty program; `None` if
/// the kernel refuses the programs.
pub fn programs(frame: &[u8]) -> Option<u32> {
    let maps = CommonMaps::create().ok()?;
    let mut nothing = Assembler::default();
    nothing.exit_with(0);
    let mut choice = Assembler::default();
    choice.set(Reg::R6, Reg::R1);
    bucket::emit(&mut choice, fields(), maps.hash.as_raw_fd());
    choice.set(Reg::R0, Reg::R7);
    choice.exit();
    let least = |program: Assembler| {
        let program = Program::load(&program.finish(), "teamr_bench").ok()?;
        let run = |_| Some(program.test(frame, &[], FRAMES_EACH).ok()?.nanoseconds);
        (0..REPETITIONS).filter_map(run).min()
    };
    Some(least(choice)?.saturating_sub(least(nothing)?))
}

/// Returns the load of the busiest of eight ports relative to its fair share, for connections
/// between two hosts with consecutive port numbers.
pub fn busiest() -> f64 {
    const PORTS: usize = 8;
    let selector = Selector::new(fields());
    let mut load = [0u32; PORTS];
    for port in 0..=u16::MAX {
        let bucket = usize::from(selector.bucket(&frame(0x0800, &ipv4(port))));
        load[bucket * PORTS / BUCKETS] += 1;
    }
    let most = load.into_iter().max().unwrap_or_default();
    f64::from(most) * PORTS as f64 / 65536.0
}
