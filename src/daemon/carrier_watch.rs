//! When to ask the drivers for their carrier instead of waiting for link events.
//!
//! The kernel delays the link events of physical interfaces: one that follows another within a
//! second may come a second late, whatever interface the other was on. So while a late event
//! would cost frames, that is while frames flow, and for a while after any link event, the
//! carrier is asked for at a short interval. At rest nothing is asked and nothing wakes up.

use std::time::Duration;

use runners::Instant;

/// Pause between two questions; with the time to act, a loss is known within 10 ms.
const INTERVAL: Duration = Duration::from_millis(6);
/// Frames keep the watch awake this long; a stream so thin that it pauses longer is not
/// noticeably silent for longer either.
const AFTER_FRAMES: Duration = Duration::from_millis(50);
/// Link events do so a little longer than the kernel may hold the next one back (1 s).
const AFTER_EVENT: Duration = Duration::from_millis(1100);

/// The watch over the ports of one team.
#[derive(Clone, Copy, Debug, Default)]
pub struct CarrierWatch {
    awake_until: Instant,
    asked: Instant,
}

impl CarrierWatch {
    /// Frames moved at `now`.
    pub fn frames_moved(&mut self, now: Instant) {
        self.awake_until = self.awake_until.max(now + AFTER_FRAMES);
    }

    /// A link event, of whatever interface, was read at `now`.
    pub fn link_event(&mut self, now: Instant) {
        self.awake_until = self.awake_until.max(now + AFTER_EVENT);
    }

    /// Whether it is about to fall asleep: only then need it hear of frames again.
    pub fn is_drowsy(&self, now: Instant) -> bool {
        self.awake_until < now + AFTER_FRAMES / 2
    }

    /// When to ask next; none while at rest.
    pub fn deadline(&self) -> Option<Instant> {
        let next = self.asked + INTERVAL;
        (next <= self.awake_until).then_some(next)
    }

    /// Whether to ask at `now`; counts as asked if so.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = self.deadline().is_some_and(|deadline| deadline <= now);
        if due {
            self.asked = now;
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
    fn at_rest_nothing_is_asked() {
        let mut watch = CarrierWatch::default();
        assert_eq!(watch.deadline(), None);
        assert!(!watch.is_due(at(5000)));
    }

    #[test]
    fn frames_keep_it_awake_for_a_while() {
        let mut watch = CarrierWatch::default();
        watch.frames_moved(at(1000));
        assert!(watch.is_due(at(1000)));
        assert_eq!(watch.deadline(), Some(at(1006)));
        assert!(!watch.is_due(at(1005)));
        assert!(watch.is_due(at(1050)));
        assert_eq!(watch.deadline(), None);
    }

    /// Each sleep must have been preceded by a question at which it was.
    #[test]
    fn it_is_drowsy_before_it_sleeps() {
        let mut watch = CarrierWatch::default();
        watch.frames_moved(at(1000));
        assert!(watch.is_due(at(1000)));
        assert!(!watch.is_drowsy(at(1000)));
        assert!(watch.is_due(at(1044)));
        assert!(watch.is_drowsy(at(1044)));
        // Also if the daemon was kept from its work.
        watch.frames_moved(at(2000));
        assert!(watch.is_due(at(2500)));
        assert!(watch.is_drowsy(at(2500)));
        assert_eq!(watch.deadline(), None);
    }

    #[test]
    fn a_link_event_outlasts_the_delay_of_the_next_one() {
        let mut watch = CarrierWatch::default();
        watch.link_event(at(0));
        watch.frames_moved(at(10));
        assert!(watch.is_due(at(1050)));
        assert!(watch.deadline().is_some_and(|next| next <= at(1100)));
    }
}
