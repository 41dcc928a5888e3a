//! How an interface becomes a port of the team.
//!
//! [`Owner`] says what the daemon does for a port: the team driver opens, closes and restores
//! its ports, on the other data paths the daemon does.

use std::io;

use runners::{Event, Instant, Link, PortId, PortSettings};

use super::ManagedTeam;
use super::ipv6::{disable_ipv6, return_ipv6};
use super::ports::AttachedPort;
use crate::daemon::kernel::Kernel;
use crate::datapath::{Owner, PortInterface};
use crate::errno::strerror;
use crate::netlink::link::{self, LinkInfo};

/// Returns the state of an interface that is no port, to be restored when it stops being one.
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

/// The treatment of a future port that is administratively up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminUpPort {
    /// Refuse with `EBUSY`, as the team driver does: the interface may be in use.
    Refuse,
    /// Set the interface down first: it has just appeared, and the configuration names it.
    SetDown,
}

impl ManagedTeam {
    /// Takes the configured ports in the order of the file; one that is missing is taken when
    /// it appears.
    ///
    /// # Errors
    /// Errors of [`take_port`](Self::take_port) for the first port that exists and cannot be taken.
    pub fn take_configured_ports(&mut self, kernel: &mut Kernel, now: Instant) -> io::Result<()> {
        let names: Vec<String> = self.config.port_names().map(str::to_owned).collect();
        for name in names {
            self.ports.expect(&name);
            match self.take_port(kernel, now, &name, AdminUpPort::Refuse) {
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
                    log::warn!("{name}: Skipped adding a missing port.");
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }

    /// Takes the interface `name` as a port whenever it exists from now on.
    pub fn expect_port(&mut self, name: &str) {
        self.ports.expect(name);
    }

    /// Takes an interface as a port; succeeds if it is one already.
    ///
    /// # Errors
    /// `ENODEV` if there is none of that name; `EBUSY` for one that is up, is stacked on the team,
    /// or has no place for the filters; `EINVAL` for the loopback, the team device itself, an
    /// interface that is not Ethernet, and invalid settings.
    pub fn take_port(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        name: &str,
        if_up: AdminUpPort,
    ) -> io::Result<()> {
        let interface = link::find(&mut kernel.route, name)?;
        if self.ports.by_ifindex(interface.ifindex).is_some() {
            return Ok(());
        }
        let taken = self.take_interface(kernel, now, &interface, if_up);
        if let Err(error) = &taken {
            log::error!("{name}: Failed to add port ({}).", strerror(error));
        }
        taken
    }

    /// Takes an interface that the configuration names and that has appeared.
    pub(super) fn take_appeared_port(&mut self, kernel: &mut Kernel, now: Instant, name: &str) {
        if !self.ports.is_missing(name) {
            return;
        }
        let Ok(interface) = link::find(&mut kernel.route, name) else {
            return;
        };
        let ifindex = interface.ifindex;
        if self.ports.by_ifindex(ifindex).is_some() || self.ports.is_rejected(name, ifindex) {
            return;
        }
        match self.take_port(kernel, now, name, AdminUpPort::SetDown) {
            Ok(()) => {
                self.ports.accept(name);
                log::info!("{name}: Added the port that was missing.");
            }
            Err(_) => self.ports.reject(name, ifindex),
        }
    }

    /// Takes over an interface that another program made a port, unless it is a port already or
    /// has left the device again.
    pub(super) fn adopt(&mut self, kernel: &mut Kernel, now: Instant, ifindex: u32) {
        if self.ports.by_ifindex(ifindex).is_some() {
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

    fn take_interface(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        interface: &LinkInfo,
        if_up: AdminUpPort,
    ) -> io::Result<()> {
        let name = &interface.name;
        if interface.master != Some(self.device.ifindex) {
            self.check_interface(interface, if_up)?;
            if interface.admin_up {
                log::info!("{name}: The interface is up; setting it down to add it as a port.");
                link::set_admin_up(&mut kernel.route, interface.ifindex, false)?;
            }
            if interface.master.is_some() {
                log::warn!("{name}: Removing the interface from its former master.");
                link::clear_master(&mut kernel.route, interface.ifindex)?;
            }
        }
        self.join(kernel, now, interface)
    }

    /// Checks the team driver's conditions for a port.
    fn check_interface(&self, interface: &LinkInfo, if_up: AdminUpPort) -> io::Result<()> {
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
            log::error!(
                "{name}: The interface is stacked on \"{}\".",
                self.device.name
            );
            return refuse(libc::EBUSY);
        }
        if interface.admin_up && if_up == AdminUpPort::Refuse {
            log::error!("{name}: is up; set it down first: ip link set dev {name} down");
            return refuse(libc::EBUSY);
        }
        Ok(())
    }

    /// Makes a checked interface a port.
    fn join(&mut self, kernel: &mut Kernel, now: Instant, interface: &LinkInfo) -> io::Result<()> {
        let settings = self.port_settings(interface)?;
        let hwaddr = match interface.master {
            Some(_) => kernel.own_hwaddrs.get(interface.ifindex),
            None => None,
        };
        let hwaddr = hwaddr.unwrap_or(interface.hwaddr);
        let found = PortInterface {
            hwaddr,
            ..as_found(kernel, interface)
        };
        let port = self.attach(kernel, now, interface, &found, &settings)?;
        let added = Event::PortAdded {
            port,
            name: interface.name.clone(),
            hwaddr,
            link: Link::default(),
            settings,
            adopted: false,
        };
        self.handle(kernel, now, added);
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

    /// Attaches an interface to the data path under a new id.
    pub(super) fn attach(
        &mut self,
        kernel: &Kernel,
        now: Instant,
        interface: &LinkInfo,
        found: &PortInterface,
        settings: &PortSettings,
    ) -> io::Result<PortId> {
        let port = self.ports.next_id();
        // Before the driver opens the port.
        disable_ipv6(kernel, found);
        let attached = self.data_path.attach(port, found).and_then(|()| {
            let opened = self.port_sockets.open(port, found.ifindex, found.hwaddr);
            opened.or_else(|error| self.data_path.detach(port).and(Err(error)))
        });
        if let Err(error) = attached {
            return_ipv6(kernel, &found.name, found.ipv6);
            return Err(error);
        }
        self.ports.insert(AttachedPort {
            found: found.clone(),
            name: found.name.clone(),
            link_settings: kernel.link_settings(interface),
        });
        self.configure(now, port, settings);
        Ok(port)
    }

    /// Gives an attached interface the team's MTU and sets it up.
    fn open_port(&mut self, kernel: &mut Kernel, interface: &LinkInfo) -> io::Result<()> {
        if self.data_path.capabilities().ports == Owner::DataPath {
            return Ok(());
        }
        if interface.mtu != self.device.mtu {
            link::set_mtu(&mut kernel.route, interface.ifindex, self.device.mtu)?;
        }
        link::set_admin_up(&mut kernel.route, interface.ifindex, true)
    }
}
