//! A team in the loop: which of its sources a token is of, how they are served, how it ends.

use std::path::PathBuf;

use mio::Token;
use runners::Instant;

use super::device_lock::DeviceLock;
use super::kernel::Kernel;
use super::team::{ManagedTeam, return_ipv6};
use super::team_api::TeamApi;
use super::transports::Transports;
use super::warm_restart::PortsAtStop;
use crate::datapath::{Drained, Owner};
use crate::errno::strerror;
use crate::netlink::link;
use crate::process::logging::{self, About};
use crate::process::pidfile::PidFile;
use crate::process::signals::Asked;

/// Frames moved for one source before everybody else has had a turn.
const FRAME_BUDGET: usize = 64;
/// The same of control frames: each may change how the team forwards, which takes longer than
/// to move a frame, and timers are due meanwhile.
const CONTROL_BUDGET: usize = 1;

/// Each team owns a block of tokens: its transports' first, then those of its ports'
/// control frames, of which the last is TIPC's, then its data path's.
pub(super) const TEAM_TOKENS: usize = 1 << 16;
pub(super) const CONTROL_FRAME_TOKENS: usize = 1 << 14;
pub(super) const DATA_PATH_TOKENS: usize = 1 << 15;

pub(super) fn is_control_frame_token(token: Token) -> bool {
    (CONTROL_FRAME_TOKENS..DATA_PATH_TOKENS).contains(&(token.0 % TEAM_TOKENS))
}

/// A team with what it is controlled by.
pub(super) struct TeamSlot {
    pub(super) team: ManagedTeam,
    pub(super) transports: Transports,
    /// The device stays when the daemon ends (`-N`).
    pub(super) keep_device: bool,
    /// Where to note how the team was left (`-L`).
    pub(super) warm_dir: Option<PathBuf>,
    /// The device was there before (`-o`), so it is not ours to delete.
    pub(super) adopted_device: bool,
    /// Given up last of all, both.
    pub(super) _claim: DeviceLock,
    pub(super) _pid_file: PidFile,
}

impl TeamSlot {
    /// Messages are about this team meanwhile.
    pub(super) fn log_scope(&self) -> About {
        logging::about(&self.team.device.name)
    }

    pub(super) fn serve(&mut self, kernel: &mut Kernel, now: Instant, token: Token) -> Drained {
        let team = &mut self.team;
        if is_control_frame_token(token) {
            return team
                .hear(kernel, token, CONTROL_BUDGET, now)
                .unwrap_or_else(|error| {
                    log::warn!("Failed to hear control frames ({}).", strerror(&error));
                    Drained::Dry
                });
        }
        if token.0 % TEAM_TOKENS >= DATA_PATH_TOKENS {
            return team
                .drain(kernel, token, FRAME_BUDGET, now)
                .unwrap_or_else(|error| {
                    log::warn!("Failed to move frames ({}).", strerror(&error));
                    Drained::Dry
                });
        }
        let controls = &mut TeamApi { team, kernel, now };
        self.transports.serve(token, now, controls)
    }

    /// Decides what stays, and notes it for a warm restart.
    pub(super) fn prepare_end(&mut self, kernel: &mut Kernel, now: Instant, asked: Asked) {
        // What the daemon itself relays stops with it, so nothing is won by leaving that.
        let outlives_daemon = self.team.data_path.capabilities().outlives_daemon;
        let left = match asked {
            Asked::Leave | Asked::LeaveNoted if outlives_daemon => PortsAtStop::InPlace,
            _ => PortsAtStop::Detached,
        };
        self.keep_device |= left == PortsAtStop::InPlace;
        if self.keep_device {
            self.team.leave_in_place(kernel, now);
        }
        let Some(directory) = self.warm_dir.take().filter(|_| asked != Asked::Leave) else {
            return;
        };
        if let Err(error) = self.team.note(now, &directory, left) {
            let (place, why) = (directory.display(), strerror(&error));
            log::warn!("Failed to note the state of the team in {place} ({why}).");
        }
    }

    pub(super) fn release_ports(&mut self, kernel: &mut Kernel, now: Instant) {
        if !self.keep_device {
            self.team.send_last_pdus(kernel, now);
        }
        // The kernel releases the ports of a data path when the device is deleted.
        let ports = self.team.data_path.capabilities().ports;
        if !self.keep_device && (self.adopted_device || ports == Owner::Daemon) {
            self.team.release_all(kernel, now);
        }
        if !self.keep_device {
            if let Err(error) = self.team.data_path.close() {
                log::warn!("Failed to remove programs ({}).", strerror(&error));
            }
        }
    }

    /// Bus name and control socket go first, then the device.
    pub(super) fn end(self, kernel: &mut Kernel) {
        drop(self.transports);
        let device = self.team.device.ifindex;
        let persistent = self.keep_device || self.adopted_device;
        let silenced = self.team.ports_with_ipv6();
        drop(self.team);
        if !persistent {
            // A device of the relay's went with its descriptor.
            match link::delete(&mut kernel.route, device) {
                Err(error) if error.raw_os_error() != Some(libc::ENODEV) => {
                    log::warn!("Failed to delete the team device ({}).", strerror(&error));
                }
                _ => (),
            }
            // Only now are they no ports any more.
            for name in silenced {
                return_ipv6(kernel, &name, true);
            }
        }
    }
}
