//! Signals as events of the loop.
//!
//! INT, TERM and QUIT ask the daemon to end; HUP does nothing, as in teamd; PIPE is ignored.
//! Everything else acts as the system has it by default, whatever the parent had set.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::sys::process::{Disposition, set_disposition};

/// The signals that the loop reads.
pub struct Signals(SignalFd);

/// Puts every signal to its default, PIPE apart, and blocks none. To be called first of all.
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
    /// Takes the signals from now on. To be called while the process has one thread, in the
    /// process that reads them.
    pub fn take() -> io::Result<Self> {
        Signals::take_these(&[
            Signal::SIGINT,
            Signal::SIGTERM,
            Signal::SIGQUIT,
            Signal::SIGHUP,
        ])
    }

    /// Takes only INT and QUIT; for a program that TERM is to end at once.
    pub fn take_interrupts() -> io::Result<Self> {
        Signals::take_these(&[Signal::SIGINT, Signal::SIGQUIT])
    }

    fn take_these(signals: &[Signal]) -> io::Result<Self> {
        let wanted: SigSet = signals.iter().copied().collect();
        wanted.thread_block()?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Signals(SignalFd::with_flags(&wanted, flags)?))
    }

    /// Has the loop told when there are any.
    pub fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(
            &mut SourceFd(&self.0.as_raw_fd()),
            token,
            Interest::READABLE,
        )
    }

    /// Reads all that have come; whether one of them asks the daemon to end.
    pub fn quit_asked(&mut self) -> io::Result<bool> {
        let mut quit = false;
        while let Some(info) = self.0.read_signal()? {
            quit |= i32::try_from(info.ssi_signo) != Ok(Signal::SIGHUP as i32);
        }
        Ok(quit)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
