//! The Periodic Transmission machine (802.1AX-2014, 6.4.13, figure 6-19).
//!
//! ```text
//! NO_PERIODIC    <----- port or LACP disabled, or both ends passive   (from anywhere)
//!      | neither
//! FAST_PERIODIC  <-- partner asks for fast (by way of PERIODIC_TX) -- SLOW_PERIODIC
//!      |             --------- partner asks for slow --------------->
//!      | timer                                                            | timer
//!      +-------------------------> PERIODIC_TX <-------------------------+
//!                 need to transmit; then FAST or SLOW, as the partner asks
//! ```
//!
//! Owns the state and `periodic_timer`. PERIODIC_TX takes no time: it is the machine's output.

use std::time::Duration;

use crate::time::Instant;

/// Slow_Periodic_Time (6.4.4).
pub(super) const SLOW_PERIODIC_TIME: Duration = Duration::from_secs(30);

/// Where the machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Periodic {
    /// Nothing leaves unasked.
    No,
    /// A PDU each Fast_Periodic_Time.
    Fast,
    /// A PDU each Slow_Periodic_Time.
    Slow,
}

/// The rhythm that port and partner allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rhythm {
    /// None: no port, no LACP, or both ends passive.
    Silent,
    /// Partner_Oper_Port_State.LACP_Timeout is Short.
    Fast,
    /// It is Long.
    Slow,
}

/// What becomes of a state: the one to enter, and whether by way of PERIODIC_TX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    to: Periodic,
    transmits: bool,
}

impl Periodic {
    /// None if nothing happens; to enter the same state again starts its timer anew.
    fn next(self, rhythm: Rhythm, expired: bool) -> Option<Step> {
        let go = |to, transmits| Some(Step { to, transmits });
        match (self, rhythm, expired) {
            (Periodic::No, Rhythm::Silent, _) => None,
            (Periodic::Fast | Periodic::Slow, Rhythm::Silent, _) => go(Periodic::No, false),
            (Periodic::No, Rhythm::Fast | Rhythm::Slow, _) => go(Periodic::Fast, false),
            (Periodic::Fast, Rhythm::Fast, false) => None,
            (Periodic::Fast, Rhythm::Fast, true) => go(Periodic::Fast, true),
            (Periodic::Fast, Rhythm::Slow, expired) => go(Periodic::Slow, expired),
            (Periodic::Slow, Rhythm::Slow, false) => None,
            (Periodic::Slow, Rhythm::Slow, true) => go(Periodic::Slow, true),
            (Periodic::Slow, Rhythm::Fast, _) => go(Periodic::Fast, true),
        }
    }

    /// The standard's name.
    pub fn name(self) -> &'static str {
        match self {
            Periodic::No => "NO_PERIODIC",
            Periodic::Fast => "FAST_PERIODIC",
            Periodic::Slow => "SLOW_PERIODIC",
        }
    }
}

/// The machine with its timer.
#[derive(Clone, Debug)]
pub(super) struct PeriodicMachine {
    state: Periodic,
    timer: Option<Instant>,
}

impl PeriodicMachine {
    pub(super) fn new() -> Self {
        PeriodicMachine {
            state: Periodic::No,
            timer: None,
        }
    }

    pub(super) fn state(&self) -> Periodic {
        self.state
    }

    /// When `periodic_timer` ends.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timer
    }

    /// Whether there is a need to transmit. `fast` is Fast_Periodic_Time.
    pub(super) fn run(&mut self, now: Instant, rhythm: Rhythm, fast: Duration) -> bool {
        let mut transmits = false;
        let expired = |timer: Option<Instant>| timer.is_some_and(|timer| timer <= now);
        while let Some(step) = self.state.next(rhythm, expired(self.timer)) {
            transmits |= step.transmits;
            self.state = step.to;
            self.timer = match step.to {
                Periodic::No => None,
                Periodic::Fast => Some(now + fast),
                Periodic::Slow => Some(now + SLOW_PERIODIC_TIME),
            };
        }
        transmits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_secs(1);

    #[test]
    fn every_state_and_rhythm() {
        use Periodic::{Fast, No, Slow};
        let table = [
            (No, Rhythm::Silent, [None, None]),
            (No, Rhythm::Fast, [Some((Fast, false)); 2]),
            (No, Rhythm::Slow, [Some((Fast, false)); 2]),
            (Fast, Rhythm::Silent, [Some((No, false)); 2]),
            (Fast, Rhythm::Fast, [None, Some((Fast, true))]),
            (
                Fast,
                Rhythm::Slow,
                [Some((Slow, false)), Some((Slow, true))],
            ),
            (Slow, Rhythm::Silent, [Some((No, false)); 2]),
            (Slow, Rhythm::Fast, [Some((Fast, true)); 2]),
            (Slow, Rhythm::Slow, [None, Some((Slow, true))]),
        ];
        for (state, rhythm, [waiting, expired]) in table {
            for (over, expected) in [(false, waiting), (true, expired)] {
                let step = state.next(rhythm, over);
                let step = step.map(|step| (step.to, step.transmits));
                assert_eq!(step, expected, "{state:?} {rhythm:?} {over}");
            }
        }
    }

    #[test]
    fn a_pdu_each_period_and_one_at_once_when_fast_is_asked_for() {
        let at = |millis| Instant::ZERO + Duration::from_millis(millis);
        let mut machine = PeriodicMachine::new();
        let mut plays = |millis, rhythm, transmits, deadline: Option<u64>| {
            assert_eq!(machine.run(at(millis), rhythm, FAST), transmits, "{millis}");
            assert_eq!(machine.deadline(), deadline.map(at), "{millis}");
        };
        plays(0, Rhythm::Fast, false, Some(1000));
        plays(999, Rhythm::Fast, false, Some(1000));
        plays(1000, Rhythm::Fast, true, Some(2000));
        plays(1500, Rhythm::Slow, false, Some(31_500));
        plays(31_500, Rhythm::Slow, true, Some(61_500));
        plays(40_000, Rhythm::Fast, true, Some(41_000));
        plays(40_500, Rhythm::Silent, false, None);
    }
}
