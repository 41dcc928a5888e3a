//! The Marker Responder (802.1AX-2014, 6.5.4.2, figure 6-25), and markers of our own.
//!
//! ```text
//! WAIT_FOR_MARKER -- marker --> RESPOND_TO_MARKER (answers) --> WAIT_FOR_MARKER
//! ```
//!
//! Stateless but for the limit: a slow protocol sends no more than ten frames a second (802.3,
//! 57A.2), so a flood of markers is answered ten times a second. Our own count, too; when one is
//! to be sent is [`conversations`](super::marker_generator)' business.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Instant;
use crate::wire::marker::Marker;

const MOST_IN_A_SECOND: usize = 10;

#[derive(Clone, Debug, Default)]
pub(super) struct MarkerResponder {
    /// Times of the last frames, oldest first.
    sent: VecDeque<Instant>,
}

impl MarkerResponder {
    /// The answer to a marker; none to an answer, and beyond the limit.
    pub(super) fn answer(&mut self, now: Instant, marker: Marker) -> Option<Marker> {
        let answers = !marker.response && self.may_send(now);
        answers.then_some(Marker {
            response: true,
            ..marker
        })
    }

    /// Whether one more frame is within the limit; it counts as sent.
    pub(super) fn may_send(&mut self, now: Instant) -> bool {
        let second = Duration::from_secs(1);
        while self.sent.front().is_some_and(|at| *at + second <= now) {
            self.sent.pop_front();
        }
        let may = self.sent.len() < MOST_IN_A_SECOND;
        if may {
            self.sent.push_back(now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_markers_alone_and_ten_a_second() {
        let question = Marker {
            response: false,
            requester: [7; 12],
        };
        let answer = Marker {
            response: true,
            ..question
        };
        let mut responder = MarkerResponder::default();
        let at = |millis| Instant::ZERO + Duration::from_millis(millis);
        assert_eq!(responder.answer(at(0), answer), None);
        for n in 0..10 {
            assert_eq!(responder.answer(at(n), question), Some(answer));
        }
        assert_eq!(responder.answer(at(999), question), None);
        assert_eq!(responder.answer(at(1000), question), Some(answer));
        assert_eq!(responder.answer(at(1000), question), None);
    }
}
