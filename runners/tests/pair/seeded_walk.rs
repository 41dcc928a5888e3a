//! Random faults by seed: the teams converge, agree, and converge again after each fault.

use std::time::Duration;

use runners::{Event, LacpSettings};

use crate::invariants::{assert_ends_agree, assert_safe};
use crate::network::{Impairment, Pair, fast, millis, seconds};

/// Seeds of a run without `TEAMR_SEED`.
const SEEDS: u64 = 300;
const THREADS: u64 = 4;
const FAULTS: u32 = 3;

/// Prints the seed of a failing walk.
struct PrintSeedOnPanic(u64);

impl Drop for PrintSeedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}: run again with TEAMR_SEED={}", self.0, self.0);
        }
    }
}

/// Advances by `time` and asserts the invariants after each change.
fn run(pair: &mut Pair, time: Duration) {
    let end = pair.now + time;
    while pair.step(end) {
        if std::mem::take(&mut pair.changed) {
            assert_safe(pair);
        }
    }
    pair.now = end;
}

/// Returns a pair under impairment. One end is passive for every other value of `seed / 2`.
fn impaired_pair(seed: u64, ports: u32) -> Pair {
    let peer = LacpSettings { active: (seed / 2) & 1 == 0, ..fast() };
    let mut pair = Pair::new([fast(), peer], seed).with_ports(ports);
    pair.impairment = Impairment {
        lost: 10 * (seed % 4),
        duplicated: 20,
        delay: [0, 5, 300][(seed % 3) as usize],
    };
    pair
}

/// Causes one fault, waits, and removes the fault.
fn fault(pair: &mut Pair, ports: u32) {
    let port = pair.random.below(ports.into()) as u32;
    let team = pair.random.below(2) as usize;
    let end = (team, port);
    let duration = millis(pair.random.below(5000));
    match pair.random.below(8) {
        0 => {
            pair.unplug(port);
            run(pair, duration);
            pair.plug(port);
        }
        1 => {
            pair.link_down(end);
            run(pair, duration);
            pair.link_up(end);
        }
        2 => {
            pair.blocked.insert(end);
            run(pair, duration);
            pair.blocked.clear();
        }
        3 => {
            pair.allow(end, false);
            run(pair, duration);
            pair.allow(end, true);
        }
        4 => {
            pair.drain(end, true);
            run(pair, duration);
            pair.drain(end, false);
        }
        5 => {
            pair.open_macsec_gate(end, false);
            run(pair, duration);
            pair.open_macsec_gate(end, true);
        }
        6 => {
            pair.open_gate(end, false);
            run(pair, duration);
            pair.open_gate(end, true);
        }
        _ => {
            pair.handle(team, Event::TeamAdminChanged { up: false });
            run(pair, duration);
            pair.handle(team, Event::TeamAdminChanged { up: true });
        }
    }
}

fn walk(seed: u64) {
    let _print_seed = PrintSeedOnPanic(seed);
    let ports = 2 + (seed % 2) as u32;
    let mut pair = impaired_pair(seed, ports);
    run(&mut pair, seconds(5));
    for _ in 0..FAULTS {
        fault(&mut pair, ports);
    }
    // Without impairment, the next periodic LACPDUs replace all lost ones.
    pair.impairment = Impairment::default();
    run(&mut pair, seconds(8));
    assert_ends_agree(&pair);
    let all: Vec<u32> = (0..ports).collect();
    assert_eq!(pair.distributing(0), all);
    // At rest, each port sends one LACPDU a second and no port flaps.
    let (flaps, sent) = (pair.flaps, pair.sent.clone());
    run(&mut pair, seconds(5));
    assert_eq!(pair.flaps, flaps, "flaps at rest");
    for (end, count) in &pair.sent {
        assert!(count - sent[end] <= 6, "{end:?} sends too often");
    }
}

/// The seeds to walk: those of `TEAMR_SEED`, one (`7`) or a range (`0..10000`), else the first `SEEDS`.
fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("TEAMR_SEED") else {
        return 0..SEEDS;
    };
    let number = |text: &str| text.parse::<u64>().expect("TEAMR_SEED: SEED or FIRST..END");
    match text.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(&text)..number(&text) + 1,
    }
}

#[test]
fn walks_converge() {
    let seeds = seeds();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let seeds = seeds.clone().skip(thread as usize);
            scope.spawn(move || seeds.step_by(THREADS as usize).for_each(walk));
        }
    });
}
