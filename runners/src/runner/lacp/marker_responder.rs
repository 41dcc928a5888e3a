//! The Marker Responder (IEEE 802.1AX-2014, 6.5.4.2).
//!
//! ```text
//! +-----------------+   marker received    +-------------------+
//! | WAIT_FOR_MARKER |--------------------->| RESPOND_TO_MARKER |
//! |                 |<---------------------|  send a response  |
//! +-----------------+     unconditional    +-------------------+
//! ```
//!
//! RESPOND_TO_MARKER takes no time, so the machine has no stored state.
//!
//! Owns the limit of the marker protocol: a slow protocol sends at most ten frames a second (IEEE
//! 802.3, 57A.2), so a flood of markers gets ten responses a second. Markers that
//! [`marker_generator`](super::marker_generator) sends count, too.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Instant;
use crate::wire::marker::Marker;

/// Number of marker PDUs that a port sends in a second.
const MAX_PDUS_IN_SECOND: usize = 10;

/// The Marker Responder of one port.
#[derive(Clone, Debug, Default)]
pub(super) struct MarkerResponder {
    /// Times of the last marker PDUs, the oldest first.
    sent: VecDeque<Instant>,
}

impl MarkerResponder {
    /// Returns the response to a marker. Returns `None` for a response, and beyond the limit.
    pub(super) fn respond(&mut self, now: Instant, marker: Marker) -> Option<Marker> {
        let responds = !marker.response && self.may_send(now);
        responds.then_some(Marker { response: true, ..marker })
    }

    /// Returns whether the limit permits one more marker PDU, and counts it.
    pub(super) fn may_send(&mut self, now: Instant) -> bool {
        let second = Duration::from_secs(1);
        while self.sent.front().is_some_and(|at| *at + second <= now) {
            self.sent.pop_front();
        }
        let may_send = self.sent.len() < MAX_PDUS_IN_SECOND;
        if may_send {
            self.sent.push_back(now);
        }
        may_send
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKER: Marker = Marker { response: false, requester: [7; 12] };
    const RESPONSE: Marker = Marker { response: true, ..MARKER };

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn every_pdu_below_and_at_the_limit() {
        let table = [
            (MARKER, 0, Some(RESPONSE)),
            (MARKER, MAX_PDUS_IN_SECOND - 1, Some(RESPONSE)),
            (MARKER, MAX_PDUS_IN_SECOND, None),
            (RESPONSE, 0, None),
            (RESPONSE, MAX_PDUS_IN_SECOND, None),
        ];
        for (pdu, sent, expected) in table {
            let sent = VecDeque::from(vec![at(0); sent]);
            let mut responder = MarkerResponder { sent };
            assert_eq!(responder.respond(at(1), pdu), expected, "{responder:?}");
        }
    }

    #[test]
    fn a_flood_of_markers_gets_ten_responses_a_second() {
        let mut responder = MarkerResponder::default();
        for millis in 0..10 {
            assert_eq!(responder.respond(at(millis), MARKER), Some(RESPONSE));
        }
        assert_eq!(responder.respond(at(999), MARKER), None);
        assert_eq!(responder.respond(at(1000), MARKER), Some(RESPONSE));
        assert_eq!(responder.respond(at(1000), MARKER), None);
    }
}
