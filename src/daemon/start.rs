//! The start of one team, in teamd's order: control socket, device, runner, ports, bus name.
//!
//! A step that fails undoes the steps before it. `existing` decides what becomes of a device that
//! exists, `data_path` opens a data path, `leftovers` handles the ports of a former daemon.

mod data_path;
mod existing;
mod leftovers;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::sync::Arc;

use json_config::Config;
use runners::{Burst, Team, TeamSettings};

use self::data_path::Opened;
use super::Daemon;
use super::device_lock::DeviceLock;
use super::recorder::RecordedTeam;
use super::resolver::Resolver;
use super::setup::Setup;
use super::source::{Source, TeamId, TeamSource};
use super::start_options::{StartError, StartOptions};
use super::team::{AdoptedPort, EventSources, ManagedTeam, PortSockets, Tipc};
use super::team_slot::TeamSlot;
use super::transports::Transports;
use super::warm_restart::WarmStart;
use crate::control::dbus::BusAbsence;
use crate::datapath::{Owner, team_driver};
use crate::process::logging;
use crate::process::pidfile::PidFile;

/// teamd's message when there is no device.
const CREATE: &str = "Failed to create team device.";
/// Kind of the relay's team device.
const TAP_KIND: &str = "tun";

impl Daemon {
    /// Starts a team; its ports are in place on return. The team holds `pid_file` until it ends.
    ///
    /// # Errors
    /// The attempts and the cause of the failure; the other teams go on.
    pub fn start(
        &mut self,
        config: Config,
        options: &StartOptions,
        pid_file: PidFile,
    ) -> Result<(), StartError> {
        let _log_scope = logging::scope(&options.device);
        let last = self.teams.keys().next_back();
        let id = last.map_or(TeamId::FIRST, |last| last.next());
        let (mut slot, adopted) = self.create(id, config, options, pid_file)?;
        match self.bring_up(&mut slot, options, &adopted) {
            Ok(ready) => {
                let ready = ready.map(|source| Source::Team(id, source));
                self.ready.extend(ready);
                self.add_team(id, slot);
                Ok(())
            }
            Err(error) => {
                let now = self.now();
                slot.release_ports(&mut self.kernel, now);
                slot.end(&mut self.kernel);
                Err(error)
            }
        }
    }

    /// Creates the control socket, the device and the runner; returns the team, and the ports that
    /// the device has already.
    fn create(
        &mut self,
        id: TeamId,
        mut config: Config,
        options: &StartOptions,
        pid_file: PidFile,
    ) -> Result<(TeamSlot, Vec<AdoptedPort>), StartError> {
        let mut settings = team_settings(&mut config, options)?;
        let device_lock = DeviceLock::acquire(&options.device).map_err(|error| {
            let attempt = format!("Cannot have \"{}\": {error}.", options.device);
            StartError::new(attempt, error.cause())
        })?;
        // A service manager starts the network, and thus the team, before the bus.
        let bus_absence = match self.manager.is_present() {
            true => BusAbsence::Awaited,
            false => BusAbsence::Fatal,
        };
        let transports = Transports::open(options, bus_absence, self.poll.registry(), id)?;
        let existing = self.prepare_device(options)?;
        let adopted_device = existing.as_ref().is_some_and(|existing| !existing.ours);
        let device = existing.map(|existing| existing.device);
        let requirements = data_path::requirements(&settings);
        let opened = self.open_data_path(options, &requirements, device, id.data_path())?;
        if opened.data_path.capabilities().announcements == Owner::DataPath {
            settings.notify_peers = Burst::default();
            settings.mcast_rejoin = Burst::default();
        }
        let core = Team::new(settings, opened.device.hwaddr);
        let origin = u64::try_from(self.started_unix.as_nanos()).unwrap_or(u64::MAX);
        let core = RecordedTeam::new(core, options.device.clone(), origin);
        let Opened {
            data_path,
            refused,
            device,
            adopted,
        } = opened;
        let setup = Setup {
            run_dir: options.run_dir.clone(),
            pid_file: options.pid_file.clone(),
            daemonized: options.daemonized,
            kernel_mode: team_driver::mode(&requirements.policy),
            refused,
            dbus: transports.has_dbus(),
            zmq: options.zmq.is_some(),
        };
        let sources = self.event_sources(id)?;
        let slot = TeamSlot {
            team: ManagedTeam::new(core, config, data_path, device, setup, sources),
            transports,
            summary: String::new(),
            keep_device: options.keep_device,
            warm_dir: options.warm_dir.clone(),
            adopted_device,
            _device_lock: device_lock,
            _pid_file: pid_file,
        };
        Ok((slot, adopted))
    }

    /// Takes the ports and requests the bus name; returns a source to handle next.
    fn bring_up(
        &mut self,
        slot: &mut TeamSlot,
        options: &StartOptions,
        adopted: &[AdoptedPort],
    ) -> Result<Option<TeamSource>, StartError> {
        let now = self.now();
        let kernel = &mut self.kernel;
        let warm = options.warm_dir.as_ref().filter(|_| options.warm_start);
        let warm = warm.map(|directory| WarmStart::read(directory, &options.device, now));
        let mut taken = slot
            .team
            .begin(kernel, now, adopted, warm.unwrap_or_default());
        if !options.no_ports {
            taken = taken.and_then(|()| slot.team.take_configured_ports(kernel, now));
        }
        taken.map_err(|error| StartError::new("Failed to add ports.", error))?;
        slot.transports.announce()
    }

    fn event_sources(&self, id: TeamId) -> Result<EventSources, StartError> {
        let registry = || {
            let registry = self.poll.registry().try_clone();
            registry.map_err(|error| StartError::new("Failed to init event loop.", error))
        };
        let tipc = Source::Team(id, TeamSource::Tipc).token();
        Ok(EventSources {
            port_sockets: PortSockets::new(registry()?, id.port_sockets()),
            tipc: Tipc::new(registry()?, tipc),
            resolver: Resolver::new(Arc::clone(&self.resolved)),
        })
    }
}

fn team_settings(config: &mut Config, options: &StartOptions) -> Result<TeamSettings, StartError> {
    let settings = config.team_settings(seed()).map_err(|problem| {
        let invalid = io::Error::from_raw_os_error(libc::EINVAL);
        StartError::new(problem.message, invalid).then("Failed to init runner.")
    })?;
    Ok(TeamSettings {
        probe: options.probe,
        ..settings
    })
}

/// Returns a seed for the random runner, which others must not be able to predict.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
