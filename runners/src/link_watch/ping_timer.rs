//! The timer of a watch that asks a neighbour: when to send a request, and when missing answers
//! take the watch down.
//!
//! Every interval starts with a request. Half an interval later an interval without an answer
//! counts as a miss; more than `missed_max` misses in a row take the watch down. teamd counts at
//! the next request, half an interval later. An answer takes the watch up at once; with teamd, at
//! the next request.
//!
//! With `retry_interval`, a request without an answer starts a series of requests, which ends with an
//! answer, or when `missed_max + 1` requests had time for an answer: then the watch goes down. The
//! series adds to the rule above and never delays that rule. Three conditions keep a path that is only
//! slow in use:
//!
//! - Each request of a series has at least twice the time that the neighbour's replies took lately.
//! - Without a reply since the watch went up there is no series.
//! - The last usable port of the team has no series: without this port the team has no path at all.

use std::time::Duration;

use crate::settings::Probing;
use crate::time::Instant;

#[derive(Clone, Debug)]
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
    /// When the next request of the series is due, or the series ends.
    next_retry: Option<Instant>,
    /// Requests of the series that had time for an answer and got none.
    unanswered: u32,
    /// When the first request since the last reply was sent.
    awaited_since: Option<Instant>,
    /// Delay of the slowest recent reply, less an eighth for each later reply; `None` before the first
    /// reply since the watch went up.
    reply_delay: Option<Duration>,
}

/// State of a watch and its team at a deadline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    /// Whether the watch is up.
    pub(crate) up: bool,
    /// Whether another port of the team is usable.
    pub(crate) has_other_port: bool,
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
            next_retry: None,
            unanswered: 0,
            awaited_since: None,
            reply_delay: None,
        }
    }

    /// Whether `init_wait` is over.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Returns the number of intervals in a row without an answer, or of the requests of the series that
    /// took the watch down, whichever is greater. Intervals count while the watch is down, and, as with teamd,
    /// so does `init_wait` if the watch was down then.
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
        let deadlines = [self.next_count, self.next_retry].into_iter().flatten();
        deadlines.fold(self.next_request, Instant::min)
    }

    /// Handles the deadline `due`.
    ///
    /// After a pause of the whole process `now` starts the next interval: the pause counts as one
    /// miss at most, and as one request of a series.
    pub(crate) fn expire(&mut self, due: Instant, now: Instant, before: Situation) -> Expiry {
        let up = before.up;
        let mut expiry = Expiry { up, request_due: false };
        if self.next_retry.take_if(|retry| *retry <= due).is_some() {
            self.unanswered += 1;
            let is_last = self.unanswered > self.settings.missed_max;
            let goes_on = up && before.has_other_port;
            expiry.up &= !(is_last && goes_on);
            expiry.request_due = !is_last && goes_on;
        }
        let in_series = expiry.request_due || self.next_retry.is_some();
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
        if up && !expiry.up {
            self.missed = self.missed.max(self.unanswered);
            self.reply_delay = None;
        }
        if !in_series || !expiry.up {
            self.unanswered = 0;
        }
        expiry
    }

    fn miss(&mut self) {
        self.missed = self.missed.saturating_add(1);
    }

    /// Records a sent request, which begins or continues a series.
    pub(crate) fn request_sent(&mut self, now: Instant) {
        self.last_probe = Some(now);
        if self.next_retry.is_none() {
            if self.unanswered == 0 {
                self.awaited_since = Some(now);
            }
            self.next_retry = self.retry_pause().map(|pause| now + pause);
        }
    }

    /// Returns the time that a request of a series has for an answer; `None` if there is no series.
    fn retry_pause(&self) -> Option<Duration> {
        Some(self.settings.retry_interval?.max(self.reply_delay? * 2))
    }

    /// Records the neighbour's reply to a request, and the delay of the reply.
    pub(crate) fn replied(&mut self, now: Instant) {
        if let Some(since) = self.awaited_since.take() {
            let delay = now.saturating_since(since).min(self.settings.interval);
            let former = self.reply_delay.unwrap_or_default();
            self.reply_delay = Some(delay.max(former - former / 8));
        }
        self.answered(now);
    }

    /// Records a frame that counts as an answer.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.next_retry = None;
        self.unanswered = 0;
        self.missed = 0;
        self.last_answer = Some(now);
        self.answered = self.next_count.take().is_none();
    }
}
