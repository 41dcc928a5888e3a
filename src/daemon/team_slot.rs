//! A team in the loop, with its transports and locks: how its sources are handled and how it ends.

use runners::Instant;

use super::device_lock::DeviceLock;
use super::kernel::Kernel;
use super::source::TeamSource;
use super::team::ManagedTeam;
use super::team_api::TeamApi;
use super::transports::Transports;
use super::warm_restart::PortsAtStop;
use crate::datapath::{DeviceAtEnd, Drained, Owner};
use crate::errno::strerror;
use crate::netlink::{link, tc};
use crate::process::logging::{self, LogScope};
use crate::process::pidfile::PidFile;
use crate::process::signals::Stop;

/// Frames moved for one source before the others have their turn.
const FRAME_BUDGET: usize = 64;
/// Control frames handled for one source before the others have their turn: each may change the
/// forwarding, which takes longer than moving a frame, and timers are due meanwhile.
const CONTROL_BUDGET: usize = 1;

/// A team of the loop.
pub(super) struct TeamSlot {
    pub(super) team: ManagedTeam,
    pub(super) transports: Transports,
    /// The team's part of the service manager's status, as read last.
    pub(super) summary: String,
    /// Keep the device when the daemon ends (`-N`).
    pub(super) keep_device: bool,
    /// The device existed before the daemon (`-o`), which must not delete it.
    pub(super) adopted_device: bool,
    /// Locks, released last.
    pub(super) _device_lock: DeviceLock,
    pub(super) _pid_file: PidFile,
}

impl TeamSlot {
    /// Puts the team's name before log messages until the scope is dropped.
    pub(super) fn log_scope(&self) -> LogScope {
        logging::scope(&self.team.device.name)
    }

    /// Returns when to call [`deadline_reached`](Self::deadline_reached).
    pub(super) fn deadline(&self) -> Option<Instant> {
        let deadlines = [self.team.deadline(), self.transports.deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Does what is due at `now`.
    pub(super) fn deadline_reached(&mut self, kernel: &mut Kernel, now: Instant) {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if is_due(self.team.deadline()) {
            self.team.deadline_reached(kernel, now);
        }
        if is_due(self.transports.deadline()) {
            self.transports.deadline_reached(now);
        }
    }

    /// Handles a ready source once; returns whether there is more to read.
    pub(super) fn handle_source(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        source: TeamSource,
    ) -> Drained {
        let team = &mut self.team;
        let (what, drained) = match source {
            TeamSource::PortSocket(token) => {
                let drained = team.receive(kernel, token, CONTROL_BUDGET, now);
                ("receive control frames", drained)
            }
            TeamSource::DataPath(token) => {
                let drained = team.drain(kernel, token, FRAME_BUDGET, now);
                ("move frames", drained)
            }
            TeamSource::Tipc => {
                team.read_tipc(kernel, now);
                return Drained::Empty;
            }
            TeamSource::Usock(_) | TeamSource::Dbus => {
                let api = &mut TeamApi { team, kernel, now };
                return self.transports.handle_source(source, now, api);
            }
        };
        drained.unwrap_or_else(|error| {
            log::warn!("Failed to {what} ({}).", strerror(&error));
            Drained::Empty
        })
    }

    /// Makes the summary anew if the team handled an event; returns whether it differs.
    pub(super) fn update_summary(&mut self) -> bool {
        if !self.team.core.take_changed() {
            return false;
        }
        let before = std::mem::replace(&mut self.summary, self.team.summary());
        before != self.summary
    }

    /// Keeps no device at the end of the team: the device is gone, and its ports are given back.
    pub(super) fn device_gone(&mut self) {
        (self.keep_device, self.adopted_device) = (false, false);
    }

    /// Decides whether the device stays, and writes the files for a warm restart.
    pub(super) fn prepare_end(&mut self, kernel: &mut Kernel, now: Instant, stop: Stop) {
        // The device's event may wait behind the signal.
        let device = link::fetch(&mut kernel.route, self.team.device.ifindex);
        let is_gone = device.is_err_and(|error| error.raw_os_error() == Some(libc::ENODEV));
        // The relay moves no frames without the daemon: for a partner the ports are gone.
        let stays = self.team.data_path.capabilities().outlives_daemon && !is_gone;
        let ports = match stop {
            Stop::Keep | Stop::SaveAndKeep if stays => PortsAtStop::InPlace,
            _ => PortsAtStop::Detached,
        };
        self.keep_device |= stop != Stop::TearDown;
        if is_gone {
            self.device_gone();
        }
        if stop == Stop::TearDown {
            self.team.end_following(kernel);
        }
        if self.keep_device {
            self.team.leave_in_place(kernel, now);
        }
        let directory = self.team.setup.options.warm_dir.as_ref();
        let Some(directory) = directory.filter(|_| stop != Stop::Keep) else {
            return;
        };
        if let Err(error) = self.team.save_for_warm_restart(now, directory, ports) {
            let (place, why) = (directory.display(), strerror(&error));
            log::warn!("Failed to write the files for a warm restart to {place} ({why}).");
        }
    }

    /// Releases the ports and removes the data path's programs, unless the device stays.
    pub(super) fn release_ports(&mut self, kernel: &mut Kernel, now: Instant) {
        if self.keep_device {
            return;
        }
        self.team.send_last_pdus(kernel, now);
        // A data path that cares for its ports releases them with a device that is deleted.
        let ports = self.team.data_path.capabilities().ports;
        if self.adopted_device || ports == Owner::Daemon {
            self.team.release_all(kernel, now);
        }
        let device = match self.adopted_device {
            true => DeviceAtEnd::Stays,
            false => DeviceAtEnd::Deleted,
        };
        if let Err(error) = self.team.data_path.close(device) {
            log::warn!("Failed to remove programs ({}).", strerror(&error));
        }
    }

    /// Closes the transports first, then deletes the device, unless it stays.
    pub(super) fn end(self, kernel: &mut Kernel) {
        delete_devices(kernel, vec![self.close()]);
    }

    /// Closes the transports first, then the data path.
    pub(super) fn close(self) -> ClosedTeam {
        drop(self.transports);
        let persistent = self.keep_device || self.adopted_device;
        let device = (!persistent).then_some(self.team.device.ifindex);
        let hooks = match self.team.data_path.capabilities().ports {
            Owner::Daemon => device.map(|device| self.team.peer().unwrap_or(device)),
            Owner::DataPath => None,
        };
        let ports_with_ipv6 = if persistent { Vec::new() } else { self.team.ports_with_ipv6() };
        let name = self.team.device.name.clone();
        drop(self.team);
        ClosedTeam {
            name,
            device,
            hooks,
            ports_with_ipv6,
            _device_lock: self._device_lock,
            _pid_file: self._pid_file,
        }
    }
}

/// A team whose transports and data path are closed.
pub(super) struct ClosedTeam {
    name: String,
    /// The device, to be deleted.
    device: Option<u32>,
    /// The interface with our filters on the frames of the device.
    hooks: Option<u32>,
    /// Ports that the team driver releases with the device, and that had IPv6 before.
    ports_with_ipv6: Vec<String>,
    /// Locks, released last.
    _device_lock: DeviceLock,
    _pid_file: PidFile,
}

/// Deletes the devices of teams, and releases the locks of the teams.
pub(super) fn delete_devices(kernel: &mut Kernel, teams: Vec<ClosedTeam>) {
    // The kernel waits for the frames at the hooks of an interface that it deletes.
    let hooks: Vec<u32> = teams.iter().filter_map(|team| team.hooks).collect();
    if let Err(error) = tc::remove_all_hooks(&mut kernel.route, &hooks) {
        log::debug!("Failed to remove filters before the devices ({}).", strerror(&error));
    }
    let devices: Vec<u32> = teams.iter().filter_map(|team| team.device).collect();
    let deleted = match devices[..] {
        [] | [_] => false,
        _ => match link::delete_all(&mut kernel.route, &devices) {
            Ok(()) => true,
            Err(error) => {
                log::debug!("Deleting the devices one by one ({}).", strerror(&error));
                false
            }
        },
    };
    for team in teams {
        let _log_scope = logging::scope(&team.name);
        if let Some(device) = team.device.filter(|_| !deleted) {
            // A TAP device that only `-o` took over may have gone with its descriptor.
            match link::delete(&mut kernel.route, device) {
                Err(error) if error.raw_os_error() != Some(libc::ENODEV) => {
                    log::warn!("Failed to delete the team device ({}).", strerror(&error));
                }
                _ => (),
            }
        }
        // Until the device is deleted its ports are still ports.
        for name in &team.ports_with_ipv6 {
            kernel.return_ipv6(name, true);
        }
    }
}
