//! Flows that move from a slow link to a fast one: with markers they keep their order.

use std::time::Duration;

use runners::{BUCKETS, Instant, LacpSettings, TxPolicy};

use crate::network::{Pair, fast, millis, seconds};

/// The port with the slow link, which has all flows at first.
const SLOW: u32 = 0;
/// The port that goes up and down.
const QUICK: u32 = 1;
/// Additional delay of the slow link.
const SLOW_LATENCY: Duration = millis(20);
const TIMEOUT: Duration = millis(100);

fn settings(marker_timeout: Option<Duration>) -> LacpSettings {
    LacpSettings { marker_timeout, ..fast() }
}

/// One frame in each bucket each millisecond, from the first team to the second.
struct Flows {
    pair: Pair,
    /// Last arrival in each bucket.
    last: [Instant; BUCKETS],
    reordered: u64,
    /// Frames in buckets without a port.
    dropped: [u64; BUCKETS],
    /// Frames on the quick port.
    quick: u64,
    /// Whether the slow port ever ceased to distribute, which moves its flows at once.
    slow_was_lost: bool,
}

impl Flows {
    fn new(marker_timeout: Option<Duration>, seed: u64) -> Flows {
        let mut pair = Pair::new([settings(marker_timeout), fast()], seed).with_ports(2);
        pair.latency.insert(SLOW, SLOW_LATENCY);
        pair.unplug(QUICK);
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
            panic!("lacp without buckets");
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

    /// Returns the markers of the slow port: sent, answered in time, unanswered.
    fn markers(&self) -> [u64; 3] {
        let status = self.pair.status((0, SLOW));
        [
            status.counters.own_markers,
            status.counters.own_marker_responses,
            status.unanswered_markers,
        ]
    }
}

#[test]
fn flows_without_markers_are_reordered() {
    let mut flows = Flows::new(None, 1);
    flows.pair.plug(QUICK);
    flows.run(seconds(4));
    assert!(flows.quick > 0);
    assert!(flows.reordered > 0, "the links have the same latency");
    assert_eq!(flows.dropped, [0; BUCKETS]);
}

#[test]
fn moving_flows_wait_for_the_response_and_others_do_not() {
    let mut flows = Flows::new(Some(TIMEOUT), 1);
    flows.pair.plug(QUICK);
    flows.run(seconds(4));
    assert_eq!(flows.reordered, 0);
    assert_eq!(flows.markers(), [1, 1, 0]);
    let moved = flows.dropped.iter().filter(|dropped| **dropped > 0);
    assert_eq!(moved.count(), BUCKETS / 2);
    // One round trip over the slow link.
    let most = flows.dropped.iter().max().expect("buckets");
    assert!((42..45).contains(most), "{most}");
}

#[test]
fn moving_flows_without_a_response_wait_for_the_timeout() {
    let mut flows = Flows::new(Some(TIMEOUT), 1);
    flows.pair.plug(QUICK);
    flows.run(millis(1500));
    // The partner receives no marker, but its current_while_timer has not expired yet.
    flows.pair.blocked.insert((1, SLOW));
    flows.run(millis(1500));
    assert_eq!(flows.reordered, 0);
    assert_eq!(flows.markers(), [1, 0, 1]);
    let most = flows.dropped.iter().max().expect("buckets");
    assert!((99..103).contains(most), "{most}");
    assert!(flows.quick > 0);
}

#[test]
fn flows_keep_their_order_under_loss() {
    let mut meaningful = 0;
    for seed in 0..80 {
        let mut flows = Flows::new(Some(TIMEOUT), seed);
        flows.pair.impairment.lost = 10 * (seed % 4);
        flows.pair.impairment.duplicated = 20;
        for _ in 0..4 {
            flows.pair.plug(QUICK);
            let duration = millis(flows.pair.random.below(3000));
            flows.run(duration);
            flows.pair.unplug(QUICK);
            let duration = millis(flows.pair.random.below(3000));
            flows.run(duration);
        }
        assert!(flows.slow_was_lost || flows.reordered == 0, "seed {seed}");
        meaningful += u32::from(!flows.slow_was_lost && flows.quick > 0);
    }
    assert!(meaningful > 30, "only {meaningful} of 80 seeds moved flows");
}
