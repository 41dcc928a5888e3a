//! The driver of one team device, as the data path speaks to it.
//!
//! Owns the sockets. Requests are carried out before the call returns and none waits.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use crate::datapath::ebpf::{self, TeamSide};
use crate::netlink::team::{News, OptionId, TeamOption, Value};
use crate::netlink::{EventSocket, Received, RouteSocket, TeamDevice, link};

/// What a team device can be told and asked; a fake one stands in for tests.
pub trait Driver {
    /// See [`TeamDevice::set`].
    fn set(&mut self, options: &[(OptionId, Value)]) -> io::Result<()>;

    /// All options as they are now.
    fn options(&mut self) -> io::Result<Vec<TeamOption>>;

    /// Hands over changed options, oldest first, until there is no more news.
    fn news(&mut self, each: &mut dyn FnMut(TeamOption)) -> io::Result<Received>;

    /// Makes an interface a port; success if it is one already.
    fn enslave(&mut self, ifindex: u32) -> io::Result<()>;

    /// Takes away what a daemon that is gone had programs do on an interface.
    fn clear_port(&mut self, ifindex: u32) -> io::Result<()>;

    /// Gives a port back; success if it is gone, or somebody else's by now.
    fn release(&mut self, ifindex: u32) -> io::Result<()>;
}

/// The kernel's driver, over netlink.
#[derive(Debug)]
pub struct KernelDriver {
    ifindex: u32,
    device: TeamDevice,
    events: EventSocket,
    route: RouteSocket,
}

impl KernelDriver {
    /// Opens the driver of the team device `ifindex` and listens to it.
    ///
    /// # Errors
    /// `ENOENT` if the driver has no family of that name.
    pub fn open(ifindex: u32) -> io::Result<Self> {
        let device = TeamDevice::new(ifindex)?;
        Ok(KernelDriver {
            ifindex,
            events: device.events()?,
            device,
            route: RouteSocket::open()?,
        })
    }
}

impl KernelDriver {
    /// Takes away what a daemon that is gone had a program do on the team device.
    pub fn clear_device(&mut self) -> io::Result<()> {
        ebpf::clear_device(&mut self.route, TeamSide::Driver(self.ifindex))
    }
}

impl Driver for KernelDriver {
    fn set(&mut self, options: &[(OptionId, Value)]) -> io::Result<()> {
        self.device.set(options)
    }

    fn options(&mut self) -> io::Result<Vec<TeamOption>> {
        self.device.options()
    }

    fn news(&mut self, each: &mut dyn FnMut(TeamOption)) -> io::Result<Received> {
        let KernelDriver { device, events, .. } = self;
        events.drain(&mut |message| {
            if let Some(News::Options(part)) = device.read(&message) {
                part.into_iter().for_each(&mut *each);
            }
        })
    }

    fn enslave(&mut self, ifindex: u32) -> io::Result<()> {
        link::set_master(&mut self.route, ifindex, self.ifindex)
    }

    fn clear_port(&mut self, ifindex: u32) -> io::Result<()> {
        ebpf::clear_port(&mut self.route, ifindex)
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
