//! loadbalance: enabled ports, the bucket table, the balancer.

use std::time::Duration;

use runners::{
    Action, BUCKETS, Event, HashFields, Instant, PortId, RunnerSettings, TeamSettings, TxPolicy,
};

use crate::play::*;

fn loadbalance(balancing_interval: Option<u64>) -> Play {
    Play::new(TeamSettings::new(RunnerSettings::LoadBalance {
        tx_hash: HashFields::ETH,
        balancing_interval: balancing_interval.map(Duration::from_millis),
    }))
}

#[test]
fn usable_ports_are_enabled() {
    let mut play = loadbalance(None);
    play.at(
        0,
        added(1, UP, prio(0)),
        &[
            "eth1: ethtool-link went up.",
            "team hwaddr 01",
            "forward shares 256: 1+^",
            "carrier true",
            "carrier changed to UP",
        ],
    );
    play.at(1, added(2, DOWN, prio(0)), &["forward shares 256/0: 1+^ 2<_", "port 2 hwaddr 01"]);
    play.at(2, link_is(2, UP), &["eth2: ethtool-link went up.", "forward shares 128/128: 1+^ 2+^"]);
    play.at(3, allowed(1, false), &["forward shares 0/256: 1-^ 2+^"]);
    play.at(
        4,
        link_is(2, DOWN),
        &[
            "eth2: ethtool-link went down.",
            "forward shares 0/0: 1-^ 2<_",
            "carrier false",
            "carrier changed to DOWN",
        ],
    );
    play.has_no_deadline();
}

/// A team that balances every 5 s, with the bucket table of its last forwarding.
struct Balanced {
    play: Play,
    now: u64,
    bytes: Box<[u64; BUCKETS]>,
    table: Vec<u32>,
}

impl Balanced {
    fn new(speeds: &[u32]) -> Self {
        let mut balanced = Balanced {
            play: loadbalance(Some(5000)),
            now: 0,
            bytes: Box::new([1 << 40; BUCKETS]),
            table: Vec::new(),
        };
        for (n, speed) in speeds.iter().enumerate() {
            balanced.handle(added(n as u32 + 1, link(true, *speed), prio(0)));
        }
        balanced.run(|_| 0);
        balanced
    }

    fn handle(&mut self, event: Event) {
        let now = Instant::ZERO + Duration::from_millis(self.now);
        self.play.team.handle(now, event);
        while let Some(action) = self.play.team.poll_action() {
            if let Action::ApplyForwarding(forwarding) = action {
                let TxPolicy::LoadBalance { buckets, balanced, .. } = forwarding.policy else {
                    panic!("not loadbalance");
                };
                assert!(balanced);
                self.table = buckets.iter().map(|b| b.map_or(0, |p| p.0)).collect();
            }
        }
    }

    /// Runs one interval in which each bucket sends `load` bytes. Returns the buckets that moved.
    fn run(&mut self, load: impl Fn(usize) -> u64) -> Vec<usize> {
        self.now += 5000;
        self.play.expires_at(self.now, &["read counters"]);
        for (bucket, bytes) in self.bytes.iter_mut().enumerate() {
            *bytes += load(bucket);
        }
        let before = self.table.clone();
        self.handle(Event::BucketCounters { bytes: self.bytes.clone() });
        (0..BUCKETS).filter(|b| before[*b] != self.table[*b]).collect()
    }

    fn of(&self, port: u32) -> Vec<usize> {
        (0..BUCKETS).filter(|b| self.table[*b] == port).collect()
    }
}

const MB: u64 = 1_000_000;

#[test]
fn the_first_reading_of_the_counters_is_no_load() {
    let mut team = Balanced::new(&[1000, 1000]);
    assert_eq!(team.run(|_| 0), [0; 0]);
    assert_eq!((team.of(1).len(), team.of(2).len()), (128, 128));
}

#[test]
fn two_equal_ports_become_level_and_no_bucket_moves_again() {
    let mut team = Balanced::new(&[1000, 1000]);
    let hot: Vec<usize> = team.of(1)[..4].to_vec();
    let load = |bucket: usize| if hot.contains(&bucket) { 10 * MB } else { 0 };
    assert_eq!(team.run(load), hot[..2]);
    assert_eq!(team.run(load), [0; 0]);
    assert_eq!(team.run(load), [0; 0]);
}

#[test]
fn load_is_proportional_to_speed() {
    let mut team = Balanced::new(&[1000, 3000]);
    let load = |_| MB;
    for _ in 0..20 {
        team.run(load);
    }
    assert!(team.of(1).len().abs_diff(64) <= 2, "{}", team.of(1).len());
}

#[test]
fn an_unknown_speed_counts_as_the_slowest_known_one() {
    let mut team = Balanced::new(&[0, 1000]);
    assert_eq!(team.run(|_| MB), [0; 0]);
}

#[test]
fn small_differences_move_nothing() {
    let mut team = Balanced::new(&[1000, 1000]);
    let first = team.of(1);
    // Less than the least gap in bytes.
    assert_eq!(team.run(|b| if first.contains(&b) { 700 } else { 0 }), [0; 0]);
    // Less than a thirty-second of the load.
    let load = |b| {
        if first.contains(&b) { 102 * MB } else { 100 * MB }
    };
    assert_eq!(team.run(load), [0; 0]);
}

#[test]
fn one_heavy_bucket_stays_on_its_port() {
    let mut team = Balanced::new(&[1000, 1000]);
    let heavy = team.of(1)[0];
    let load = |bucket| if bucket == heavy { 500 * MB } else { 0 };
    for _ in 0..5 {
        assert_eq!(team.run(load), [0; 0]);
    }
}

#[test]
fn a_move_of_little_gain_is_not_made() {
    let mut team = Balanced::new(&[1000, 1000]);
    let own = team.of(1);
    let load = |bucket: usize| match own.iter().position(|b| *b == bucket) {
        Some(0) => 500 * MB,
        Some(_) => MB / 10,
        None => 0,
    };
    assert_eq!(team.run(load), [0; 0]);
}

#[test]
fn a_port_with_one_heavy_bucket_does_not_block_other_moves() {
    let mut team = Balanced::new(&[1000, 1000, 1000]);
    let heavy = team.of(1)[0];
    let second = team.of(2);
    let load = |bucket: usize| match bucket {
        b if b == heavy => 900 * MB,
        b if second.contains(&b) => MB,
        _ => 0,
    };
    let moved = team.run(load);
    assert!(moved.iter().all(|bucket| second.contains(bucket)));
    assert_eq!(moved.len(), second.len() / 2);
    assert!(moved.iter().all(|bucket| team.table[*bucket] == 3));
}

#[test]
fn a_counter_that_went_back_restarts_from_zero() {
    let mut team = Balanced::new(&[1000, 1000]);
    let hot = team.of(1)[..2].to_vec();
    *team.bytes = [0; BUCKETS];
    assert_eq!(team.run(|b| if hot.contains(&b) { MB } else { 0 }), hot[..1]);
}

#[test]
fn a_removed_port_moves_only_its_own_buckets_after_balancing() {
    let mut team = Balanced::new(&[1000, 3000, 1000]);
    for _ in 0..20 {
        team.run(|_| MB);
    }
    let (before, own) = (team.table.clone(), team.of(2));
    team.handle(removed(2));
    let moved: Vec<usize> = (0..BUCKETS).filter(|b| before[*b] != team.table[*b]).collect();
    assert_eq!(moved, own);
}

#[test]
fn an_interval_of_zero_never_reads_counters() {
    let mut play = loadbalance(Some(0));
    play.skip(0, added(1, UP, prio(0)));
    play.has_no_deadline();
    assert_eq!(play.team.active_port(), None);
    assert!(play.team.port(PortId(1)).is_some());
}

/// Both ends of a link detect its return at different times: frames of the partner before our own
/// detection are received, although no frame leaves there.
#[test]
fn a_port_without_a_link_collects() {
    let mut play = loadbalance(None);
    play.skip(0, added(1, UP, prio(0)));
    play.skip(1, added(2, UP, prio(0)));
    play.at(
        2,
        link_is(2, DOWN),
        &["eth2: ethtool-link went down.", "forward shares 256/0: 1+^ 2<_"],
    );
}
