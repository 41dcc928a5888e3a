//! Times of repeated announcements: `notify_peers` and `mcast_rejoin`.
//!
//! The daemon sends the frames of a round.

use std::time::Duration;

use crate::settings::Burst;
use crate::time::Instant;

/// Least pause between two rounds, for an interval of 0: no count may flood the network.
const LEAST_INTERVAL: Duration = Duration::from_millis(1);

#[derive(Clone, Debug)]
pub(super) struct Announcements {
    burst: Burst,
    /// Rounds that are still to be sent.
    pending: u32,
    due: Option<Instant>,
}

impl Announcements {
    pub(super) fn new(burst: Burst) -> Self {
        Announcements { burst, pending: 0, due: None }
    }

    /// Adds a burst for a port that became enabled. Returns whether to send a round now.
    ///
    /// Pending rounds stay, as in the kernel, up to two bursts: a flapping link must not accumulate
    /// more.
    pub(super) fn start(&mut self, now: Instant) -> bool {
        let count = self.burst.count;
        self.pending = self.pending.saturating_add(count);
        self.pending = self.pending.min(count.saturating_mul(2));
        self.send(now)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Returns whether to send a round at the deadline `due`.
    pub(super) fn expire(&mut self, due: Instant, now: Instant) -> bool {
        self.due.is_some_and(|own| own <= due) && self.send(now)
    }

    fn send(&mut self, now: Instant) -> bool {
        let is_pending = self.pending > 0;
        self.pending = self.pending.saturating_sub(1);
        let pause = self.burst.interval.max(LEAST_INTERVAL);
        self.due = (self.pending > 0).then(|| now + pause);
        is_pending
    }
}
