//! `tx_balancer` basic: moves buckets from the fullest port to the emptiest, by measured load.
//!
//! teamd deals all buckets out afresh at each interval, so heavy flows hop between ports that
//! were level already. Here a bucket moves only if that lowers the worse of two ports' fill by
//! a tenth of what could be gained, and at most once a run; the thresholds are those of Open
//! vSwitch's balance-slb. An idle bucket stays where [`buckets`](crate::buckets) put it.

use std::cmp::Reverse;
use std::time::Duration;

use crate::forwarding::{BUCKETS, BucketTable};
use crate::ident::PortId;
use crate::time::Instant;

/// A gap of fewer bytes in one interval is noise.
const LEAST_GAP: u64 = 100_000;

/// A gap of less than this part of the emptier port's load is level enough.
const LEVEL: u64 = 32;

/// A move must gain this part of what the best split of the two ports would.
const LEAST_GAIN: u128 = 10;

/// A port that takes part in balancing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) port: PortId,
    /// Its share of the load, above 0: the speed.
    pub(crate) weight: u32,
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

    /// Moves what is worth moving.
    pub(crate) fn balance(&self, table: &mut BucketTable, shares: &[Share]) {
        let mut movable = [true; BUCKETS];
        while let Some((bucket, to)) = self.best_move(table, shares, &movable) {
            table[bucket] = Some(to);
            movable[bucket] = false;
        }
    }

    /// A bucket and the port that it should move to.
    fn best_move(
        &self,
        table: &BucketTable,
        shares: &[Share],
        movable: &[bool; BUCKETS],
    ) -> Option<(usize, PortId)> {
        let mut ports: Vec<(Share, u64)> = shares
            .iter()
            .map(|share| (*share, self.load(table, share.port)))
            .collect();
        ports.sort_by_key(|(share, load)| Reverse(fill(*load, share.weight.into())));
        let ((bottom, bottom_load), tops) = ports.split_last()?;
        // The fullest port may be stuck with one heavy bucket; the next may still improve.
        tops.iter().find_map(|(top, top_load)| {
            let weights = u64::from(top.weight) + u64::from(bottom.weight);
            let both = u128::from(*top_load) + u128::from(*bottom_load);
            let level = (both << FILL_SHIFT) / u128::from(weights);
            let fair = both * u128::from(top.weight) / u128::from(weights);
            let gap = 2 * u128::from(*top_load).saturating_sub(fair);
            if gap < u128::from(LEAST_GAP.max(bottom_load / LEVEL)) {
                return None;
            }
            let before = fill(*top_load, top.weight.into());
            let (after, bucket) = (0..BUCKETS)
                .filter(|bucket| table[*bucket] == Some(top.port))
                .filter(|bucket| movable[*bucket] && self.loads[*bucket] > 0)
                .map(|bucket| {
                    let load = self.loads[bucket];
                    let top = fill(top_load - load, top.weight.into());
                    let bottom = fill(bottom_load.saturating_add(load), bottom.weight.into());
                    (top.max(bottom), bucket)
                })
                .min()?;
            let gain = before.saturating_sub(after);
            (gain > 0 && gain * LEAST_GAIN >= before.saturating_sub(level))
                .then_some((bucket, bottom.port))
        })
    }

    fn load(&self, table: &BucketTable, port: PortId) -> u64 {
        let own = table.iter().zip(self.loads.iter());
        own.filter(|(owner, _)| **owner == Some(port))
            .fold(0, |sum, (_, load)| sum.saturating_add(*load))
    }
}

const FILL_SHIFT: u32 = 32;

/// How full a port is: load by weight, in fixed point.
fn fill(load: u64, weight: u64) -> u128 {
    (u128::from(load) << FILL_SHIFT) / u128::from(weight)
}
