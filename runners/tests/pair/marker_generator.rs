//! Flows that move between a slow link and a fast one: with markers they keep their order.

use std::time::Duration;

use runners::{BUCKETS, Instant, LacpSettings, TxPolicy};

use crate::network::{Pair, fast, millis, seconds};

/// The port with the long wire, which has all flows at first.
const SLOW: u32 = 0;
/// The port that comes and goes.
const QUICK: u32 = 1;
/// By how much the long wire is longer.
const LONGER: Duration = millis(20);
const TIMEOUT: Duration = millis(100);

fn settings(marker_timeout: Option<Duration>) -> LacpSettings {
    LacpSettings {
        marker_timeout,
        ..fast()
    }
}

/// A frame in each bucket each millisecond, from the first team to the second.
struct Flows {
    pair: Pair,
    /// The last arrival in each bucket.
    last: [Instant; BUCKETS],
    reordered: u64,
    /// Frames that no port was there for.
    dropped: [u64; BUCKETS],
    /// Frames on the quick port.
    quick: u64,
    /// The slow port was given up, which loses its flows to the quick one at once.
    slow_was_lost: bool,
}

impl Flows {
    fn new(marker_timeout: Option<Duration>, seed: u64) -> Flows {
        let mut pair = Pair::new([settings(marker_timeout), fast()], seed).with_ports(2);
        pair.latency.insert(SLOW, LONGER);
        pair.cable(QUICK, false);
        pair.run(seconds(5));
        assert_eq!(pair.distributing(0), [SLOW]);
        Flows {
            pair,
            last: [Instant::ZERO; BUCKETS],
            reordered: 0,
            dropped: [0; BUCKETS],
            quick: 0,
            slow_was_lost: false,
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.pair.now + time;
        while self.pair.now < end {
            let next = self.pair.now + millis(1);
            while self.pair.step(next) {
                self.slow_was_lost |= !self.pair.distributing(0).contains(&SLOW);
            }
            self.pair.now = next;
            self.send();
        }
    }

    fn send(&mut self) {
        let forwarding = self.pair.forwarding[0].as_ref().expect("a forwarding");
        let TxPolicy::LoadBalance { buckets, .. } = &forwarding.policy else {
            panic!("not lacp's policy");
        };
        for (bucket, port) in buckets.iter().enumerate() {
            let Some(port) = port else {
                self.dropped[bucket] += 1;
                continue;
            };
            self.quick += u64::from(port.0 == QUICK);
            let latency = self.pair.latency.get(&port.0).copied().unwrap_or_default();
            let arrival = self.pair.now + millis(1) + latency;
            self.reordered += u64::from(arrival < self.last[bucket]);
            self.last[bucket] = self.last[bucket].max(arrival);
        }
    }

    /// Own markers, answers to them, and markers without an answer, of the slow port.
    fn markers(&self) -> [u64; 3] {
        let status = self.pair.teams[0].lacp_status(self.pair.now).expect("lacp");
        let port = &status.ports[SLOW as usize];
        let counters = port.counters;
        [
            counters.own_markers,
            counters.own_marker_responses,
            port.unanswered_markers,
        ]
    }
}

#[test]
fn without_markers_they_overtake_themselves() {
    let mut flows = Flows::new(None, 1);
    flows.pair.cable(QUICK, true);
    flows.run(seconds(4));
    assert!(flows.quick > 0);
    assert!(flows.reordered > 0, "this world cannot show it");
    assert_eq!(flows.dropped, [0; BUCKETS]);
}

#[test]
fn with_markers_they_wait_for_the_answer_and_the_others_go_on() {
    let mut flows = Flows::new(Some(TIMEOUT), 1);
    flows.pair.cable(QUICK, true);
    flows.run(seconds(4));
    assert_eq!(flows.reordered, 0);
    assert_eq!(flows.markers(), [1, 1, 0]);
    let moved = flows.dropped.iter().filter(|dropped| **dropped > 0);
    assert_eq!(moved.count(), BUCKETS / 2);
    // There and back.
    let most = flows.dropped.iter().max().expect("buckets");
    assert!((42..45).contains(most), "{most}");
}

#[test]
fn without_an_answer_they_wait_for_the_timeout() {
    let mut flows = Flows::new(Some(TIMEOUT), 1);
    flows.pair.cable(QUICK, true);
    flows.run(millis(1500));
    // It hears PDUs no more, but has not given up yet.
    flows.pair.deaf.insert((1, SLOW));
    flows.run(millis(1500));
    assert_eq!(flows.reordered, 0);
    assert_eq!(flows.markers(), [1, 0, 1]);
    let most = flows.dropped.iter().max().expect("buckets");
    assert!((99..103).contains(most), "{most}");
    assert!(flows.quick > 0);
}

#[test]
fn order_is_kept_whatever_gets_lost() {
    let mut lives = 0;
    for seed in 0..80 {
        let mut flows = Flows::new(Some(TIMEOUT), seed);
        flows.pair.fate.lost = 10 * (seed % 4);
        flows.pair.fate.doubled = 20;
        for _ in 0..4 {
            for up in [true, false] {
                flows.pair.cable(QUICK, up);
                let lasts = millis(flows.pair.dice.below(3000));
                flows.run(lasts);
            }
        }
        assert!(flows.slow_was_lost || flows.reordered == 0, "seed {seed}");
        lives += u32::from(!flows.slow_was_lost && flows.quick > 0);
    }
    assert!(lives > 30, "{lives} of 80 show something");
}
