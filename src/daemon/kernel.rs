//! The daemon's requests to the kernel apart from those of the data path: links, addresses, speeds.
//!
//! The kernel answers each request within the call that makes it; no call waits for another
//! process.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use runners::{Duplex, Link};

use super::own_hwaddrs::OwnHwAddrs;
use crate::netlink::RouteSocket;
use crate::netlink::link::LinkInfo;
use crate::sys::ethtool::{self, LinkSettings};

/// The request sockets, shared by all teams of the process.
#[derive(Debug)]
pub struct Kernel {
    /// Links, addresses, filters.
    pub route: RouteSocket,
    /// For ethtool's ioctls, which accept any socket.
    ethtool: UdpSocket,
    /// The addresses that ports had before they were ports.
    pub own_hwaddrs: OwnHwAddrs,
}

impl Kernel {
    /// Opens the sockets; needs no capability.
    pub fn open() -> io::Result<Self> {
        Ok(Kernel {
            route: RouteSocket::open()?,
            ethtool: UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
            own_hwaddrs: OwnHwAddrs::default(),
        })
    }

    /// Returns the driver's carrier of this moment.
    ///
    /// The kernel may delay the link events of physical interfaces by up to a second after the
    /// last event of any such interface; the driver answers at once.
    pub fn carrier(&self, name: &str) -> io::Result<bool> {
        ethtool::carrier(&self.ethtool, name)
    }

    /// Returns whether IPv6 is enabled on an interface, or disabled only by [`set_ipv6`]; false
    /// where the kernel has no IPv6.
    ///
    /// [`set_ipv6`]: Kernel::set_ipv6
    pub fn ipv6(&self, name: &str) -> bool {
        let disabled = fs::read_to_string(disable_ipv6(name));
        disabled.is_ok_and(|value| ["0", DISABLED_BY_TEAMR].contains(&value.trim()))
    }

    /// Enables or disables IPv6 on an interface.
    pub fn set_ipv6(&self, name: &str, on: bool) -> io::Result<()> {
        fs::write(disable_ipv6(name), if on { "0" } else { DISABLED_BY_TEAMR })
    }

    /// Returns speed and duplex of an interface; [`LinkSettings::NONE`] without a carrier.
    pub fn link_settings(&self, interface: &LinkInfo) -> LinkSettings {
        let settings = interface
            .carrier
            .then(|| ethtool::link_settings(&self.ethtool, &interface.name).ok());
        settings.flatten().unwrap_or(LinkSettings::NONE)
    }
}

/// Returns the link of an interface for the core; an unknown speed is 0, an unknown duplex half.
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

/// The value that disables IPv6 as any number but 0 does, and tells the next daemon after a crash
/// that teamr disabled IPv6 and has to enable it in the end.
const DISABLED_BY_TEAMR: &str = "32419";

fn disable_ipv6(name: &str) -> String {
    format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6")
}
