//! The driver of one team device, as the data path speaks to it.
//!
//! Owns the sockets. Requests are carried out before the call returns and none waits.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use crate::netlink::genl::Family;
use crate::netlink::team::{self, News, OptionId, TeamOption, Value};
use crate::netlink::{EventSocket, GenericSocket, Received, RouteSocket, link};

/// What a team device can be told and asked; a fake one stands in for tests.
pub trait Driver {
    /// Sets options in this order.
    ///
    /// # Errors
    /// The first that fails ends it, the ones before stay set. After `ESRCH` and `ENOBUFS` the
    /// failing one is set, too: only the news of it found no listener.
    fn set(&mut self, options: &[(OptionId, Value)]) -> io::Result<()>;

    /// All options as they are now.
    fn options(&mut self) -> io::Result<Vec<TeamOption>>;

    /// Hands over changed options, oldest first, until there is no more news.
    fn news(&mut self, each: &mut dyn FnMut(TeamOption)) -> io::Result<Received>;

    /// Makes an interface a port; success if it is one already.
    fn enslave(&mut self, ifindex: u32) -> io::Result<()>;

    /// Gives a port back; success if it is gone, or somebody else's by now.
    fn release(&mut self, ifindex: u32) -> io::Result<()>;
}

/// The kernel's driver, over netlink.
#[derive(Debug)]
pub struct KernelDriver {
    ifindex: u32,
    family: u16,
    requests: GenericSocket,
    events: EventSocket,
    route: RouteSocket,
}

impl KernelDriver {
    /// Opens the driver of the team device `ifindex` and listens to it.
    ///
    /// # Errors
    /// `ENOENT` if the driver has no family of that name.
    pub fn open(ifindex: u32) -> io::Result<Self> {
        let mut requests = GenericSocket::open()?;
        let family = Family::resolve(&mut requests, team::FAMILY)?;
        // Before the first request: without a listener the driver calls each set a failure.
        let events = EventSocket::generic(family.group(team::EVENTS)?)?;
        Ok(KernelDriver {
            ifindex,
            family: family.id,
            requests,
            events,
            route: RouteSocket::open()?,
        })
    }
}

impl Driver for KernelDriver {
    fn set(&mut self, options: &[(OptionId, Value)]) -> io::Result<()> {
        let request = team::set_request(self.family, self.ifindex, options);
        self.requests.execute(request)
    }

    fn options(&mut self) -> io::Result<Vec<TeamOption>> {
        let mut options = Vec::new();
        let request = team::options_request(self.family, self.ifindex);
        self.requests.query(request, &mut |message| {
            if let Some(News::Options(part)) = team::parse(self.family, self.ifindex, &message) {
                options.extend(part);
            }
        })?;
        Ok(options)
    }

    fn news(&mut self, each: &mut dyn FnMut(TeamOption)) -> io::Result<Received> {
        self.events.drain(&mut |message| {
            if let Some(News::Options(part)) = team::parse(self.family, self.ifindex, &message) {
                part.into_iter().for_each(&mut *each);
            }
        })
    }

    fn enslave(&mut self, ifindex: u32) -> io::Result<()> {
        link::set_master(&mut self.route, ifindex, self.ifindex)
    }

    fn release(&mut self, ifindex: u32) -> io::Result<()> {
        let released = link::fetch(&mut self.route, ifindex).and_then(|interface| {
            match interface.master == Some(self.ifindex) {
                true => link::clear_master(&mut self.route, ifindex),
                false => Ok(()),
            }
        });
        match released {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            released => released,
        }
    }
}

impl AsRawFd for KernelDriver {
    /// What becomes readable when there is news.
    fn as_raw_fd(&self) -> RawFd {
        self.events.as_raw_fd()
    }
}
