//! Requests to one team device of the kernel's driver, over generic netlink.

use std::io;

use super::genl::Family;
use super::message::{Message, Request};
use super::socket::{EventSocket, GenericSocket};
use super::team::{self, OptionId, TeamMessage, TeamOption, TeamPort, Value};

/// A team device, and a socket for requests.
#[derive(Debug)]
pub struct TeamDevice {
    ifindex: u32,
    family: Family,
    requests: GenericSocket,
}

impl TeamDevice {
    /// Opens a socket for the device with this index; the first request fails if the device is no
    /// team device.
    ///
    /// # Errors
    /// `ENOENT` if the driver is not loaded.
    pub fn new(ifindex: u32) -> io::Result<Self> {
        let mut requests = GenericSocket::open()?;
        let family = Family::resolve(&mut requests, team::FAMILY)?;
        Ok(TeamDevice { ifindex, family, requests })
    }

    /// Opens a socket that receives the events of this device. The driver sends the events of all
    /// devices to one group, and one event for each of hundreds of options; a filter in the kernel
    /// drops those of other devices. Open the socket before the first [`set`](Self::set): without
    /// a listener the driver reports every set as a failure.
    pub fn events(&self) -> io::Result<EventSocket> {
        let group = self.family.group(team::EVENTS)?;
        EventSocket::generic(group, &team::device_filter(self.ifindex))
    }

    /// Parses a message about this device; `None` for other messages.
    pub fn read(&self, message: &Message<'_>) -> Option<TeamMessage> {
        team::parse(self.family.id, self.ifindex, message)
    }

    /// Reads all options, in the driver's order.
    pub fn options(&mut self) -> io::Result<Vec<TeamOption>> {
        Ok(self.query(team::options_request)?.0)
    }

    /// Reads all ports, oldest first.
    pub fn ports(&mut self) -> io::Result<Vec<TeamPort>> {
        Ok(self.query(team::ports_request)?.1)
    }

    fn query(
        &mut self,
        request: fn(u16, u32) -> Request,
    ) -> io::Result<(Vec<TeamOption>, Vec<TeamPort>)> {
        let (family, ifindex) = (self.family.id, self.ifindex);
        let (mut options, mut ports) = (Vec::new(), Vec::new());
        self.requests.query(request(family, ifindex), &mut |message| match team::parse(
            family, ifindex, &message,
        ) {
            Some(TeamMessage::Options(part)) => options.extend(part),
            Some(TeamMessage::Ports(part)) => ports.extend(part),
            None => (),
        })?;
        Ok((options, ports))
    }

    /// Sets options in this order.
    ///
    /// # Errors
    /// That of the first option that fails; the options before it stay set. After `ESRCH` and
    /// `ENOBUFS` the failing option is set, too: only its event had no listener.
    pub fn set(&mut self, options: &[(OptionId, Value)]) -> io::Result<()> {
        let request = team::set_request(self.family.id, self.ifindex, options);
        self.requests.execute(request)
    }
}
