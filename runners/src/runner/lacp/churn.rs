//! The Churn Detection machines (802.1AX-2014, 6.4.17, figure 6-23).
//!
//! ```text
//! CHURN_MONITOR  <----- begin, or no link   (from anywhere)
//!    |   | in sync           | Churn_Detection_Time without sync
//!    |   +--> NO_CHURN <--+  |
//!    |          | not     |  |
//!    |<---------+ in sync |  |
//!    +------------------- CHURN   (in sync leads to NO_CHURN)
//! ```
//!
//! One machine watches the actor's Synchronization, another the partner's. Each tells that a
//! link which should aggregate does not; neither changes anything.

use std::time::Duration;

use crate::time::Instant;

/// Churn_Detection_Time (6.4.4).
const CHURN_DETECTION_TIME: Duration = Duration::from_secs(60);

/// Where a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Churn {
    /// Not in sync, but not for long.
    Monitor,
    /// In sync.
    No,
    /// Not in sync for too long.
    Yes,
}

impl Churn {
    fn next(self, linked: bool, in_sync: bool, expired: bool) -> Option<Churn> {
        match (self, linked, in_sync) {
            (Churn::Monitor, false, _) => None,
            (Churn::No | Churn::Yes, false, _) => Some(Churn::Monitor),
            (Churn::Monitor | Churn::Yes, true, true) => Some(Churn::No),
            (Churn::No, true, true) => None,
            (Churn::Monitor, true, false) => expired.then_some(Churn::Yes),
            (Churn::No, true, false) => Some(Churn::Monitor),
            (Churn::Yes, true, false) => None,
        }
    }

    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Churn::Monitor => "monitor",
            Churn::No => "no churn",
            Churn::Yes => "churn",
        }
    }
}

/// A machine with its timer.
#[derive(Clone, Debug)]
pub(super) struct ChurnMachine {
    state: Churn,
    timer: Option<Instant>,
    /// Times that churn was found.
    found: u64,
}

impl ChurnMachine {
    pub(super) fn new() -> Self {
        ChurnMachine {
            state: Churn::Monitor,
            timer: None,
            found: 0,
        }
    }

    pub(super) fn state(&self) -> Churn {
        self.state
    }

    pub(super) fn found(&self) -> u64 {
        self.found
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timer
    }

    pub(super) fn run(&mut self, now: Instant, linked: bool, in_sync: bool) {
        let expired = self.timer.is_some_and(|timer| timer <= now);
        if let Some(next) = self.state.next(linked, in_sync, expired) {
            self.state = next;
            self.timer = None;
            self.found += u64::from(next == Churn::Yes);
        }
        // Without a link there is nothing to wait for.
        self.timer = match self.state {
            Churn::Monitor if linked => self.timer.or(Some(now + CHURN_DETECTION_TIME)),
            Churn::Monitor | Churn::No | Churn::Yes => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_condition() {
        use Churn::{Monitor, No, Yes};
        // Linked and in sync count up from (0, 0); then the same with the timer at its end.
        let (m, n, y) = (Some(Monitor), Some(No), Some(Yes));
        let table = [
            (Monitor, [None, None, None, n, None, None, y, n]),
            (No, [m, m, m, None, m, m, m, None]),
            (Yes, [m, m, None, n, m, m, None, n]),
        ];
        for (state, row) in table {
            for (at, expected) in row.into_iter().enumerate() {
                let next = state.next(at & 2 != 0, at & 1 != 0, at & 4 != 0);
                assert_eq!(next, expected, "{state:?} {at:03b}");
            }
        }
    }

    #[test]
    fn a_minute_without_sync_is_churn_and_sync_ends_it() {
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let mut machine = ChurnMachine::new();
        let mut plays = |seconds, linked, in_sync, state, deadline: Option<u64>| {
            machine.run(at(seconds), linked, in_sync);
            assert_eq!(machine.state(), state, "{seconds}");
            assert_eq!(machine.deadline(), deadline.map(at), "{seconds}");
        };
        plays(0, false, false, Churn::Monitor, None);
        plays(5, true, false, Churn::Monitor, Some(65));
        plays(64, true, false, Churn::Monitor, Some(65));
        plays(65, true, false, Churn::Yes, None);
        plays(70, true, true, Churn::No, None);
        plays(80, true, false, Churn::Monitor, Some(140));
        plays(90, false, false, Churn::Monitor, None);
    }
}
