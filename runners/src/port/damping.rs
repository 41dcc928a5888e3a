//! Damping of one port: a port that loses its link too often carries no traffic for a while.
//!
//! Each lost link adds a penalty, and the penalty decays by half in each half-life. Above the
//! suppress threshold the port is suppressed until the penalty has decayed to the reuse threshold.
//! A ceiling of the penalty ends each suppression `max_suppress` after the last lost link at the
//! latest. SONiC's link event damping has the same rules; RFC 2439 defines them for routes.
//!
//! A reader of the penalty computes the decay; the end of the suppression is the only timer.

use std::time::Duration;

use crate::settings::DampingSettings;
use crate::time::Instant;

/// Damping of one port.
#[derive(Clone, Debug, Default)]
pub(crate) struct Damping {
    /// `None` turns damping off.
    settings: Option<DampingSettings>,
    /// Penalty at the time `updated`.
    penalty: f64,
    updated: Instant,
    suppression: Option<Suppression>,
}

#[derive(Clone, Copy, Debug)]
struct Suppression {
    since: Instant,
    until: Instant,
}

/// State of a port's damping at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DampingStatus {
    /// The decayed penalty, rounded.
    pub penalty: u64,
    /// Time since the suppression began; `None` if the port is not suppressed.
    pub suppressed_for: Option<Duration>,
    /// Time until the suppression ends, if no further link is lost.
    pub ends_in: Option<Duration>,
}

impl Damping {
    pub(crate) fn new(settings: Option<DampingSettings>) -> Self {
        Damping { settings, ..Damping::default() }
    }

    /// Replaces the settings. Keeps the penalty, and computes the end of a suppression by the new
    /// settings.
    pub(crate) fn settings_changed(&mut self, now: Instant, settings: Option<DampingSettings>) {
        if settings == self.settings {
            return;
        }
        (self.penalty, self.updated) = (self.penalty(now), now);
        self.settings = settings;
        let Some(settings) = settings else {
            *self = Damping::default();
            return;
        };
        self.penalty = self.penalty.min(settings.penalty_ceiling());
        let until = now + time_to_reuse(&settings, self.penalty);
        let suppression = self.suppression.filter(|_| until > now);
        self.suppression = suppression.map(|before| Suppression { until, ..before });
    }

    /// Adds the penalty of a lost link.
    pub(crate) fn link_lost(&mut self, now: Instant) {
        let Some(settings) = self.settings else {
            return;
        };
        let penalty = self.penalty(now) + f64::from(settings.penalty);
        (self.penalty, self.updated) = (penalty.min(settings.penalty_ceiling()), now);
        if self.suppression.is_some() || self.penalty > f64::from(settings.suppress) {
            let since = self.suppression.map_or(now, |before| before.since);
            let until = now + time_to_reuse(&settings, self.penalty);
            self.suppression = Some(Suppression { since, until });
        }
    }

    /// Sets the state that a recording begins with.
    pub(crate) fn restore(&mut self, now: Instant, penalty: u64, until: Option<Instant>) {
        (self.penalty, self.updated) = (penalty as f64, now);
        let until = until.filter(|until| *until > now);
        self.suppression = until.map(|until| Suppression { since: now, until });
    }

    pub(crate) fn is_suppressed(&self) -> bool {
        self.suppression.is_some()
    }

    /// Returns the state at `now`; `None` if damping is off.
    pub(crate) fn status(&self, now: Instant) -> Option<DampingStatus> {
        self.settings.map(|_| DampingStatus {
            penalty: self.penalty(now).round() as u64,
            suppressed_for: self.suppression.map(|own| now.saturating_since(own.since)),
            ends_in: self.suppression.map(|own| own.until.saturating_since(now)),
        })
    }

    /// Returns when the suppression ends.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.suppression.map(|own| own.until)
    }

    pub(crate) fn expire(&mut self, due: Instant) {
        self.suppression = self.suppression.filter(|own| own.until > due);
    }

    fn penalty(&self, now: Instant) -> f64 {
        let Some(settings) = self.settings else {
            return 0.0;
        };
        let passed = now.saturating_since(self.updated).as_secs_f64();
        self.penalty * (-passed / settings.half_life.as_secs_f64()).exp2()
    }
}

/// Returns the time in which a penalty decays to the reuse threshold, at most `max_suppress`.
fn time_to_reuse(settings: &DampingSettings, penalty: f64) -> Duration {
    let half_lives = (penalty / f64::from(settings.reuse)).log2().max(0.0);
    let seconds = settings.half_life.as_secs_f64() * half_lives;
    Duration::from_secs_f64(seconds.min(settings.max_suppress.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    /// The settings of SONiC's worked example.
    fn sonic() -> DampingSettings {
        DampingSettings {
            penalty: 1000,
            suppress: 1600,
            reuse: 1200,
            half_life: Duration::from_secs(15),
            max_suppress: Duration::from_secs(30),
        }
    }

    /// Ends the suppression whose time has come, and returns penalty and suppression.
    fn state_at(damping: &mut Damping, seconds: u64) -> (u64, bool) {
        damping.expire(at(seconds));
        let penalty = damping.status(at(seconds)).expect("damping is on").penalty;
        (penalty, damping.is_suppressed())
    }

    #[test]
    fn penalty_and_suppression_match_the_example_of_sonic() {
        let mut damping = Damping::new(Some(sonic()));
        assert_eq!(sonic().penalty_ceiling(), 4800.0);
        // The second of the event, whether the link is lost, the penalty, whether suppressed.
        for (second, lost, penalty, suppressed) in [
            (0, false, 0, false),
            (3, true, 1000, false),
            (7, false, 831, false),
            (10, true, 1724, true),
            (14, false, 1433, true),
            (17, true, 2247, true),
            (20, false, 1956, true),
            (30, false, 1232, true),
            (31, false, 1177, false),
            (40, true, 1776, true),
            (44, false, 1477, true),
            (46, true, 2346, true),
            (60, false, 1229, true),
            (61, false, 1173, false),
            (70, false, 774, false),
            (100, true, 1193, false),
            (102, false, 1088, false),
        ] {
            if lost {
                damping.expire(at(second));
                damping.link_lost(at(second));
            }
            let found = state_at(&mut damping, second);
            assert_eq!(found, (penalty, suppressed), "at {second} s");
        }
        // With a lost link every other second, the penalty rises toward the ceiling.
        for second in (105..=122).step_by(2) {
            damping.link_lost(at(second));
        }
        let (penalty, suppressed) = state_at(&mut damping, 122);
        assert!(suppressed && (4300..=4800).contains(&penalty), "{penalty}");
        damping.link_lost(at(123));
        let end = damping.next_deadline().expect("suppressed");
        assert_eq!(end.saturating_since(at(123)).as_secs(), 30, "no longer than max_suppress");
    }

    #[test]
    fn a_suppression_ends_max_suppress_after_the_last_lost_link() {
        let mut random = crate::random::SplitMix64::new(7);
        for _ in 0..300 {
            let mut pick = |values: &[u64]| values[random.below(values.len())];
            let reuse = pick(&[1, 750, 19_999]) as u32;
            let settings = DampingSettings {
                penalty: pick(&[0, 1, 1000, 20_000]) as u32,
                suppress: reuse + pick(&[1, 500]) as u32,
                reuse,
                half_life: Duration::from_millis(pick(&[1, 700, 15_000, i32::MAX as u64])),
                max_suppress: Duration::from_millis(pick(&[1, 900, 30_000, i32::MAX as u64])),
            };
            let mut damping = Damping::new(Some(settings));
            let mut now = at(1);
            for _ in 0..40 {
                now = now + Duration::from_millis(pick(&[0, 1, 90, 5000, 60_000]));
                damping.expire(now);
                damping.link_lost(now);
                if let Some(end) = damping.next_deadline() {
                    assert!(end > now, "{settings:?}");
                    assert!(end.saturating_since(now) <= settings.max_suppress, "{settings:?}");
                }
            }
            damping.expire(now + settings.max_suppress);
            assert!(!damping.is_suppressed(), "{settings:?}");
        }
    }

    #[test]
    fn new_settings_move_the_end_of_a_suppression() {
        let mut damping = Damping::new(Some(sonic()));
        [1, 2].into_iter().for_each(|second| damping.link_lost(at(second)));
        assert!(damping.is_suppressed());
        let before = damping.next_deadline();
        damping.settings_changed(at(3), Some(DampingSettings { reuse: 600, ..sonic() }));
        assert!(damping.next_deadline() > before, "later, with a lower threshold");
        damping.settings_changed(
            at(4),
            Some(DampingSettings { reuse: 1900, suppress: 2000, ..sonic() }),
        );
        assert!(!damping.is_suppressed(), "the penalty is below the threshold");
        [5, 6].into_iter().for_each(|second| damping.link_lost(at(second)));
        assert!(damping.is_suppressed());
        damping.settings_changed(at(7), None);
        assert_eq!((damping.status(at(7)), damping.is_suppressed()), (None, false));
        damping.link_lost(at(8));
        assert!(!damping.is_suppressed(), "damping is off");
    }
}
