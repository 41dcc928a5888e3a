//! One team: its core, its data path, its device and its ports, and how they are kept in step.
//!
//! Facts travel from the kernel to the core as events; the core's actions travel back. What the
//! kernel says is read anew at each link event, since an event may be older than our own last
//! change.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use json_config::Config;
use mio::Token;
use runners::{Action, Event, HwAddr, Instant, PortId, PortSettings, Team};

use super::announce;
use super::carrier_watch::CarrierWatch;
use super::kernel::Kernel;
use super::setup::Setup;
use crate::datapath::{DataPath, Drained, PortCare, PortInterface};
use crate::errno::strerror;
use crate::netlink::link::{self, LinkEvent, LinkInfo};

/// A port as the daemon holds it.
#[derive(Clone, Debug)]
struct HeldPort {
    /// The interface as it was found, to be given back so.
    found: PortInterface,
    /// Its name now.
    name: String,
}

/// Whether an interface may be taken although it is administratively up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfUp {
    /// Refuse with `EBUSY`, as the kernel's driver does: it may be in use.
    Refuse,
    /// Set it down first: it has just appeared, and the configuration names it.
    SetDown,
}

/// A running team.
pub struct ManagedTeam {
    pub(super) core: Team,
    pub(super) config: Config,
    pub(super) data_path: Box<dyn DataPath>,
    pub(super) device: LinkInfo,
    pub(super) setup: Setup,
    /// Link events lost to a full buffer, each answered by reading everything anew.
    pub(super) resyncs: u64,
    ports: BTreeMap<PortId, HeldPort>,
    next_port: u32,
    /// Names of the interfaces that shall be ports whenever they exist.
    wanted: BTreeSet<String>,
    /// Wanted interfaces that could not be taken; not tried again until remade.
    refused: BTreeMap<String, u32>,
    carrier_watch: CarrierWatch,
    /// Addresses of interfaces while they are no ports, by index: a port that somebody else
    /// makes one may wear the team's by the time we hear of it.
    own_hwaddrs: BTreeMap<u32, HwAddr>,
    /// The carrier was set by hand, which ends the driver's own rule.
    carrier_by_hand: bool,
}

/// What became of the team device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// It is there.
    Present,
    /// Somebody deleted it.
    Deleted,
}

impl ManagedTeam {
    /// A team without ports on the device `device`, which `data_path` serves.
    pub fn new(
        core: Team,
        config: Config,
        data_path: Box<dyn DataPath>,
        device: LinkInfo,
        setup: Setup,
    ) -> Self {
        ManagedTeam {
            core,
            config,
            data_path,
            device,
            setup,
            resyncs: 0,
            ports: BTreeMap::new(),
            next_port: 1,
            wanted: BTreeSet::new(),
            refused: BTreeMap::new(),
            carrier_watch: CarrierWatch::default(),
            own_hwaddrs: BTreeMap::new(),
            carrier_by_hand: false,
        }
    }

    /// Brings the data path and the device into the core's first state. `standing` are ports
    /// that are in the team already; the earlier, the rather they go on carrying.
    ///
    /// # Errors
    /// Those of the data path for one of these ports, and settings that make no sense.
    pub fn begin(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        standing: &[LinkInfo],
    ) -> io::Result<()> {
        if self.data_path.port_care() == PortCare::DataPath {
            let links = link::all(&mut kernel.route)?.into_iter();
            let free = links.filter(|link| link.master.is_none());
            self.own_hwaddrs = free.map(|link| (link.ifindex, link.hwaddr)).collect();
        }
        let mut joined = Vec::new();
        for interface in standing {
            let settings = self.port_settings(&interface.name)?;
            let port = self.attach(interface, interface.hwaddr, &settings)?;
            joined.push(port);
            let (name, hwaddr) = (interface.name.clone(), interface.hwaddr);
            let added = Event::PortAdded {
                port,
                name,
                hwaddr,
                link: kernel.link(interface),
                settings,
                standing: true,
            };
            self.core.handle(now, added);
        }
        let hwaddr = self.device.hwaddr;
        self.core.handle(now, Event::TeamHwAddrChanged { hwaddr });
        // Nothing in between is carried out: with only some of the ports known it would
        // interrupt what goes on.
        let mut actions: Vec<Action> = std::iter::from_fn(|| self.core.poll_action()).collect();
        let mut kept = BTreeSet::new();
        actions.reverse();
        actions.retain(|action| match action {
            Action::ApplyForwarding(_) => kept.insert("forwarding"),
            Action::SetCarrier(_) => kept.insert("carrier"),
            _ => true,
        });
        for action in actions.iter().rev() {
            self.attempt(kernel, now, action);
        }
        Ok(())
    }

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

    /// When to be woken although nothing happens.
    pub fn deadline(&self) -> Option<Instant> {
        let carrier = self
            .carrier_watch
            .deadline()
            .filter(|_| !self.ports.is_empty());
        self.core.next_deadline().into_iter().chain(carrier).min()
    }

    /// Does what is due at `now`.
    pub fn deadline_reached(&mut self, kernel: &mut Kernel, now: Instant) {
        if self
            .core
            .next_deadline()
            .is_some_and(|deadline| deadline <= now)
        {
            self.tell(kernel, now, Event::DeadlineReached);
        }
        if self.carrier_watch.is_due(now) {
            self.ask_carriers(kernel, now);
        }
    }

    /// Moves frames from a ready source of the data path.
    pub fn drain(&mut self, token: Token, budget: usize, now: Instant) -> io::Result<Drained> {
        // A data path that takes care of its ports has news, but no frames to move.
        if self.data_path.port_care() == PortCare::Daemon {
            self.carrier_watch.frames_moved(now);
        }
        self.data_path.drain_ready(token, budget, &mut |_| ())
    }

    /// Reads anew what the events speak of. Interfaces that are no business of the team's only
    /// remind it that late events may follow.
    pub fn links_changed(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        events: &[LinkEvent],
    ) -> DeviceState {
        self.carrier_watch.link_event(now);
        let concerned: BTreeSet<u32> = events.iter().map(|event| event.ifindex).collect();
        if concerned.contains(&self.device.ifindex)
            && self.refresh_device(kernel, now) == DeviceState::Deleted
        {
            return DeviceState::Deleted;
        }
        let held: Vec<PortId> = self.held_by_ifindex(|ifindex| concerned.contains(&ifindex));
        for port in held {
            self.refresh_port(kernel, now, port);
        }
        if self.data_path.port_care() == PortCare::DataPath {
            self.note_own_hwaddrs(events);
            let ours = Some(self.device.ifindex);
            let enslaved = events.iter().filter(|event| event.master == ours);
            let enslaved: BTreeSet<u32> = enslaved.map(|event| event.ifindex).collect();
            for ifindex in enslaved {
                self.adopt(kernel, now, ifindex);
            }
        }
        let appeared: BTreeSet<&str> = events.iter().map(|event| event.name.as_str()).collect();
        for name in appeared {
            if self.wanted.contains(name) {
                self.take_appeared_port(kernel, now, name);
            }
        }
        DeviceState::Present
    }

    /// Reads everything anew after events were lost.
    pub fn resync(&mut self, kernel: &mut Kernel, now: Instant) -> DeviceState {
        self.resyncs += 1;
        log::warn!("link events were lost, reading all links anew");
        self.carrier_watch.link_event(now);
        if self.refresh_device(kernel, now) == DeviceState::Deleted {
            return DeviceState::Deleted;
        }
        for port in self.held_by_ifindex(|_| true) {
            self.refresh_port(kernel, now, port);
        }
        if self.data_path.port_care() == PortCare::DataPath {
            self.adopt_all(kernel, now);
        }
        for name in self.wanted.clone() {
            self.take_appeared_port(kernel, now, &name);
        }
        DeviceState::Present
    }

    fn note_own_hwaddrs(&mut self, events: &[LinkEvent]) {
        for event in events {
            if event.gone {
                self.own_hwaddrs.remove(&event.ifindex);
            } else if event.master.is_none() && event.hwaddr != self.device.hwaddr {
                // The driver may give a port the team's address before it is one.
                self.own_hwaddrs.insert(event.ifindex, event.hwaddr);
            }
        }
    }

    /// Takes up the ports that somebody else made so.
    fn adopt_all(&mut self, kernel: &mut Kernel, now: Instant) {
        match link::all(&mut kernel.route) {
            Ok(links) => {
                let ours = Some(self.device.ifindex);
                for enslaved in links.iter().filter(|link| link.master == ours) {
                    self.adopt(kernel, now, enslaved.ifindex);
                }
            }
            Err(error) => log::warn!("Failed to read all links ({}).", strerror(&error)),
        }
    }

    /// Takes up an interface that somebody else made a port, unless it is ours by now or no
    /// port any more.
    fn adopt(&mut self, kernel: &mut Kernel, now: Instant, ifindex: u32) {
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
        let settings = self.port_settings(&interface.name)?;
        let hwaddr = match interface.master {
            Some(_) => self.own_hwaddrs.get(&interface.ifindex).copied(),
            None => None,
        };
        let hwaddr = hwaddr.unwrap_or(interface.hwaddr);
        let port = self.attach(interface, hwaddr, &settings)?;
        let joined = Event::PortAdded {
            port,
            name: interface.name.clone(),
            hwaddr,
            link: runners::Link::default(),
            settings,
            standing: false,
        };
        self.tell(kernel, now, joined);
        let opened = self.open_port(kernel, interface);
        match opened {
            Ok(()) => self.refresh_port(kernel, now, port),
            Err(_) => self.release(kernel, now, port),
        }
        opened
    }

    fn port_settings(&mut self, name: &str) -> io::Result<PortSettings> {
        let settings = self.config.port_settings(name).map_err(|problem| {
            log::error!("{problem}");
            io::Error::from_raw_os_error(libc::EINVAL)
        })?;
        if settings.queue_id.is_some() && self.data_path.port_care() == PortCare::Daemon {
            log::warn!("{name}: \"queue_id\" has no effect on the userspace data path.");
        }
        Ok(settings)
    }

    /// Has the data path take an interface whose own address is `hwaddr`, under a new identity.
    fn attach(
        &mut self,
        interface: &LinkInfo,
        hwaddr: HwAddr,
        settings: &PortSettings,
    ) -> io::Result<PortId> {
        let port = PortId(self.next_port);
        let found = PortInterface {
            ifindex: interface.ifindex,
            name: interface.name.clone(),
            hwaddr,
            mtu: interface.mtu,
        };
        self.data_path.attach_port(port, &found)?;
        self.next_port += 1;
        let name = interface.name.clone();
        self.ports.insert(port, HeldPort { found, name });
        self.configure(port, settings);
        Ok(port)
    }

    fn configure(&mut self, port: PortId, settings: &PortSettings) {
        if let Err(error) = self.data_path.configure_port(port, settings) {
            let name = self.ports.get(&port).map_or("", |held| &held.name);
            log::warn!("{name}: Failed to configure port ({}).", strerror(&error));
        }
    }

    /// Gives a port other settings.
    pub(super) fn change_settings(
        &mut self,
        kernel: &mut Kernel,
        now: Instant,
        port: PortId,
        settings: PortSettings,
    ) {
        self.configure(port, &settings);
        self.tell(kernel, now, Event::PortSettingsChanged { port, settings });
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
        if self.data_path.port_care() == PortCare::DataPath {
            return Ok(());
        }
        if interface.mtu != self.device.mtu {
            link::set_mtu(&mut kernel.route, interface.ifindex, self.device.mtu)?;
        }
        link::set_admin_up(&mut kernel.route, interface.ifindex, true)
    }

    fn take_appeared_port(&mut self, kernel: &mut Kernel, now: Instant, name: &str) {
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
    pub(super) fn want_port(&mut self, name: &str) {
        self.wanted.insert(name.to_owned());
    }

    /// Gives a port back as it was found and no longer wants it.
    pub(super) fn give_back_port(&mut self, kernel: &mut Kernel, now: Instant, port: PortId) {
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
        if self.data_path.port_care() == PortCare::Daemon {
            // Down before the filters go, so that the host's stack sees nothing of the port.
            restore(kernel, &held.found);
        }
        self.detach(port, &held);
    }

    /// Lets go of a port that is not ours to change any more.
    fn forget(&mut self, kernel: &mut Kernel, now: Instant, port: PortId) {
        if let Some(held) = self.ports.remove(&port) {
            self.tell(kernel, now, Event::PortRemoved { port });
            self.detach(port, &held);
        }
    }

    fn detach(&mut self, port: PortId, held: &HeldPort) {
        if let Err(error) = self.data_path.detach_port(port) {
            log::warn!(
                "{}: Failed to detach port ({}).",
                held.name,
                strerror(&error)
            );
        }
    }

    fn refresh_device(&mut self, kernel: &mut Kernel, now: Instant) -> DeviceState {
        match link::fetch(&mut kernel.route, self.device.ifindex) {
            Ok(device) => {
                let hwaddr = device.hwaddr;
                let mtu_before = std::mem::replace(&mut self.device, device).mtu;
                let spreads = self.data_path.port_care() == PortCare::Daemon;
                if spreads && self.device.mtu != mtu_before {
                    self.spread_mtu(kernel, mtu_before);
                }
                self.tell(kernel, now, Event::TeamHwAddrChanged { hwaddr });
                DeviceState::Present
            }
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => DeviceState::Deleted,
            Err(error) => {
                log::warn!("Failed to read the team device ({}).", strerror(&error));
                DeviceState::Present
            }
        }
    }

    /// Puts the device's MTU on every port; if one refuses, all go back, the device too.
    fn spread_mtu(&mut self, kernel: &mut Kernel, before: u32) {
        let mtu = self.device.mtu;
        let refusal = self.ports.values().find_map(|held| {
            let refused = link::set_mtu(&mut kernel.route, held.found.ifindex, mtu).err()?;
            Some((held.name.clone(), refused))
        });
        let Some((name, error)) = refusal else {
            return;
        };
        log::error!(
            "{name}: Failed to set MTU {mtu} ({}), back to {before}.",
            strerror(&error)
        );
        let ports = self.ports.values().map(|held| held.found.ifindex);
        for ifindex in ports.chain([self.device.ifindex]) {
            if let Err(error) = link::set_mtu(&mut kernel.route, ifindex, before) {
                log::warn!("Failed to set MTU {before} again ({}).", strerror(&error));
            }
        }
        self.device.mtu = before;
    }

    fn refresh_port(&mut self, kernel: &mut Kernel, now: Instant, port: PortId) {
        let Some(held) = self.ports.get_mut(&port) else {
            return;
        };
        let master = match self.data_path.port_care() {
            PortCare::Daemon => None,
            PortCare::DataPath => Some(self.device.ifindex),
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
        if let Some(name) = renamed {
            self.tell(kernel, now, Event::PortRenamed { port, name });
        }
        let hwaddr = interface.hwaddr;
        self.tell(kernel, now, Event::PortHwAddrChanged { port, hwaddr });
        let link = kernel.link(&interface);
        self.tell(kernel, now, Event::LinkChanged { port, link });
    }

    /// Asks the drivers for their carriers, ahead of the kernel's link events.
    fn ask_carriers(&mut self, kernel: &mut Kernel, now: Instant) {
        let differs = |port: &&runners::Port| {
            kernel
                .carrier(port.name())
                .is_ok_and(|carrier| carrier != port.link().up)
        };
        let changed: Vec<PortId> = self
            .core
            .ports()
            .filter(differs)
            .map(|port| port.id())
            .collect();
        for port in changed {
            self.refresh_port(kernel, now, port);
        }
    }

    /// Tells the core of an event and carries out what it wants, until it wants nothing more.
    pub(super) fn tell(&mut self, kernel: &mut Kernel, now: Instant, event: Event) {
        self.core.handle(now, event);
        while let Some(action) = self.core.poll_action() {
            self.attempt(kernel, now, &action);
        }
    }

    fn attempt(&mut self, kernel: &mut Kernel, now: Instant, action: &Action) {
        if let Err(error) = self.carry_out(kernel, now, action) {
            log::warn!("Failed to {} ({}).", purpose(action), strerror(&error));
        }
    }

    /// Whether the carrier is ours to set. The driver's own rule, which setting it would end,
    /// is the core's as long as one port suffices and every port may carry.
    fn sets_carrier(&mut self) -> bool {
        self.carrier_by_hand |= self.data_path.port_care() == PortCare::Daemon
            || self.core.settings().min_ports != 1
            || self.core.ports().any(|port| !port.is_allowed());
        self.carrier_by_hand
    }

    fn carry_out(&mut self, kernel: &mut Kernel, now: Instant, action: &Action) -> io::Result<()> {
        let sets_carrier = self.sets_carrier();
        let route = &mut kernel.route;
        match action {
            Action::ApplyForwarding(forwarding) => self.data_path.apply_forwarding(forwarding),
            Action::SetPortHwAddr { port, hwaddr } => match self.ports.get(port) {
                Some(held) => link::set_hwaddr(route, held.found.ifindex, *hwaddr),
                None => Ok(()),
            },
            Action::SetTeamHwAddr(hwaddr) => {
                link::set_hwaddr(route, self.device.ifindex, *hwaddr)?;
                self.device.hwaddr = *hwaddr;
                Ok(())
            }
            Action::SetCarrier(_) if !sets_carrier => Ok(()),
            Action::SetCarrier(up) => link::set_carrier(route, self.device.ifindex, *up),
            Action::NotifyPeers => {
                let frames = announce::peer_notifications(route, self.device.ifindex)?;
                self.send_announcement(&frames)
            }
            Action::RejoinMulticast => {
                let frames = announce::membership_reports(route, self.device.ifindex)?;
                self.send_announcement(&frames)
            }
            Action::ReadBucketCounters => {
                let bytes = self.data_path.bucket_bytes();
                self.core.handle(now, Event::BucketCounters { bytes });
                Ok(())
            }
            Action::Report(report) => {
                log::info!("{report}");
                Ok(())
            }
        }
    }

    /// Sends on the active port, or on the first that carries: one copy is enough for every
    /// switch to learn from.
    fn send_announcement(&mut self, frames: &[Vec<u8>]) -> io::Result<()> {
        let carrying = |port: &&runners::Port| port.is_enabled() && port.is_linked();
        let first = self.core.ports().find(carrying).map(|port| port.id());
        if let Some(port) = self.core.active_port().or(first) {
            for frame in frames {
                self.data_path.send_frame(port, frame)?;
            }
        }
        Ok(())
    }

    fn held_by_ifindex(&self, concerned: impl Fn(u32) -> bool) -> Vec<PortId> {
        let held = self.ports.iter();
        held.filter(|(_, held)| concerned(held.found.ifindex))
            .map(|(port, _)| *port)
            .collect()
    }

    /// Interface index of a port.
    pub(super) fn ifindex(&self, port: PortId) -> Option<u32> {
        self.ports.get(&port).map(|held| held.found.ifindex)
    }
}

/// What an action was for, to follow "Failed to".
fn purpose(action: &Action) -> String {
    match action {
        Action::ApplyForwarding(_) => "apply the forwarding".to_owned(),
        Action::SetPortHwAddr { hwaddr, .. } => format!("set a port's hardware address {hwaddr}"),
        Action::SetTeamHwAddr(hwaddr) => format!("set the team's hardware address {hwaddr}"),
        Action::SetCarrier(_) => "set the team's carrier".to_owned(),
        Action::NotifyPeers => "notify peers".to_owned(),
        Action::RejoinMulticast => "rejoin multicast groups".to_owned(),
        Action::ReadBucketCounters => "read the load of the buckets".to_owned(),
        Action::Report(_) => "report".to_owned(),
    }
}

/// Gives an interface its own address and MTU again and sets it down, as it was found.
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
