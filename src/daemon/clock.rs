//! The daemon's clock: zero at its start.

use std::time::Duration;

use runners::Instant;

use crate::sys::clock;

/// A clock that began at [`Instant::ZERO`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: Duration,
    /// Unix time of [`Instant::ZERO`], in nanoseconds.
    pub origin: u64,
}

impl Clock {
    /// Returns a clock that begins now.
    pub fn start() -> Clock {
        let unix_time = clock::unix_time().as_nanos();
        Clock {
            started: clock::monotonic(),
            origin: u64::try_from(unix_time).unwrap_or(u64::MAX),
        }
    }

    /// Returns the time since the start.
    pub fn now(self) -> Instant {
        Instant::ZERO + clock::monotonic().saturating_sub(self.started)
    }
}
