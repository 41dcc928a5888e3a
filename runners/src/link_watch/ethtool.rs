//! ethtool: follows the carrier, after a delay for each direction.
//!
//! The name is teamd's; no ethtool call is made, the carrier comes with the link events.

use std::time::Duration;

use crate::time::Instant;

#[derive(Debug)]
pub(crate) struct Ethtool {
    delay_up: Duration,
    delay_down: Duration,
    /// End of the running delay; it runs only while the carrier differs from the verdict.
    due: Option<Instant>,
}

impl Ethtool {
    pub(crate) fn new(delay_up: Duration, delay_down: Duration) -> Self {
        Ethtool {
            delay_up,
            delay_down,
            due: None,
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.due
    }

    /// The verdict that follows the verdict `up` at this carrier.
    ///
    /// A carrier that comes back ends the delay. One that was merely read again, perhaps with
    /// another speed, does not restart it: it has been there (or gone) since the delay began.
    pub(crate) fn carrier_changed(&mut self, now: Instant, carrier: bool, up: bool) -> bool {
        if carrier == up {
            self.due = None;
            return up;
        }
        let delay = if carrier {
            self.delay_up
        } else {
            self.delay_down
        };
        if delay.is_zero() {
            return carrier;
        }
        self.due.get_or_insert(now + delay);
        up
    }

    /// The verdict that follows the verdict `up` when the deadline `due` has come.
    pub(crate) fn expire(&mut self, due: Instant, up: bool) -> bool {
        if self.due.is_none_or(|own| own > due) {
            return up;
        }
        self.due = None;
        !up
    }
}
