//! A change of the active port while the old one still carries: nothing need be lost.
//!
//! From the moment of the change the kernel's driver drops what comes in by the old port, and
//! switches send it there until they hear us by the new one. The driver announces us when a
//! worker of the kernel gets to it. Ours is ready before the change and leaves right after it.
//!
//! Where the old port is gone there is nothing to be saved by being ready, and the change must
//! not wait for it.

use std::io;

use json_config::Config;
use runners::{Forwarding, HwAddrPolicy, Instant, PortId, RunnerSettings, TxPolicy};

use super::ManagedTeam;
use crate::daemon::announce;
use crate::daemon::kernel::Kernel;
use crate::datapath::{Change, Owner};

impl ManagedTeam {
    pub(super) fn apply_forwarding(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        forwarding: &Forwarding,
    ) -> io::Result<()> {
        let active = match &forwarding.policy {
            TxPolicy::ActiveBackup { active } => *active,
            _ => None,
        };
        let heir = active.filter(|_| self.is_orderly(forwarding, active));
        let frames = match heir {
            // The driver's own announcement is all the same if ours cannot be made.
            Some(_) => announce::peer_notifications(&mut kernel.route, self.device.ifindex)
                .unwrap_or_default(),
            None => Vec::new(),
        };
        self.data_path.apply(now, Change::Forwarding(forwarding))?;
        self.active = active;
        match heir {
            Some(port) => frames
                .iter()
                .try_for_each(|frame| self.control.send(port, frame)),
            None => Ok(()),
        }
    }

    fn is_orderly(&self, forwarding: &Forwarding, active: Option<PortId>) -> bool {
        let mut ports = forwarding.ports.iter();
        self.data_path.capabilities().announcements == Owner::DataPath
            && self.active != active
            && ports.any(|port| Some(port.port) == self.active && port.linked)
            && self.announces
    }
}

/// Whether the user wants announcements, and the address outlives a change of the active port.
pub(super) fn is_announced(config: &mut Config) -> bool {
    config.team_settings(0).is_ok_and(|settings| {
        let RunnerSettings::ActiveBackup { hwaddr_policy, .. } = settings.runner else {
            return false;
        };
        hwaddr_policy != HwAddrPolicy::ByActive && settings.notify_peers.count > 0
    })
}
