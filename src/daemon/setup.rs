//! How the daemon was started, as far as the state tells of it.

use std::path::PathBuf;

/// The `setup` part of the state document.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Pid file, as named to the daemon.
    pub pid_file: PathBuf,
    /// Started with `-d`.
    pub daemonized: bool,
    /// What moves the frames: `kernel` or `userspace`.
    pub data_path: &'static str,
    /// The team is on the system bus (`-D`).
    pub dbus: bool,
    /// It is served over ZeroMQ (`-Z`).
    pub zmq: bool,
}
