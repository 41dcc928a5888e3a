//! Restorations of hooks: filters and programs that another program of the host removed.
//!
//! Owns the count of the restorations, their lines in the log, and their limit. Without the limit, a
//! program that removes hooks again and again would keep the daemon busy and fill the log.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use runners::Instant;

use crate::netlink::RouteSocket;
use crate::netlink::link;

/// Attempts at an interface that no pause separates.
const AT_ONCE: u32 = 8;
/// Least time between two later attempts.
const PAUSE: Duration = Duration::from_secs(1);
/// Time without an attempt after which the attempts at an interface are counted anew.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// The restorations of one team.
#[derive(Debug, Default)]
pub struct HooksRestored {
    count: u64,
    /// Recent attempts by interface index.
    attempts: BTreeMap<u32, Attempts>,
}

/// Attempts at one interface, with less than [`FORGET_AFTER`] between two of them.
#[derive(Clone, Copy, Debug)]
struct Attempts {
    count: u32,
    last: Instant,
    /// Whether the log reports that further restorations are not logged.
    is_limit_logged: bool,
}

impl HooksRestored {
    /// Returns the number of restorations so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Permits a restoration at the time `now`.
    ///
    /// # Errors
    /// `EAGAIN` less than [`PAUSE`] after the last of many attempts.
    pub fn permit(&self, now: Instant, ifindex: u32) -> io::Result<()> {
        let attempts = self.attempts.get(&ifindex);
        match attempts.is_some_and(|it| it.count >= AT_ONCE && now < it.last + PAUSE) {
            true => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
            false => Ok(()),
        }
    }

    /// Counts and logs a restoration; `outcome` is whether a hook was missing.
    ///
    /// # Errors
    /// `EAGAIN` if the other program has removed a qdisc before the filters were on it; other errors
    /// of `outcome`; the error of reading the interface's name.
    pub fn record(
        &mut self,
        route: &mut RouteSocket,
        now: Instant,
        ifindex: u32,
        outcome: io::Result<bool>,
    ) -> io::Result<()> {
        match outcome {
            Ok(false) => Ok(()),
            Ok(true) => {
                let name = link::fetch(route, ifindex)?.name;
                self.count += 1;
                self.count_attempt(now, ifindex).log(&name);
                Ok(())
            }
            Err(error) => {
                self.count_attempt(now, ifindex);
                match is_removed_again(&error) {
                    true => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
                    false => Err(error),
                }
            }
        }
    }

    /// Counts an attempt, and returns the attempts at the interface.
    fn count_attempt(&mut self, now: Instant, ifindex: u32) -> &mut Attempts {
        self.attempts.retain(|_, it| now < it.last + FORGET_AFTER);
        let attempts = self.attempts.entry(ifindex).or_insert(Attempts::new(now));
        attempts.count = attempts.count.saturating_add(1);
        attempts.last = now;
        attempts
    }
}

impl Attempts {
    fn new(now: Instant) -> Self {
        Attempts { count: 0, last: now, is_limit_logged: false }
    }

    /// Logs a restoration; at the limit, logs once that further restorations are not logged.
    fn log(&mut self, name: &str) {
        if self.count < AT_ONCE {
            log::warn!("{name}: another program removed filters of the team; they are back");
        } else if !std::mem::replace(&mut self.is_limit_logged, true) {
            log::error!(
                "{name}: another program removes filters of the team again and again; they come \
                 back once a second at most, and teamr.hooks_restored counts on"
            );
        }
    }
}

/// Restores the hooks of each of the interfaces; the next check tries again what is postponed.
///
/// # Errors
/// The first error of `restore` that postpones nothing.
pub fn restore_each(
    interfaces: BTreeSet<u32>,
    mut restore: impl FnMut(u32) -> io::Result<()>,
) -> io::Result<()> {
    interfaces.into_iter().try_for_each(|ifindex| match restore(ifindex) {
        Err(error) if !is_put_off(&error) => Err(error),
        _ => Ok(()),
    })
}

/// Returns whether an interface is gone, or its restoration is postponed.
fn is_put_off(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENODEV | libc::EAGAIN))
}

/// Returns whether restoring failed because the qdisc or its filters are gone again.
pub fn is_removed_again(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restorations_are_limited_until_a_minute_passes_without_an_attempt() {
        let at = |millis| Instant::ZERO + Duration::from_millis(millis);
        let mut hooks = HooksRestored::default();
        let mut restore = |millis, ifindex| {
            let permitted = hooks.permit(at(millis), ifindex).is_ok();
            if permitted {
                hooks.count_attempt(at(millis), ifindex);
            }
            permitted
        };
        // Another program removes a filter each millisecond, for ten seconds.
        let restored = (0..10_000).filter(|millis| restore(*millis, 3)).count();
        assert_eq!(restored, 8 + 9);
        assert!(restore(10_000, 4), "another interface");
        assert!(!restore(10_001, 3));
        assert!((80_000..80_008).all(|millis| restore(millis, 3)), "after a minute");
        assert!(!restore(80_008, 3));
    }
}
