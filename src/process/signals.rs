//! Signals as events of the loop.
//!
//! INT, TERM and QUIT ask the daemon to end; USR1 and USR2 ask it to end and leave the team as it
//! is, as in SONiC's teamd; HUP does nothing, as in teamd; PIPE is ignored. Everything else acts as the system has it by default, whatever the parent had set.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::sys::process::{Disposition, set_disposition};

/// What signals asked for; of several the greatest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// To end and leave device and ports in place (USR2).
    Leave,
    /// The same, and to note how they were (USR1).
    LeaveNoted,
    /// To end and clear up (INT, TERM, QUIT).
    End,
}

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
            Signal::SIGUSR1,
            Signal::SIGUSR2,
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

    /// Reads all that have come; what they ask for, if anything.
    pub fn asked(&mut self) -> io::Result<Option<Asked>> {
        let mut asked = None;
        while let Some(info) = self.0.read_signal()? {
            let number = i32::try_from(info.ssi_signo).ok();
            asked = asked.max(match number.map(Signal::try_from) {
                Some(Ok(Signal::SIGHUP)) => None,
                Some(Ok(Signal::SIGUSR1)) => Some(Asked::LeaveNoted),
                Some(Ok(Signal::SIGUSR2)) => Some(Asked::Leave),
                _ => Some(Asked::End),
            });
        }
        Ok(asked)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
