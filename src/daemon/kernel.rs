//! The daemon's requests to the kernel apart from those of the data path: links, addresses, speeds.
//!
//! The kernel answers each request within the call that makes it; no call waits for another
//! process.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use runners::{Duplex, HwAddr, Instant, Link, ReceiveCounters, interface_name_bytes};

use super::announce::{Network, NetworkReading};
use super::own_hwaddrs::OwnHwAddrs;
use super::udev::Udev;
use crate::datapath::PortInterface;
use crate::errno::strerror;
use crate::netlink::RouteSocket;
use crate::netlink::link::{self, LinkInfo};
use crate::netlink::link_stats;
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
    /// Whether udev names interfaces and gives them addresses.
    pub udev: Udev,
    /// The interfaces and addresses of this turn of the loop, if a team announces itself.
    network: Option<Rc<Network>>,
    /// The reading of the interfaces and addresses that has begun.
    network_reading: Option<NetworkReading>,
    /// This turn of the loop has made its step of the reading.
    has_read_step: bool,
    /// The counters of all interfaces as read last, and the time.
    receive_counters: Option<(Instant, BTreeMap<u32, ReceiveCounters>)>,
    /// A reading failed.
    is_unread: bool,
}

impl Kernel {
    /// Opens the sockets; needs no capability.
    pub fn open() -> io::Result<Self> {
        Ok(Kernel {
            route: RouteSocket::open()?,
            ethtool: UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
            own_hwaddrs: OwnHwAddrs::default(),
            udev: Udev::find(),
            network: None,
            network_reading: None,
            has_read_step: false,
            receive_counters: None,
            is_unread: false,
        })
    }

    /// Returns the interfaces and addresses, whose reading this turn of the loop has ended. Otherwise
    /// reads some more, once a turn, and returns `None`: the caller asks again in the next turn.
    ///
    /// # Errors
    /// Those of reading; the next call begins anew.
    pub fn network(&mut self) -> io::Result<Option<Rc<Network>>> {
        if self.network.is_none() && !self.has_read_step {
            let mut reading = match self.network_reading.take() {
                Some(reading) => reading,
                None => NetworkReading::start()?,
            };
            match reading.step()? {
                Some(network) => self.network = Some(Rc::new(network)),
                None => self.network_reading = Some(reading),
            }
            self.has_read_step = true;
        }
        Ok(self.network.clone())
    }

    /// Begins a turn of the loop: a network that was read in an earlier turn counts no more, and a
    /// reading that is under way may make its next step.
    pub fn begin_turn(&mut self) {
        self.network = None;
        self.has_read_step = false;
    }

    /// Forgets the network, read or being read, because the daemon has changed an address.
    pub fn forget_network(&mut self) {
        self.begin_turn();
        self.network_reading = None;
    }

    /// Returns the counters of received frames of all interfaces at `now`, by interface index. All
    /// teams that ask at one time share one reading.
    ///
    /// # Errors
    /// `EOPNOTSUPP` before Linux 4.7.
    pub fn receive_counters(
        &mut self,
        now: Instant,
    ) -> io::Result<&BTreeMap<u32, ReceiveCounters>> {
        let known = self.receive_counters.take().filter(|(read_at, _)| *read_at == now);
        let reading = match known {
            Some(reading) => reading,
            None => (now, link_stats::receive_counters(&mut self.route)?),
        };
        Ok(&self.receive_counters.insert(reading).1)
    }

    /// Logs that `what` could not be read, and has the loop read everything anew.
    pub fn reading_failed(&mut self, what: &str, error: &io::Error) {
        log::warn!("Failed to read {what} ({}).", strerror(error));
        self.is_unread = true;
    }

    /// Returns whether a reading has failed since the last call.
    pub fn take_unread(&mut self) -> bool {
        std::mem::take(&mut self.is_unread)
    }

    /// Returns the driver's carrier of this moment.
    ///
    /// The kernel may delay the link events of physical interfaces by up to a second after the
    /// last event of any such interface; the driver answers at once.
    pub fn carrier(&self, name: &str) -> io::Result<bool> {
        ethtool::carrier(&self.ethtool, name)
    }

    /// Gives a team device its address `hwaddr` back if udev has replaced the address by a persistent
    /// one: udev may have found the random address that a TAP has for a moment. An address of a
    /// `.link` file stays.
    pub fn undo_udev(&mut self, device: &mut LinkInfo, hwaddr: HwAddr) {
        if device.hwaddr == hwaddr || !self.udev.gives(&device.name, device.hwaddr) {
            return;
        }
        match link::set_hwaddr(&mut self.route, device.ifindex, hwaddr) {
            Ok(()) => {
                let name = &device.name;
                log::info!("{name}: udev set the address {}; it is {hwaddr} again.", device.hwaddr);
                device.hwaddr = hwaddr;
            }
            Err(error) => {
                log::warn!("Failed to set the team's address {hwaddr} ({}).", strerror(&error));
            }
        }
    }

    /// Switches on again the offloads of an interface that the relay has switched off.
    ///
    /// # Errors
    /// `ENODEV` if the interface is gone.
    pub fn resume_offloads(&self, interface: &PortInterface) -> io::Result<()> {
        let stopped = &interface.stopped_offloads;
        if stopped.is_empty() {
            return Ok(());
        }
        ethtool::switch_features(&self.ethtool, interface.ifindex, &stopped.0, true).map(drop)
    }

    /// Sets the speed of an interface, in Mbit/s; `None` for an unknown one.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if its driver has a fixed speed.
    pub fn set_speed(&self, name: &str, speed: Option<u32>) -> io::Result<()> {
        ethtool::set_speed(&self.ethtool, name, speed)
    }

    /// Returns whether IPv6 is enabled on an interface, or disabled only by
    /// [`disable_ipv6`](Self::disable_ipv6); false where the kernel has no IPv6.
    pub fn ipv6(&self, name: &str) -> bool {
        ipv6_value(name).is_some_and(|value| value == 0 || disabled_for(value).is_some())
    }

    /// Returns the index of the team device for which IPv6 is disabled on an interface; 0 for an
    /// unknown one, `None` if no daemon of ours disabled IPv6.
    pub fn ipv6_disabled_for(&self, name: &str) -> Option<u32> {
        disabled_for(ipv6_value(name)?)
    }

    /// Disables IPv6 on an interface that becomes a port of the team device with the index
    /// `device`.
    ///
    /// With IPv6 the host would give the port a link-local address and routes and send packets of
    /// the team by them. A packet from the port with the team's address would make a switch send
    /// the team's frames to this port, which may not collect. The team driver disables IPv6 by
    /// itself since Linux 6.3.
    pub fn disable_ipv6(&self, name: &str, device: u32) -> io::Result<()> {
        // The setting is a signed 32-bit number, so the high half has room for 15 bits.
        let device = Some(device).filter(|device| *device < 1 << 15).unwrap_or_default();
        fs::write(ipv6_switch(name), (device << 16 | DISABLED_BY_TEAMR).to_string())
    }

    /// Enables IPv6 again on an interface that is no port any more, if it `had_ipv6` before.
    pub fn return_ipv6(&self, name: &str, had_ipv6: bool) {
        match had_ipv6.then(|| fs::write(ipv6_switch(name), "0")) {
            // `NotFound`: the interface has vanished.
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                log::warn!("{name}: Failed to enable IPv6 ({}).", strerror(&error));
            }
            _ => (),
        }
    }

    /// Returns speed and duplex of an interface; [`LinkSettings::NONE`] without a carrier.
    pub fn link_settings(&self, interface: &LinkInfo) -> LinkSettings {
        let settings =
            interface.carrier.then(|| ethtool::link_settings(&self.ethtool, &interface.name).ok());
        settings.flatten().unwrap_or(LinkSettings::NONE)
    }
}

/// Returns the link of an interface for the core; an unknown speed is 0, an unknown duplex
/// full: the driver of a virtual interface often knows only its speed.
pub fn link(interface: &LinkInfo, settings: LinkSettings) -> Link {
    Link {
        up: interface.carrier,
        speed: settings.speed.unwrap_or(0),
        duplex: match settings.full_duplex {
            Some(true) | None => Duplex::Full,
            Some(false) => Duplex::Half,
        },
    }
}

/// Low half of the number that the daemon writes to `disable_ipv6`; the kernel disables IPv6 for any
/// number but 0. The low half tells a later daemon that teamr disabled IPv6 and has to enable IPv6
/// again. The high half is the index of the team device: IPv6 is enabled again when that device is
/// gone.
const DISABLED_BY_TEAMR: u32 = 32419;

/// Returns the index of the team device in a value of `disable_ipv6`; `None` if the value is not
/// ours.
fn disabled_for(value: u32) -> Option<u32> {
    (value & 0xffff == DISABLED_BY_TEAMR).then_some(value >> 16)
}

fn ipv6_value(name: &str) -> Option<u32> {
    fs::read_to_string(ipv6_switch(name)).ok()?.trim().parse().ok()
}

fn ipv6_switch(name: &str) -> PathBuf {
    ipv6_setting(name, "disable_ipv6")
}

/// Returns the file of an IPv6 setting of the interface `name`.
pub fn ipv6_setting(name: &str, setting: &str) -> PathBuf {
    let name = interface_name_bytes(name);
    Path::new("/proc/sys/net/ipv6/conf").join(OsStr::from_bytes(&name)).join(setting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_duplex_is_full() {
        let interface = LinkInfo { ifindex: 3, name: "eth0".to_owned(), ..LinkInfo::default() };
        for (full_duplex, duplex) in
            [(None, Duplex::Full), (Some(true), Duplex::Full), (Some(false), Duplex::Half)]
        {
            let settings = LinkSettings { speed: Some(10_000), full_duplex };
            assert_eq!(link(&interface, settings).duplex, duplex, "{full_duplex:?}");
        }
    }
}
