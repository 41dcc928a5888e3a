//! A program in the background, with its output in a log that a failure prints.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::wait_for;

/// A running program; killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` with its output in a new log in `folder`.
    pub fn start(name: &str, folder: &Path, mut command: Command) -> Process {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let base = name.replace('/', "_");
        let log = folder.join(format!("{base}-{number}.log"));
        let file = File::create(&log).expect("make a log file");
        let also = file.try_clone().expect("share a log file");
        let child = command
            .stdout(file)
            .stderr(also)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: start {command:?}: {error}"));
        Process { name: name.to_owned(), child, log, ended: None }
    }

    /// Returns the pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the output so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Returns the exit status; `None` while the program runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("reap a child");
        }
        self.ended
    }

    /// Sends a signal.
    pub fn signal(&mut self, signal: Signal) {
        // The kernel may have given the pid of a reaped process to another process.
        if self.ended().is_none() {
            let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a pid"));
            kill(pid, signal).unwrap_or_else(|error| panic!("{}: {signal}: {error}", self.name));
        }
    }

    /// Waits for the end of the program.
    pub fn wait(&mut self) -> ExitStatus {
        let what = format!("{} to end", self.name);
        wait_for(&what, || self.ended())
    }

    /// Sends SIGTERM and waits for the end of the program.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// Kills the program, without cleanup.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        let status = self.wait();
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "{} ended before", self.name);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            eprintln!("---- log of {}\n{}----", self.name, self.log());
        }
    }
}
