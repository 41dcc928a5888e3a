//! The Receive machine (802.1AX-2014, 6.4.12, figure 6-18).
//!
//! ```text
//! INITIALIZE    begin: nothing selected, partner by default
//!      |
//! PORT_DISABLED  <----- link lost, or the team is down      (from anywhere)
//!      | link, full duplex           | link, half duplex
//! EXPIRED                        LACP_DISABLED  <----------- (from anywhere with a link)
//!      | current_while ends          | PDU
//! DEFAULTED ---- PDU -------------+  |
//! EXPIRED ------ PDU -----------> CURRENT ---- PDU ---> CURRENT
//!                                    | current_while ends
//!                                 EXPIRED (asks for fast PDUs, short current_while)
//! ```
//!
//! Owns the state and `current_while`. What entering a state does to the records of actor and
//! partner is the port's business. Two decisions of teamd stay: a port without a link forgets
//! its partner (so `port_moved` never arises, and INITIALIZE and PORT_DISABLED are one), and a
//! half-duplex port takes no part at all instead of being an individual link.

use std::time::Duration;

use crate::time::Instant;

/// Where the machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Receive {
    /// No link, or the team is down.
    PortDisabled,
    /// A link that cannot run LACP: half duplex.
    LacpDisabled,
    /// No PDU heard for long; the partner is asked to speak up.
    Expired,
    /// No partner.
    Defaulted,
    /// The partner's information is fresh.
    Current,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The port cannot carry anything.
    Down,
    /// It has a link without LACP.
    HalfDuplex,
    /// It has a link.
    Up,
    /// A valid LACPDU came.
    Pdu,
    /// `current_while` has ended.
    Expiry,
}

impl Receive {
    /// The state to enter; none if nothing happens. A PDU enters CURRENT anew each time.
    pub(super) fn next(self, input: Input) -> Option<Receive> {
        use Receive::{Current, Defaulted, Expired, LacpDisabled, PortDisabled};
        match (self, input) {
            (PortDisabled, Input::Down) => None,
            (LacpDisabled | Expired | Defaulted | Current, Input::Down) => Some(PortDisabled),
            (LacpDisabled, Input::HalfDuplex) => None,
            (PortDisabled | Expired | Defaulted | Current, Input::HalfDuplex) => Some(LacpDisabled),
            (PortDisabled | LacpDisabled, Input::Up) => Some(Expired),
            (Expired | Defaulted | Current, Input::Up) => None,
            (PortDisabled | LacpDisabled, Input::Pdu) => None,
            (Expired | Defaulted | Current, Input::Pdu) => Some(Current),
            (Expired, Input::Expiry) => Some(Defaulted),
            (Current, Input::Expiry) => Some(Expired),
            (PortDisabled | LacpDisabled | Defaulted, Input::Expiry) => None,
        }
    }

    /// The standard's name.
    pub fn name(self) -> &'static str {
        match self {
            Receive::PortDisabled => "PORT_DISABLED",
            Receive::LacpDisabled => "LACP_DISABLED",
            Receive::Expired => "EXPIRED",
            Receive::Defaulted => "DEFAULTED",
            Receive::Current => "CURRENT",
        }
    }
}

/// The machine with its timer.
#[derive(Clone, Debug)]
pub(super) struct ReceiveMachine {
    state: Receive,
    current_while: Option<Instant>,
}

impl ReceiveMachine {
    pub(super) fn new() -> Self {
        ReceiveMachine {
            state: Receive::PortDisabled,
            current_while: None,
        }
    }

    pub(super) fn state(&self) -> Receive {
        self.state
    }

    /// When `current_while` ends.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.current_while
    }

    /// The state that was entered. `short` and `own` are the lengths of `current_while` in
    /// EXPIRED and in CURRENT.
    pub(super) fn handle(
        &mut self,
        now: Instant,
        input: Input,
        short: Duration,
        own: Duration,
    ) -> Option<Receive> {
        let entered = self.state.next(input)?;
        self.state = entered;
        self.current_while = match entered {
            Receive::PortDisabled | Receive::LacpDisabled | Receive::Defaulted => None,
            Receive::Expired => Some(now + short),
            Receive::Current => Some(now + own),
        };
        Some(entered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_input() {
        use Input::{Down, Expiry, HalfDuplex, Pdu, Up};
        use Receive::{Current, Defaulted, Expired, LacpDisabled, PortDisabled};
        let inputs = [Down, HalfDuplex, Up, Pdu, Expiry];
        let table = [
            (
                PortDisabled,
                [None, Some(LacpDisabled), Some(Expired), None, None],
            ),
            (
                LacpDisabled,
                [Some(PortDisabled), None, Some(Expired), None, None],
            ),
            (
                Expired,
                [
                    Some(PortDisabled),
                    Some(LacpDisabled),
                    None,
                    Some(Current),
                    Some(Defaulted),
                ],
            ),
            (
                Defaulted,
                [
                    Some(PortDisabled),
                    Some(LacpDisabled),
                    None,
                    Some(Current),
                    None,
                ],
            ),
            (
                Current,
                [
                    Some(PortDisabled),
                    Some(LacpDisabled),
                    None,
                    Some(Current),
                    Some(Expired),
                ],
            ),
        ];
        for (state, row) in table {
            for (input, expected) in inputs.into_iter().zip(row) {
                assert_eq!(state.next(input), expected, "{state:?} {input:?}");
            }
        }
    }

    #[test]
    fn the_timer_runs_in_expired_and_current_alone() {
        let at = |millis| Instant::ZERO + Duration::from_millis(millis);
        let (short, own) = (Duration::from_millis(3000), Duration::from_millis(90_000));
        let mut machine = ReceiveMachine::new();
        let mut plays = |millis, input, state, deadline: Option<u64>| {
            machine.handle(at(millis), input, short, own);
            assert_eq!(machine.state(), state);
            assert_eq!(machine.deadline(), deadline.map(at));
        };
        plays(0, Input::Up, Receive::Expired, Some(3000));
        plays(1000, Input::Pdu, Receive::Current, Some(91_000));
        plays(2000, Input::Pdu, Receive::Current, Some(92_000));
        plays(92_000, Input::Expiry, Receive::Expired, Some(95_000));
        plays(95_000, Input::Expiry, Receive::Defaulted, None);
        plays(96_000, Input::Pdu, Receive::Current, Some(186_000));
        plays(97_000, Input::HalfDuplex, Receive::LacpDisabled, None);
        plays(98_000, Input::Down, Receive::PortDisabled, None);
    }
}
