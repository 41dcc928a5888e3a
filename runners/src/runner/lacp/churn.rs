//! The Churn Detection machines (IEEE 802.1AX-2014, 6.4.17, figures 6-23 and 6-24).
//!
//! ```text
//!   BEGIN, or the port is disabled   (from every state)
//!                  |
//!                  v
//!          +---------------+  in sync       +----------+
//!          | CHURN_MONITOR |--------------->| NO_CHURN |
//!          |               |<---------------|          |
//!          +---------------+   out of sync  +----------+
//!                  | churn_timer expired          ^
//!                  v                              |
//!          +---------------+  in sync             |
//!          |     CHURN     |----------------------+
//!          +---------------+
//! ```
//!
//! One machine watches the Actor's Synchronization, one the Partner's. Both only report that a
//! link should aggregate but does not.
//!
//! Owns the state, the churn timer and the number of churns.

use std::time::Duration;

use crate::time::Instant;

/// Churn_Detection_Time (6.4.4).
const CHURN_DETECTION_TIME: Duration = Duration::from_secs(60);

/// State of a Churn Detection machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChurnState {
    /// The end is out of sync for less than Churn_Detection_Time.
    Monitor,
    /// The end is in sync.
    NoChurn,
    /// The end has been out of sync for Churn_Detection_Time.
    Churn,
}

/// Input of a Churn Detection machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChurnInput {
    /// The port or LACP is disabled.
    PortDisabled,
    /// Synchronization of the watched end is false.
    OutOfSync,
    /// Synchronization of the watched end is true.
    InSync,
}

impl ChurnState {
    /// Returns the state to enter, or `None` to stay.
    fn next(self, input: ChurnInput, timer_expired: bool) -> Option<ChurnState> {
        use ChurnInput::{InSync, OutOfSync, PortDisabled};
        use ChurnState::{Churn, Monitor, NoChurn};
        match (self, input) {
            (Monitor, PortDisabled) => None,
            (NoChurn | Churn, PortDisabled) => Some(Monitor),
            (Monitor, OutOfSync) => timer_expired.then_some(Churn),
            (NoChurn, OutOfSync) => Some(Monitor),
            (Churn, OutOfSync) => None,
            (Monitor | Churn, InSync) => Some(NoChurn),
            (NoChurn, InSync) => None,
        }
    }

    /// Returns the name of the state in the state document.
    pub fn name(self) -> &'static str {
        match self {
            ChurnState::Monitor => "monitor",
            ChurnState::NoChurn => "no churn",
            ChurnState::Churn => "churn",
        }
    }
}

/// The Churn Detection machine of one end of a link.
#[derive(Clone, Debug)]
pub(super) struct ChurnMachine {
    state: ChurnState,
    churn_timer: Option<Instant>,
    count: u64,
}

impl ChurnMachine {
    pub(super) fn new() -> Self {
        ChurnMachine { state: ChurnState::Monitor, churn_timer: None, count: 0 }
    }

    pub(super) fn state(&self) -> ChurnState {
        self.state
    }

    /// Returns how often the machine has entered CHURN.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Returns when the churn timer expires, or `None` if the timer does not run.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.churn_timer
    }

    /// Runs the machine by one transition.
    pub(super) fn run(&mut self, now: Instant, input: ChurnInput) {
        let timer_expired = self.churn_timer.is_some_and(|end| end <= now);
        if let Some(next) = self.state.next(input, timer_expired) {
            self.state = next;
            self.churn_timer = None;
            self.count += u64::from(next == ChurnState::Churn);
        }
        // A disabled port re-enters CHURN_MONITOR all the time, so its timer starts with the link.
        self.churn_timer = match (self.state, input) {
            (ChurnState::Monitor, ChurnInput::OutOfSync | ChurnInput::InSync) => {
                self.churn_timer.or(Some(now + CHURN_DETECTION_TIME))
            }
            (ChurnState::Monitor, ChurnInput::PortDisabled) => None,
            (ChurnState::NoChurn | ChurnState::Churn, _) => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use ChurnInput::{InSync, OutOfSync, PortDisabled};

    #[test]
    fn every_state_handles_every_input_with_and_without_expiry() {
        use ChurnState::{Churn, Monitor, NoChurn};
        let inputs = [PortDisabled, OutOfSync, InSync];
        let (stay, monitor) = (None, Some(Monitor));
        let (no_churn, churn) = (Some(NoChurn), Some(Churn));
        // The next states by input while the timer runs, then after it has expired.
        let table = [
            (Monitor, [[stay, stay, no_churn], [stay, churn, no_churn]]),
            (NoChurn, [[monitor, monitor, stay]; 2]),
            (Churn, [[monitor, stay, no_churn]; 2]),
        ];
        for (state, rows) in table {
            for (timer_expired, row) in [false, true].into_iter().zip(rows) {
                for (input, expected) in inputs.into_iter().zip(row) {
                    let next = state.next(input, timer_expired);
                    assert_eq!(next, expected, "{state:?} {input:?} {timer_expired}");
                }
            }
        }
    }

    #[test]
    fn a_minute_out_of_sync_is_churn_until_the_end_is_in_sync() {
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let mut machine = ChurnMachine::new();
        let mut run = |seconds, input, state, deadline: Option<u64>| {
            machine.run(at(seconds), input);
            assert_eq!(machine.state(), state, "{seconds}");
            assert_eq!(machine.deadline(), deadline.map(at), "{seconds}");
        };
        run(0, PortDisabled, ChurnState::Monitor, None);
        run(5, OutOfSync, ChurnState::Monitor, Some(65));
        run(64, OutOfSync, ChurnState::Monitor, Some(65));
        run(65, OutOfSync, ChurnState::Churn, None);
        run(70, InSync, ChurnState::NoChurn, None);
        run(80, OutOfSync, ChurnState::Monitor, Some(140));
        run(90, PortDisabled, ChurnState::Monitor, None);
    }
}
