//! Ports: how interfaces become members of a team, are kept in step, and are given back.
//!
//! What must be done for a port depends on who owns the ports ([`Owner`]): the kernel's
//! driver opens, closes and restores its ports by itself, for the userspace data path the
//! daemon does.

use std::io;

use runners::{Event, Instant, PortId, PortSettings};

use super::super::kernel::{self, Kernel};
use super::ManagedTeam;
use crate::datapath::{Owner, PortInterface};
use crate::errno::strerror;
use crate::netlink::link::{self, LinkEvent, LinkInfo};
use crate::sys::ethtool::LinkSettings;

/// A port as the daemon holds it.
#[derive(Clone, Debug)]
pub(super) struct HeldPort {
    /// The interface as it was found, to be given back so.
    pub(super) found: PortInterface,
    /// Its name now.
    pub(super) name: String,
    /// As its driver told them last; the core takes what is unknown for the least.
    pub(super) link_settings: LinkSettings,
}

/// A port that is in the team before the daemon begins.
#[derive(Clone, Debug)]
pub struct AdoptedPort {
    /// As it is.
    pub interface: LinkInfo,
    /// As it was before it became a port, as far as is known.
    pub found: PortInterface,
}

/// An interface that is no port, as it is to be given back one day.
pub fn as_found(kernel: &Kernel, interface: &LinkInfo) -> PortInterface {
    PortInterface {
        ifindex: interface.ifindex,
        name: interface.name.clone(),
        hwaddr: interface.hwaddr,
        mtu: interface.mtu,
        ipv6: kernel.ipv6(&interface.name),
        promiscuous: interface.promiscuous,
    }
}

/// Whether an interface may be taken although it is administratively up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfUp {
    /// Refuse with `EBUSY`, as the kernel's driver does: it may be in use.
    Refuse,
    /// Set it down first: it has just appeared, and the configuration names it.
    SetDown,
}

impl ManagedTeam {
    /// Takes the configured ports in the order of the file; one that is missing is taken when
    /// it appears.
    ///
    /// # Errors
    /// The first port that exists and cannot be taken ends the start.
    pub fn take_configured_ports(&mut self, kernel: &mut Kernel, now: Instant) -> io::Result<()> {
        let names: Vec<String> = self.config.port_names().map(str::to_owned).collect();
        for name in names {
            self.wanted.insert(name.clone());
            match self.take_port(kernel, now, &name, IfUp::Refuse) {
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
                    log::warn!("{name}: Skipped adding a missing port.");
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }

    pub(super) fn note_own_hwaddrs(&mut self, events: &[LinkEvent]) {
        for event in events {
            if event.gone {
                self.own_hwaddrs.remove(&event.ifindex);
            } else if event.master.is_none() && event.hwaddr != self.device.hwaddr {
                // The driver may give a port the team's address before it is one.
                self.own_hwaddrs.insert(event.ifindex, event.hwaddr);
            }
        }
    }

    /// Takes up an interface that somebody else made a port, unless it is ours by now or no
    /// port any more.
    pub(super) fn adopt(&mut self, kernel: &mut Kernel, now: Instant, ifindex: u32) {
        let is_held = |held: &HeldPort| held.found.ifindex == ifindex;
        if self.ports.values().any(is_held) {
            return;
        }
        let Ok(interface) = link::fetch(&mut kernel.route, ifindex) else {
            return;
        };
        if interface.master == Some(self.device.ifindex) {
            if let Err(error) = self.join(kernel, now, &interface) {
                log::error!(
                    "{}: Failed to add port ({}).",
                    interface.name,
                    strerror(&error)
                );
            }
        }
    }

    /// Takes an interface as a port; success if it is one already.
    ///
    /// # Errors
    /// `ENODEV` if there is none of that name; `EBUSY` for one that is up, in use above the
    /// team, or without a place for our filters; `EINVAL` for the loopback, the team device
    /// itself, an interface that is no Ethernet, and settings that make no sense.
    pub fn take_port(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        name: &str,
        if_up: IfUp,
    ) -> io::Result<()> {
        let interface = link::find(&mut kernel.route, name)?;
        if self
            .ports
            .values()
            .any(|held| held.found.ifindex == interface.ifindex)
        {
            return Ok(());
        }
        let taken = self.take_interface(kernel, now, &interface, if_up);
        if let Err(error) = &taken {
            log::error!("{name}: Failed to add port ({}).", strerror(error));
        }
        taken
    }

    fn take_interface(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        interface: &LinkInfo,
        if_up: IfUp,
    ) -> io::Result<()> {
        let name = &interface.name;
        if interface.master != Some(self.device.ifindex) {
            self.check_takable(interface, if_up)?;
            if interface.admin_up {
                log::info!("{name}: is up, setting it down to take it.");
                link::set_admin_up(&mut kernel.route, interface.ifindex, false)?;
            }
            if interface.master.is_some() {
                log::warn!("{name}: leaves the interface that it was a port of.");
                link::clear_master(&mut kernel.route, interface.ifindex)?;
            }
        }
        self.join(kernel, now, interface)
    }

    /// Makes an interface that is fit for it a port.
    fn join(&mut self, kernel: &mut Kernel, now: Instant, interface: &LinkInfo) -> io::Result<()> {
        let settings = self.port_settings(interface)?;
        let hwaddr = match interface.master {
            Some(_) => self.own_hwaddrs.get(&interface.ifindex).copied(),
            None => None,
        };
        let hwaddr = hwaddr.unwrap_or(interface.hwaddr);
        let found = PortInterface {
            hwaddr,
            ..as_found(kernel, interface)
        };
        let port = self.attach(kernel, now, interface, &found, &settings)?;
        let joined = Event::PortAdded {
            port,
            name: interface.name.clone(),
            hwaddr,
            link: runners::Link::default(),
            settings,
            adopted: false,
        };
        self.tell(kernel, now, joined);
        let opened = self.open_port(kernel, interface);
        match opened {
            Ok(()) => {
                self.refresh_port(kernel, now, port);
                self.refresh_link_locals(kernel, now);
                self.refresh_tipc(kernel, now);
            }
            Err(_) => self.release(kernel, now, port),
        }
        opened
    }

    /// Has the data path take an interface, under a new identity.
    pub(super) fn attach(
        &mut self,
        kernel: &Kernel,
        now: Instant,
        interface: &LinkInfo,
        found: &PortInterface,
        settings: &PortSettings,
    ) -> io::Result<PortId> {
        let port = PortId(self.next_port);
        // Before the driver opens the port.
        silence_ipv6(kernel, found);
        let attached = self.data_path.attach(port, found).and_then(|()| {
            let opened = self.control.open(port, found.ifindex, found.hwaddr);
            opened.or_else(|error| self.data_path.detach(port).and(Err(error)))
        });
        if let Err(error) = attached {
            return_ipv6(kernel, &found.name, found.ipv6);
            return Err(error);
        }
        self.next_port += 1;
        let held = HeldPort {
            found: found.clone(),
            name: found.name.clone(),
            link_settings: kernel.link_settings(interface),
        };
        self.ports.insert(port, held);
        self.configure(now, port, settings);
        Ok(port)
    }

    /// The kernel driver's rules for enslaving.
    fn check_takable(&self, interface: &LinkInfo, if_up: IfUp) -> io::Result<()> {
        let refuse = |errno| Err(io::Error::from_raw_os_error(errno));
        let name = &interface.name;
        if interface.loopback || interface.ifindex == self.device.ifindex {
            return refuse(libc::EINVAL);
        }
        if interface.hardware_type != libc::ARPHRD_ETHER {
            log::error!("{name}: is no Ethernet interface.");
            return refuse(libc::EINVAL);
        }
        let stands_on_team = interface.lower == Some(self.device.ifindex);
        if stands_on_team || self.device.master == Some(interface.ifindex) {
            log::error!("{name}: stands on \"{}\" itself.", self.device.name);
            return refuse(libc::EBUSY);
        }
        if interface.admin_up && if_up == IfUp::Refuse {
            log::error!("{name}: is up; set it down first: ip link set dev {name} down");
            return refuse(libc::EBUSY);
        }
        Ok(())
    }

    /// The last steps of taking: the team's MTU, and up.
    fn open_port(&mut self, kernel: &mut Kernel, interface: &LinkInfo) -> io::Result<()> {
        if self.data_path.capabilities().ports == Owner::DataPath {
            return Ok(());
        }
        if interface.mtu != self.device.mtu {
            link::set_mtu(&mut kernel.route, interface.ifindex, self.device.mtu)?;
        }
        link::set_admin_up(&mut kernel.route, interface.ifindex, true)
    }

    pub(super) fn take_appeared_port(&mut self, kernel: &mut Kernel, now: Instant, name: &str) {
        let Ok(interface) = link::find(&mut kernel.route, name) else {
            return;
        };
        let held = self
            .ports
            .values()
            .any(|held| held.found.ifindex == interface.ifindex);
        if held || self.refused.get(name) == Some(&interface.ifindex) {
            return;
        }
        match self.take_port(kernel, now, name, IfUp::SetDown) {
            Ok(()) => {
                self.refused.remove(name);
                log::info!("{name}: Added the port that was missing.");
            }
            Err(_) => {
                self.refused.insert(name.to_owned(), interface.ifindex);
            }
        }
    }

    /// Wants the interface `name` as a port from now on, also when it comes back later.
    pub fn want_port(&mut self, name: &str) {
        self.wanted.insert(name.to_owned());
    }

    /// Gives a port back as it was found and no longer wants it.
    pub fn give_back_port(&mut self, kernel: &mut Kernel, now: Instant, port: PortId) {
        if let Some(held) = self.ports.get(&port) {
            self.wanted.remove(&held.found.name);
            self.wanted.remove(&held.name);
        }
        self.release(kernel, now, port);
    }

    /// Gives all ports back, the last one first.
    pub fn release_all(&mut self, kernel: &mut Kernel, now: Instant) {
        for port in self.held_by_ifindex(|_| true).into_iter().rev() {
            self.release(kernel, now, port);
        }
    }

    fn release(&mut self, kernel: &mut Kernel, now: Instant, port: PortId) {
        let Some(held) = self.ports.remove(&port) else {
            return;
        };
        self.tell(kernel, now, Event::PortRemoved { port });
        if self.data_path.capabilities().ports == Owner::Daemon {
            // Down before the filters go, so that the host's stack sees nothing of the port.
            let found = PortInterface {
                name: held.name.clone(),
                ..held.found.clone()
            };
            restore(kernel, &found);
        }
        self.detach(port, &held);
        return_ipv6(kernel, &held.name, held.found.ipv6);
    }

    /// Names of the ports on which the host spoke IPv6 before they were ports.
    pub fn ports_with_ipv6(&self) -> Vec<String> {
        let silenced = self.ports.values().filter(|held| held.found.ipv6);
        silenced.map(|held| held.name.clone()).collect()
    }

    /// Lets go of a port that is not ours to change any more.
    fn forget(&mut self, kernel: &mut Kernel, now: Instant, port: PortId) {
        if let Some(held) = self.ports.remove(&port) {
            self.tell(kernel, now, Event::PortRemoved { port });
            self.detach(port, &held);
            return_ipv6(kernel, &held.name, held.found.ipv6);
        }
    }

    fn detach(&mut self, port: PortId, held: &HeldPort) {
        self.control.close(port);
        if let Err(error) = self.data_path.detach(port) {
            log::warn!(
                "{}: Failed to detach port ({}).",
                held.name,
                strerror(&error)
            );
        }
    }

    pub(super) fn refresh_port(&mut self, kernel: &mut Kernel, now: Instant, port: PortId) {
        let Some(held) = self.ports.get_mut(&port) else {
            return;
        };
        let master = match self.data_path.capabilities().ports {
            Owner::Daemon => None,
            Owner::DataPath => Some(self.device.ifindex),
        };
        let interface = match link::fetch(&mut kernel.route, held.found.ifindex) {
            Ok(interface) if interface.master == master => interface,
            gone_or_moved => {
                let left = match gone_or_moved {
                    Err(error) if error.raw_os_error() != Some(libc::ENODEV) => {
                        log::warn!("{}: Failed to read link ({}).", held.name, strerror(&error));
                        return;
                    }
                    Err(_) => "vanished",
                    Ok(interface) => {
                        // Somebody wants it elsewhere.
                        self.wanted.remove(&interface.name);
                        self.wanted.remove(&held.found.name);
                        "was taken out of the team"
                    }
                };
                log::info!("{}: The port {left}.", held.name);
                self.forget(kernel, now, port);
                return;
            }
        };
        let renamed = (held.name != interface.name).then(|| interface.name.clone());
        held.name.clone_from(&interface.name);
        let link_settings = kernel.link_settings(&interface);
        held.link_settings = link_settings;
        if let Some(name) = renamed {
            self.tell(kernel, now, Event::PortRenamed { port, name });
        }
        let hwaddr = interface.hwaddr;
        self.tell(kernel, now, Event::PortHwAddrChanged { port, hwaddr });
        let link = kernel::link(&interface, link_settings);
        self.tell(kernel, now, Event::LinkChanged { port, link });
        if link.up {
            if let Some(frame) = self.warm.take_pdu(&interface.name, now) {
                self.tell(kernel, now, Event::FrameReceived { port, frame });
            }
        }
    }
}

/// Keeps the host from speaking IPv6 on an interface that becomes a port.
///
/// It would give the port a link-local address and routes, and send by them what is meant for
/// the team; and what a port says with the team's address makes a switch send it the team's
/// frames, although it may not be the one that receives. The team driver sees to that itself
/// since Linux 6.3.
fn silence_ipv6(kernel: &Kernel, found: &PortInterface) {
    if found.ipv6 {
        if let Err(error) = kernel.set_ipv6(&found.name, false) {
            let name = &found.name;
            log::warn!("{name}: Failed to disable IPv6 ({}).", strerror(&error));
        }
    }
}

/// Lets the host speak IPv6 again on an interface that is no port any more, if it did before.
pub fn return_ipv6(kernel: &Kernel, name: &str, spoken: bool) {
    if spoken {
        match kernel.set_ipv6(name, true) {
            // The interface has vanished.
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => log::warn!("{name}: Failed to enable IPv6 ({}).", strerror(&error)),
            Ok(()) => (),
        }
    }
}

/// Sets an interface down, as it was found, and gives it its own address and MTU again.
pub fn restore(kernel: &mut Kernel, found: &PortInterface) {
    let route = &mut kernel.route;
    let steps = [
        link::set_admin_up(route, found.ifindex, false),
        link::set_hwaddr(route, found.ifindex, found.hwaddr),
        link::set_mtu(route, found.ifindex, found.mtu),
    ];
    for error in steps.into_iter().filter_map(Result::err) {
        log::warn!(
            "{}: Failed to give the port back ({}).",
            found.name,
            strerror(&error)
        );
    }
}
