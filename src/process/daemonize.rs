//! The fork into the background, and the daemon's report to the waiting parent.
//!
//! Standard: teamd's `-d`. The parent returns as soon as the daemon reports or dies; teamd's parent
//! waits 20 s for a daemon that died.

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

/// Milliseconds that the parent waits; a daemon that takes longer goes on.
const TIMEOUT_MS: u16 = 20_000;

/// A report is an error number with the causes as text, 0 for success, or one of these numbers: one
/// step of several is done, or the daemon runs without some of its teams.
const ADVANCED: i32 = -1;
const PARTLY: i32 = -2;

/// The process after the fork.
pub enum Side {
    /// The process that the user started; the verdict has its exit status.
    Parent(Verdict),
    /// The daemon, which must report to the parent.
    Daemon(Readiness),
}

/// Bytes of the longest text of causes that the parent reads.
const LONGEST_CAUSES: u64 = 1 << 14;

/// How the daemon's start went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The daemon runs.
    Ready,
    /// The daemon runs without some of its teams.
    Partly,
    /// The daemon reported an error with these lines about the causes, and ended.
    Failed(Errno, String),
    /// No report came: the daemon died, or takes longer than the parent waits.
    Silent(Errno),
}

impl Verdict {
    /// Returns the parent's exit status; writes the causes and teamd's message on stderr.
    pub fn conclude(self) -> u8 {
        let silent = "Could not receive return value from daemon process.";
        let (sentence, errno) = match self {
            Verdict::Ready | Verdict::Partly => return 0,
            Verdict::Failed(errno, causes) => {
                causes.lines().for_each(|cause| log::error!("{cause}"));
                ("Daemon process failed.", errno)
            }
            Verdict::Silent(errno) => (silent, errno),
        };
        log::error!("{sentence}");
        log::error!("Failed: {}", errno.desc());
        1
    }
}

/// The daemon's end of the pipe. After a drop without a report the parent takes the daemon for dead.
#[must_use]
pub struct Readiness(File);

impl Readiness {
    /// Reports that the daemon runs.
    pub fn succeed(mut self) {
        self.report(0);
    }

    /// Reports that the daemon runs without some of its teams.
    pub fn succeed_partly(mut self) {
        self.report(PARTLY);
    }

    /// Reports why the daemon failed: an error number, and lines for the user.
    pub fn fail(mut self, errno: Errno, causes: &str) {
        self.report(errno as i32);
        let _ = self.0.write_all(causes.as_bytes());
    }

    /// Reports one step of several: the parent waits as long again.
    pub fn advance(&mut self) {
        self.report(ADVANCED);
    }

    /// Writes a report; a parent that no longer waits does not matter.
    fn report(&mut self, number: i32) {
        let _ = self.0.write_all(&number.to_ne_bytes());
    }
}

/// Forks a daemon without terminal, in `/`, with umask 077 and its standard streams on `/dev/null`.
/// Returns in the daemon, and in the parent after the daemon's report.
///
/// Call this while the process has one thread.
pub fn daemonize() -> io::Result<Side> {
    let (report_in, report_out) = pipe2(OFlag::O_CLOEXEC)?;
    io::stdout().flush()?;
    if let ForkResult::Parent { child } = fork()? {
        drop(report_out);
        // Waiting avoids a zombie; the report has the outcome.
        let _ = waitpid(child, None);
        return Ok(Side::Parent(wait_for_report(report_in)));
    }
    drop(report_in);
    let readiness = Readiness(File::from(report_out));
    // From here on the parent learns of an error only by the report.
    match become_daemon() {
        Ok(()) => Ok(Side::Daemon(readiness)),
        Err(e) => {
            readiness.fail(Errno::from_raw(e.raw_os_error().unwrap_or(libc::EINVAL)), "");
            exit_at_once(1)
        }
    }
}

fn become_daemon() -> io::Result<()> {
    setsid()?;
    // After a second fork the process leads no session, so it cannot get a terminal.
    if fork()?.is_parent() {
        exit_at_once(0);
    }
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
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
        match poll(&mut waiting, PollTimeout::from(TIMEOUT_MS)) {
            Ok(0) => return Verdict::Silent(Errno::ETIMEDOUT),
            Ok(_) => {}
            Err(errno) => return Verdict::Silent(errno),
        }
        let mut number = [0; 4];
        if pipe.read_exact(&mut number).is_err() {
            return Verdict::Silent(Errno::EPIPE);
        }
        match i32::from_ne_bytes(number) {
            ADVANCED => {}
            PARTLY => return Verdict::Partly,
            0 => return Verdict::Ready,
            number => {
                let mut causes = Vec::new();
                let _ = pipe.take(LONGEST_CAUSES).read_to_end(&mut causes);
                let causes = String::from_utf8_lossy(&causes).into_owned();
                return Verdict::Failed(Errno::from_raw(number), causes);
            }
        }
    }
}
