//! A team in the loop, with its transports and locks: how its sources are handled and how it ends.

use runners::Instant;

use super::device_lock::DeviceLock;
use super::kernel::Kernel;
use super::source::TeamSource;
use super::team::{LeftPort, ManagedTeam};
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

    /// Tells the partners that the team ends, takes the ports out of the team, and closes the
    /// transports.
    fn leave(&mut self, kernel: &mut Kernel, now: Instant) -> Vec<LeftPort> {
        let _log_scope = self.log_scope();
        let mut left = Vec::new();
        if !self.keep_device {
            self.team.send_last_pdus(kernel, now, self.device_at_end());
            // A data path that cares for its ports releases them with a device that is deleted.
            match self.adopted_device || self.owns_ports() {
                true => left = self.team.leave_all(kernel, now, self.device_at_end()),
                false => self.team.close_port_sockets(),
            }
        }
        drop(std::mem::take(&mut self.transports));
        left
    }

    /// Gives the ports back after the device was deleted, and removes the data path's programs, unless
    /// the device stays.
    fn finish(&mut self, kernel: &mut Kernel, left: &[LeftPort]) {
        let _log_scope = self.log_scope();
        if self.keep_device {
            return;
        }
        left.iter().for_each(|port| self.team.give_back(kernel, port));
        if let Err(error) = self.team.data_path.close(self.device_at_end()) {
            log::warn!("Failed to remove programs ({}).", strerror(&error));
        }
        // The team driver has released these ports with the device.
        self.team.ports_with_ipv6().iter().for_each(|name| kernel.return_ipv6(name, true));
    }

    fn owns_ports(&self) -> bool {
        self.team.data_path.capabilities().ports == Owner::Daemon
    }

    fn device_at_end(&self) -> DeviceAtEnd {
        match self.keep_device || self.adopted_device {
            true => DeviceAtEnd::Stays,
            false => DeviceAtEnd::Deleted,
        }
    }

    /// Returns the device, if it is to be deleted.
    fn deleted_device(&self) -> Option<u32> {
        (self.device_at_end() == DeviceAtEnd::Deleted).then_some(self.team.device.ifindex)
    }

    /// Returns the interface with our filters on the frames of a device that is to be deleted.
    fn deleted_hooks(&self) -> Option<u32> {
        let device = self.deleted_device().filter(|_| self.owns_ports())?;
        Some(self.team.peer().unwrap_or(device))
    }
}

/// Ends teams: deletes the devices and gives back the ports, except of a team whose device stays.
///
/// All teams make a step before the first one makes the next: the kernel's time to set a port down grows
/// with the packet sockets and the routes of all teams, which are gone by then. If the daemon dies in
/// between, the next start restores the ports from the port state files.
pub(super) fn end(
    kernel: &mut Kernel,
    now: Instant,
    teams: impl IntoIterator<Item = Box<TeamSlot>>,
) {
    let mut teams: Vec<_> = teams.into_iter().collect();
    let left: Vec<_> = teams.iter_mut().map(|slot| slot.leave(kernel, now)).collect();
    delete_devices(kernel, &teams);
    for (slot, left) in teams.iter_mut().zip(&left) {
        slot.finish(kernel, left);
    }
}

fn delete_devices(kernel: &mut Kernel, teams: &[Box<TeamSlot>]) {
    // The kernel waits for the frames at the hooks of an interface that it deletes.
    let hooks: Vec<u32> = teams.iter().filter_map(|slot| slot.deleted_hooks()).collect();
    if let Err(error) = tc::remove_all_hooks(&mut kernel.route, &hooks) {
        log::debug!("Failed to remove filters before the devices ({}).", strerror(&error));
    }
    let devices: Vec<u32> = teams.iter().filter_map(|slot| slot.deleted_device()).collect();
    if devices.len() > 1 {
        match link::delete_all(&mut kernel.route, &devices) {
            Ok(()) => return,
            Err(error) => {
                log::debug!("Deleting the devices one by one ({}).", strerror(&error));
            }
        }
    }
    for slot in teams {
        let _log_scope = slot.log_scope();
        let Some(device) = slot.deleted_device() else { continue };
        // A TAP device that only `-o` took over may have gone with its descriptor.
        match link::delete(&mut kernel.route, device) {
            Err(error) if error.raw_os_error() != Some(libc::ENODEV) => {
                log::warn!("Failed to delete the team device ({}).", strerror(&error));
            }
            _ => (),
        }
    }
}
