//! The timer of a watch that asks a neighbour: when to send a request, and when missing answers
//! take the watch down.
//!
//! Every interval starts with a request. Half an interval later an interval without an answer
//! counts as a miss; more than `missed_max` misses in a row take the watch down. teamd counts at
//! the next request, half an interval later. An answer takes the watch up at once; with teamd, at
//! the next request.

use std::time::Duration;

use crate::settings::Probing;
use crate::time::Instant;

#[derive(Debug)]
pub(crate) struct PingTimer {
    settings: Probing,
    next_request: Instant,
    /// When a miss is counted; `None` after an answer.
    next_count: Option<Instant>,
    /// An answer arrived after the last count and counts for the next interval.
    answered: bool,
    has_begun: bool,
    missed: u32,
    last_probe: Option<Instant>,
    last_answer: Option<Instant>,
}

/// Outcome of a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expiry {
    /// Whether the watch is up now.
    pub(crate) up: bool,
    /// Whether a request is due.
    pub(crate) request_due: bool,
}

impl PingTimer {
    pub(crate) fn new(settings: Probing, now: Instant) -> Self {
        // A deadline must be later than the event that sets it.
        let wait = settings.init_wait.max(Duration::from_nanos(1));
        PingTimer {
            settings,
            next_request: now + wait,
            next_count: None,
            answered: false,
            has_begun: false,
            missed: 0,
            last_probe: None,
            last_answer: None,
        }
    }

    /// Whether `init_wait` is over.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Returns the intervals in a row without an answer. Intervals count while the watch is down,
    /// and, as with teamd, so does `init_wait` if the watch was down then.
    pub(crate) fn missed(&self) -> u32 {
        self.missed
    }

    pub(crate) fn last_probe(&self) -> Option<Instant> {
        self.last_probe
    }

    pub(crate) fn last_answer(&self) -> Option<Instant> {
        self.last_answer
    }

    pub(crate) fn next_deadline(&self) -> Instant {
        self.next_count
            .map_or(self.next_request, |count| count.min(self.next_request))
    }

    /// Handles the deadline `due` of a watch whose state is `up`.
    ///
    /// After a pause of the whole process `now` starts the next interval: the pause counts as one
    /// miss at most.
    pub(crate) fn expire(&mut self, due: Instant, now: Instant, up: bool) -> Expiry {
        let mut expiry = Expiry {
            up,
            request_due: false,
        };
        if self.next_count.is_some_and(|count| count <= due) {
            self.next_count = None;
            self.miss();
            expiry.up &= self.missed <= self.settings.missed_max;
        }
        if self.next_request <= due {
            expiry.request_due = true;
            let interval = self.settings.interval;
            self.next_request = self.next_request + interval;
            if self.next_request <= now {
                self.next_request = now + interval;
            }
            if !self.has_begun && !self.answered && !up {
                self.miss();
            }
            self.has_begun = true;
            self.next_count = (!self.answered).then(|| now + interval / 2);
            self.answered = false;
        }
        expiry
    }

    fn miss(&mut self) {
        self.missed = self.missed.saturating_add(1);
    }

    /// Records a sent request.
    pub(crate) fn request_sent(&mut self, now: Instant) {
        self.last_probe = Some(now);
    }

    /// Records an answer.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.missed = 0;
        self.last_answer = Some(now);
        self.answered = self.next_count.take().is_none();
    }
}
