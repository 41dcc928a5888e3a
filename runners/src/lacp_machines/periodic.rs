//! The Periodic Transmission machine (IEEE 802.1AX-2014, 6.4.13, figure 6-19).
//!
//! ```text
//!   BEGIN, or port or LACP disabled, or both ends passive   (from every state)
//!                         |
//!                         v
//!                 +---------------+
//!                 |  NO_PERIODIC  |
//!                 +---------------+
//!                         | an end is active
//!                         v
//!                 +---------------+  Partner: Long Timeout   +---------------+
//!                 | FAST_PERIODIC |------------------------->| SLOW_PERIODIC |
//!                 +---------------+                          +---------------+
//!                   |           ^                              ^           |
//!    periodic_timer |           |                              |           | periodic_timer
//!       expired     |   Partner:|                      Partner:|           |    expired, or
//!                   |    Short  |                        Long  |           | Partner: Short
//!                   |   Timeout |                      Timeout |           |    Timeout
//!                   v           |                              |           v
//!                 +--------------------------------------------------------+
//!                 |                PERIODIC_TX: NTT = TRUE                 |
//!                 +--------------------------------------------------------+
//! ```
//!
//! Owns the state and `periodic_timer`. PERIODIC_TX takes no time, so it is an output of the
//! machine instead of a state.

use std::time::Duration;

use crate::time::Instant;

/// Slow_Periodic_Time (6.4.4).
pub(crate) const SLOW_PERIODIC_TIME: Duration = Duration::from_secs(30);

/// State of the Periodic Transmission machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeriodicState {
    /// The port sends no periodic LACPDUs.
    No,
    /// The port sends an LACPDU each Fast_Periodic_Time.
    Fast,
    /// The port sends an LACPDU each Slow_Periodic_Time.
    Slow,
}

/// The LACP rate of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rate {
    /// No periodic LACPDUs: port or LACP are disabled, or both ends are passive.
    None,
    /// The Partner has Short Timeout.
    Fast,
    /// The Partner has Long Timeout.
    Slow,
}

/// A transition: the state to enter, and whether PERIODIC_TX lies on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Transition {
    to: PeriodicState,
    transmits: bool,
}

impl PeriodicState {
    /// Returns the transition, or `None` to stay. Entering the same state restarts the timer.
    fn next(self, rate: Rate, timer_expired: bool) -> Option<Transition> {
        use PeriodicState::{Fast, No, Slow};
        let enter = |to| Some(Transition { to, transmits: false });
        let transmit_and_enter = |to| Some(Transition { to, transmits: true });
        match (self, rate, timer_expired) {
            (No, Rate::None, _) => None,
            (No, Rate::Fast | Rate::Slow, _) => enter(Fast),
            (Fast | Slow, Rate::None, _) => enter(No),
            (Fast, Rate::Fast, false) => None,
            (Fast, Rate::Fast, true) => transmit_and_enter(Fast),
            (Fast, Rate::Slow, false) => enter(Slow),
            (Fast, Rate::Slow, true) => transmit_and_enter(Slow),
            (Slow, Rate::Slow, false) => None,
            (Slow, Rate::Slow, true) => transmit_and_enter(Slow),
            (Slow, Rate::Fast, _) => transmit_and_enter(Fast),
        }
    }

    /// Returns the standard's name of the state.
    pub fn name(self) -> &'static str {
        match self {
            PeriodicState::No => "NO_PERIODIC",
            PeriodicState::Fast => "FAST_PERIODIC",
            PeriodicState::Slow => "SLOW_PERIODIC",
        }
    }
}

/// The Periodic Transmission machine of one port.
#[derive(Clone, Debug)]
pub(crate) struct PeriodicMachine {
    state: PeriodicState,
    periodic_timer: Option<Instant>,
}

impl PeriodicMachine {
    pub(crate) fn new() -> Self {
        PeriodicMachine { state: PeriodicState::No, periodic_timer: None }
    }

    pub(crate) fn state(&self) -> PeriodicState {
        self.state
    }

    /// Returns when `periodic_timer` expires, or `None` if the timer does not run.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.periodic_timer
    }

    /// Runs the machine until it stays. Returns whether the machine has passed PERIODIC_TX.
    pub(crate) fn run(&mut self, now: Instant, rate: Rate, fast_periodic_time: Duration) -> bool {
        let mut ntt = false;
        let expired = |timer: Option<Instant>| timer.is_some_and(|end| end <= now);
        while let Some(transition) = self.state.next(rate, expired(self.periodic_timer)) {
            ntt |= transition.transmits;
            self.state = transition.to;
            self.periodic_timer = match transition.to {
                PeriodicState::No => None,
                PeriodicState::Fast => Some(now + fast_periodic_time),
                PeriodicState::Slow => Some(now + SLOW_PERIODIC_TIME),
            };
        }
        ntt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST_PERIODIC_TIME: Duration = Duration::from_secs(1);

    #[test]
    fn every_state_handles_every_rate_with_and_without_expiry() {
        use PeriodicState::{Fast, No, Slow};
        let (none, fast, slow) = (No, Fast, Slow);
        // The transitions while the timer runs, and after it has expired.
        let table = [
            (none, Rate::None, [None; 2]),
            (none, Rate::Fast, [Some((fast, false)); 2]),
            (none, Rate::Slow, [Some((fast, false)); 2]),
            (fast, Rate::None, [Some((none, false)); 2]),
            (fast, Rate::Fast, [None, Some((fast, true))]),
            (fast, Rate::Slow, [Some((slow, false)), Some((slow, true))]),
            (slow, Rate::None, [Some((none, false)); 2]),
            (slow, Rate::Fast, [Some((fast, true)); 2]),
            (slow, Rate::Slow, [None, Some((slow, true))]),
        ];
        for (state, rate, row) in table {
            for (timer_expired, expected) in [false, true].into_iter().zip(row) {
                let transition = state.next(rate, timer_expired);
                let transition = transition.map(|transition| (transition.to, transition.transmits));
                assert_eq!(transition, expected, "{state:?} {rate:?} {timer_expired}");
            }
        }
    }

    #[test]
    fn a_port_transmits_each_period_and_when_the_rate_becomes_fast() {
        let at = |millis| Instant::ZERO + Duration::from_millis(millis);
        let mut machine = PeriodicMachine::new();
        let mut run = |millis, rate, ntt, deadline: Option<u64>| {
            let passed = machine.run(at(millis), rate, FAST_PERIODIC_TIME);
            assert_eq!(passed, ntt, "{millis}");
            assert_eq!(machine.deadline(), deadline.map(at), "{millis}");
        };
        run(0, Rate::Fast, false, Some(1000));
        run(999, Rate::Fast, false, Some(1000));
        run(1000, Rate::Fast, true, Some(2000));
        run(1500, Rate::Slow, false, Some(31_500));
        run(31_500, Rate::Slow, true, Some(61_500));
        run(40_000, Rate::Fast, true, Some(41_000));
        run(40_500, Rate::None, false, None);
    }
}
