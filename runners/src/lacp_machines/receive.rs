//! The Receive machine (IEEE 802.1AX-2014, 6.4.12, figure 6-18).
//!
//! ```text
//!   no link, or team device down       half-duplex link
//!   (BEGIN, and from every state)      (from every state)
//!                |                            |
//!                v                            v
//!        +---------------+            +---------------+
//!        | PORT_DISABLED |            | LACP_DISABLED |
//!        +---------------+            +---------------+
//!                | full-duplex link           | full-duplex link
//!                v                            |
//!        +---------------+                    |
//!    +---|    EXPIRED    |<-------------------+
//!    |   |               |<----------------------------------+
//!    |   +---------------+                                   |
//!    |           | current_while_timer expired               |
//!    |           v                                           |
//!    |   +---------------+                                   |
//!    |   |   DEFAULTED   |                                   |
//!    |   +---------------+                                   |
//!    |           | LACPDU                                    |
//!    |           v                                           |
//!    |   +---------------+    current_while_timer expired    |
//!    +-->|    CURRENT    |-----------------------------------+
//! LACPDU +---------------+
//!            |       ^
//!            +-------+ LACPDU
//! ```
//!
//! Owns the state and `current_while_timer`. The actions on the Actor's and Partner's information
//! are in [`port::records`](crate::runner::lacp::port).
//!
//! Deviations, both inherited from teamd:
//!
//! - A port without a link forgets its Partner. Figure 6-18 keeps the Partner in PORT_DISABLED, to
//!   notice that a cable has moved to another port; here `port_moved` never arises, and INITIALIZE
//!   and PORT_DISABLED are one state.
//! - A half-duplex port carries no traffic, while figure 6-18 makes LACP_DISABLED an individual
//!   link.

use std::time::Duration;

use crate::time::Instant;

/// State of the Receive machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReceiveState {
    /// The port has no link, or the team device is down.
    PortDisabled,
    /// The link is half duplex.
    LacpDisabled,
    /// No LACPDU has arrived in time; the port requests fast LACPDUs from the Partner.
    Expired,
    /// No Partner is known.
    Defaulted,
    /// The Partner's information is current.
    Current,
}

/// Event of the Receive machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceiveEvent {
    /// The port has no link, or the team device is down.
    LinkDown,
    /// The port has a half-duplex link.
    LinkHalfDuplex,
    /// The port has a full-duplex link.
    LinkUp,
    /// A valid LACPDU has arrived.
    PduReceived,
    /// `current_while_timer` has expired.
    TimerExpired,
}

impl ReceiveState {
    /// Returns the state to enter, or `None` to stay. Each LACPDU enters CURRENT anew.
    fn next(self, event: ReceiveEvent) -> Option<ReceiveState> {
        use ReceiveEvent::{LinkDown, LinkHalfDuplex, LinkUp, PduReceived, TimerExpired};
        use ReceiveState::{Current, Defaulted, Expired, LacpDisabled, PortDisabled};
        match (self, event) {
            (PortDisabled, LinkDown) => None,
            (LacpDisabled | Expired | Defaulted | Current, LinkDown) => Some(PortDisabled),
            (LacpDisabled, LinkHalfDuplex) => None,
            (PortDisabled | Expired | Defaulted | Current, LinkHalfDuplex) => Some(LacpDisabled),
            (PortDisabled | LacpDisabled, LinkUp) => Some(Expired),
            (Expired | Defaulted | Current, LinkUp) => None,
            (PortDisabled | LacpDisabled, PduReceived) => None,
            (Expired | Defaulted | Current, PduReceived) => Some(Current),
            (Expired, TimerExpired) => Some(Defaulted),
            (Current, TimerExpired) => Some(Expired),
            (PortDisabled | LacpDisabled | Defaulted, TimerExpired) => None,
        }
    }

    /// Returns the standard's name of the state.
    pub fn name(self) -> &'static str {
        match self {
            ReceiveState::PortDisabled => "PORT_DISABLED",
            ReceiveState::LacpDisabled => "LACP_DISABLED",
            ReceiveState::Expired => "EXPIRED",
            ReceiveState::Defaulted => "DEFAULTED",
            ReceiveState::Current => "CURRENT",
        }
    }
}

/// Durations of `current_while_timer`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// In EXPIRED: Short_Timeout_Time.
    pub(crate) expired: Duration,
    /// In CURRENT: Short_Timeout_Time or Long_Timeout_Time.
    pub(crate) current: Duration,
}

/// The Receive machine of one port.
#[derive(Clone, Debug)]
pub(crate) struct ReceiveMachine {
    state: ReceiveState,
    current_while_timer: Option<Instant>,
}

impl ReceiveMachine {
    pub(crate) fn new() -> Self {
        ReceiveMachine { state: ReceiveState::PortDisabled, current_while_timer: None }
    }

    pub(crate) fn state(&self) -> ReceiveState {
        self.state
    }

    /// Returns whether the port has a link that can run LACP: `port_enabled` and LACP_Enabled.
    pub(crate) fn is_lacp_enabled(&self) -> bool {
        match self.state {
            ReceiveState::PortDisabled | ReceiveState::LacpDisabled => false,
            ReceiveState::Expired | ReceiveState::Defaulted | ReceiveState::Current => true,
        }
    }

    /// Returns when `current_while_timer` expires, or `None` if the timer does not run.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.current_while_timer
    }

    /// Restarts an expired `current_while` timer, which then ends `grace` after `now`: LACPDUs of
    /// the Partner may still wait to be handled.
    pub(crate) fn resumed(&mut self, now: Instant, grace: Duration) {
        let expired = self.current_while_timer.filter(|end| *end <= now);
        if expired.is_some() {
            self.current_while_timer = Some(now + grace);
        }
    }

    /// Moves the end of `current_while_timer` to at least `timeout` after the last LACPDU. Deviation: in
    /// the standard a new LACP_Timeout of the Actor applies from the next LACPDU. The Partner learns of
    /// Long Timeout before, and its next LACPDU would come after the old timer has expired.
    pub(crate) fn timeout_lengthened(&mut self, last_received: Instant, timeout: Duration) {
        if self.state == ReceiveState::Current {
            self.current_while_timer = self.current_while_timer.max(Some(last_received + timeout));
        }
    }

    /// Handles an event. Returns the state that the machine has entered, or `None` if it stays.
    pub(crate) fn handle(
        &mut self,
        now: Instant,
        event: ReceiveEvent,
        timeouts: Timeouts,
    ) -> Option<ReceiveState> {
        let entered = self.state.next(event)?;
        self.state = entered;
        self.current_while_timer = match entered {
            ReceiveState::PortDisabled | ReceiveState::LacpDisabled | ReceiveState::Defaulted => {
                None
            }
            ReceiveState::Expired => Some(now + timeouts.expired),
            ReceiveState::Current => Some(now + timeouts.current),
        };
        Some(entered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_handles_every_event() {
        use ReceiveEvent::{LinkDown, LinkHalfDuplex, LinkUp, PduReceived, TimerExpired};
        use ReceiveState::{Current, Defaulted, Expired, LacpDisabled, PortDisabled};
        let events = [LinkDown, LinkHalfDuplex, LinkUp, PduReceived, TimerExpired];
        let (stay, down, half) = (None, Some(PortDisabled), Some(LacpDisabled));
        let (expired, defaulted, current) = (Some(Expired), Some(Defaulted), Some(Current));
        let table = [
            (PortDisabled, [stay, half, expired, stay, stay]),
            (LacpDisabled, [down, stay, expired, stay, stay]),
            (Expired, [down, half, stay, current, defaulted]),
            (Defaulted, [down, half, stay, current, stay]),
            (Current, [down, half, stay, current, expired]),
        ];
        for (state, row) in table {
            for (event, expected) in events.into_iter().zip(row) {
                assert_eq!(state.next(event), expected, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn current_while_timer_runs_only_in_expired_and_current() {
        let at = |millis| Instant::ZERO + Duration::from_millis(millis);
        let timeouts =
            Timeouts { expired: Duration::from_secs(3), current: Duration::from_secs(90) };
        let mut machine = ReceiveMachine::new();
        let mut handle = |millis, event, state, deadline: Option<u64>| {
            machine.handle(at(millis), event, timeouts);
            assert_eq!(machine.state(), state);
            assert_eq!(machine.deadline(), deadline.map(at));
        };
        use ReceiveEvent::{LinkDown, LinkHalfDuplex, LinkUp, PduReceived, TimerExpired};
        handle(0, LinkUp, ReceiveState::Expired, Some(3000));
        handle(1000, PduReceived, ReceiveState::Current, Some(91_000));
        handle(2000, PduReceived, ReceiveState::Current, Some(92_000));
        handle(92_000, TimerExpired, ReceiveState::Expired, Some(95_000));
        handle(95_000, TimerExpired, ReceiveState::Defaulted, None);
        handle(96_000, PduReceived, ReceiveState::Current, Some(186_000));
        handle(97_000, LinkHalfDuplex, ReceiveState::LacpDisabled, None);
        handle(98_000, LinkDown, ReceiveState::PortDisabled, None);
    }
}
