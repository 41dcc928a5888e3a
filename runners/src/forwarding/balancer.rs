//! `tx_balancer` basic: moves buckets by the load that was measured.
//!
//! teamd deals all buckets out afresh at each interval, so heavy flows hop between ports that
//! were level already. Here buckets move from the fullest port to the emptiest, by what each
//! carries for its speed, only if that gains a tenth of what the best split of the two would,
//! and at most once a run; the thresholds are those of Open vSwitch's balance-slb. An idle
//! bucket stays where [`buckets`](crate::forwarding::bucket_assignment) put it.

use std::cmp::Reverse;
use std::time::Duration;

use crate::buckets::{BUCKETS, BucketTable};
use crate::ident::PortId;
use crate::port::Port;
use crate::time::Instant;

/// A gap of fewer bytes in one interval is noise.
const LEAST_GAP: u64 = 100_000;

/// A gap of less than this part of the emptier port's load is level enough.
const LEVEL: u64 = 32;

/// Moves between two ports must gain this part of what their best split would, and end when
/// no more than that is left.
const LEAST_GAIN: u64 = 10;

/// A port that takes part in balancing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) port: PortId,
    /// Its share of the load, above 0: the speed.
    pub(crate) weight: u32,
}

/// The ports that their watches and the user let carry traffic.
pub(crate) fn usable(ports: &[Port]) -> impl Iterator<Item = &Port> + Clone {
    ports.iter().filter(|port| port.is_usable())
}

/// Ports, each weighed by its speed. A port of unknown speed counts as the slowest known one.
pub(crate) fn shares<'a>(ports: impl Iterator<Item = &'a Port> + Clone) -> Vec<Share> {
    let known = |port: &Port| Some(port.link().speed).filter(|speed| *speed > 0);
    let slowest = ports.clone().filter_map(known).min().unwrap_or(1);
    ports
        .map(|port| Share {
            port: port.id(),
            weight: known(port).unwrap_or(slowest),
        })
        .collect()
}

#[derive(Debug)]
pub(crate) struct Balancer {
    interval: Duration,
    due: Option<Instant>,
    /// The counters as last read.
    bytes: Option<Box<[u64; BUCKETS]>>,
    /// Bytes in the last interval, plus half of the load before it.
    loads: Box<[u64; BUCKETS]>,
}

impl Balancer {
    /// An interval of 0 never balances, as with teamd.
    pub(crate) fn new(interval: Duration) -> Self {
        Balancer {
            interval,
            due: None,
            bytes: None,
            loads: Box::new([0; BUCKETS]),
        }
    }

    /// Begins the first interval; later calls do nothing.
    pub(crate) fn start(&mut self, now: Instant) {
        if self.due.is_none() && !self.interval.is_zero() {
            self.due = Some(now + self.interval);
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Whether the counters are to be read.
    pub(crate) fn expire(&mut self, due: Instant, now: Instant) -> bool {
        let expired = self.due.is_some_and(|own| own <= due);
        if expired {
            self.due = Some(now + self.interval);
        }
        expired
    }

    /// Takes the counters in. The first reading is where counting begins; a counter that went
    /// back has begun anew.
    pub(crate) fn count(&mut self, bytes: &[u64; BUCKETS]) {
        if let Some(before) = &self.bytes {
            for ((load, before), now) in self.loads.iter_mut().zip(before.iter()).zip(bytes) {
                *load = (*load / 2).saturating_add(now.checked_sub(*before).unwrap_or(*now));
            }
        }
        self.bytes = Some(Box::new(*bytes));
    }

    /// Moves what is worth moving, from the fullest port to the emptiest until they are level.
    pub(crate) fn balance(&self, table: &mut BucketTable, shares: &[Share]) {
        let mut movable = [true; BUCKETS];
        while let Some((buckets, to)) = self.plan(table, shares, &movable) {
            for bucket in buckets {
                table[bucket] = Some(to);
                movable[bucket] = false;
            }
        }
    }

    /// Buckets of one port, and the port that they should move to.
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
        // The fullest port may be stuck with one heavy bucket; the next may still improve.
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

    /// The heaviest of `candidates` that fit into `surplus` together, else the lightest alone;
    /// with their load. `candidates` come heaviest first.
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

/// What a port carries against what it can.
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

    /// How full it is: load by weight, in fixed point.
    fn level(self) -> u128 {
        (u128::from(self.load) << 32) / u128::from(self.weight)
    }

    /// The load to move to `other` for both to be equally full.
    fn surplus_over(self, other: &Fill) -> u64 {
        let both = u128::from(self.load) + u128::from(other.load);
        let fair = both * u128::from(self.weight) / u128::from(self.weight + other.weight);
        self.load
            .saturating_sub(u64::try_from(fair).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::forwarding::bucket_assignment;

    /// Loads of all sizes, with many idle buckets.
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
            shares
                .map(|(port, weight)| Share {
                    port: PortId(port),
                    weight,
                })
                .collect()
        })
    }

    fn balancer(loads: &[u64]) -> Balancer {
        let mut balancer = Balancer::new(Duration::from_secs(5));
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
        fn fullest_port_never_gets_fuller_and_idle_buckets_stay(
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
        fn steady_load_comes_to_rest(loads in loads(), shares in shares()) {
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
        fn many_small_flows_end_near_level(
            loads in proptest::collection::vec(1_000_000..2_000_000_u64, BUCKETS),
            speeds in proptest::collection::vec(prop_oneof![Just(1000_u32), Just(2500)], 2..5),
        ) {
            let balancer = balancer(&loads);
            let shares: Vec<Share> = (0..)
                .zip(speeds)
                .map(|(port, weight)| Share { port: PortId(port), weight })
                .collect();
            // All on one port to begin with.
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
