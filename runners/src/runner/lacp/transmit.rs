//! The Transmit machine (802.1AX-2014, 6.4.16).
//!
//! A need to transmit (NTT) is met at once, unless three PDUs have left in the last
//! Fast_Periodic_Time; then as soon as the oldest of them is that old, with what is true by
//! then. A port that may not speak forgets the need.
//!
//! A partner whose PDU has crossed one of ours does not know yet what that said. Answering it
//! at once would only use up the limit, so the need waits for `CROSSING_TIME`; a PDU that shows
//! that ours arrived takes it back.
//!
//! Owns NTT and the times of the last PDUs.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Instant;

/// PDUs in one Fast_Periodic_Time.
const MOST_IN_A_PERIOD: usize = 3;
/// Far longer than a PDU takes there and back, far shorter than a period.
const CROSSING_TIME: Duration = Duration::from_millis(50);

#[derive(Clone, Debug, Default)]
pub(super) struct TransmitMachine {
    ntt: bool,
    /// When the partner's wrong view of us becomes a need.
    wrong_view: Option<Instant>,
    /// Of the last PDUs, oldest first.
    sent: VecDeque<Instant>,
}

impl TransmitMachine {
    /// Something happened that the partner must be told.
    pub(super) fn need(&mut self, need: bool) {
        self.ntt |= need;
    }

    /// update_NTT (6.4.9) found the partner's view of us right or wrong.
    pub(super) fn viewed(&mut self, now: Instant, right: bool) {
        let crossed = self.sent.back().map(|sent| *sent + CROSSING_TIME);
        match crossed.filter(|end| *end > now) {
            _ if right => self.wrong_view = None,
            None => self.ntt = true,
            end => self.wrong_view = self.wrong_view.or(end),
        }
    }

    /// When the PDU that is needed may go.
    pub(super) fn deadline(&self, period: Duration) -> Option<Instant> {
        let full = self.sent.len() == MOST_IN_A_PERIOD;
        let permitted = self.sent.front().map(|oldest| *oldest + period);
        match self.wrong_view {
            Some(end) if !self.ntt => permitted.filter(|_| full).max(Some(end)),
            _ => permitted.filter(|_| full && self.ntt),
        }
    }

    /// Whether a PDU has to leave now; it counts as sent.
    pub(super) fn run(&mut self, now: Instant, may_speak: bool, period: Duration) -> bool {
        if self.wrong_view.is_some_and(|end| end <= now) {
            self.wrong_view = None;
            self.ntt = true;
        }
        self.ntt &= may_speak;
        while self.sent.front().is_some_and(|sent| *sent + period <= now) {
            self.sent.pop_front();
        }
        let sends = self.ntt && self.sent.len() < MOST_IN_A_PERIOD;
        if sends {
            self.ntt = false;
            self.wrong_view = None;
            self.sent.push_back(now);
        }
        sends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_in_a_period_and_the_fourth_when_the_first_is_a_period_old() {
        let period = Duration::from_secs(1);
        let at = |millis| Instant::ZERO + Duration::from_millis(millis);
        let mut machine = TransmitMachine::default();
        let mut sends = |millis, need| {
            machine.need(need);
            let sends = machine.run(at(millis), true, period);
            (sends, machine.deadline(period))
        };
        assert_eq!(sends(0, false), (false, None));
        assert_eq!(sends(0, true), (true, None));
        assert_eq!(sends(400, true), (true, None));
        assert_eq!(sends(500, true), (true, None));
        assert_eq!(sends(600, true), (false, Some(at(1000))));
        assert_eq!(sends(999, true), (false, Some(at(1000))));
        assert_eq!(sends(1000, false), (true, None));
        assert_eq!(sends(1001, true), (false, Some(at(1400))));
    }

    #[test]
    fn a_wrong_view_that_crossed_our_pdu_may_be_put_right_by_it() {
        let period = Duration::from_secs(1);
        let at = |millis| Instant::ZERO + Duration::from_millis(millis);
        let mut machine = TransmitMachine::default();
        machine.need(true);
        assert!(machine.run(at(0), true, period));
        machine.viewed(at(1), false);
        assert!(!machine.run(at(1), true, period));
        assert_eq!(machine.deadline(period), Some(at(50)));
        machine.viewed(at(2), true);
        assert_eq!(machine.deadline(period), None);
        machine.viewed(at(3), false);
        assert!(machine.run(at(50), true, period));
        machine.viewed(at(200), false);
        assert!(
            machine.run(at(200), true, period),
            "nothing of ours is under way"
        );
    }

    #[test]
    fn a_port_that_may_not_speak_forgets_the_need() {
        let mut machine = TransmitMachine::default();
        machine.need(true);
        assert!(!machine.run(Instant::ZERO, false, Duration::ZERO));
        assert!(!machine.run(Instant::ZERO, true, Duration::ZERO));
    }
}
