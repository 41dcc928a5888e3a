//! The Transmit machine (IEEE 802.1AX-2014, 6.4.16). The standard draws no diagram:
//!
//! ```text
//! +-------------+              need to transmit               +------------+
//! |             |-------------------------------------------->|            |
//! | NTT = FALSE |                                             | NTT = TRUE |
//! |             |<--------------------------------------------|            |
//! +-------------+  LACPDU sent (at most three in a period),   +------------+
//!                  or NO_PERIODIC
//! ```
//!
//! The machine sends an LACPDU as soon as NTT is true, unless three LACPDUs have left in the last
//! Fast_Periodic_Time. Then the LACPDU waits until the first of the three is one period old.
//!
//! Deviation: update_NTT (6.4.9) does not set NTT at once within `CROSSING_TIME` of an LACPDU of
//! ours. The Partner's LACPDU may have crossed ours, and an answer would only use up the limit. A
//! later LACPDU that shows the right view cancels the need.
//!
//! Owns NTT and the times of the last LACPDUs.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Instant;

use super::periodic::PeriodicState;

/// Number of LACPDUs in one Fast_Periodic_Time (6.4.16).
const MAX_PDUS_IN_PERIOD: usize = 3;
/// Far longer than an LACPDU takes there and back, far shorter than a period.
pub(crate) const CROSSING_TIME: Duration = Duration::from_millis(50);

/// The Transmit machine of one port.
#[derive(Clone, Debug, Default)]
pub(crate) struct TransmitMachine {
    pub(crate) ntt: bool,
    /// When the Partner's wrong view of the Actor sets NTT.
    pub(crate) wrong_view: Option<Instant>,
    /// Times of the last LACPDUs, the oldest first.
    pub(crate) sent: VecDeque<Instant>,
}

impl TransmitMachine {
    /// Sets NTT: Need To Transmit.
    pub(crate) fn set_ntt(&mut self) {
        self.ntt = true;
    }

    /// Sets NTT for the last LACPDU before the daemon ends, and lifts the limit of the rate for
    /// this LACPDU: a delayed one would never be sent.
    pub(crate) fn set_last_ntt(&mut self) {
        self.ntt = true;
        self.sent.clear();
    }

    /// Records that the Partner's view of the Actor is right.
    pub(crate) fn view_is_right(&mut self) {
        self.wrong_view = None;
    }

    /// Records that the Partner's view of the Actor is wrong.
    pub(crate) fn view_is_wrong(&mut self, now: Instant) {
        let crossing_end = self.sent.back().map(|sent| *sent + CROSSING_TIME);
        match crossing_end.filter(|end| *end > now) {
            None => self.ntt = true,
            end => self.wrong_view = self.wrong_view.or(end),
        }
    }

    /// Returns when a needed LACPDU may leave, or `None` if none is needed or it may leave now.
    pub(crate) fn deadline(&self, fast_periodic_time: Duration) -> Option<Instant> {
        let is_full = self.sent.len() == MAX_PDUS_IN_PERIOD;
        let oldest = self.sent.front().filter(|_| is_full);
        let permitted = oldest.map(|oldest| *oldest + fast_periodic_time);
        match self.wrong_view {
            Some(end) if !self.ntt => permitted.max(Some(end)),
            Some(_) | None => permitted.filter(|_| self.ntt),
        }
    }

    /// Returns whether an LACPDU leaves now, and counts it.
    pub(crate) fn run(
        &mut self,
        now: Instant,
        periodic: PeriodicState,
        fast_periodic_time: Duration,
    ) -> bool {
        if self.wrong_view.is_some_and(|end| end <= now) {
            self.wrong_view = None;
            self.ntt = true;
        }
        let is_old = |sent: &Instant| *sent + fast_periodic_time <= now;
        while self.sent.front().is_some_and(is_old) {
            self.sent.pop_front();
        }
        self.ntt &= may_transmit(periodic);
        let sends = self.ntt && self.sent.len() < MAX_PDUS_IN_PERIOD;
        if sends {
            self.ntt = false;
            self.wrong_view = None;
            self.sent.push_back(now);
        }
        sends
    }
}

/// Returns whether a port may transmit: not in NO_PERIODIC (6.4.16).
fn may_transmit(periodic: PeriodicState) -> bool {
    match periodic {
        PeriodicState::No => false,
        PeriodicState::Fast | PeriodicState::Slow => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use PeriodicState::{Fast, No, Slow};

    const FAST_PERIODIC_TIME: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn every_ntt_and_periodic_state_below_and_at_the_limit() {
        // Whether an LACPDU leaves, and NTT afterwards, by LACPDUs sent in the period: 0, 1, 2, 3.
        let (sends, waits, idle) = ((true, false), (false, true), (false, false));
        let table = [
            (false, No, [idle; 4]),
            (false, Fast, [idle; 4]),
            (false, Slow, [idle; 4]),
            (true, No, [idle; 4]),
            (true, Fast, [sends, sends, sends, waits]),
            (true, Slow, [sends, sends, sends, waits]),
        ];
        for (ntt, periodic, row) in table {
            for (sent, expected) in row.into_iter().enumerate() {
                let mut machine = TransmitMachine {
                    ntt,
                    wrong_view: None,
                    sent: VecDeque::from(vec![at(0); sent]),
                };
                let sends = machine.run(at(1), periodic, FAST_PERIODIC_TIME);
                assert_eq!((sends, machine.ntt), expected, "{ntt} {periodic:?} {sent}");
            }
        }
    }

    #[test]
    fn a_fourth_pdu_waits_until_the_first_is_one_period_old() {
        let mut machine = TransmitMachine::default();
        let mut run = |millis, ntt| {
            if ntt {
                machine.set_ntt();
            }
            let sends = machine.run(at(millis), Fast, FAST_PERIODIC_TIME);
            (sends, machine.deadline(FAST_PERIODIC_TIME))
        };
        assert_eq!(run(0, false), (false, None));
        assert_eq!(run(0, true), (true, None));
        assert_eq!(run(400, true), (true, None));
        assert_eq!(run(500, true), (true, None));
        assert_eq!(run(600, true), (false, Some(at(1000))));
        assert_eq!(run(999, true), (false, Some(at(1000))));
        assert_eq!(run(1000, false), (true, None));
        assert_eq!(run(1001, true), (false, Some(at(1400))));
        machine.set_last_ntt();
        assert!(machine.run(at(1002), Fast, FAST_PERIODIC_TIME), "the last LACPDU");
    }

    #[test]
    fn a_wrong_view_sets_ntt_after_the_crossing_time() {
        let mut machine = TransmitMachine::default();
        let run = |machine: &mut TransmitMachine, millis| {
            machine.run(at(millis), Fast, FAST_PERIODIC_TIME)
        };
        machine.set_ntt();
        assert!(run(&mut machine, 0));
        machine.view_is_wrong(at(1));
        assert!(!run(&mut machine, 1));
        assert_eq!(machine.deadline(FAST_PERIODIC_TIME), Some(at(50)));
        machine.view_is_right();
        assert_eq!(machine.deadline(FAST_PERIODIC_TIME), None);
        machine.view_is_wrong(at(3));
        assert!(run(&mut machine, 50));
        machine.view_is_wrong(at(200));
        assert!(run(&mut machine, 200), "no LACPDU of ours is under way");
    }
}
