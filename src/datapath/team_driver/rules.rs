//! slb under the kernel's driver: programs say of each frame which bucket it is in, and of each
//! that comes in whether it is to be taken; the driver sends and delivers.
//!
//! The program on the team device's transmitting side writes the bucket into the frame's mark,
//! where the driver's own hash, a classic program, finds it. Those on the ports drop what is to
//! be taken from another port, before the driver sees it. The rules and their memory are those of
//! [`programs`](crate::datapath::ebpf).

use std::io;

use runners::{Distributor, Forwarding, PortId, StationSeen};

use crate::datapath::ebpf::{Programs, TeamSide};
use crate::netlink::RouteSocket;

/// Programs of one team device, with what they are to carry out.
#[derive(Debug)]
pub struct Rules {
    programs: Programs,
    distributor: Distributor,
    route: RouteSocket,
}

impl Rules {
    /// Rules for the team device `ifindex`, not in force yet.
    ///
    /// # Errors
    /// Those of bpf(2), where programs cannot be loaded.
    pub fn new(ifindex: u32) -> io::Result<Self> {
        Ok(Rules {
            programs: Programs::new(TeamSide::Driver(ifindex))?,
            distributor: Distributor::new(),
            route: RouteSocket::open()?,
        })
    }

    /// Takes a port in.
    ///
    /// # Errors
    /// Those of [`Programs::attach_port`].
    pub fn attach_port(&mut self, port: PortId, ifindex: u32) -> io::Result<()> {
        self.programs.attach_port(port, ifindex, None, None)
    }

    /// Lets go of a port; no error if it is gone.
    ///
    /// # Errors
    /// Those of [`Programs::detach_port`].
    pub fn detach_port(&mut self, port: PortId) -> io::Result<()> {
        self.programs.detach_port(&mut self.route, port)
    }

    /// Goes by this forwarding from now on.
    ///
    /// # Errors
    /// Those of [`Programs::apply`].
    pub fn apply(&mut self, forwarding: &Forwarding) -> io::Result<()> {
        self.distributor.apply(forwarding);
        // The driver counts the bytes of a bucket.
        let counted = false;
        self.programs
            .apply(&mut self.route, &self.distributor, counted)
    }

    /// Takes all programs away.
    ///
    /// # Errors
    /// Those of [`Programs::end`].
    pub fn end(mut self) -> io::Result<()> {
        self.programs.end(&mut self.route)
    }

    /// Whose frames were sent lately.
    pub fn stations(&self) -> Vec<StationSeen> {
        self.programs.stations()
    }

    /// Frames of ours that came back.
    pub fn rx_echoes(&self) -> u64 {
        self.programs.rx_echoes()
    }

    /// Frames that came on a port which is not to take them.
    pub fn rx_inactive(&self) -> u64 {
        self.programs.rx_inactive()
    }
}
