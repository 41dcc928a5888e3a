//! The start of one team, in teamd's order: control socket, device, runner, ports, bus name.
//!
//! A step that fails undoes the steps before it. `existing` decides what becomes of a device that
//! exists, `data_path` opens a data path, `leftovers` handles the ports of a former daemon.

mod data_path;
mod existing;
mod left_team;
mod leftovers;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;

use json_config::Config;
use runners::{HwAddr, Team, TeamSettings};

use self::data_path::Opened;
use self::existing::Existing;
pub use self::left_team::left_team;
use self::leftovers::{give_back_orphans, settle_leftovers};
use super::Daemon;
use super::device_lock::DeviceLock;
use super::recorder::RecordedTeam;
use super::requirements::requirements;
use super::source::{Source, TeamId, TeamSource};
use super::start_options::{Setup, StartError, StartOptions};
use super::team::{
    AdoptedPort, EventSources, ManagedTeam, PortSockets, Tipc, Trial, after_trial, core_settings,
    digest,
};
use super::team_slot::{self, TeamSlot};
use super::transports::Transports;
use super::warm_restart::WarmStart;
use crate::control::dbus::BusStart;
use crate::datapath::{Requirements, team_driver};
use crate::errno::strerror;
use crate::netlink::link;
use crate::process::logging;
use crate::process::pidfile::PidFile;

/// A team before its ports are taken.
struct Created {
    slot: TeamSlot,
    /// Ports that the device has already.
    adopted: Vec<AdoptedPort>,
    device: DeviceOrigin,
    /// The trial that the former daemon did not end.
    trial: Option<Trial>,
}

/// Origin of the device of a team that starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeviceOrigin {
    /// The start creates the device.
    Created,
    /// The device existed before the start.
    Existing,
}

/// teamd's message when there is no device.
const CREATE: &str = "Failed to create team device.";

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
        let Created { mut slot, adopted, device, trial } =
            self.create(id, config, options, pid_file)?;
        match self.bring_up(&mut slot, options, &adopted, trial.map(|trial| (trial, device))) {
            Ok(ready) => {
                let ready = ready.map(|source| Source::Team(id, source));
                self.ready.extend(ready);
                self.add_team(id, slot);
                Ok(())
            }
            Err(error) => {
                let now = self.now();
                // The team of the former daemon still works.
                slot.keep_device |= device == DeviceOrigin::Existing;
                team_slot::end(&mut self.kernel, now, [Box::new(slot)]);
                Err(error)
            }
        }
    }

    /// Creates the control socket, the device and the runner.
    fn create(
        &mut self,
        id: TeamId,
        config: Config,
        options: &StartOptions,
        pid_file: PidFile,
    ) -> Result<Created, StartError> {
        let device_lock =
            DeviceLock::acquire_for_daemon(&options.device, |pause| self.serve_partners(pause))?;
        let digest = digest(&config);
        let (mut config, trial) = after_trial(&options.run_dir, &options.device, config);
        let settings = team_settings(&mut config, options)?;
        let bus_start = match (options.in_directory, self.manager.is_present()) {
            // The start must not wait, because other teams run.
            (true, _) => BusStart::Later,
            // A service manager starts the network, and thus the team, before the bus.
            (false, true) => BusStart::WhenPresent,
            (false, false) => BusStart::Required,
        };
        let transports = Transports::open(options, bus_start, &self.registry, id)?;
        let existing = self.prepare_device(options)?;
        // The first team's start looks for the ports of all.
        if self.teams.is_empty() {
            give_back_orphans(&mut self.kernel, &options.run_dir, &options.device);
        }
        let adopted_device = existing.as_ref().is_some_and(|existing| !existing.ours);
        let device_before = match existing {
            Some(_) => DeviceOrigin::Existing,
            None => DeviceOrigin::Created,
        };
        let requirements = requirements(&settings);
        let hwaddr = self.first_hwaddr(&config, &settings, options);
        let data_path = Some(options.data_path_for(&config));
        let choice = StartOptions { data_path, ..options.clone() };
        let opened = match self.open_existing(&choice, &requirements, existing.clone(), hwaddr, id)
        {
            Err(error) if trial.is_some() && error.cause().raw_os_error() == Some(libc::EBUSY) => {
                self.free_ports(existing.as_ref());
                self.open_existing(&choice, &requirements, existing, hwaddr, id)?
            }
            opened => opened?,
        };
        let settings = core_settings(settings, &opened.data_path.capabilities());
        let core = Team::new(settings, opened.hwaddr);
        let origin = u64::try_from(self.started_unix.as_nanos()).unwrap_or(u64::MAX);
        let core = RecordedTeam::new(core, options.device.clone(), origin, &self.recordings);
        let Opened { data_path, refused, device, adopted, .. } = opened;
        let setup = Setup {
            options: options.clone(),
            kernel_mode: team_driver::mode(&requirements.policy),
            refused,
            dbus: transports.has_dbus(),
        };
        let sources = self.event_sources(id);
        let slot = TeamSlot {
            team: ManagedTeam::new(core, (config, digest), data_path, device, setup, sources),
            transports,
            summary: String::new(),
            keep_device: options.keep_device,
            adopted_device,
            _device_lock: device_lock,
            _pid_file: pid_file,
        };
        Ok(Created { slot, adopted, device: device_before, trial })
    }

    /// Takes the ports and requests the bus name; returns a source to handle next. After a trial the
    /// start succeeds without the ports of the former configuration.
    fn bring_up(
        &mut self,
        slot: &mut TeamSlot,
        options: &StartOptions,
        adopted: &[AdoptedPort],
        trial: Option<(Trial, DeviceOrigin)>,
    ) -> Result<Option<TeamSource>, StartError> {
        let now = self.now();
        let kernel = &mut self.kernel;
        let warm = options.warm_dir.as_ref().filter(|_| options.warm_start);
        let warm = warm.map(|directory| WarmStart::read(directory, &options.device, now));
        let mut taken = slot.team.begin(kernel, now, adopted, warm.unwrap_or_default());
        match trial {
            Some((trial, device)) if taken.is_ok() => {
                if device == DeviceOrigin::Existing {
                    slot.team.return_hwaddr(kernel, now, &trial);
                }
                slot.team.resume_return(kernel, now, trial);
            }
            _ if options.no_ports => {}
            _ => taken = taken.and_then(|()| slot.team.take_configured_ports(kernel, now)),
        }
        taken.map_err(|error| StartError::new("Failed to add ports.", error))?;
        slot.team.begin_following(kernel, now);
        let ready = slot.transports.announce(self.signals.as_fd())?;
        // The file has another configuration than the ones that were on trial.
        if !slot.team.has_trial() {
            slot.team.forget_trial();
        }
        Ok(ready)
    }

    /// Opens a data path with the existing device. A device of an earlier daemon of the team that
    /// cannot serve the present configuration is deleted, and another one created.
    fn open_existing(
        &mut self,
        options: &StartOptions,
        requirements: &Requirements,
        existing: Option<Existing>,
        hwaddr: HwAddr,
        id: TeamId,
    ) -> Result<Opened, StartError> {
        let ours = existing.as_ref().filter(|existing| existing.ours);
        let ours = ours.map(|existing| existing.device.ifindex);
        let device = existing.map(|existing| existing.device);
        let opened = self.open_data_path(options, requirements, device, hwaddr, id.data_path());
        let (error, ifindex) = match (opened, ours) {
            (Err(error), Some(ifindex)) => (error, ifindex),
            (opened, _) => return opened,
        };
        log::warn!("Making the device of the earlier daemon anew: {}.", strerror(error.cause()));
        settle_leftovers(&mut self.kernel, options, false)?;
        link::delete(&mut self.kernel.route, ifindex)
            .map_err(|error| StartError::new("Failed to delete the old team device.", error))?;
        self.open_data_path(options, requirements, None, hwaddr, id.data_path())
    }

    /// Releases the ports of a device of the kernel's driver that has the mode of a trial: the driver
    /// changes its mode only while it has no ports.
    fn free_ports(&mut self, existing: Option<&Existing>) {
        let device = existing.map(|existing| existing.device.ifindex);
        let links = link::all(&mut self.kernel.route).unwrap_or_default();
        for port in links.iter().filter(|link| link.master.is_some() && link.master == device) {
            if let Err(error) = link::clear_master(&mut self.kernel.route, port.ifindex) {
                log::warn!("{}: Failed to release the port ({}).", port.name, strerror(&error));
            }
        }
    }

    /// Returns the address that a team device is created with: the configured one, or that of the
    /// first configured port, as the team will have it; else a random one. A device without it would
    /// have a random address of the kernel, which udev replaces (`MACAddressPolicy=persistent`).
    fn first_hwaddr(
        &mut self,
        config: &Config,
        settings: &TeamSettings,
        options: &StartOptions,
    ) -> HwAddr {
        let route = &mut self.kernel.route;
        let mut ports = config.port_names().filter(|_| !options.no_ports);
        let configured = settings.hwaddr.filter(is_interface_hwaddr);
        let first = || {
            let port = ports.find_map(|port| link::find(route, port).ok());
            port.map(|port| port.hwaddr).filter(is_interface_hwaddr)
        };
        configured.or_else(first).unwrap_or_else(random_hwaddr)
    }

    fn event_sources(&self, id: TeamId) -> EventSources {
        let registry = || Rc::clone(&self.registry);
        let tipc = Source::Team(id, TeamSource::Tipc).token();
        EventSources {
            port_sockets: PortSockets::new(registry(), id.port_sockets()),
            tipc: Tipc::new(registry(), tipc),
            resolver: self.resolved.resolver(id),
        }
    }
}

fn team_settings(config: &mut Config, options: &StartOptions) -> Result<TeamSettings, StartError> {
    let settings = config.team_settings(seed()).map_err(|problem| {
        let invalid = io::Error::from_raw_os_error(libc::EINVAL);
        StartError::new(problem.message, invalid).then("Failed to init runner.")
    })?;
    let probe = config.probe().unwrap_or(options.probes_by_default);
    Ok(settings.with_probe(probe))
}

/// Returns whether an interface may have the address.
fn is_interface_hwaddr(hwaddr: &HwAddr) -> bool {
    hwaddr.0[0] & 1 == 0 && *hwaddr != HwAddr::default()
}

/// Returns a random locally administered unicast address.
fn random_hwaddr() -> HwAddr {
    let [first, b, c, d, e, f, ..] = seed().to_ne_bytes();
    HwAddr([first & !1 | 2, b, c, d, e, f])
}

/// Returns a number that others cannot predict, for the random runner and for addresses.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
