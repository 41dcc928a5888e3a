//! The owner of an interface that a team wants as a port: another team, a bridge, a bond.

use std::io;

use super::ManagedTeam;
use crate::daemon::device_lock::DeviceLock;
use crate::daemon::kernel::Kernel;
use crate::datapath::{port_state, team_driver};
use crate::netlink::link::{self, LinkInfo};
use crate::netlink::tc;

/// The device that has an interface as its port.
pub(super) enum PortOwner {
    /// The kernel lists the interface as a port of the device.
    Master(LinkInfo),
    /// A team without the kernel's driver.
    Team(String),
    /// A team without the kernel's driver whose daemon is gone.
    AbandonedTeam(String),
    /// A team without the kernel's driver, with another run directory.
    TeamElsewhere,
}

impl PortOwner {
    /// Returns whether the owner is a team with a daemon.
    pub(super) fn is_team(&self) -> bool {
        match self {
            PortOwner::Master(master) => master.kind == team_driver::LINK_KIND,
            PortOwner::Team(_) => true,
            PortOwner::AbandonedTeam(_) | PortOwner::TeamElsewhere => false,
        }
    }

    /// Returns the end of a message about the interface `port`: its owner, and how to remove it there.
    pub(super) fn describe(&self, port: &str) -> String {
        match self {
            PortOwner::Master(master) if master.kind != team_driver::LINK_KIND => {
                let name = &master.name;
                format!("is a port of \"{name}\"; free it first: ip link set dev {port} nomaster")
            }
            PortOwner::Master(LinkInfo { name, .. }) | PortOwner::Team(name) => format!(
                "is a port of \"{name}\"; take it out there first: \
                 teamrctl {name} port remove {port}"
            ),
            PortOwner::AbandonedTeam(name) => format!(
                "is a port of \"{name}\", whose daemon is gone; start it again, or delete the \
                 device: ip link delete dev {name}"
            ),
            PortOwner::TeamElsewhere => {
                "is a port of a team of another run directory; take it out there first".to_owned()
            }
        }
    }
}

impl ManagedTeam {
    /// Returns the device, other than the team's own, that has the interface as its port. A team
    /// whose device is gone owns nothing.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn owner(
        &self,
        kernel: &mut Kernel,
        interface: &LinkInfo,
    ) -> io::Result<Option<PortOwner>> {
        if let Some(master) = interface.master {
            let foreign = master != self.device.ifindex;
            return match link::fetch(&mut kernel.route, master) {
                Ok(master) => Ok(foreign.then_some(PortOwner::Master(master))),
                // The interface was released meanwhile.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
                Err(error) => Err(error),
            };
        }
        if !tc::is_host_blocked(&mut kernel.route, interface.ifindex)? {
            return Ok(None);
        }
        let run_dir = &self.setup.options.run_dir;
        let team = port_state::teams_with_port(run_dir, interface.ifindex)
            .find(|team| *team != self.device.name);
        Ok(match team {
            Some(team) if link::find(&mut kernel.route, &team).is_err() => None,
            Some(team) if DeviceLock::is_held(&team) => Some(PortOwner::Team(team)),
            Some(team) => Some(PortOwner::AbandonedTeam(team)),
            // Filters of a daemon that crashed long ago do no harm while the interface is down.
            None => interface.admin_up.then_some(PortOwner::TeamElsewhere),
        })
    }
}
