//! How the daemon was started, as far as the state tells of it.

use std::path::PathBuf;

use crate::datapath::DataPathKind;

/// The `setup` part of the state document.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where its own files are.
    pub run_dir: PathBuf,
    /// Pid file, as named to the daemon.
    pub pid_file: PathBuf,
    /// Started with `-d`.
    pub daemonized: bool,
    /// What would have been preferred to move the frames, and why it does not.
    pub refused: Vec<(DataPathKind, String)>,
    /// The team is on the system bus (`-D`).
    pub dbus: bool,
    /// It is served over ZeroMQ (`-Z`).
    pub zmq: bool,
}
