//! The Mux machine with independent control (802.1AX-2014, 6.4.15, figure 6-22).
//!
//! ```text
//! DETACHED      no part of an aggregator: not in sync, neither collects nor distributes
//!    | selected or standby                   ^ unselected
//! WAITING       wait_while runs              |
//!    | selected, and the aggregator ready    ^ unselected or standby
//! ATTACHED      in sync                      |
//!    | partner in sync                       ^ partner not in sync, or no longer selected
//! COLLECTING    takes frames                 |
//!    | partner in sync and collecting        ^ partner not collecting, or one of the above
//! DISTRIBUTING  sends frames
//! ```
//!
//! Owns the state and `wait_while`. A partner whose PDUs show that it no longer collects is
//! left at once: that is the difference to coupled control (figure 6-21), where it would go on
//! being sent frames. A partner with coupled control enters both states together, and meets
//! this machine one PDU later.
//!
//! Figure 6-22 starts `wait_while` when a port is selected. Here a link that has just come up
//! has waited since then: it is what links that come up together have in common, and an end
//! that is in sync before its partner spares both a PDU.

use std::time::Duration;

use crate::time::Instant;

/// Aggregate_Wait_Time (6.4.4): links that come up together are attached together.
pub(super) const AGGREGATE_WAIT_TIME: Duration = Duration::from_secs(2);

/// Where the machine is, in the order of the figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mux {
    /// No part of an aggregator.
    Detached,
    /// About to be attached.
    Waiting,
    /// Part of the aggregator, in sync.
    Attached,
    /// Takes frames.
    Collecting,
    /// Takes and sends frames.
    Distributing,
}

/// What Selection Logic says of a port (6.4.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selected {
    /// No aggregator.
    Unselected,
    /// An aggregator that must not carry for now.
    Standby,
    /// The aggregator that carries.
    Selected,
}

/// What the machine looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conditions {
    pub(super) selected: Selected,
    /// No port of the same aggregator still waits.
    pub(super) ready: bool,
    /// Partner_Oper_Port_State.Synchronization.
    pub(super) partner_in_sync: bool,
    /// Partner_Oper_Port_State.Collecting.
    pub(super) partner_collects: bool,
}

impl Mux {
    /// The state to enter; none if nothing happens. One step: the caller goes on until none.
    pub(super) fn next(self, conditions: Conditions) -> Option<Mux> {
        let Conditions {
            selected,
            ready,
            partner_in_sync,
            partner_collects,
        } = conditions;
        let attached = selected == Selected::Selected;
        match self {
            Mux::Detached => match selected {
                Selected::Unselected => None,
                Selected::Standby | Selected::Selected => Some(Mux::Waiting),
            },
            Mux::Waiting => match selected {
                Selected::Unselected => Some(Mux::Detached),
                Selected::Standby => None,
                Selected::Selected => ready.then_some(Mux::Attached),
            },
            Mux::Attached if !attached => Some(Mux::Detached),
            Mux::Attached => partner_in_sync.then_some(Mux::Collecting),
            Mux::Collecting if !attached || !partner_in_sync => Some(Mux::Attached),
            Mux::Collecting => partner_collects.then_some(Mux::Distributing),
            Mux::Distributing if !attached || !partner_in_sync || !partner_collects => {
                Some(Mux::Collecting)
            }
            Mux::Distributing => None,
        }
    }

    /// The standard's name.
    pub fn name(self) -> &'static str {
        match self {
            Mux::Detached => "DETACHED",
            Mux::Waiting => "WAITING",
            Mux::Attached => "ATTACHED",
            Mux::Collecting => "COLLECTING",
            Mux::Distributing => "DISTRIBUTING",
        }
    }
}

/// The machine with its timer.
#[derive(Clone, Debug)]
pub(super) struct MuxMachine {
    state: Mux,
    wait_while: Option<Instant>,
    /// Until when links may come up beside this one.
    gathering: Option<Instant>,
}

impl MuxMachine {
    pub(super) fn new() -> Self {
        MuxMachine {
            state: Mux::Detached,
            wait_while: None,
            gathering: None,
        }
    }

    /// The link has come up.
    pub(super) fn link_up(&mut self, now: Instant) {
        self.gathering = Some(now + AGGREGATE_WAIT_TIME);
    }

    pub(super) fn state(&self) -> Mux {
        self.state
    }

    /// When `wait_while` ends; none once it has.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.wait_while
    }

    /// Ends `wait_while` if its time has come.
    pub(super) fn tick(&mut self, now: Instant) {
        self.wait_while = self.wait_while.filter(|end| *end > now);
    }

    /// Ready_N: waiting, and `wait_while` has ended (6.4.14.1 b).
    pub(super) fn has_waited(&self) -> bool {
        self.state == Mux::Waiting && self.wait_while.is_none()
    }

    /// Goes as far as it can; whether the state has changed, which the partner must be told.
    pub(super) fn run(&mut self, now: Instant, conditions: Conditions) -> bool {
        let before = self.state;
        while let Some(next) = self.state.next(conditions) {
            // Waiting anew starts the timer anew, and nobody is ready at once.
            let waits = next == Mux::Waiting;
            self.state = next;
            let gathering = self.gathering.filter(|end| *end > now);
            self.wait_while = waits.then(|| gathering.unwrap_or(now + AGGREGATE_WAIT_TIME));
            if waits {
                break;
            }
        }
        self.state != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arrows of the figure, for every state under every condition.
    #[test]
    fn every_state_and_condition() {
        use Mux::{Attached, Collecting, Detached, Distributing, Waiting};
        use Selected::{Selected as In, Standby, Unselected};
        // By state: unselected, standby; then selected with (ready, in sync, collects) counted
        // up from (0, 0, 0).
        let (d, w, a, c, t) = (
            Some(Detached),
            Some(Waiting),
            Some(Attached),
            Some(Collecting),
            Some(Distributing),
        );
        let table = [
            (Detached, None, w, [w; 8]),
            (Waiting, d, None, [None, None, None, None, a, a, a, a]),
            (Attached, d, d, [None, None, c, c, None, None, c, c]),
            (Collecting, a, a, [a, a, None, t, a, a, None, t]),
            (Distributing, c, c, [c, c, c, None, c, c, c, None]),
        ];
        for (state, unselected, standby, selected) in table {
            for (n, expected) in selected.into_iter().enumerate() {
                let of = |selected| Conditions {
                    selected,
                    ready: n & 4 != 0,
                    partner_in_sync: n & 2 != 0,
                    partner_collects: n & 1 != 0,
                };
                assert_eq!(state.next(of(In)), expected, "{state:?} {n:03b}");
                assert_eq!(state.next(of(Standby)), standby, "{state:?} {n:03b}");
                assert_eq!(state.next(of(Unselected)), unselected, "{state:?} {n:03b}");
            }
        }
    }

    #[test]
    fn waits_once_and_then_goes_as_far_as_the_partner_allows() {
        let mut machine = MuxMachine::new();
        let conditions = Conditions {
            selected: Selected::Selected,
            ready: false,
            partner_in_sync: true,
            partner_collects: true,
        };
        assert!(machine.run(Instant::ZERO, conditions));
        assert_eq!(machine.state(), Mux::Waiting);
        let end = Instant::ZERO + AGGREGATE_WAIT_TIME;
        assert_eq!(machine.deadline(), Some(end));
        assert!(!machine.has_waited());
        machine.tick(end);
        assert!(machine.has_waited());
        let ready = Conditions {
            ready: true,
            ..conditions
        };
        assert!(machine.run(end, ready));
        assert_eq!(machine.state(), Mux::Distributing);
        assert_eq!(machine.deadline(), None);
        let unselected = Conditions {
            selected: Selected::Unselected,
            ..ready
        };
        assert!(machine.run(end, unselected));
        assert_eq!(machine.state(), Mux::Detached);
    }
    #[test]
    fn waits_from_the_time_at_which_the_link_came_up() {
        let selected = Conditions {
            selected: Selected::Selected,
            ready: false,
            partner_in_sync: false,
            partner_collects: false,
        };
        let unselected = Conditions {
            selected: Selected::Unselected,
            ..selected
        };
        let at = |tenths: u64| Instant::ZERO + Duration::from_millis(100 * tenths);
        let mut machine = MuxMachine::new();
        machine.link_up(at(10));
        for selected_at in [at(10), at(29)] {
            machine.run(selected_at, selected);
            assert_eq!(machine.deadline(), Some(at(30)));
            machine.run(selected_at, unselected);
        }
        // A partner that speaks later may have more links yet.
        machine.run(at(30), selected);
        assert_eq!(machine.deadline(), Some(at(50)));
    }
}
