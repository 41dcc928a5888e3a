//! When to poll the drivers for the carrier instead of waiting for link events.
//!
//! The kernel delays the link events of physical interfaces: an event within a second after
//! another one, of whichever interface, may come a second late. A late event costs frames while
//! frames flow. During that time, and for a while after any link event, the daemon polls the
//! carrier at a short interval. Without frames and link events nothing is polled.

use std::time::Duration;

use runners::Instant;

/// Time between two polls; with the time to act, a loss has its effect within 10 ms.
const INTERVAL: Duration = Duration::from_millis(6);
/// How long polling goes on after frames; a stream with longer pauses than this loses no more than
/// a pause when its link fails.
const AFTER_FRAMES: Duration = Duration::from_millis(50);
/// How long polling goes on after a link event: longer than the kernel may delay the next (1 s).
const AFTER_EVENT: Duration = Duration::from_millis(1100);

/// The polling of carriers: a team has one for its frames, the daemon has one for link events.
#[derive(Clone, Copy, Debug, Default)]
pub struct CarrierWatch {
    polls_until: Instant,
    polled: Instant,
}

impl CarrierWatch {
    /// Goes on polling: frames moved at `now`.
    pub fn frames_moved(&mut self, now: Instant) {
        self.polls_until = self.polls_until.max(now + AFTER_FRAMES);
    }

    /// Goes on polling: a link event of any interface was read at `now`.
    pub fn link_event(&mut self, now: Instant) {
        self.polls_until = self.polls_until.max(now + AFTER_EVENT);
    }

    /// Returns whether polling ends soon; the next frames must then be reported again.
    pub fn ends_soon(&self, now: Instant) -> bool {
        self.polls_until < now + AFTER_FRAMES / 2
    }

    /// Returns the time of the next poll; `None` if polling has ended.
    pub fn deadline(&self) -> Option<Instant> {
        let next = self.polled + INTERVAL;
        (next <= self.polls_until).then_some(next)
    }

    /// Returns whether to poll at `now`, which then counts as the last poll.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = self.deadline().is_some_and(|deadline| deadline <= now);
        if due {
            self.polled = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn without_frames_and_events_nothing_is_polled() {
        let mut watch = CarrierWatch::default();
        assert_eq!(watch.deadline(), None);
        assert!(!watch.is_due(at(5000)));
    }

    /// The last poll before the end must find that the end is near.
    #[test]
    fn frames_extend_polling_for_a_while() {
        let mut watch = CarrierWatch::default();
        watch.frames_moved(at(1000));
        assert!(watch.is_due(at(1000)) && !watch.ends_soon(at(1000)));
        assert_eq!(watch.deadline(), Some(at(1006)));
        assert!(!watch.is_due(at(1005)));
        assert!(watch.is_due(at(1044)) && watch.ends_soon(at(1044)));
        assert!(watch.is_due(at(1050)));
        assert_eq!(watch.deadline(), None);
        // After a delay of the loop the end is near as well.
        watch.frames_moved(at(2000));
        assert!(watch.is_due(at(2500)) && watch.ends_soon(at(2500)));
        assert_eq!(watch.deadline(), None);
    }

    #[test]
    fn polling_outlasts_the_delay_of_the_next_link_event() {
        let mut watch = CarrierWatch::default();
        watch.link_event(at(0));
        watch.frames_moved(at(10));
        assert!(watch.is_due(at(1050)));
        assert!(watch.deadline().is_some_and(|next| next <= at(1100)));
    }
}
