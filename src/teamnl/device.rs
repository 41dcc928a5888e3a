//! Opens a team device of the kernel's driver; reads its ports, options and interfaces.

use std::io;

use super::Failure;
use super::options::TEAMNL;
use crate::netlink::link::{self, LinkInfo};
use crate::netlink::team::{OptionId, TeamOption};
use crate::netlink::{RouteSocket, TeamDevice};

/// A team device, with the sockets for the driver and for interfaces.
pub struct Device {
    pub(super) ifindex: u32,
    pub(super) team: TeamDevice,
    pub(super) route: RouteSocket,
}

impl Device {
    /// Opens the team device `name`. `program` selects the texts of errors: those of libteam for
    /// `teamnl`.
    ///
    /// # Errors
    /// `ENODEV` without such an interface; those of the driver if the interface is no team device.
    pub fn open(name: &str, program: &str) -> Result<Device, Failure> {
        let mut route = RouteSocket::open()?;
        let found = link::find(&mut route, name).map_err(|_| absent(name, "not found"))?;
        Device::init(found.ifindex, route).map_err(|(step, cause)| {
            let advice = match found.kind.as_str() {
                "tun" => vec![format!(
                    "\"{name}\" is no team device of the kernel's driver; if it is a team of the \
                     userspace data path, ask its daemon: teamrctl {name} state"
                )],
                _ if program == TEAMNL => step,
                _ => vec![format!(
                    "\"{name}\" cannot be reached as a team device of the kernel's driver."
                )],
            };
            let last = "Team init failed.".to_owned();
            let lines = advice.into_iter().chain([last]).collect();
            Failure { lines, cause }
        })
    }

    /// Opens the socket of the driver.
    ///
    /// # Errors
    /// libteam's lines for the step that failed, with the cause.
    fn init(ifindex: u32, route: RouteSocket) -> Result<Device, (Vec<String>, io::Error)> {
        let mut team = TeamDevice::new(ifindex).map_err(|cause| {
            let step = "libteam: team_init: Failed to resolve netlink family.";
            (vec![step.to_owned()], cause)
        })?;
        team.ports().map_err(|cause| {
            let steps = [
                "libteam: port_list_init: Failed to get port list.",
                "libteam: team_init: Failed to init port list.",
            ];
            (steps.map(str::to_owned).to_vec(), cause)
        })?;
        Ok(Device { ifindex, team, route })
    }

    /// Returns the interface index of the port `name`.
    ///
    /// # Errors
    /// `ENODEV` if the interface does not exist or is no port of the team.
    pub fn port(&mut self, name: &str) -> Result<u32, Failure> {
        let found = link::find(&mut self.route, name).map_err(|_| absent(name, "not found"))?;
        let ports = self.team.ports()?;
        match ports.iter().any(|port| port.ifindex == found.ifindex) {
            true => Ok(found.ifindex),
            false => Err(absent(name, "is not port of this team")),
        }
    }

    /// Returns an option.
    ///
    /// # Errors
    /// `ENOENT` if the driver has no such instance.
    pub fn option(&mut self, id: &OptionId) -> io::Result<TeamOption> {
        let found = self.team.options()?.into_iter().find(|option| option.id == *id);
        found.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }

    /// Returns all interfaces.
    pub fn links(&mut self) -> io::Result<Vec<LinkInfo>> {
        link::all(&mut self.route)
    }
}

fn absent(name: &str, how: &str) -> Failure {
    Failure::errno(format!("Netdevice \"{name}\" {how}."), libc::ENODEV)
}
