//! Limit of the LACPDUs that a port processes.
//!
//! A Partner sends at most three LACPDUs in a Fast_Periodic_Time (IEEE 802.1AX-2014, 6.4.16), and
//! a slow protocol at most ten frames a second (IEEE 802.3, 57A.2). Each processed LACPDU costs a
//! new selection over all ports, so the limit keeps a flood on one port from delaying the others.

use std::time::Duration;

use crate::time::Instant;

/// Number of LACPDUs processed in a period.
const MAX_PDUS_IN_PERIOD: u32 = 10;

/// The limit of one port.
#[derive(Clone, Debug, Default)]
pub(super) struct ReceiveLimit {
    period_start: Instant,
    /// Number of LACPDUs processed since `period_start`.
    processed: u32,
}

impl ReceiveLimit {
    /// Returns whether the limit permits one more LACPDU, and counts it.
    pub(super) fn permits(&mut self, now: Instant, period: Duration) -> bool {
        if self.period_start + period <= now {
            *self = ReceiveLimit { period_start: now, processed: 0 };
        }
        let permits = self.processed < MAX_PDUS_IN_PERIOD;
        self.processed += u32::from(permits);
        permits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_period_permits_ten_pdus() {
        let period = Duration::from_millis(100);
        let mut limit = ReceiveLimit::default();
        for start in [1000_u64, 1100, 5000] {
            let mut permits = |millis| {
                let now = Instant::ZERO + Duration::from_millis(start + millis);
                limit.permits(now, period)
            };
            assert!((0..10).all(&mut permits), "from {start} ms on");
            assert!(!permits(10));
            assert!(!permits(99));
        }
    }
}
