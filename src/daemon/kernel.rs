//! What a team asks of the kernel besides moving frames: links, addresses, speeds.
//!
//! Requests are answered within the call that makes them; none waits for another process.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use runners::{Duplex, Link};

use crate::netlink::RouteSocket;
use crate::netlink::link::LinkInfo;
use crate::sys::ethtool::{self, LinkSettings};

/// The request sockets, shared by all teams of the process.
#[derive(Debug)]
pub struct Kernel {
    /// Links, addresses, filters.
    pub route: RouteSocket,
    /// Any socket will do for ethtool.
    control: UdpSocket,
}

impl Kernel {
    /// Opens the sockets; needs no right.
    pub fn open() -> io::Result<Self> {
        Ok(Kernel {
            route: RouteSocket::open()?,
            control: UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
        })
    }

    /// Carrier as the driver has it this moment.
    ///
    /// The kernel may hold link events of a physical interface back for up to a second after
    /// the last one, whichever interface that was; this is the way round it.
    pub fn carrier(&self, name: &str) -> io::Result<bool> {
        ethtool::carrier(&self.control, name)
    }

    /// Whether the host may speak IPv6 on an interface, or might but for [`set_ipv6`]; not where
    /// the kernel has none.
    ///
    /// [`set_ipv6`]: Kernel::set_ipv6
    pub fn ipv6(&self, name: &str) -> bool {
        let off = fs::read_to_string(ipv6_switch(name));
        off.is_ok_and(|off| ["0", IPV6_OFF_BY_US].contains(&off.trim()))
    }

    /// Lets the host speak IPv6 on an interface, or forbids it.
    pub fn set_ipv6(&self, name: &str, on: bool) -> io::Result<()> {
        fs::write(ipv6_switch(name), if on { "0" } else { IPV6_OFF_BY_US })
    }

    /// Speed and duplex of an interface while it has a carrier.
    pub fn link_settings(&self, interface: &LinkInfo) -> LinkSettings {
        let settings = interface
            .carrier
            .then(|| ethtool::link_settings(&self.control, &interface.name).ok());
        settings.flatten().unwrap_or(LinkSettings::NONE)
    }
}

/// The link of an interface as the core has it; 0 and half where the driver knows none.
pub fn link(interface: &LinkInfo, settings: LinkSettings) -> Link {
    Link {
        up: interface.carrier,
        speed: settings.speed.unwrap_or(0),
        duplex: match settings.full_duplex {
            Some(true) => Duplex::Full,
            Some(false) | None => Duplex::Half,
        },
    }
}

/// Any number but 0 switches IPv6 off. By this one the next run knows that a run which ended
/// without notice did so, and that IPv6 is to come back in the end.
const IPV6_OFF_BY_US: &str = "32419";

fn ipv6_switch(name: &str) -> String {
    format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6")
}
