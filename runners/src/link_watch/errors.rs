//! errors: judges a port by the share of corrupted frames among the frames that it receives.
//!
//! The counters of all ports are read in one request at each multiple of the interval. A window of
//! readings ends when it has `min_errors` corrupted frames, or so many frames that `min_errors` of
//! them would be a share below `error_ratio`: a quiet link is judged later, and not by a single frame.
//!
//! A bad window takes the watch down until the hold time has passed without another one. The hold
//! time doubles with each time, up to [`MOST_DOUBLINGS`] times, and begins anew after the watch has
//! been up for twice the last one.
//!
//! The watch only judges. The team decides which ports leave (`team/corruption.rs`).

use std::time::Duration;

use crate::receive_errors::{ErrorsStatus, ReceiveCounters};
use crate::settings::ErrorsSettings;
use crate::time::Instant;

/// Times that the hold time doubles.
const MOST_DOUBLINGS: u32 = 6;

#[derive(Clone, Debug)]
pub(crate) struct Errors {
    settings: ErrorsSettings,
    next_reading: Instant,
    pub(super) status: ErrorsStatus,
}

impl Errors {
    pub(crate) fn new(settings: ErrorsSettings, now: Instant) -> Self {
        let status = ErrorsStatus { up_since: now, ..ErrorsStatus::default() };
        Errors { settings, next_reading: next_multiple(now, settings.interval), status }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.status.held_until.is_none()
    }

    pub(crate) fn next_deadline(&self) -> Instant {
        self.status.held_until.map_or(self.next_reading, |until| until.min(self.next_reading))
    }

    /// Handles the deadline `due`. Returns whether a reading of the counters is due.
    pub(crate) fn expire(&mut self, due: Instant, now: Instant) -> bool {
        if self.status.held_until.is_some_and(|until| until <= due) {
            self.status.held_until = None;
            self.status.up_since = now;
        }
        let is_due = self.next_reading <= due;
        if is_due {
            self.next_reading = next_multiple(now, self.settings.interval);
        }
        is_due
    }

    /// Takes in the counters of the port.
    pub(crate) fn counters_read(&mut self, now: Instant, counters: ReceiveCounters) {
        let before = self.status.last.replace(counters);
        let Some(frames) = before.and_then(|before| counters.since(before)) else {
            return;
        };
        let window = &mut self.status.window;
        window.good = window.good.saturating_add(frames.good);
        window.corrupted = window.corrupted.saturating_add(frames.corrupted);
        let has_errors = window.corrupted >= u64::from(self.settings.min_errors);
        if !has_errors && window.ratio_of(self.settings.min_errors) >= self.settings.error_ratio {
            return;
        }
        self.status.ratio = window.ratio();
        *window = ReceiveCounters::default();
        if has_errors && self.status.ratio >= self.settings.error_ratio {
            self.hold(now);
        }
    }

    fn hold(&mut self, now: Instant) {
        let (first, last) = (self.settings.hold_time, self.status.hold);
        if self.is_up() {
            let was_clean = now.saturating_since(self.status.up_since) >= last * 2;
            self.status.hold = match was_clean {
                true => first,
                false => (last * 2).min(first * (1 << MOST_DOUBLINGS)),
            };
        }
        self.status.held_until = Some(now + self.status.hold);
    }

    /// Goes on from the judgement that a recording begins with.
    pub(crate) fn restore(&mut self, status: ErrorsStatus) {
        self.status = status;
    }
}

/// Returns the next multiple of `interval` after `now`, so that all watches with one interval are due
/// together.
fn next_multiple(now: Instant, interval: Duration) -> Instant {
    let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
    let multiple = (now.as_nanos() / interval).saturating_add(1).saturating_mul(interval);
    Instant::from_nanos(multiple)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix64;

    const SETTINGS: ErrorsSettings = ErrorsSettings {
        interval: Duration::from_secs(1),
        error_ratio: 1000,
        min_errors: 10,
        hold_time: Duration::from_secs(30),
    };

    /// A watch with the counters of its port, and a history of readings.
    struct History {
        errors: Errors,
        counters: ReceiveCounters,
        second: u64,
    }

    impl History {
        fn new() -> History {
            let mut errors = Errors::new(SETTINGS, at(0));
            errors.counters_read(at(0), ReceiveCounters::default());
            History { errors, counters: ReceiveCounters::default(), second: 0 }
        }

        /// Passes `seconds` in each of which so many frames arrive; returns whether the watch is up.
        fn pass(&mut self, seconds: u64, good: u64, corrupted: u64) -> bool {
            for _ in 0..seconds {
                self.second += 1;
                let now = at(self.second);
                while self.errors.next_deadline() <= now {
                    let due = self.errors.next_deadline();
                    self.errors.expire(due, now);
                }
                self.counters.good += good;
                self.counters.corrupted += corrupted;
                self.errors.counters_read(now, self.counters);
            }
            self.errors.is_up()
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_window_is_judged_by_its_share_of_corrupted_frames() {
        // Good and corrupted frames a second, whether the watch is up a minute later, and the share.
        for (good, corrupted, up, ratio) in [
            (0, 0, true, 0),
            (100_000, 0, true, 0),
            (100_000, 99, true, 989),
            (100_000, 101, false, 1008),
            (0, 1, false, 1_000_000),
            (10, 1, false, 90_909),
            (5000, 1, true, 199),
        ] {
            let mut history = History::new();
            let found = (history.pass(60, good, corrupted), history.errors.status.ratio);
            assert_eq!(found, (up, ratio), "{good} good and {corrupted} corrupted frames");
        }
        // Nine frames of a burst are too few, whatever their share.
        let mut history = History::new();
        assert!(history.pass(1, 0, 9) && history.pass(60, 0, 0));
        assert!(!history.pass(1, 0, 1));
    }

    #[test]
    fn the_hold_time_doubles_until_the_link_has_been_clean_for_long() {
        let mut history = History::new();
        let mut held = |clean: u64| -> u64 {
            assert!(history.pass(clean, 10_000, 0), "clean");
            assert!(!history.pass(1, 10_000, 1000), "corrupts");
            (1..).find(|_| history.pass(1, 10_000, 0)).expect("goes up")
        };
        let holds: Vec<u64> = [5; 9].map(&mut held).to_vec();
        assert_eq!(holds, [30, 60, 120, 240, 480, 960, 1920, 1920, 1920]);
        assert_eq!(held(3838), 1920);
        assert_eq!(held(3839), 30, "clean for twice the last hold time");
        // A bad window in the hold time begins it anew, without doubling it.
        assert!(!history.pass(1, 10_000, 1000) && !history.pass(20, 10_000, 0));
        assert!(!history.pass(1, 10_000, 1000) && !history.pass(59, 10_000, 0));
        assert!(history.pass(1, 10_000, 0));
    }

    #[test]
    fn counters_that_begin_anew_are_no_frames() {
        let mut history = History::new();
        history.pass(10, 10_000, 1);
        history.counters = ReceiveCounters::default();
        assert!(history.pass(10, 10_000, 1));
        let most = ReceiveCounters { good: u64::MAX, corrupted: u64::MAX };
        history.errors.counters_read(at(history.second), most);
        assert!(!history.errors.is_up());
        assert_eq!(history.errors.status.ratio, 500_000);
    }

    #[test]
    fn no_history_leaves_the_watch_down_for_good_or_its_deadline_in_the_past() {
        let mut random = SplitMix64::new(11);
        for _ in 0..200 {
            let mut history = History::new();
            for _ in 0..50 {
                let mut pick = |values: &[u64]| values[random.below(values.len())];
                let (good, corrupted) = (pick(&[0, 7, 40_000]), pick(&[0, 0, 1, 500]));
                history.pass(pick(&[1, 9, 90]), good, corrupted);
                assert!(history.errors.next_deadline() > at(history.second));
                assert!(history.errors.status.hold <= SETTINGS.hold_time * (1 << MOST_DOUBLINGS));
            }
            assert!(history.pass(1921, 40_000, 0));
        }
    }
}
