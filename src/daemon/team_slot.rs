//! A team in the loop, with its transports and locks: how its sources are handled and how it ends.

use std::path::PathBuf;

use runners::Instant;

use super::device_lock::DeviceLock;
use super::kernel::Kernel;
use super::source::TeamSource;
use super::team::{ManagedTeam, return_ipv6};
use super::team_api::TeamApi;
use super::transports::Transports;
use super::warm_restart::PortsAtStop;
use crate::datapath::{Drained, Owner};
use crate::errno::strerror;
use crate::netlink::link;
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
    /// Where to write the files for a warm restart (`-L`).
    pub(super) warm_dir: Option<PathBuf>,
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
            TeamSource::Usock(_) | TeamSource::Zmq(_) | TeamSource::Dbus => {
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
        let summary = self.team.summary();
        let before = std::mem::replace(&mut self.summary, summary);
        before != self.summary
    }

    /// Decides whether the device stays, and writes the files for a warm restart.
    pub(super) fn prepare_end(&mut self, kernel: &mut Kernel, now: Instant, stop: Stop) {
        // The relay moves no frames without the daemon, so its ports need not stay.
        let outlives_daemon = self.team.data_path.capabilities().outlives_daemon;
        let ports = match stop {
            Stop::Keep | Stop::SaveAndKeep if outlives_daemon => PortsAtStop::InPlace,
            _ => PortsAtStop::Detached,
        };
        self.keep_device |= ports == PortsAtStop::InPlace;
        if self.keep_device {
            self.team.leave_in_place(kernel, now);
        }
        let Some(directory) = self.warm_dir.take().filter(|_| stop != Stop::Keep) else {
            return;
        };
        if let Err(error) = self.team.save_for_warm_restart(now, &directory, ports) {
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
        if let Err(error) = self.team.data_path.close() {
            log::warn!("Failed to remove programs ({}).", strerror(&error));
        }
    }

    /// Closes the transports first, then deletes the device, unless it stays.
    pub(super) fn end(self, kernel: &mut Kernel) {
        drop(self.transports);
        let device = self.team.device.ifindex;
        let persistent = self.keep_device || self.adopted_device;
        let ports_with_ipv6 = self.team.ports_with_ipv6();
        drop(self.team);
        if persistent {
            return;
        }
        // A TAP device was deleted with its descriptor.
        match link::delete(&mut kernel.route, device) {
            Err(error) if error.raw_os_error() != Some(libc::ENODEV) => {
                log::warn!("Failed to delete the team device ({}).", strerror(&error));
            }
            _ => (),
        }
        // Until the device is deleted its ports are still ports.
        for name in ports_with_ipv6 {
            return_ipv6(kernel, &name, true);
        }
    }
}
