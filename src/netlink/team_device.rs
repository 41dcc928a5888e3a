//! One team device of the kernel's driver, asked and told over generic netlink.

use std::io;

use super::genl::Family;
use super::message::{Message, Request};
use super::socket::{EventSocket, GenericSocket};
use super::team::{self, News, OptionId, TeamOption, TeamPort, Value};

/// A team device with a socket for requests.
#[derive(Debug)]
pub struct TeamDevice {
    ifindex: u32,
    family: Family,
    requests: GenericSocket,
}

impl TeamDevice {
    /// The device with this index; whether it is a team only the first request shows.
    ///
    /// # Errors
    /// `ENOENT` if the driver is not loaded.
    pub fn new(ifindex: u32) -> io::Result<Self> {
        let mut requests = GenericSocket::open()?;
        let family = Family::resolve(&mut requests, team::FAMILY)?;
        Ok(TeamDevice {
            ifindex,
            family,
            requests,
        })
    }

    /// A socket that hears of this device. The driver tells of all in one group, and of each of
    /// hundreds of options by itself, so the kernel leaves out what is of others. To be opened
    /// before the first set: without a listener the driver calls each of them a failure.
    pub fn events(&self) -> io::Result<EventSocket> {
        let group = self.family.group(team::EVENTS)?;
        EventSocket::generic(group, &team::of_device(self.ifindex))
    }

    /// What a message tells of this device.
    pub fn read(&self, message: &Message<'_>) -> Option<News> {
        team::parse(self.family.id, self.ifindex, message)
    }

    /// All options, in the driver's order.
    pub fn options(&mut self) -> io::Result<Vec<TeamOption>> {
        let mut options = Vec::new();
        let request = team::options_request(self.family.id, self.ifindex);
        self.query(request, &mut |news| match news {
            News::Options(part) => options.extend(part),
            News::Ports(_) => (),
        })?;
        Ok(options)
    }

    /// All ports, oldest first.
    pub fn ports(&mut self) -> io::Result<Vec<TeamPort>> {
        let mut ports = Vec::new();
        let request = team::ports_request(self.family.id, self.ifindex);
        self.query(request, &mut |news| match news {
            News::Ports(part) => ports.extend(part),
            News::Options(_) => (),
        })?;
        Ok(ports)
    }

    fn query(&mut self, request: Request, each: &mut dyn FnMut(News)) -> io::Result<()> {
        let (family, ifindex) = (self.family.id, self.ifindex);
        self.requests.query(request, &mut |message| {
            if let Some(news) = team::parse(family, ifindex, &message) {
                each(news);
            }
        })
    }

    /// Sets options in this order.
    ///
    /// # Errors
    /// The first that fails ends it, the ones before stay set. After `ESRCH` and `ENOBUFS` the
    /// failing one is set, too: only the news of it found no listener.
    pub fn set(&mut self, options: &[(OptionId, Value)]) -> io::Result<()> {
        let request = team::set_request(self.family.id, self.ifindex, options);
        self.requests.execute(request)
    }
}
