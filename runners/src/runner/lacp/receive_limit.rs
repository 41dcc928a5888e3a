//! How many LACPDUs of one port are heeded.
//!
//! A partner sends three in a Fast_Periodic_Time at most (802.1AX-2014, 6.4.16), and no slow
//! protocol more than ten frames a second (802.3, 57A.2). Whoever sends more shall not have
//! the team decide anew each time, to the cost of the other ports.

use std::time::Duration;

use crate::time::Instant;

const MOST_IN_A_PERIOD: u32 = 10;

#[derive(Clone, Debug, Default)]
pub(super) struct Intake {
    /// Begin of the present period.
    since: Instant,
    /// PDUs in it.
    taken: u32,
}

impl Intake {
    /// Whether a PDU that comes now is heeded; it counts as taken.
    pub(super) fn takes(&mut self, now: Instant, period: Duration) -> bool {
        if self.since + period <= now {
            *self = Intake {
                since: now,
                taken: 0,
            };
        }
        let takes = self.taken < MOST_IN_A_PERIOD;
        self.taken += u32::from(takes);
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_in_a_period_and_ten_in_the_next() {
        let period = Duration::from_millis(100);
        let mut intake = Intake::default();
        for begin in [1000_u64, 1100, 5000] {
            let mut takes = |millis| {
                let now = Instant::ZERO + Duration::from_millis(begin + millis);
                intake.takes(now, period)
            };
            assert!((0..10).all(&mut takes), "from {begin} ms on");
            assert!(!takes(10));
            assert!(!takes(99));
        }
    }
}
