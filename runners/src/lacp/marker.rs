//! The Marker Responder (802.1AX-2014, 6.5.4.2, figure 6-25).
//!
//! ```text
//! WAIT_FOR_MARKER -- marker --> RESPOND_TO_MARKER (answers) --> WAIT_FOR_MARKER
//! ```
//!
//! Stateless but for the limit: slow protocols send no more than ten frames a second (802.3,
//! 57A.2), so a flood of markers is answered ten times a second.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Instant;
use crate::wire::marker::Marker;

const MOST_IN_A_SECOND: usize = 10;

#[derive(Clone, Debug, Default)]
pub(super) struct MarkerResponder {
    /// Times of the last answers, oldest first.
    answered: VecDeque<Instant>,
}

impl MarkerResponder {
    /// The answer to a marker; none to an answer, and beyond the limit.
    pub(super) fn answer(&mut self, now: Instant, marker: Marker) -> Option<Marker> {
        let second = Duration::from_secs(1);
        while self.answered.front().is_some_and(|at| *at + second <= now) {
            self.answered.pop_front();
        }
        if marker.response || self.answered.len() == MOST_IN_A_SECOND {
            return None;
        }
        self.answered.push_back(now);
        Some(Marker {
            response: true,
            ..marker
        })
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
