//! Going to the background, and telling the waiting parent how the start went.
//!
//! Standard: teamd's `-d`. The parent returns as soon as the daemon reports, and at once when it
//! dies, where teamd waits out its 20 s.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, chdir, dup2_stderr, dup2_stdin, dup2_stdout, pipe2, setsid};

use crate::sys::process::{Disposition, exit_at_once, fork, set_disposition};

/// How long the parent waits, in milliseconds; a daemon that takes longer goes on.
const PATIENCE_MS: u16 = 20_000;

/// What is reported is an error number, 0, or that there is more to do.
const ADVANCED: i32 = -1;

/// Who goes on after the fork.
pub enum Side {
    /// The process that was called; its exit status follows from the verdict.
    Parent(Verdict),
    /// The daemon, which owes its parent a report.
    Daemon(Readiness),
}

/// How the daemon's start went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It runs.
    Ready,
    /// It reported an error and ended.
    Failed(Errno),
    /// No report came: it died, or takes longer than the parent waits.
    Silent(Errno),
}

impl Verdict {
    /// The parent's exit status, after teamd's words on stderr.
    pub fn conclude(self) -> u8 {
        let (sentence, errno) = match self {
            Verdict::Ready => return 0,
            Verdict::Failed(errno) => ("Daemon process failed.", errno),
            Verdict::Silent(errno) => {
                ("Could not receive return value from daemon process.", errno)
            }
        };
        log::error!("{sentence}");
        log::error!("Failed: {}", errno.desc());
        1
    }
}

/// The daemon's side of the pipe. Dropped without a report, the parent learns that it died.
#[must_use]
pub struct Readiness(File);

impl Readiness {
    /// Tells the parent that everything is in place.
    pub fn succeed(mut self) {
        self.report(0);
    }

    /// Tells the parent why it is not.
    pub fn fail(mut self, errno: Errno) {
        self.report(errno as i32);
    }

    /// Tells the parent that the next of several teams has had its turn: it waits as long again.
    pub fn advance(&mut self) {
        self.report(ADVANCED);
    }

    /// A parent that no longer waits is no reason to end.
    fn report(&mut self, number: i32) {
        let _ = self.0.write_all(&number.to_ne_bytes());
    }
}

/// Splits the process: a daemon without terminal, in `/`, with umask 077 and its standard streams
/// on `/dev/null`; and the parent, which returns with the daemon's report.
///
/// To be called while the process has one thread.
pub fn daemonize() -> io::Result<Side> {
    let (report_in, report_out) = pipe2(OFlag::O_CLOEXEC)?;
    io::stdout().flush()?;
    if let ForkResult::Parent { child } = fork()? {
        drop(report_out);
        // Only to leave no zombie; the report tells how it went.
        let _ = waitpid(child, None);
        return Ok(Side::Parent(wait_for_report(report_in)));
    }
    drop(report_in);
    let readiness = Readiness(File::from(report_out));
    // From here on only the report can tell the parent anything.
    match become_daemon() {
        Ok(()) => Ok(Side::Daemon(readiness)),
        Err(e) => {
            readiness.fail(Errno::from_raw(e.raw_os_error().unwrap_or(libc::EINVAL)));
            exit_at_once(1)
        }
    }
}

fn become_daemon() -> io::Result<()> {
    setsid()?;
    // A second generation leads no session, so it can never get a terminal again.
    if fork()?.is_parent() {
        exit_at_once(0);
    }
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    umask(Mode::from_bits_truncate(0o077));
    chdir("/")?;
    for signal in [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU] {
        set_disposition(signal, Disposition::Ignore)?;
    }
    Ok(())
}

fn wait_for_report(pipe: OwnedFd) -> Verdict {
    let mut pipe = File::from(pipe);
    loop {
        let mut waiting = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, PollTimeout::from(PATIENCE_MS)) {
            Ok(0) => return Verdict::Silent(Errno::ETIMEDOUT),
            Ok(_) => {}
            Err(errno) => return Verdict::Silent(errno),
        }
        let mut number = [0; 4];
        match pipe.read_exact(&mut number) {
            Ok(()) => match i32::from_ne_bytes(number) {
                ADVANCED => {}
                0 => return Verdict::Ready,
                number => return Verdict::Failed(Errno::from_raw(number)),
            },
            Err(_) => return Verdict::Silent(Errno::EPIPE),
        }
    }
}
