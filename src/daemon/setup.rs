//! The options of the start that the state document shows.

use std::path::PathBuf;

use crate::datapath::DataPathKind;

/// The `setup` part of the state document.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Directory of the daemon's files.
    pub run_dir: PathBuf,
    /// Pid file, as given on the command line.
    pub pid_file: PathBuf,
    /// `-d` was given.
    pub daemonized: bool,
    /// Mode of the kernel's team driver for this runner, if it has one.
    pub kernel_mode: Option<&'static str>,
    /// The data paths that were tried before the present one, and why each failed.
    pub refused: Vec<(DataPathKind, String)>,
    /// The team has D-Bus (`-D`).
    pub dbus: bool,
    /// The team has a ZeroMQ socket (`-Z`).
    pub zmq: bool,
}
