//! One team: its core, its data path, its device and its ports, and how they are kept in step.
//!
//! Facts go from the kernel to the core as events; the core's actions go back (`actions`). A link
//! event may be older than the daemon's own last change, so the interface is read anew before the
//! core gets an event (`device`, `port_link`). Interfaces become ports in `join` and stop being
//! ports in `release`; `succession` is the take-over from another daemon.

mod actions;
mod device;
mod handover;
mod ipv6;
mod join;
mod link_events;
mod link_local;
mod partner_state;
mod port_config;
mod port_link;
mod port_sockets;
mod ports;
mod release;
mod succession;
mod tipc;

use std::io;

use json_config::Config;
use mio::Token;
use runners::{Event, Instant, PortId, PortSettings};

pub use device::DeviceState;
pub use ipv6::return_ipv6;
pub use join::{AdminUpPort, as_found};
pub use link_events::TeamLinkEvents;
pub use port_sockets::PortSockets;
pub use ports::AdoptedPort;
pub use release::restore;
pub use tipc::Tipc;

use partner_state::PartnerStateFile;
use ports::Ports;

use super::carrier_watch::CarrierWatch;
use super::kernel::Kernel;
use super::recorder::RecordedTeam;
use super::resolver::Resolver;
use super::setup::Setup;
use super::warm_restart::WarmStart;
use crate::datapath::port_socket::PortSocket;
use crate::datapath::{DataPath, Drained, Owner};
use crate::errno::strerror;
use crate::netlink::link::LinkInfo;
use crate::sys::ethtool::LinkSettings;

/// A running team.
pub struct ManagedTeam {
    pub(super) core: RecordedTeam,
    pub(super) config: Config,
    pub(super) data_path: Box<dyn DataPath>,
    port_sockets: PortSockets,
    partner_state: PartnerStateFile,
    warm: WarmStart,
    tipc: Tipc,
    resolver: Resolver,
    pub(super) device: LinkInfo,
    pub(super) setup: Setup,
    /// How often link events were lost to a full buffer and all interfaces read anew.
    pub(super) resyncs: u64,
    ports: Ports,
    carrier_watch: CarrierWatch,
    /// activebackup: the active port of the forwarding that was applied last.
    applied_active: Option<PortId>,
    /// The daemon announces a change of the active port, whose address stays the same.
    announces: bool,
    /// The daemon has set the carrier, which ends the team driver's own rule.
    carrier_by_daemon: bool,
    /// Sends on the team device itself; opened when first needed.
    device_socket: Option<PortSocket>,
}

/// The event sources of a team apart from its data path.
pub struct EventSources {
    /// Control frames.
    pub port_sockets: PortSockets,
    /// TIPC's links.
    pub tipc: Tipc,
    /// Host names.
    pub resolver: Resolver,
}

impl ManagedTeam {
    /// Returns a team without ports on the device `device` of `data_path`.
    pub fn new(
        core: RecordedTeam,
        mut config: Config,
        data_path: Box<dyn DataPath>,
        device: LinkInfo,
        setup: Setup,
        sources: EventSources,
    ) -> Self {
        ManagedTeam {
            announces: handover::is_announced(&mut config),
            core,
            config,
            data_path,
            port_sockets: sources.port_sockets,
            partner_state: PartnerStateFile::open(
                setup.run_dir.join(format!("{}.memory", device.name)),
                device.ifindex,
            ),
            warm: WarmStart::default(),
            tipc: sources.tipc,
            resolver: sources.resolver,
            device,
            setup,
            resyncs: 0,
            ports: Ports::default(),
            carrier_watch: CarrierWatch::default(),
            applied_active: None,
            carrier_by_daemon: false,
            device_socket: None,
        }
    }

    /// Returns when to call [`deadline_reached`](Self::deadline_reached).
    pub fn deadline(&self) -> Option<Instant> {
        let carrier = self
            .carrier_watch
            .deadline()
            .filter(|_| self.polls_carriers());
        let deadlines = self.core.next_deadline().into_iter().chain(carrier);
        deadlines.chain(self.port_sockets.deadline()).min()
    }

    /// Does what is due at `now`.
    pub fn deadline_reached(&mut self, kernel: &mut Kernel, now: Instant) {
        if self.core.next_deadline().is_some_and(|due| due <= now) {
            self.handle(kernel, now, Event::DeadlineReached);
        }
        if self.polls_carriers() && self.carrier_watch.is_due(now) {
            self.poll_carriers(kernel, now);
        }
        if let Err(error) = self.port_sockets.resume(now) {
            let why = strerror(&error);
            log::warn!("Failed to receive control frames again ({why}).");
        }
    }

    /// Moves up to `budget` frames of a ready source of the data path, and takes over port
    /// priorities that another program set in the data path.
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
                self.handle(kernel, now, Event::PortSettingsChanged { port, settings });
            }
        }
        Ok(polled.drained)
    }

    /// Hands the core up to `budget` control frames of a ready port.
    pub fn receive(
        &mut self,
        kernel: &mut Kernel,
        token: Token,
        budget: usize,
        now: Instant,
    ) -> io::Result<Drained> {
        let mut frames = Vec::new();
        let drained = self.port_sockets.receive(token, budget, now, &mut frames);
        for (port, frame) in frames {
            self.handle(kernel, now, Event::FrameReceived { port, frame });
        }
        drained
    }

    /// Hands the core the host names that have been resolved.
    pub fn take_resolved(&mut self, kernel: &mut Kernel, now: Instant) {
        for event in self.resolver.answers() {
            self.handle(kernel, now, event);
        }
    }

    /// Returns half a line about the team for the service manager's status.
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

    /// Returns the interface index of a port.
    pub(super) fn ifindex(&self, port: PortId) -> Option<u32> {
        self.ports.get(port).map(|attached| attached.found.ifindex)
    }

    /// Returns speed and duplex of a port as read last.
    pub(super) fn link_settings(&self, port: PortId) -> LinkSettings {
        let attached = self.ports.get(port);
        attached.map_or(LinkSettings::NONE, |attached| attached.link_settings)
    }

    /// Returns whether the daemon, not the data path, opens, closes and restores the ports.
    fn cares_for_ports(&self) -> bool {
        self.data_path.capabilities().ports == Owner::Daemon
    }
}
