//! A team device of the kernel's driver, asked and told directly.

use std::io;

use super::Failure;
use crate::netlink::link::{self, LinkInfo};
use crate::netlink::team::{OptionId, Value};
use crate::netlink::{RouteSocket, TeamDevice};

/// The device, with the sockets to reach it and to learn of interfaces.
pub struct Device {
    pub(super) ifindex: u32,
    pub(super) team: TeamDevice,
    pub(super) route: RouteSocket,
}

impl Device {
    /// Opens the team device called `name`; the texts are for a program called `program`.
    pub fn open(name: &str, program: &str) -> Result<Device, Failure> {
        let mut route = RouteSocket::open()?;
        let found = link::find(&mut route, name).map_err(|_| {
            Failure::errno(format!("Netdevice \"{name}\" not found."), libc::ENODEV)
        })?;
        Device::init(found.ifindex, route).map_err(|(step, cause)| {
            let advice = match found.kind.as_str() {
                "tun" => vec![format!(
                    "\"{name}\" is no team device of the kernel's driver; if it is a team of the \
                     userspace data path, ask its daemon: teamrctl {name} state"
                )],
                _ if program == "teamnl" => step,
                _ => vec![format!(
                    "\"{name}\" cannot be reached as a team device of the kernel's driver."
                )],
            };
            let told = advice.into_iter().chain(["Team init failed.".to_owned()]);
            let told = told.collect();
            Failure { told, cause }
        })
    }

    /// The error says in libteam's words which step failed.
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
        Ok(Device {
            ifindex,
            team,
            route,
        })
    }

    /// Interface index of the port called `name`.
    pub fn port(&mut self, name: &str) -> Result<u32, Failure> {
        let found = link::find(&mut self.route, name).map_err(|_| {
            Failure::errno(format!("Netdevice \"{name}\" not found."), libc::ENODEV)
        })?;
        let ports = self.team.ports()?;
        match ports.iter().any(|port| port.ifindex == found.ifindex) {
            true => Ok(found.ifindex),
            false => Err(Failure::errno(
                format!("Netdevice \"{name}\" is not port of this team."),
                libc::ENODEV,
            )),
        }
    }

    /// The value of an option.
    ///
    /// # Errors
    /// `ENOENT` if there is no such instance.
    pub fn option(&mut self, id: &OptionId) -> io::Result<Value> {
        let found = self
            .team
            .options()?
            .into_iter()
            .find(|option| option.id == *id);
        found
            .map(|option| option.value)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }

    /// All interfaces, for their names.
    pub fn links(&mut self) -> io::Result<Vec<LinkInfo>> {
        link::all(&mut self.route)
    }
}
