//! Source balancing under the kernel's driver: programs choose the bucket of each sent frame and
//! drop received frames that are not to be taken; the driver sends and delivers.
//!
//! The program at the team device's egress writes the bucket into the frame's mark, where the
//! driver's own hash, a classic program, reads it. The programs on the ports drop frames before the
//! driver sees them. Rules and learned sources are those of [`ebpf`](crate::datapath::ebpf).

use std::io;

use runners::{Forwarding, PortId, StationSeen};

use crate::datapath::ebpf::{Programs, TeamHook};
use crate::netlink::RouteSocket;

/// The programs of one team device.
#[derive(Debug)]
pub struct SlbPrograms {
    programs: Programs,
    route: RouteSocket,
}

impl SlbPrograms {
    /// Loads programs for the team device `ifindex`; none is attached yet.
    ///
    /// # Errors
    /// Those of bpf(2), where programs cannot be loaded.
    pub fn new(ifindex: u32) -> io::Result<Self> {
        Ok(SlbPrograms {
            programs: Programs::new(TeamHook::DriverEgress(ifindex))?,
            route: RouteSocket::open()?,
        })
    }

    /// Adds a port.
    ///
    /// # Errors
    /// Those of [`Programs::attach`].
    pub fn attach(&mut self, port: PortId, ifindex: u32) -> io::Result<()> {
        self.programs.attach(port, ifindex, None, None)
    }

    /// Removes a port; success if the interface is gone.
    ///
    /// # Errors
    /// Those of [`Programs::detach`].
    pub fn detach(&mut self, port: PortId) -> io::Result<()> {
        self.programs.detach(&mut self.route, port)
    }

    /// Follows this forwarding from now on.
    ///
    /// # Errors
    /// Those of [`Programs::apply`].
    pub fn apply(&mut self, forwarding: &Forwarding) -> io::Result<()> {
        self.programs.apply(&mut self.route, &forwarding.resolve())
    }

    /// Detaches all programs.
    ///
    /// # Errors
    /// Those of [`Programs::close`].
    pub fn close(mut self) -> io::Result<()> {
        self.programs.close(&mut self.route)
    }

    /// Source addresses that the team device has sent from lately.
    pub fn stations(&self) -> Vec<StationSeen> {
        self.programs.stations()
    }

    /// Frames of the team itself that came back.
    pub fn rx_echoes(&self) -> u64 {
        self.programs.rx_echoes()
    }

    /// Frames received on ports that do not take them.
    pub fn rx_inactive(&self) -> u64 {
        self.programs.rx_inactive()
    }
}
