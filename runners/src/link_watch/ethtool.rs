//! ethtool: follows the carrier, after a delay for each direction.
//!
//! The name is teamd's. The carrier comes with link events, not from an ethtool request.

use std::time::Duration;

use crate::time::Instant;

#[derive(Clone, Debug)]
pub(crate) struct Ethtool {
    delay_up: Duration,
    delay_down: Duration,
    /// End of the delay; `None` while carrier and watch agree.
    due: Option<Instant>,
}

impl Ethtool {
    pub(crate) fn new(delay_up: Duration, delay_down: Duration) -> Self {
        Ethtool { delay_up, delay_down, due: None }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Returns the new state of the watch, whose state is `up`.
    ///
    /// A carrier that returns to the state of the watch ends the delay. Another read of the same
    /// carrier does not restart the delay.
    pub(crate) fn carrier_changed(&mut self, now: Instant, carrier: bool, up: bool) -> bool {
        if carrier == up {
            self.due = None;
            return up;
        }
        let delay = if carrier { self.delay_up } else { self.delay_down };
        if delay.is_zero() {
            return carrier;
        }
        self.due.get_or_insert(now + delay);
        up
    }

    /// Returns the new state of the watch, whose state is `up`, at the deadline `due`.
    pub(crate) fn expire(&mut self, due: Instant, up: bool) -> bool {
        if self.due.is_none_or(|own| own > due) {
            return up;
        }
        self.due = None;
        !up
    }
}
