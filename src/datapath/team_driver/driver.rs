//! The driver of one team device, as the data path uses it.
//!
//! Owns the sockets. The driver carries out a request before the call returns; no call waits.

use std::io;
use std::rc::Rc;

use mio::{Registry, Token};

use crate::datapath::ebpf::{self, TeamHook};
use crate::netlink::team::{OptionId, TeamMessage, TeamOption, Value};
use crate::netlink::{EventSocket, Received, RouteSocket, TeamDevice, link};

/// The requests that the data path makes; a fake driver stands in for tests.
pub trait Driver {
    /// Interface index of the team device.
    fn ifindex(&self) -> u32;

    /// See [`TeamDevice::set`].
    fn set(&mut self, options: &[(OptionId, Value)]) -> io::Result<()>;

    /// Reads all options.
    fn options(&mut self) -> io::Result<Vec<TeamOption>>;

    /// Hands over the options of all queued events, oldest first.
    fn events(&mut self, each: &mut dyn FnMut(TeamOption)) -> io::Result<Received>;

    /// Makes an interface a port, unless it is one already.
    fn enslave(&mut self, ifindex: u32) -> io::Result<Enslaved>;

    /// Detaches a previous daemon's program from an interface.
    fn clear_port(&mut self, ifindex: u32) -> io::Result<()>;

    /// Releases a port; success if the interface is gone, or another device's port by now.
    fn release(&mut self, ifindex: u32) -> io::Result<()>;
}

/// Since when an interface is a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enslaved {
    /// Since this request.
    Now,
    /// Since before this request.
    Before,
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
        Ok(KernelDriver { ifindex, events: device.events()?, device, route: RouteSocket::open()? })
    }

    /// Registers the driver's events.
    pub fn register(&mut self, registry: &Rc<Registry>, token: Token) -> io::Result<()> {
        self.events.register(registry, token)
    }

    /// Detaches a previous daemon's program from the team device.
    pub fn clear_device(&mut self) -> io::Result<()> {
        ebpf::clear_device(&mut self.route, TeamHook::DriverEgress(self.ifindex))
    }
}

impl Driver for KernelDriver {
    fn ifindex(&self) -> u32 {
        self.ifindex
    }

    fn set(&mut self, options: &[(OptionId, Value)]) -> io::Result<()> {
        self.device.set(options)
    }

    fn options(&mut self) -> io::Result<Vec<TeamOption>> {
        self.device.options()
    }

    fn events(&mut self, each: &mut dyn FnMut(TeamOption)) -> io::Result<Received> {
        let KernelDriver { device, events, .. } = self;
        Ok(events.drain(&mut |message| {
            if let Some(TeamMessage::Options(part)) = device.read(&message) {
                part.into_iter().for_each(&mut *each);
            }
        }))
    }

    fn enslave(&mut self, ifindex: u32) -> io::Result<Enslaved> {
        let interface = link::fetch(&mut self.route, ifindex)?;
        if interface.master == Some(self.ifindex) {
            return Ok(Enslaved::Before);
        }
        link::set_master(&mut self.route, ifindex, self.ifindex)?;
        Ok(Enslaved::Now)
    }

    fn clear_port(&mut self, ifindex: u32) -> io::Result<()> {
        ebpf::clear_driver_port(&mut self.route, ifindex)
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
