//! One team: its core, its data path and its device, and how they are kept in step. How ports
//! come and go is in `ports`, how actions are carried out in `actions`, how one daemon follows
//! another in `succession`.
//!
//! Facts travel from the kernel to the core as events; the core's actions travel back. What the
//! kernel says is read anew at each link event, since an event may be older than our own last
//! change.

mod actions;
mod handover;
mod link_local;
mod partner_state;
mod port_config;
mod port_sockets;
mod ports;
mod succession;
mod tipc;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use json_config::Config;
use mio::Token;
use runners::{Event, HwAddr, Instant, PortId, PortSettings};

pub use port_sockets::PortSockets;
pub use ports::{AdoptedPort, IfUp, as_found, restore, return_ipv6};
pub use tipc::Tipc;

use partner_state::PartnerStateFile;
use ports::HeldPort;

use super::carrier_watch::CarrierWatch;
use super::kernel::Kernel;
use super::recorder::RecordedTeam;
use super::resolver::Resolver;
use super::setup::Setup;
use super::warm_restart::WarmStart;
use crate::datapath::port_socket::PortSocket;
use crate::datapath::{Change, DataPath, Drained, Owner};
use crate::errno::strerror;
use crate::netlink::link::{self, LinkEvent, LinkInfo};
use crate::sys::ethtool::LinkSettings;

/// A running team.
pub struct ManagedTeam {
    pub(super) core: RecordedTeam,
    pub(super) config: Config,
    pub(super) data_path: Box<dyn DataPath>,
    control: PortSockets,
    partner_state: PartnerStateFile,
    warm: WarmStart,
    tipc: Tipc,
    resolver: Resolver,
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
    /// activebackup: the port that carries by the last forwarding.
    active: Option<PortId>,
    /// A change of the active port is announced by the address that stays.
    announces: bool,
    /// Addresses of interfaces while they are no ports, by index: a port that somebody else
    /// makes one may wear the team's by the time we hear of it.
    own_hwaddrs: BTreeMap<u32, HwAddr>,
    /// The carrier was set by hand, which ends the driver's own rule.
    carrier_by_hand: bool,
    /// Sends on the team device itself; opened when first needed.
    own_socket: Option<PortSocket>,
}

/// What a team hears by, besides its data path.
pub struct EventSources {
    /// Control frames.
    pub control: PortSockets,
    /// TIPC's links.
    pub tipc: Tipc,
    /// Names of hosts.
    pub resolver: Resolver,
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
        core: RecordedTeam,
        mut config: Config,
        data_path: Box<dyn DataPath>,
        device: LinkInfo,
        setup: Setup,
        senses: EventSources,
    ) -> Self {
        let EventSources {
            control,
            tipc,
            resolver,
        } = senses;
        ManagedTeam {
            announces: handover::is_announced(&mut config),
            core,
            config,
            data_path,
            control,
            partner_state: PartnerStateFile::open(
                setup.run_dir.join(format!("{}.memory", device.name)),
                device.ifindex,
            ),
            warm: WarmStart::default(),
            tipc,
            resolver,
            device,
            setup,
            resyncs: 0,
            ports: BTreeMap::new(),
            next_port: 1,
            wanted: BTreeSet::new(),
            refused: BTreeMap::new(),
            carrier_watch: CarrierWatch::default(),
            active: None,
            own_hwaddrs: BTreeMap::new(),
            carrier_by_hand: false,
            own_socket: None,
        }
    }

    /// When to be woken although nothing happens.
    pub fn deadline(&self) -> Option<Instant> {
        let carrier = self
            .carrier_watch
            .deadline()
            .filter(|_| self.asks_carriers());
        let deadlines = self.core.next_deadline().into_iter().chain(carrier);
        deadlines.chain(self.control.deadline()).min()
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
        if self.asks_carriers() && self.carrier_watch.is_due(now) {
            self.ask_carriers(kernel, now);
        }
        if let Err(error) = self.control.wake(now) {
            log::warn!(
                "Failed to hear control frames again ({}).",
                strerror(&error)
            );
        }
    }

    /// Whether asking the drivers is faster than waiting for link events.
    fn asks_carriers(&self) -> bool {
        self.data_path.capabilities().late_link_events && !self.ports.is_empty()
    }

    /// Moves frames from a ready source of the data path, and takes in what somebody else told
    /// the data path of its ports.
    pub fn drain(
        &mut self,
        kernel: &mut Kernel,
        token: Token,
        budget: usize,
        now: Instant,
    ) -> io::Result<Drained> {
        self.carrier_watch.frames_moved(now);
        let polled = self.data_path.poll(now, token, budget)?;
        for (port, prio) in polled.priorities {
            let settings = self.core.port(port).map(runners::Port::settings);
            let changed = settings.filter(|settings| settings.prio != prio);
            if let Some(settings) = changed.cloned() {
                let settings = PortSettings { prio, ..settings };
                self.tell(kernel, now, Event::PortSettingsChanged { port, settings });
            }
        }
        Ok(polled.drained)
    }

    /// Hands the core the control frames of a ready port, or what became of TIPC's links.
    pub fn hear(
        &mut self,
        kernel: &mut Kernel,
        token: Token,
        budget: usize,
        now: Instant,
    ) -> io::Result<Drained> {
        if self.tipc.owns(token) {
            self.read_tipc(kernel, now);
            return Ok(Drained::Dry);
        }
        let mut heard = Vec::new();
        let drained = self.control.receive(token, budget, now, &mut heard);
        for (port, frame) in heard {
            self.tell(kernel, now, Event::FrameReceived { port, frame });
        }
        drained
    }

    /// Hands the core the names that have been resolved.
    pub fn take_resolved(&mut self, kernel: &mut Kernel, now: Instant) {
        for event in self.resolver.answers() {
            self.tell(kernel, now, event);
        }
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
        if self.data_path.capabilities().ports == Owner::DataPath {
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

    /// Reads everything of its own anew after events were lost; `links` are all that there are.
    pub fn resync(&mut self, kernel: &mut Kernel, now: Instant, links: &[LinkInfo]) -> DeviceState {
        self.resyncs += 1;
        self.carrier_watch.link_event(now);
        if self.refresh_device(kernel, now) == DeviceState::Deleted {
            return DeviceState::Deleted;
        }
        for port in self.held_by_ifindex(|_| true) {
            self.refresh_port(kernel, now, port);
        }
        if self.data_path.capabilities().ports == Owner::DataPath {
            let ours = Some(self.device.ifindex);
            for enslaved in links.iter().filter(|link| link.master == ours) {
                self.adopt(kernel, now, enslaved.ifindex);
            }
        }
        self.refresh_link_locals(kernel, now);
        self.refresh_tipc(kernel, now);
        for name in self.wanted.clone() {
            self.take_appeared_port(kernel, now, &name);
        }
        DeviceState::Present
    }

    fn refresh_device(&mut self, kernel: &mut Kernel, now: Instant) -> DeviceState {
        match link::fetch(&mut kernel.route, self.device.ifindex) {
            Ok(device) => {
                let hwaddr = device.hwaddr;
                let mtu_before = std::mem::replace(&mut self.device, device).mtu;
                let spreads = self.data_path.capabilities().ports == Owner::Daemon;
                if spreads && self.device.mtu != mtu_before {
                    self.spread_mtu(kernel, mtu_before);
                }
                let up = self.device.admin_up;
                self.tell(kernel, now, Event::TeamAdminChanged { up });
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

    /// Asks the drivers for their carriers, ahead of the kernel's link events.
    fn ask_carriers(&mut self, kernel: &mut Kernel, now: Instant) {
        if self.carrier_watch.is_drowsy(now) {
            if let Err(error) = self.data_path.apply(now, Change::WakeOnFrame) {
                log::warn!("Failed to ask for frames ({}).", strerror(&error));
            }
        }
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

    /// How the team is, in half a line.
    pub fn summary(&self) -> String {
        let total = self.core.ports().count();
        let up = self.core.ports().filter(|port| port.watches_up()).count();
        let name = &self.device.name;
        let active = self
            .core
            .active_port()
            .and_then(|port| self.core.port(port));
        match active {
            Some(active) => format!("{name}: {up} of {total} ports up, {} active", active.name()),
            None => format!("{name}: {up} of {total} ports up"),
        }
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

    /// Speed and duplex of a port as its driver told them last.
    pub(super) fn link_settings(&self, port: PortId) -> LinkSettings {
        let held = self.ports.get(&port);
        held.map_or(LinkSettings::NONE, |held| held.link_settings)
    }
}
