//! `tx_balancer` basic: moves buckets between ports by measured load.
//!
//! teamd assigns all buckets anew at each interval, so heavy flows move between ports that were
//! level already. This balancer moves buckets from the fullest port to the emptiest, by load in
//! relation to speed, only if the move gains a tenth of the gain of the best split between the
//! two, and each bucket at most once a run. The thresholds are those of Open vSwitch's
//! balance-slb. An idle bucket stays where
//! [`bucket_assignment`](crate::forwarding::bucket_assignment) put it.

use std::cmp::Reverse;
use std::mem;
use std::time::Duration;

use crate::buckets::{BUCKETS, BucketTable};
use crate::ident::PortId;
use crate::time::Instant;

/// Least difference between two ports, in bytes an interval, that counts.
const LEAST_GAP: u64 = 100_000;

/// Two ports are level if the difference is less than this fraction of the lower load.
const LEVEL: u64 = 32;

/// A move must gain this fraction of the gain of the best split, and moves end when the remaining
/// surplus is no more than that.
const LEAST_GAIN: u64 = 10;

/// A port that takes part in balancing.
#[derive(Clone, Copy, Debug)]
struct Share {
    port: PortId,
    /// Weight of the port, above 0: its speed.
    weight: u32,
}

/// Weighs ports by their speeds in Mbit/s. An unknown speed, 0, counts as the slowest known one.
fn shares(speeds: &[(PortId, u32)]) -> Vec<Share> {
    let known = speeds.iter().map(|(_, speed)| *speed);
    let slowest = known.filter(|speed| *speed > 0).min().unwrap_or(1);
    let weight = |speed: u32| if speed > 0 { speed } else { slowest };
    speeds.iter().map(|(port, speed)| Share { port: *port, weight: weight(*speed) }).collect()
}

/// Measures the load of buckets and moves them; does neither without an interval.
#[derive(Clone, Debug)]
pub(crate) struct Balancer {
    interval: Option<Duration>,
    due: Option<Instant>,
    /// The bucket counters are to be read.
    counters_due: bool,
    /// The counters as last read.
    bytes: Option<Box<[u64; BUCKETS]>>,
    /// Bytes in the last interval, plus half of the load before it.
    loads: Box<[u64; BUCKETS]>,
}

impl Balancer {
    /// Creates a balancer. An interval of 0 never balances, as with teamd.
    pub(crate) fn new(interval: Option<Duration>) -> Self {
        Balancer {
            interval,
            due: None,
            counters_due: false,
            bytes: None,
            loads: Box::new([0; BUCKETS]),
        }
    }

    /// Replaces the interval; a changed one begins with the next [`start`](Self::start). The loads
    /// stay.
    pub(crate) fn set_interval(&mut self, interval: Option<Duration>) {
        if interval != self.interval {
            self.interval = interval;
            self.due = None;
        }
    }

    /// Whether `tx_balancer` is configured.
    pub(crate) fn is_configured(&self) -> bool {
        self.interval.is_some()
    }

    /// Starts the first interval; later calls do nothing.
    pub(crate) fn start(&mut self, now: Instant) {
        let interval = self.interval.filter(|interval| !interval.is_zero());
        self.due = self.due.or(interval.map(|interval| now + interval));
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Ends the interval if the deadline `due` is its own.
    pub(crate) fn expire(&mut self, due: Instant, now: Instant) {
        if self.due.is_some_and(|own| own <= due) {
            self.due = self.interval.map(|interval| now + interval);
            self.counters_due = true;
        }
    }

    /// Whether the bucket counters are to be read; asks once an interval.
    pub(crate) fn take_counters_due(&mut self) -> bool {
        mem::take(&mut self.counters_due)
    }

    /// Takes in the bucket counters and moves buckets of `table` between the ports of `speeds`.
    pub(crate) fn rebalance(
        &mut self,
        table: &mut BucketTable,
        speeds: &[(PortId, u32)],
        bytes: &[u64; BUCKETS],
    ) {
        if self.is_configured() {
            self.count(bytes);
            self.balance(table, &shares(speeds));
        }
    }

    /// Updates the loads. The first reading is the reference; a counter that went back was reset.
    fn count(&mut self, bytes: &[u64; BUCKETS]) {
        if let Some(before) = &self.bytes {
            for ((load, before), now) in self.loads.iter_mut().zip(before.iter()).zip(bytes) {
                *load = (*load / 2).saturating_add(now.checked_sub(*before).unwrap_or(*now));
            }
        }
        self.bytes = Some(Box::new(*bytes));
    }

    /// Moves buckets from the fullest port to the emptiest until no move gains enough.
    fn balance(&self, table: &mut BucketTable, shares: &[Share]) {
        let mut movable = [true; BUCKETS];
        while let Some((buckets, to)) = self.plan(table, shares, &movable) {
            for bucket in buckets {
                table[bucket] = Some(to);
                movable[bucket] = false;
            }
        }
    }

    /// Returns buckets of one port and the port to move them to; `None` if no move gains enough.
    fn plan(
        &self,
        table: &BucketTable,
        shares: &[Share],
        movable: &[bool; BUCKETS],
    ) -> Option<(Vec<usize>, PortId)> {
        let mut ports: Vec<Fill> = shares
            .iter()
            .map(|share| Fill {
                port: share.port,
                weight: share.weight.into(),
                load: self.load(table, share.port),
            })
            .collect();
        ports.sort_by_key(|port| Reverse(port.level()));
        let (bottom, tops) = ports.split_last()?;
        // The fullest port may have one heavy bucket alone; the next one may still improve.
        tops.iter().find_map(|top| {
            let surplus = top.surplus_over(bottom);
            if surplus.saturating_mul(2) < LEAST_GAP.max(bottom.load / LEVEL) {
                return None;
            }
            let mut candidates: Vec<usize> = (0..BUCKETS)
                .filter(|bucket| table[*bucket] == Some(top.port))
                .filter(|bucket| movable[*bucket] && self.loads[*bucket] > 0)
                .collect();
            candidates.sort_by_key(|bucket| Reverse(self.loads[*bucket]));
            let (buckets, moved) = self.choose(&candidates, surplus);
            let after = top.with(top.load.saturating_sub(moved)).level();
            let after = after.max(bottom.with(bottom.load.saturating_add(moved)).level());
            let best = top.with(top.load.saturating_sub(surplus)).level();
            let gain = top.level().saturating_sub(after);
            let gainable = top.level().saturating_sub(best);
            (gain > 0 && gain.saturating_mul(LEAST_GAIN.into()) >= gainable)
                .then_some((buckets, bottom.port))
        })
    }

    /// Returns the heaviest of `candidates` that fit into `surplus` together, else the lightest
    /// alone, with their load. `candidates` are sorted, heaviest first.
    fn choose(&self, candidates: &[usize], surplus: u64) -> (Vec<usize>, u64) {
        let mut chosen = Vec::new();
        let mut left = surplus;
        for bucket in candidates {
            let load = self.loads[*bucket];
            if load <= left && left >= surplus / LEAST_GAIN {
                left -= load;
                chosen.push(*bucket);
            }
        }
        match candidates.last() {
            Some(lightest) if chosen.is_empty() => (vec![*lightest], self.loads[*lightest]),
            _ => (chosen, surplus - left),
        }
    }

    fn load(&self, table: &BucketTable, port: PortId) -> u64 {
        let own = table.iter().zip(self.loads.iter());
        own.filter(|(owner, _)| **owner == Some(port))
            .fold(0, |sum, (_, load)| sum.saturating_add(*load))
    }
}

/// Load of a port and its weight.
#[derive(Clone, Copy, Debug)]
struct Fill {
    port: PortId,
    weight: u64,
    load: u64,
}

impl Fill {
    fn with(self, load: u64) -> Fill {
        Fill { load, ..self }
    }

    /// Returns load divided by weight, in fixed point.
    fn level(self) -> u128 {
        (u128::from(self.load) << 32) / u128::from(self.weight)
    }

    /// Returns the load to move to `other` that makes both ports equally full.
    fn surplus_over(self, other: &Fill) -> u64 {
        let both = u128::from(self.load) + u128::from(other.load);
        let fair = both * u128::from(self.weight) / u128::from(self.weight + other.weight);
        self.load.saturating_sub(u64::try_from(fair).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::forwarding::bucket_assignment;

    /// Loads of all magnitudes, many of them 0.
    fn loads() -> impl Strategy<Value = Vec<u64>> {
        let load = prop_oneof![
            2 => Just(0),
            2 => 0..1_000_000_u64,
            1 => 0..1_000_000_000_u64,
            1 => any::<u64>(),
        ];
        proptest::collection::vec(load, BUCKETS)
    }

    fn shares() -> impl Strategy<Value = Vec<Share>> {
        let speed = prop_oneof![Just(1), Just(1000), Just(10_000), 1..=u32::MAX];
        proptest::collection::vec(speed, 1..6).prop_map(|speeds| {
            let shares = (0..).zip(speeds);
            shares.map(|(port, weight)| Share { port: PortId(port), weight }).collect()
        })
    }

    fn balancer(loads: &[u64]) -> Balancer {
        let mut balancer = Balancer::new(Some(Duration::from_secs(5)));
        balancer.loads.copy_from_slice(loads);
        balancer
    }

    fn worst(balancer: &Balancer, table: &BucketTable, shares: &[Share]) -> u128 {
        let levels = shares.iter().map(|share| {
            let fill = Fill {
                port: share.port,
                weight: share.weight.into(),
                load: balancer.load(table, share.port),
            };
            fill.level()
        });
        levels.max().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn the_fullest_port_gets_no_fuller_and_idle_buckets_stay(
            loads in loads(),
            shares in shares(),
        ) {
            let balancer = balancer(&loads);
            let ports: Vec<PortId> = shares.iter().map(|share| share.port).collect();
            let mut table = [None; BUCKETS];
            bucket_assignment::spread(&mut table, &ports);
            let before = table;
            balancer.balance(&mut table, &shares);
            prop_assert!(worst(&balancer, &table, &shares) <= worst(&balancer, &before, &shares));
            for bucket in 0..BUCKETS {
                prop_assert!(table[bucket].is_some());
                prop_assert!(loads[bucket] > 0 || table[bucket] == before[bucket]);
            }
        }

        #[test]
        fn a_steady_load_ends_all_moves(loads in loads(), shares in shares()) {
            let balancer = balancer(&loads);
            let ports: Vec<PortId> = shares.iter().map(|share| share.port).collect();
            let mut table = [None; BUCKETS];
            bucket_assignment::spread(&mut table, &ports);
            let rests = (0..20).any(|_| {
                let before = table;
                balancer.balance(&mut table, &shares);
                table == before
            });
            prop_assert!(rests);
        }

        #[test]
        fn many_small_flows_end_within_a_tenth_of_the_fair_share(
            loads in proptest::collection::vec(1_000_000..2_000_000_u64, BUCKETS),
            speeds in proptest::collection::vec(prop_oneof![Just(1000_u32), Just(2500)], 2..5),
        ) {
            let balancer = balancer(&loads);
            let shares: Vec<Share> = (0..)
                .zip(speeds)
                .map(|(port, weight)| Share { port: PortId(port), weight })
                .collect();
            // All buckets start on one port.
            let mut table = [Some(PortId(0)); BUCKETS];
            for _ in 0..10 {
                balancer.balance(&mut table, &shares);
            }
            let total: u64 = loads.iter().sum();
            let weights: u64 = shares.iter().map(|share| u64::from(share.weight)).sum();
            for share in &shares {
                let fair = total * u64::from(share.weight) / weights;
                let load = balancer.load(&table, share.port);
                prop_assert!(load.abs_diff(fair) * 10 <= fair, "{load} of {fair}");
            }
        }
    }
}
