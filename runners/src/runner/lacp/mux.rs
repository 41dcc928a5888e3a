//! The Mux machine with independent control (IEEE 802.1AX-2014, 6.4.15, figure 6-21).
//!
//! ```text
//!       BEGIN
//!         |
//!         v
//! +--------------+
//! |   DETACHED   |<---------------------------+
//! +--------------+                            |
//!     |       ^                               |
//!     | (1)   | Unselected                    |
//!     v       |                               |
//! +--------------+                            |
//! |   WAITING    |                            |
//! +--------------+                            |
//!     | (2)                                   |
//!     v           Unselected or Standby       |
//! +--------------+                            |
//! |   ATTACHED   |----------------------------+
//! +--------------+
//!     |       ^
//!     | (3)   | not (3)
//!     v       |
//! +--------------+
//! |  COLLECTING  |
//! +--------------+
//!     |       ^
//!     | (4)   | not (4)
//!     v       |
//! +--------------+
//! | DISTRIBUTING |
//! +--------------+
//!
//! (1) Selected or Standby               (2) Selected and Ready
//! (3) Selected and Partner in sync      (4) (3) and Partner collecting
//! ```
//!
//! Owns the state and `wait_while_timer`. A port leaves DISTRIBUTING as soon as the Partner stops
//! collecting; with coupled control (figure 6-22) the port would go on sending frames. A Partner
//! with coupled control enters both states together and reaches DISTRIBUTING here one LACPDU later.
//!
//! Deviation: figure 6-21 starts `wait_while_timer` when a port is selected. On a link that has
//! just come up, the timer counts from the moment of the link instead, because links that come up
//! together have this moment in common. An end that is in sync before its Partner saves an LACPDU
//! at both ends.

use std::time::Duration;

use crate::lacp_status::Selected;
use crate::time::Instant;

/// Aggregate_Wait_Time (6.4.4): delay that lets links attach together.
pub(super) const AGGREGATE_WAIT_TIME: Duration = Duration::from_secs(2);

/// State of the Mux machine, in the order of the figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MuxState {
    /// The port is detached from every Aggregator.
    Detached,
    /// The port waits for other ports of the same Aggregator.
    Waiting,
    /// The port is attached to its Aggregator and in sync.
    Attached,
    /// The port also accepts frames.
    Collecting,
    /// The port also sends frames.
    Distributing,
}

/// The part of Partner_Oper_Port_State that the machine reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartnerState {
    /// Synchronization is false.
    OutOfSync,
    /// Synchronization is true, Collecting is false.
    InSync,
    /// Synchronization and Collecting are true.
    Collecting,
}

/// Input of the Mux machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conditions {
    pub(super) selected: Selected,
    /// Ready: no port of the same Aggregator still waits.
    pub(super) ready: bool,
    pub(super) partner: PartnerState,
}

impl MuxState {
    /// Returns the state to enter, or `None` to stay.
    fn next(self, conditions: Conditions) -> Option<MuxState> {
        use self::Selected::{Selected, Standby, Unselected};
        use MuxState::{Attached, Collecting, Detached, Distributing, Waiting};
        use PartnerState as Partner;
        match (self, conditions.selected, conditions.partner) {
            (Detached, Unselected, _) => None,
            (Detached, Standby | Selected, _) => Some(Waiting),
            (Waiting, Unselected, _) => Some(Detached),
            (Waiting, Standby, _) => None,
            (Waiting, Selected, _) => conditions.ready.then_some(Attached),
            (Attached, Unselected | Standby, _) => Some(Detached),
            (Attached, Selected, Partner::OutOfSync) => None,
            (Attached, Selected, Partner::InSync | Partner::Collecting) => Some(Collecting),
            (Collecting, Unselected | Standby, _) => Some(Attached),
            (Collecting, Selected, Partner::OutOfSync) => Some(Attached),
            (Collecting, Selected, Partner::InSync) => None,
            (Collecting, Selected, Partner::Collecting) => Some(Distributing),
            (Distributing, Unselected | Standby, _) => Some(Collecting),
            (Distributing, Selected, Partner::OutOfSync | Partner::InSync) => Some(Collecting),
            (Distributing, Selected, Partner::Collecting) => None,
        }
    }

    /// Returns the standard's name of the state.
    pub fn name(self) -> &'static str {
        match self {
            MuxState::Detached => "DETACHED",
            MuxState::Waiting => "WAITING",
            MuxState::Attached => "ATTACHED",
            MuxState::Collecting => "COLLECTING",
            MuxState::Distributing => "DISTRIBUTING",
        }
    }
}

/// The Mux machine of one port.
#[derive(Clone, Debug)]
pub(super) struct MuxMachine {
    state: MuxState,
    wait_while_timer: Option<Instant>,
    /// End of Aggregate_Wait_Time since the link came up.
    pub(super) link_up_wait: Option<Instant>,
}

impl MuxMachine {
    pub(super) fn new() -> Self {
        MuxMachine { state: MuxState::Detached, wait_while_timer: None, link_up_wait: None }
    }

    /// Records that the link has come up.
    pub(super) fn link_up(&mut self, now: Instant) {
        self.link_up_wait = Some(now + AGGREGATE_WAIT_TIME);
    }

    pub(super) fn state(&self) -> MuxState {
        self.state
    }

    /// Returns when `wait_while_timer` expires, or `None` if the timer does not run.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.wait_while_timer
    }

    /// Stops `wait_while_timer` if it has expired.
    pub(super) fn expire_timer(&mut self, now: Instant) {
        self.wait_while_timer = self.wait_while_timer.filter(|end| *end > now);
    }

    /// Returns Ready_N: the state is WAITING and `wait_while_timer` has expired (6.4.14.1 b).
    pub(super) fn ready_n(&self) -> bool {
        self.state == MuxState::Waiting && self.wait_while_timer.is_none()
    }

    /// Runs the machine until it stays or enters WAITING. Returns whether the state has changed.
    pub(super) fn run(&mut self, now: Instant, conditions: Conditions) -> bool {
        let before = self.state;
        while let Some(next) = self.state.next(conditions) {
            self.state = next;
            if next == MuxState::Waiting {
                // Ready does not account for the timer that starts here.
                let link_up_wait = self.link_up_wait.filter(|end| *end > now);
                self.wait_while_timer = Some(link_up_wait.unwrap_or(now + AGGREGATE_WAIT_TIME));
                break;
            }
            self.wait_while_timer = None;
        }
        self.state != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_handles_every_condition() {
        use crate::lacp_status::Selected::{Selected, Standby, Unselected};
        use MuxState::{Attached, Collecting, Detached, Distributing, Waiting};
        let (stay, detached, waiting) = (None, Some(Detached), Some(Waiting));
        let (attached, collecting) = (Some(Attached), Some(Collecting));
        let distributing = Some(Distributing);
        let partners = [PartnerState::OutOfSync, PartnerState::InSync, PartnerState::Collecting];
        // The next state by Partner; the first row without Ready, the second with Ready.
        let table = [
            (Detached, Unselected, [[stay; 3]; 2]),
            (Detached, Standby, [[waiting; 3]; 2]),
            (Detached, Selected, [[waiting; 3]; 2]),
            (Waiting, Unselected, [[detached; 3]; 2]),
            (Waiting, Standby, [[stay; 3]; 2]),
            (Waiting, Selected, [[stay; 3], [attached; 3]]),
            (Attached, Unselected, [[detached; 3]; 2]),
            (Attached, Standby, [[detached; 3]; 2]),
            (Attached, Selected, [[stay, collecting, collecting]; 2]),
            (Collecting, Unselected, [[attached; 3]; 2]),
            (Collecting, Standby, [[attached; 3]; 2]),
            (Collecting, Selected, [[attached, stay, distributing]; 2]),
            (Distributing, Unselected, [[collecting; 3]; 2]),
            (Distributing, Standby, [[collecting; 3]; 2]),
            (Distributing, Selected, [[collecting, collecting, stay]; 2]),
        ];
        for (state, selected, rows) in table {
            for (ready, row) in [false, true].into_iter().zip(rows) {
                for (partner, expected) in partners.into_iter().zip(row) {
                    let conditions = Conditions { selected, ready, partner };
                    assert_eq!(state.next(conditions), expected, "{state:?} {conditions:?}");
                }
            }
        }
    }

    const UNSELECTED: Conditions = Conditions {
        selected: Selected::Unselected,
        ready: false,
        partner: PartnerState::OutOfSync,
    };
    const SELECTED: Conditions = Conditions { selected: Selected::Selected, ..UNSELECTED };

    #[test]
    fn a_selected_port_waits_once_and_then_follows_its_partner() {
        let mut machine = MuxMachine::new();
        let conditions = Conditions { partner: PartnerState::Collecting, ..SELECTED };
        assert!(machine.run(Instant::ZERO, conditions));
        assert_eq!(machine.state(), MuxState::Waiting);
        let end = Instant::ZERO + AGGREGATE_WAIT_TIME;
        assert_eq!(machine.deadline(), Some(end));
        assert!(!machine.ready_n());
        machine.expire_timer(end);
        assert!(machine.ready_n());
        let ready = Conditions { ready: true, ..conditions };
        assert!(machine.run(end, ready));
        assert_eq!(machine.state(), MuxState::Distributing);
        assert_eq!(machine.deadline(), None);
        assert!(machine.run(end, UNSELECTED));
        assert_eq!(machine.state(), MuxState::Detached);
    }

    #[test]
    fn wait_while_timer_counts_from_the_moment_the_link_came_up() {
        let at = |tenths: u64| Instant::ZERO + Duration::from_millis(100 * tenths);
        let mut machine = MuxMachine::new();
        machine.link_up(at(10));
        for selected_at in [at(10), at(29)] {
            machine.run(selected_at, SELECTED);
            assert_eq!(machine.deadline(), Some(at(30)));
            machine.run(selected_at, UNSELECTED);
        }
        // The link is older than Aggregate_Wait_Time: the timer counts from the selection.
        machine.run(at(30), SELECTED);
        assert_eq!(machine.deadline(), Some(at(50)));
    }
}
