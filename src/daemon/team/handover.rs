//! A change of the active port while the former one still has a link: no frame need be lost.
//!
//! After the change the team driver drops frames that arrive on the former port, and switches send
//! frames there until the team announces itself on the new port. The driver's announcement waits
//! for a kernel worker; the daemon's own is prepared before the change and sent right after it.
//!
//! If the former port has no link, frames are lost already, and the change must not wait for the
//! preparation.

use std::io;

use json_config::Config;
use runners::{Forwarding, HwAddrPolicy, Instant, PortId, RunnerSettings, TxPolicy};

use super::ManagedTeam;
use crate::daemon::kernel::Kernel;
use crate::datapath::{Change, Owner};

impl ManagedTeam {
    /// Applies a forwarding, and announces the new active port in a handover.
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
        let announced = active.filter(|_| self.is_handover(forwarding, active));
        // Without these frames the driver still sends its own announcement.
        let network = announced.and_then(|_| kernel.network().ok().flatten());
        let announcements = network.map(|network| network.peer_notifications(self.device.ifindex));
        self.data_path.apply(now, Change::Forwarding(forwarding))?;
        let is_other = std::mem::replace(&mut self.applied_active, active) != active;
        match announcements {
            Some(announcements) => self.announcements.peers = announcements,
            // The frames that wait may have the address of the former port.
            None if is_other => self.announcements.peers.clear(),
            None => {}
        }
        self.send_announcements()
    }

    fn is_handover(&self, forwarding: &Forwarding, active: Option<PortId>) -> bool {
        let mut ports = forwarding.ports.iter();
        self.data_path.capabilities().announcements == Owner::DataPath
            && self.applied_active != active
            && ports.any(|port| Some(port.port) == self.applied_active && port.linked)
            && self.announces
    }
}

/// Returns whether the configuration asks for announcements and the team's address stays when the
/// active port changes.
pub(super) fn is_announced(config: &mut Config) -> bool {
    config.team_settings(0).is_ok_and(|settings| {
        let RunnerSettings::ActiveBackup { hwaddr_policy, .. } = settings.runner else {
            return false;
        };
        hwaddr_policy != HwAddrPolicy::ByActive && settings.notify_peers.count > 0
    })
}
