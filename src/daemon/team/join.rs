//! How an interface becomes a port of the team.
//!
//! The team driver opens, closes and restores its ports; on the other data paths the daemon does
//! this.

use std::io;

use runners::{Event, Instant, Link, PortId, PortSettings};

use super::ManagedTeam;
use super::port_owner::PortOwner;
use super::ports::{AttachedPort, Rejection};
use super::stacking::{may_have_lowers, stacked};
use crate::daemon::device_lock::PortLock;
use crate::daemon::kernel::Kernel;
use crate::datapath::PortInterface;
use crate::errno::{is_transient, repeat, strerror};
use crate::netlink::link::{self, LinkInfo};

/// Returns the state of an interface before it becomes a port, for the later restoration.
pub fn as_found(kernel: &Kernel, interface: &LinkInfo) -> PortInterface {
    PortInterface {
        ifindex: interface.ifindex,
        name: interface.name.clone(),
        hwaddr: interface.hwaddr,
        mtu: interface.mtu,
        ipv6: kernel.ipv6(&interface.name),
        promiscuous: interface.promiscuous,
        stopped_offloads: Default::default(),
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

/// Why an interface cannot become a port.
struct Obstacle {
    errno: i32,
    /// The end of a sentence about the interface, with the remedy.
    why: String,
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
            let found = link::find(&mut kernel.route, &name).ok();
            if found.is_some_and(|it| self.awaits_udev(kernel, now, &name, it.ifindex)) {
                log::info!("{name}: Waiting for udev to name the interface.");
                continue;
            }
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
        // A port of a former daemon may have carried traffic under this name; its name is not recorded.
        let is_new = interface.master != Some(self.device.ifindex)
            && !self.ports.ifindexes().any(|port| port == interface.ifindex);
        let taken = self.take_interface(kernel, now, &interface, if_up);
        if is_new {
            self.record_name(interface.ifindex, name);
        }
        if let Err(error) = &taken {
            log::error!("{}: Failed to add port ({}).", interface.name, strerror(error));
        }
        taken
    }

    /// Takes an interface that the configuration names and that has appeared, unless another device
    /// has it as its port.
    pub(super) fn take_appeared_port(&mut self, kernel: &mut Kernel, now: Instant, name: &str) {
        let interface = match link::find(&mut kernel.route, name) {
            Ok(interface) => interface,
            Err(error) if is_transient(&error) => return kernel.reading_failed(name, &error),
            Err(_) => return,
        };
        let ifindex = interface.ifindex;
        if !self.ports.is_awaited(name, ifindex) || self.awaits_udev(kernel, now, name, ifindex) {
            return;
        }
        if let Ok(Some(owner)) = self.owner(kernel, &interface) {
            if self.ports.reject(name, Some(Rejection::Owned(ifindex))) {
                log::error!("{name}: {}.", owner.describe(name));
            }
            return;
        }
        let take = || self.take_interface(kernel, now, &interface, AdminUpPort::SetDown);
        let rejection = match repeat(take) {
            Ok(()) => {
                log::info!("{name}: Added the port that was missing.");
                self.record_name(ifindex, name);
                None
            }
            // Another daemon has the lock; its changes of the interface cause the next attempt.
            Err(error) if error.raw_os_error() == Some(libc::EADDRINUSE) => return,
            Err(error) => {
                log::error!("{name}: Failed to add port ({}).", strerror(&error));
                Some(self.ports.after_failure(name, ifindex))
            }
        };
        self.ports.reject(name, rejection);
    }

    /// Takes over an interface that another program made a port, unless the interface has left the
    /// device again.
    pub(super) fn adopt(&mut self, kernel: &mut Kernel, now: Instant, ifindex: u32) {
        let taken = match link::fetch(&mut kernel.route, ifindex) {
            Ok(interface) if interface.master == Some(self.device.ifindex) => {
                self.take_interface(kernel, now, &interface, AdminUpPort::Refuse)
            }
            Err(error) if is_transient(&error) => {
                return kernel.reading_failed("a port", &error);
            }
            _ => Ok(()),
        };
        if let Err(error) = taken {
            log::error!("Failed to add port {ifindex} ({}).", strerror(&error));
        }
    }

    /// Takes an interface as a port; succeeds if it is one already.
    fn take_interface(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        interface: &LinkInfo,
        if_up: AdminUpPort,
    ) -> io::Result<()> {
        if self.ports.ifindexes().any(|port| port == interface.ifindex) {
            return Ok(());
        }
        if interface.master == Some(self.device.ifindex) {
            return self.join(kernel, now, interface);
        }
        let _lock = PortLock::acquire(interface.ifindex)?;
        // Another daemon may have had the lock, and udev may have renamed the interface.
        let interface = &match link::fetch(&mut kernel.route, interface.ifindex)? {
            present if present.name == interface.name => present,
            _ => return Err(io::Error::from_raw_os_error(libc::ENODEV)),
        };
        self.prepare(kernel, interface, if_up)?;
        self.join(kernel, now, interface)
    }

    /// Checks the conditions for a port, sets the interface down and frees it of its master.
    fn prepare(
        &self,
        kernel: &mut Kernel,
        interface: &LinkInfo,
        if_up: AdminUpPort,
    ) -> io::Result<()> {
        let name = &interface.name;
        if let Some(obstacle) = self.obstacle(kernel, interface, if_up)? {
            log::error!("{name}: {}", obstacle.why);
            return Err(io::Error::from_raw_os_error(obstacle.errno));
        }
        if interface.admin_up {
            log::info!("{name}: The interface is up; setting it down to add it as a port.");
            link::set_admin_up(&mut kernel.route, interface.ifindex, false)?;
        }
        if interface.master.is_some() {
            log::warn!("{name}: Removing the interface from its former master.");
            link::clear_master(&mut kernel.route, interface.ifindex)?;
        }
        Ok(())
    }

    /// Returns why an interface cannot become a port of this team, with the remedy; `None` if it can,
    /// or does not exist.
    pub(super) fn obstacle_to_port(&self, kernel: &mut Kernel, name: &str) -> Option<String> {
        let interface = link::find(&mut kernel.route, name).ok()?;
        let is_port = interface.master == Some(self.device.ifindex)
            || self.ports.ifindexes().any(|port| port == interface.ifindex);
        if is_port {
            return None;
        }
        self.obstacle(kernel, &interface, AdminUpPort::Refuse).ok()?.map(|obstacle| obstacle.why)
    }

    /// Returns what keeps an interface from becoming a port: the team driver's conditions, another
    /// device that has the interface as a port, or a place below the team device.
    fn obstacle(
        &self,
        kernel: &mut Kernel,
        interface: &LinkInfo,
        if_up: AdminUpPort,
    ) -> io::Result<Option<Obstacle>> {
        let found = |errno, why: String| Ok(Some(Obstacle { errno, why }));
        let name = &interface.name;
        let peer = self.peer();
        if interface.loopback {
            return found(libc::EINVAL, "The loopback cannot be a port.".to_owned());
        }
        if interface.ifindex == self.device.ifindex {
            return found(libc::EINVAL, "The team device cannot be its own port.".to_owned());
        }
        if interface.hardware_type != libc::ARPHRD_ETHER {
            return found(libc::EINVAL, "is no Ethernet interface.".to_owned());
        }
        if peer == Some(interface.ifindex) {
            let why = format!(
                "is the other end of the team device \"{}\"; take it out of \"ports\".",
                self.device.name
            );
            return found(libc::EBUSY, why);
        }
        if let Some(chain) = self.chain_to_team(kernel, interface)? {
            return found(libc::EBUSY, stacked(&self.device.name, &chain));
        }
        // teamd takes a port that is down from its master.
        let may_leave = |owner: &PortOwner| {
            matches!(owner, PortOwner::Master(_))
                && !interface.admin_up
                && if_up == AdminUpPort::Refuse
        };
        if let Some(owner) = self.owner(kernel, interface)?.filter(|owner| !may_leave(owner)) {
            let mut why = format!("{}.", owner.describe(name));
            if owner.is_team() && self.setup.options.in_directory {
                why += " A reload of the whole directory moves the port, if the file of that team \
                        gives it up.";
            }
            return found(libc::EBUSY, why);
        }
        if interface.admin_up && if_up == AdminUpPort::Refuse {
            let why = format!("is up; set it down first: ip link set dev {name} down");
            return found(libc::EBUSY, why);
        }
        Ok(None)
    }

    /// Makes a checked interface a port.
    fn join(&mut self, kernel: &mut Kernel, now: Instant, interface: &LinkInfo) -> io::Result<()> {
        let settings = self.port_settings(interface)?;
        let own = interface.master.and_then(|_| kernel.own_hwaddrs.get(interface.ifindex));
        let hwaddr = own.unwrap_or(interface.hwaddr);
        let found = PortInterface { hwaddr, ..as_found(kernel, interface) };
        let found = self.ports.recall_moved(found, self.device.hwaddr);
        let hwaddr = found.hwaddr;
        let port = self.attach(kernel, now, interface, &found, &settings)?;
        let added = Event::PortAdded {
            port,
            name: interface.name.clone(),
            hwaddr,
            link: Link::default(),
            settings,
            adopted: false,
        };
        let exclusions = self.persisted_exclusion_events(port, &interface.name);
        self.handle_all(kernel, now, [added].into_iter().chain(exclusions).collect());
        if let Err(error) = self.open_port(kernel, interface) {
            self.release(kernel, now, port);
            return Err(error);
        }
        self.refresh_port(kernel, now, port);
        self.refresh_link_locals(kernel, now);
        self.refresh_tipc(kernel, now);
        Ok(())
    }

    /// Attaches an interface to the data path under a new id.
    pub(super) fn attach(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        interface: &LinkInfo,
        found: &PortInterface,
        settings: &PortSettings,
    ) -> io::Result<PortId> {
        let port = self.ports.next_id();
        // Before the driver opens the port.
        if found.ipv6 {
            if let Err(error) = kernel.disable_ipv6(&found.name, self.device.ifindex) {
                log::warn!("{}: Failed to disable IPv6 ({}).", found.name, strerror(&error));
            }
        }
        let attached = self.data_path.attach(port, found).and_then(|()| {
            let opened = self.port_sockets.open(port, found.ifindex, found.hwaddr);
            opened.or_else(|error| self.data_path.detach(port).and(Err(error)))
        });
        if let Err(error) = attached {
            kernel.return_ipv6(&found.name, found.ipv6);
            return Err(error);
        }
        self.ports.insert(AttachedPort {
            found: found.clone(),
            name: found.name.clone(),
            link_settings: kernel.link_settings(interface),
            taken_as: None,
            may_have_lowers: may_have_lowers(kernel, interface),
            carrier_changes: AttachedPort::carrier_changes_of(interface),
        });
        self.configure(now, port, settings);
        Ok(port)
    }

    /// Gives an attached interface the team's MTU and sets it up.
    fn open_port(&mut self, kernel: &mut Kernel, interface: &LinkInfo) -> io::Result<()> {
        if !self.daemon_owns_ports() {
            return Ok(());
        }
        if interface.mtu != self.device.mtu {
            link::set_mtu(&mut kernel.route, interface.ifindex, self.device.mtu)?;
        }
        link::set_admin_up(&mut kernel.route, interface.ifindex, true)
    }
}
