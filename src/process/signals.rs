//! Signals as events of the loop.
//!
//! INT, TERM and QUIT end the daemon and its teams; USR1 and USR2 end the daemon only, as in SONiC's
//! teamd. At HUP the daemon reads its configuration files anew (teamd ignores HUP). PIPE is ignored.
//! Every other signal has the system's default effect, whatever the parent process set.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::sys::process::{Disposition, set_disposition};

/// How the daemon is to end; after several signals the greatest value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Keep device and ports in place (USR2).
    Keep,
    /// Write the files for a warm restart, and keep device and ports in place (USR1).
    SaveAndKeep,
    /// Release ports and delete the device (INT, TERM, QUIT).
    TearDown,
}

/// The requests of all signals that were read together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Way to end; `None` if no signal ends the daemon.
    pub stop: Option<Stop>,
    /// Whether to read the configuration anew.
    pub reload: bool,
}

/// The signals that the loop reads.
pub struct Signals(SignalFd);

/// Gives every signal its default effect, ignores PIPE, and blocks none. Call this first of all.
pub fn reset() -> io::Result<()> {
    for signal in Signal::iterator() {
        match signal {
            Signal::SIGKILL | Signal::SIGSTOP => {}
            Signal::SIGPIPE => set_disposition(signal, Disposition::Ignore)?,
            _ => set_disposition(signal, Disposition::Default)?,
        }
    }
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

impl Signals {
    /// Blocks the signals and opens a descriptor that reads them. Call this in the process that
    /// reads them, while it has one thread.
    pub fn take() -> io::Result<Self> {
        Signals::take_set(&[
            Signal::SIGINT,
            Signal::SIGTERM,
            Signal::SIGQUIT,
            Signal::SIGHUP,
            Signal::SIGUSR1,
            Signal::SIGUSR2,
        ])
    }

    /// As [`take`](Self::take), for INT and QUIT only: for a program that TERM ends at once.
    pub fn take_interrupts() -> io::Result<Self> {
        Signals::take_set(&[Signal::SIGINT, Signal::SIGQUIT])
    }

    /// As [`take`](Self::take), for the signals that end a program at a terminal: INT, TERM, QUIT,
    /// HUP.
    pub fn take_endings() -> io::Result<Self> {
        Signals::take_set(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGQUIT, Signal::SIGHUP])
    }

    fn take_set(signals: &[Signal]) -> io::Result<Self> {
        let set: SigSet = signals.iter().copied().collect();
        set.thread_block()?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Signals(SignalFd::with_flags(&set, flags)?))
    }

    /// Registers the descriptor with the loop.
    pub fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.0.as_raw_fd()), token, Interest::READABLE)
    }

    /// Reads all pending signals.
    pub fn read(&mut self) -> io::Result<Requests> {
        let mut requests = Requests::default();
        while let Some(info) = self.0.read_signal()? {
            let number = i32::try_from(info.ssi_signo).ok();
            requests.stop = requests.stop.max(match number.map(Signal::try_from) {
                Some(Ok(Signal::SIGHUP)) => {
                    requests.reload = true;
                    None
                }
                Some(Ok(Signal::SIGUSR1)) => Some(Stop::SaveAndKeep),
                Some(Ok(Signal::SIGUSR2)) => Some(Stop::Keep),
                _ => Some(Stop::TearDown),
            });
        }
        Ok(requests)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
