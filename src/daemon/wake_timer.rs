//! The timer that wakes the loop at the next deadline.
//!
//! The timeout of poll(2) stands still while the machine is suspended, but the timers of a partner
//! run. The timer is therefore on the clock of [`clock::boottime`]: after a suspend the loop handles
//! overdue deadlines at once.
//!
//! [`clock::boottime`]: crate::sys::clock::boottime

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// A timer on the clock of `boottime`.
pub(super) struct WakeTimer {
    timer: TimerFd,
    /// The time that the timer is set to.
    set_to: Option<Duration>,
}

impl WakeTimer {
    /// Opens and registers a timer that is not set.
    pub fn open(registry: &Registry, token: Token) -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?;
        let fd = timer.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&fd), token, Interest::READABLE)?;
        Ok(WakeTimer { timer, set_to: None })
    }

    /// Wakes the loop at `time`, and no longer at the time of an earlier call. Setting the timer makes
    /// the descriptor unreadable, so nobody reads it.
    pub fn set(&mut self, time: Duration) -> io::Result<()> {
        if self.set_to != Some(time) {
            let at = Expiration::OneShot(TimeSpec::from_duration(time));
            self.set_to = None;
            self.timer.set(at, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            self.set_to = Some(time);
        }
        Ok(())
    }
}
