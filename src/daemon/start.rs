//! Bringing one team up, in teamd's order: control socket, device, runner, ports, bus name.
//!
//! A step that fails undoes the ones before it. The choice of the data path is in `data_path`, what
//! an earlier daemon left in `leftovers`.

mod data_path;
mod leftovers;

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use json_config::{Config, DataPathChoice};
use mio::Token;
use runners::{Burst, Team};

use super::Daemon;
use super::device_lock::DeviceLock;
use super::recorder::RecordedTeam;
use super::resolver::Resolver;
use super::setup::Setup;
use super::team::{EventSources, ManagedTeam, PortSockets, Tipc};
use super::team_slot::{CONTROL_FRAME_TOKENS, DATA_PATH_TOKENS, TEAM_TOKENS, TeamSlot};
use super::transports::Transports;
use super::warm_restart::WarmStart;
use crate::control::zmq::Endpoint;
use crate::datapath::{Owner, device, team_driver};
use crate::errno::strerror;
use crate::netlink::link::{self, LinkInfo};
use crate::process::logging;
use crate::process::pidfile::PidFile;

/// teamd's words for a device that could not be had.
const CREATE: &str = "Failed to create team device.";
/// Kind of the team device of the relay.
const TAP_KIND: &str = "tun";

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
    /// The team probes by itself where that is of use.
    pub probe: bool,
    /// `-o`: use the device if it exists.
    pub take_over: bool,
    /// `-w`: use the device that a daemon of this team left; it is ours again.
    pub warm_start: bool,
    /// `-r`: delete the device first if it exists.
    pub recreate: bool,
    /// `-N`: leave device and ports in place at the end.
    pub keep_device: bool,
    /// `-L`: where to note how the team was left.
    pub warm_dir: Option<PathBuf>,
    /// `-n`: leave the configured ports alone.
    pub no_ports: bool,
    /// `-U`, `-u`: whether there is a control socket.
    pub usock: bool,
    /// `-D`: whether to be on the system bus.
    pub dbus: bool,
    /// `-Z`: where to serve ZeroMQ.
    pub zmq: Option<Endpoint>,
}

/// Why a team could not be started: what was attempted, innermost first, and the cause.
#[derive(Debug)]
pub struct StartError {
    attempts: Vec<String>,
    cause: io::Error,
}

impl StartError {
    pub(super) fn new(attempt: impl Into<String>, cause: io::Error) -> Self {
        StartError {
            attempts: vec![attempt.into()],
            cause,
        }
    }

    /// The same, seen from farther out.
    pub(super) fn then(mut self, attempt: &str) -> Self {
        self.attempts.push(attempt.to_owned());
        self
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
    /// Starts a team; when this returns its ports are in place. `pid_file` is kept as long as it
    /// runs.
    ///
    /// # Errors
    /// What was attempted and why it failed; the other teams go on.
    pub fn start(
        &mut self,
        mut config: Config,
        options: &StartOptions,
        pid_file: PidFile,
    ) -> Result<(), StartError> {
        let _log_scope = logging::about(&options.device);
        let block = self.teams.keys().next_back().map_or(1, |last| last + 1);
        let tokens = block * TEAM_TOKENS;
        let mut settings = config.team_settings(seed()).map_err(|problem| {
            let invalid = io::Error::from_raw_os_error(libc::EINVAL);
            StartError {
                attempts: vec![problem.message.clone(), "Failed to init runner.".to_owned()],
                cause: invalid,
            }
        })?;
        let device_lock = DeviceLock::acquire(&options.device).map_err(|error| {
            let attempt = format!("Cannot have \"{}\": {error}.", options.device);
            StartError::new(attempt, error.cause())
        })?;
        settings.probe = options.probe;
        let transports = Transports::open(
            options,
            self.manager.bus_absence(),
            self.poll.registry(),
            Token(tokens),
        )?;
        let existing = self.prepare_device(options)?;
        let adopted_device = existing.as_ref().is_some_and(|existing| !existing.ours);
        let device = existing.map(|existing| existing.device);
        let requirements = data_path::requirements(&settings);
        let opened = self.open_data_path(options, &requirements, device, tokens)?;
        if opened.data_path.capabilities().announcements == Owner::DataPath {
            settings.notify_peers = Burst::default();
            settings.mcast_rejoin = Burst::default();
        }
        let core = Team::new(settings, opened.device.hwaddr);
        let core = RecordedTeam::new(core, options.device.clone(), self.started_unix);
        let setup = Setup {
            run_dir: options.run_dir.clone(),
            pid_file: options.pid_file.clone(),
            daemonized: options.daemonized,
            kernel_mode: team_driver::mode(&requirements.policy),
            refused: opened.refused,
            dbus: transports.has_dbus(),
            zmq: options.zmq.is_some(),
        };
        let registry = || {
            let registry = self.poll.registry().try_clone();
            registry.map_err(|error| StartError::new("Failed to init event loop.", error))
        };
        let tipc_token = tokens + DATA_PATH_TOKENS - 1;
        let control_tokens = tokens + CONTROL_FRAME_TOKENS..tipc_token;
        let senses = EventSources {
            control: PortSockets::new(registry()?, control_tokens),
            tipc: Tipc::new(registry()?, Token(tipc_token)),
            resolver: Resolver::new(Arc::clone(&self.resolved)),
        };
        let team = ManagedTeam::new(core, config, opened.data_path, opened.device, setup, senses);
        let mut slot = TeamSlot {
            team,
            transports,
            keep_device: options.keep_device,
            warm_dir: options.warm_dir.clone(),
            adopted_device,
            _claim: device_lock,
            _pid_file: pid_file,
        };
        let now = self.now();
        let kernel = &mut self.kernel;
        let warm = options.warm_dir.as_ref().filter(|_| options.warm_start);
        let warm = warm.map(|directory| WarmStart::read(directory, &options.device, now));
        let (adopted, warm) = (&opened.adopted, warm.unwrap_or_default());
        let mut taken = slot.team.begin(kernel, now, adopted, warm);
        if !options.no_ports {
            taken = taken.and_then(|()| slot.team.take_configured_ports(kernel, now));
        }
        let announced = taken
            .map_err(|error| StartError::new("Failed to add ports.", error))
            .and_then(|()| slot.transports.announce());
        match announced {
            Ok(token) => self.ready.extend(token),
            Err(error) => {
                slot.release_ports(kernel, now);
                slot.end(kernel);
                return Err(error);
            }
        }
        self.teams.insert(block, Box::new(slot));
        Ok(())
    }

    /// Makes way for the team device, or finds it there to be taken over.
    fn prepare_device(&mut self, options: &StartOptions) -> Result<Option<Existing>, StartError> {
        let refuse = |errno, attempt: String| {
            let cause = io::Error::from_raw_os_error(errno);
            let attempts = vec![attempt, CREATE.to_owned()];
            Err(StartError { attempts, cause })
        };
        let name = &options.device;
        let existing = match link::find(&mut self.kernel.route, name) {
            Ok(existing) => existing,
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(None),
            Err(error) => return Err(StartError::new(CREATE, error)),
        };
        let is_team_device = [TAP_KIND, team_driver::LINK_KIND].contains(&existing.kind.as_str());
        let left = device::is_ours(&mut self.kernel.route, &existing)
            .map_err(|error| StartError::new(CREATE, error))?;
        if left && !options.recreate {
            log::info!("Going on with the device that an earlier daemon left.");
            return Ok(Some(Existing {
                device: existing,
                ours: true,
            }));
        }
        let take_over = options.take_over || options.warm_start;
        if !take_over && !options.recreate {
            let advice = format!("\"{name}\" exists: -o takes it over, -r makes it anew.");
            return refuse(libc::EEXIST, advice);
        }
        if !is_team_device && !left {
            let advice = format!("\"{name}\" exists and is no team device; it is left alone.");
            return refuse(libc::EINVAL, advice);
        }
        if take_over {
            return Ok(Some(Existing {
                device: existing,
                ours: options.warm_start,
            }));
        }
        link::delete(&mut self.kernel.route, existing.ifindex)
            .map_err(|error| StartError::new("Failed to delete the old team device.", error))?;
        Ok(None)
    }
}

/// A device that was there before.
struct Existing {
    device: LinkInfo,
    /// A daemon of this team that is gone has left it; what `-o` takes over otherwise is not ours
    /// to delete.
    ours: bool,
}

/// A start for the random runner: nobody must guess it, nothing depends on it.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
