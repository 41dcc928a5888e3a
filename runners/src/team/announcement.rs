//! Repeated announcements: `notify_peers` and `mcast_rejoin`.
//!
//! Owns when a round is due; what a round sends is the caller's business.

use std::time::Duration;

use crate::settings::Burst;
use crate::time::Instant;

/// An interval of 0 still leaves this pause, so that no count can flood the network at once.
const LEAST_INTERVAL: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Announcement {
    burst: Burst,
    pending: u32,
    due: Option<Instant>,
}

impl Announcement {
    pub(crate) fn new(burst: Burst) -> Self {
        Announcement {
            burst,
            pending: 0,
            due: None,
        }
    }

    /// A port was enabled: adds a burst and tells whether to send its first round now.
    ///
    /// Rounds still pending from before are added to, as the kernel does, up to two bursts: a
    /// flapping link must not pile them up.
    pub(crate) fn begin(&mut self, now: Instant) -> bool {
        let count = self.burst.count;
        self.pending = self.pending.saturating_add(count);
        self.pending = self.pending.min(count.saturating_mul(2));
        self.send(now)
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.due
    }

    /// The deadline `due` has come: whether to send a round.
    pub(crate) fn expire(&mut self, due: Instant, now: Instant) -> bool {
        self.due.is_some_and(|own| own <= due) && self.send(now)
    }

    fn send(&mut self, now: Instant) -> bool {
        let sends = self.pending > 0;
        self.pending = self.pending.saturating_sub(1);
        let pause = self.burst.interval.max(LEAST_INTERVAL);
        self.due = (self.pending > 0).then(|| now + pause);
        sends
    }
}
