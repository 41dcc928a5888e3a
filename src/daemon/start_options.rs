//! The options of a team's start, and the reasons why a start fails.

use std::fmt;
use std::io;
use std::path::PathBuf;

use json_config::{Config, DataPathChoice};

use crate::datapath::DataPathKind;
use crate::errno::strerror;

/// How a team is started; the configuration describes the team itself.
#[derive(Clone, Debug)]
pub struct StartOptions {
    /// Team device.
    pub device: String,
    /// The configuration file, for SIGHUP; `None` for a configuration of the command line.
    pub config_file: Option<PathBuf>,
    /// Whether the configuration file is one of a directory, whose files the daemon reads anew.
    pub in_directory: bool,
    /// Directory of the control socket and of the persisted state.
    pub run_dir: PathBuf,
    /// Shown in the state.
    pub pid_file: PathBuf,
    /// Shown in the state.
    pub daemonized: bool,
    /// Whether the command line names the device, whatever the configuration has.
    pub names_device: bool,
    /// The data path of the command line, whatever the configuration has.
    pub data_path: Option<DataPathChoice>,
    /// Whether a configuration without `probe` has the team send probes by itself.
    pub probes_by_default: bool,
    /// `-o`: use the device if it exists.
    pub take_over: bool,
    /// `-w`: use the device that a daemon of this team left; the daemon deletes it in the end.
    pub warm_start: bool,
    /// `-r`: delete the device first if it exists.
    pub recreate: bool,
    /// `-N`: keep device and ports in the end.
    pub keep_device: bool,
    /// `-L`: directory of the files for a warm restart.
    pub warm_dir: Option<PathBuf>,
    /// `-n`: do not take the configured ports.
    pub no_ports: bool,
    /// `-U`, `-u`: whether to open a control socket.
    pub usock: bool,
    /// `-D`: whether to request a name on the system bus.
    pub dbus: bool,
}

impl StartOptions {
    /// Returns the data paths that a team with this configuration may have.
    pub fn data_path_for(&self, config: &Config) -> DataPathChoice {
        self.data_path.unwrap_or_else(|| config.data_path())
    }
}

/// The start of a team, for the state document and for later changes of the configuration.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How the team was started.
    pub options: StartOptions,
    /// Mode of the kernel's team driver for this runner, if it has one.
    pub kernel_mode: Option<&'static str>,
    /// The data paths that were tried before the present one, and why each failed.
    pub refused: Vec<(DataPathKind, String)>,
    /// The team has D-Bus.
    pub dbus: bool,
}

/// Why a team could not be started: the attempts, innermost first, and the cause.
#[derive(Debug)]
pub struct StartError {
    attempts: Vec<String>,
    cause: io::Error,
}

impl StartError {
    /// Returns an error of one attempt.
    pub(super) fn new(attempt: impl Into<String>, cause: io::Error) -> Self {
        StartError { attempts: vec![attempt.into()], cause }
    }

    /// Adds the attempt of which the others were a part.
    pub(super) fn then(mut self, attempt: &str) -> Self {
        self.attempts.push(attempt.to_owned());
        self
    }

    /// Returns the cause.
    pub fn cause(&self) -> &io::Error {
        &self.cause
    }
}

impl fmt::Display for StartError {
    /// One line for each attempt, then the cause; the lines that teamd prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for attempt in &self.attempts {
            writeln!(f, "{attempt}")?;
        }
        write!(f, "teamd_init() failed.\nFailed: {}", strerror(&self.cause))
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}
