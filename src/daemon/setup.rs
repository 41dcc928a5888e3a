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
    /// Mode of the kernel's team driver for this runner, if it has one.
    pub kernel_mode: Option<&'static str>,
    /// Data paths that were tried first, and why they cannot be used.
    pub refused: Vec<(DataPathKind, String)>,
    /// The team is on the system bus (`-D`).
    pub dbus: bool,
    /// It is served over ZeroMQ (`-Z`).
    pub zmq: bool,
}
