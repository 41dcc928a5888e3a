//! Bringing one team up, in teamd's order: control socket, device, runner, ports.
//!
//! A step that fails undoes the ones before it.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::PathBuf;

use json_config::{Config, DataPathChoice};
use mio::Token;
use runners::Team;

use super::kernel::Kernel;
use super::setup::Setup;
use super::team::{ManagedTeam, restore};
use super::{DATA_PATH_TOKENS, Daemon, Served, TEAM_TOKENS};
use crate::control::UsockServer;
use crate::datapath::userspace::{Journal, TapOptions, Userspace};
use crate::errno::strerror;
use crate::netlink::{link, tc};

/// How a team is to be started; the configuration says what it is.
#[derive(Clone, Debug)]
pub struct StartOptions {
    /// Team device.
    pub device: String,
    /// Where the control socket and the record of the ports are.
    pub run_dir: PathBuf,
    /// Shown in the state.
    pub pid_file: PathBuf,
    /// Shown in the state.
    pub daemonized: bool,
    /// What shall move the frames.
    pub data_path: DataPathChoice,
    /// `-o`: use the device if it exists.
    pub take_over: bool,
    /// `-r`: delete the device first if it exists.
    pub recreate: bool,
    /// `-N`: leave device and ports in place at the end.
    pub keep_device: bool,
    /// `-n`: leave the configured ports alone.
    pub no_ports: bool,
    /// `-U`, `-u`: whether there is a control socket.
    pub usock: bool,
}

/// Why a team could not be started: what was attempted, innermost first, and the cause.
#[derive(Debug)]
pub struct StartError {
    attempts: Vec<String>,
    cause: io::Error,
}

impl StartError {
    fn new(attempt: impl Into<String>, cause: io::Error) -> Self {
        StartError {
            attempts: vec![attempt.into()],
            cause,
        }
    }

    /// The cause.
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

impl Daemon {
    /// Starts a team; when this returns its ports are in place.
    pub fn start(&mut self, mut config: Config, options: &StartOptions) -> Result<(), StartError> {
        let block = self.teams.keys().next_back().map_or(1, |last| last + 1);
        let tokens = block * TEAM_TOKENS;
        let settings = config.team_settings(seed()).map_err(|problem| {
            let invalid = io::Error::from_raw_os_error(libc::EINVAL);
            StartError {
                attempts: vec![problem.message.clone(), "Failed to init runner.".to_owned()],
                cause: invalid,
            }
        })?;
        let path = options.run_dir.join(format!("{}.sock", options.device));
        let usock = options
            .usock
            .then(|| UsockServer::bind(&path, self.poll.registry(), Token(tokens)))
            .transpose()
            .map_err(|error| StartError::new("Failed to init unix domain socket.", error))?;
        let taken_over = self.prepare_device(options)?;
        let data_path = self.open_data_path(options, taken_over, tokens)?;
        let device = link::find(&mut self.kernel.route, &options.device)
            .map_err(|error| StartError::new("Failed to read the team device.", error))?;
        let core = Team::new(settings, device.hwaddr);
        let setup = Setup {
            pid_file: options.pid_file.clone(),
            daemonized: options.daemonized,
            data_path: "userspace",
        };
        let mut team = ManagedTeam::new(core, config, Box::new(data_path), device, setup);
        let now = self.now();
        team.begin(&mut self.kernel, now);
        let mut served = Served {
            team,
            usock,
            keep_device: options.keep_device,
            taken_over,
        };
        if !options.no_ports {
            let taken = served.team.take_configured_ports(&mut self.kernel, now);
            if let Err(error) = taken {
                served.team.release_all(&mut self.kernel, now);
                served.end(&mut self.kernel);
                return Err(StartError::new("Failed to add ports.", error));
            }
        }
        self.teams.insert(block, served);
        Ok(())
    }

    /// Makes way for the team device, or finds it there to be taken over, and says which.
    fn prepare_device(&mut self, options: &StartOptions) -> Result<bool, StartError> {
        let refuse = |errno, attempt: String| {
            let cause = io::Error::from_raw_os_error(errno);
            let attempts = vec![attempt, "Failed to create team device.".to_owned()];
            Err(StartError { attempts, cause })
        };
        let name = &options.device;
        let existing = match link::find(&mut self.kernel.route, name) {
            Ok(existing) => existing,
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(false),
            Err(error) => return Err(StartError::new("Failed to create team device.", error)),
        };
        if !options.take_over && !options.recreate {
            let advice = format!("\"{name}\" exists: -o takes it over, -r makes it anew.");
            return refuse(libc::EEXIST, advice);
        }
        if existing.kind != "tun" {
            let advice = format!("\"{name}\" exists and is no team device; it is left alone.");
            return refuse(libc::EINVAL, advice);
        }
        if options.take_over {
            return Ok(true);
        }
        link::delete(&mut self.kernel.route, existing.ifindex)
            .map_err(|error| StartError::new("Failed to delete the old team device.", error))?;
        Ok(false)
    }

    fn open_data_path(
        &mut self,
        options: &StartOptions,
        taken_over: bool,
        tokens: usize,
    ) -> Result<Userspace, StartError> {
        if options.data_path == DataPathChoice::Kernel {
            let unsupported = io::Error::from_raw_os_error(libc::EOPNOTSUPP);
            let advice = "The kernel's team driver is not driven by this version; \
                          use data_path \"auto\" or \"userspace\".";
            return Err(StartError::new(advice, unsupported));
        }
        let path = options.run_dir.join(format!("{}.ports", options.device));
        let mut journal = Journal::open(path);
        give_back_leftovers(&mut self.kernel, &mut journal)
            .map_err(|error| StartError::new("Failed to forget old ports.", error))?;
        let tap = TapOptions {
            name: options.device.clone(),
            persist: options.keep_device,
            take_over: taken_over,
        };
        let first = tokens + DATA_PATH_TOKENS;
        self.poll
            .registry()
            .try_clone()
            .and_then(|registry| {
                Userspace::create(registry, first..tokens + TEAM_TOKENS, &tap, journal)
            })
            .map_err(|error| StartError::new("Failed to create team device.", error))
    }
}

/// Gives back what a daemon that ended without notice had taken.
fn give_back_leftovers(kernel: &mut Kernel, journal: &mut Journal) -> io::Result<()> {
    for found in journal.ports().to_vec() {
        // The index may stand for another interface by now.
        let same = link::fetch(&mut kernel.route, found.ifindex)
            .is_ok_and(|interface| interface.name == found.name);
        if same {
            log::warn!(
                "{}: giving back the port of a daemon that is gone.",
                found.name
            );
            restore(kernel, &found);
            if let Err(error) = tc::unblock_host(&mut kernel.route, found.ifindex) {
                log::warn!(
                    "{}: Failed to remove filters ({}).",
                    found.name,
                    strerror(&error)
                );
            }
        }
        journal.forget(found.ifindex)?;
    }
    Ok(())
}

/// A start for the random runner: nobody must guess it, nothing depends on it.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
