//! When a watch that asks its neighbour asks again, and what the answers make of its verdict.
//!
//! Every interval begins with a question; half an interval later, if nothing was heard in the
//! last one, a miss is counted, and one miss more than allowed makes the link down. teamd counts
//! when it asks next, so it notices half an interval later that the last question stays without
//! answer. What is heard makes the link up at once, there only at the next question.

use std::time::Duration;

use crate::settings::Probing;
use crate::time::Instant;

#[derive(Debug)]
pub(crate) struct Rhythm {
    settings: Probing,
    ask_due: Instant,
    /// When a miss is counted; none once something was heard.
    judge_due: Option<Instant>,
    /// Something was heard after the last miss was counted: it is for the next interval.
    heard: bool,
    began: bool,
    missed: u32,
    last_probe: Option<Instant>,
    last_answer: Option<Instant>,
}

/// What a deadline came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beat {
    /// The verdict now.
    pub(crate) up: bool,
    /// It is time to ask.
    pub(crate) asks: bool,
}

impl Rhythm {
    pub(crate) fn new(settings: Probing, now: Instant) -> Self {
        // A deadline lies after the event that it comes of.
        let wait = settings.init_wait.max(Duration::from_nanos(1));
        Rhythm {
            settings,
            ask_due: now + wait,
            judge_due: None,
            heard: false,
            began: false,
            missed: 0,
            last_probe: None,
            last_answer: None,
        }
    }

    /// The first question was due: `init_wait` is over.
    pub(crate) fn has_begun(&self) -> bool {
        self.began
    }

    /// Intervals in a row in which nothing was heard. Counts on while the link is down, and, as
    /// with teamd, the time before the first question if it was down then.
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
        self.judge_due
            .map_or(self.ask_due, |judge| judge.min(self.ask_due))
    }

    /// The deadline `due` has come while the verdict is `up`.
    ///
    /// Time in which nobody looked (a stopped machine) is not made up for: `now` begins the
    /// next interval, and that time counts one miss at most.
    pub(crate) fn expire(&mut self, due: Instant, now: Instant, up: bool) -> Beat {
        let mut beat = Beat { up, asks: false };
        if self.judge_due.is_some_and(|judge| judge <= due) {
            self.judge_due = None;
            self.miss();
            beat.up &= self.missed <= self.settings.missed_max;
        }
        if self.ask_due <= due {
            beat.asks = true;
            let interval = self.settings.interval;
            self.ask_due = self.ask_due + interval;
            if self.ask_due <= now {
                self.ask_due = now + interval;
            }
            if !self.began && !self.heard && !up {
                self.miss();
            }
            self.began = true;
            self.judge_due = (!self.heard).then(|| now + interval / 2);
            self.heard = false;
        }
        beat
    }

    fn miss(&mut self) {
        self.missed = self.missed.saturating_add(1);
    }

    /// A question was sent.
    pub(crate) fn asked(&mut self, now: Instant) {
        self.last_probe = Some(now);
    }

    /// Something was heard that shows the link to be up.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.missed = 0;
        self.last_answer = Some(now);
        self.heard = self.judge_due.take().is_none();
    }
}
