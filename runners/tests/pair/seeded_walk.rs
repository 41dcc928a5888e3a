//! Seeded faults: the teams converge, agree, and converge again after each fault.

use runners::{Event, LacpSettings, PortId};

use crate::invariants;
use crate::network::{Fate, Pair, fast, millis, seconds};

const SEEDS: u64 = 10_000;
const THREADS: u64 = 4;

/// Tells the seed if the test that runs under it fails.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}: run again with TEAMR_SEED={}", self.0, self.0);
        }
    }
}

fn run(pair: &mut Pair, time: std::time::Duration) {
    let end = pair.now + time;
    while pair.step(end) {
        if std::mem::take(&mut pair.news) {
            invariants::hold(pair);
        }
    }
    pair.now = end;
}

fn settings(pair: u64) -> LacpSettings {
    LacpSettings {
        active: pair & 1 == 0,
        ..fast()
    }
}

/// One life: a start over bad wires, three faults, and a quiet end.
fn live(seed: u64) {
    let _named = Named(seed);
    let ports = 2 + (seed % 2) as u32;
    // One end may be passive.
    let mut pair = Pair::new([fast(), settings(seed / 2)], seed).with_ports(ports);
    pair.fate = Fate {
        lost: 10 * (seed % 4),
        doubled: 20,
        delay: [0, 5, 300][(seed % 3) as usize],
    };
    run(&mut pair, seconds(5));
    for _ in 0..3 {
        let port = pair.dice.below(ports.into()) as u32;
        let team = pair.dice.below(2) as usize;
        let lasts = millis(pair.dice.below(5000));
        match pair.dice.below(5) {
            0 => {
                pair.cable(port, false);
                run(&mut pair, lasts);
                pair.cable(port, true);
            }
            1 => {
                pair.link((team, port), false);
                run(&mut pair, lasts);
                pair.link((team, port), true);
            }
            2 => {
                pair.deaf.insert((team, port));
                run(&mut pair, lasts);
                pair.deaf.clear();
            }
            3 => {
                let allow = |allowed| Event::PortAllowed {
                    port: PortId(port),
                    allowed,
                };
                pair.tell(team, allow(false));
                run(&mut pair, lasts);
                pair.tell(team, allow(true));
            }
            _ => {
                pair.tell(team, Event::TeamAdminChanged { up: false });
                run(&mut pair, lasts);
                pair.tell(team, Event::TeamAdminChanged { up: true });
            }
        }
    }
    // The wires are mended; whatever was lost is said again within a period.
    pair.fate = Fate::default();
    run(&mut pair, seconds(8));
    invariants::agree(&pair);
    let all: Vec<u32> = (0..ports).collect();
    assert_eq!(pair.distributing(0), all);
    // And it stays quiet: a PDU a second and port, no flapping.
    let (flaps, sent) = (pair.flaps, pair.sent.clone());
    run(&mut pair, seconds(5));
    assert_eq!(pair.flaps, flaps, "flaps at rest");
    for (place, count) in &pair.sent {
        assert!(count - sent[place] <= 6, "{place:?} talks too much");
    }
}

#[test]
fn ten_thousand_seeds() {
    match std::env::var("TEAMR_SEED") {
        Ok(seed) => live(seed.parse().expect("a number")),
        Err(_) => std::thread::scope(|scope| {
            for first in 0..THREADS {
                scope.spawn(move || (first..SEEDS).step_by(THREADS as usize).for_each(live));
            }
        }),
    }
}
