//! One team: its core, its data path, its device and its ports, and how they are kept in step.
//!
//! Facts go from the kernel to the core as events; the core's actions go back (`actions`). A link
//! event may be older than the daemon's own last change, so the interface is read anew before the
//! core gets an event (`device`, `port_link`). Interfaces become ports in `join` and stop being
//! ports in `release`; `succession` is the take-over from another daemon.

mod actions;
mod bfd;
mod device;
mod exclusions;
mod followers;
mod handover;
mod join;
mod keep_alive;
mod link_events;
mod link_local;
mod naming;
mod partner_state;
mod port_config;
mod port_link;
mod port_owner;
mod port_sockets;
mod ports;
mod release;
mod reload;
mod stacking;
mod succession;
mod tipc;
mod trial;

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use json_config::Config;
use mio::Token;
use runners::{Event, Instant, LinkWatchSettings, Port, PortId, PortSettings};

pub use device::DeviceState;
pub use followers::HeldLinks;
pub use join::{AdminUpPort, as_found};
pub use link_events::{Departure, PresentLinks, TeamLinkEvents};
pub use port_sockets::PortSockets;
pub use ports::AdoptedPort;
pub use release::{LeftPort, restore};
pub use reload::{PortMoves, core_settings, digest};
pub use tipc::Tipc;
pub use trial::{Trial, after_trial};

use actions::Announcements;
use naming::UdevWait;
pub use partner_state::PartnerStateFile;
use ports::Ports;

use super::carrier_watch::CarrierWatch;
use super::kernel::Kernel;
use super::recorder::RecordedTeam;
use super::resolver::{Answer, Resolver};
use super::start_options::Setup;
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
    /// The digest of the configuration file as it was read last.
    config_digest: u64,
    pub(super) data_path: Box<dyn DataPath>,
    port_sockets: PortSockets,
    partner_state: PartnerStateFile,
    warm: WarmStart,
    tipc: Tipc,
    resolver: Resolver,
    pub(super) device: LinkInfo,
    pub(super) setup: Setup,
    /// How often all interfaces were read anew, after lost events or a failed reading.
    pub(super) resyncs: u64,
    ports: Ports,
    udev_wait: UdevWait,
    /// Interface names of the port entries that the configuration file has under an alternative name,
    /// by the alternative name.
    moved_configs: BTreeMap<String, String>,
    carrier_watch: CarrierWatch,
    pub(super) bfd: bfd::BfdSessions,
    keep_alives: keep_alive::KeepAlives,
    pub(super) followers: followers::Followers,
    /// Speed of the device as set last, in Mbit/s; `Some(None)` for an unknown one.
    speed: Option<Option<u32>>,
    announcements: Announcements,
    /// Times of postponed restorations of filters and programs, by interface index.
    hooks_due: BTreeMap<u32, Instant>,
    /// activebackup: the active port of the forwarding that was applied last.
    applied_active: Option<PortId>,
    /// The daemon announces a change of the active port, whose address stays the same.
    announces: bool,
    /// The daemon has set the carrier, which ends the team driver's own rule.
    carrier_by_daemon: bool,
    /// Sends on the team device itself; opened when first needed.
    device_socket: Option<PortSocket>,
    /// Whether a client requests to read the directory of configurations anew.
    pub(super) reread_requested: bool,
    /// Outcome of the last reading of the directory, as JSON text.
    pub(super) reread_outcome: Rc<str>,
    /// The running trial, or the return from a trial; `None` after `keep` or a reload.
    trial: Option<Trial>,
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
    /// Returns a team without ports on the device `device` of `data_path`; the configuration comes
    /// with its [`digest`].
    pub fn new(
        core: RecordedTeam,
        (mut config, config_digest): (Config, u64),
        data_path: Box<dyn DataPath>,
        device: LinkInfo,
        setup: Setup,
        sources: EventSources,
    ) -> Self {
        ManagedTeam {
            announces: handover::is_announced(&mut config),
            core,
            config,
            config_digest,
            data_path,
            port_sockets: sources.port_sockets,
            partner_state: PartnerStateFile::open(
                setup.options.run_dir.join(format!("{}.memory", device.name)),
                device.ifindex,
            ),
            followers: followers::Followers::open(
                setup.options.run_dir.join(format!("{}.follow", device.name)),
            ),
            warm: WarmStart::default(),
            tipc: sources.tipc,
            resolver: sources.resolver,
            device,
            setup,
            resyncs: 0,
            ports: Ports::default(),
            udev_wait: UdevWait::default(),
            moved_configs: BTreeMap::new(),
            carrier_watch: CarrierWatch::default(),
            bfd: bfd::BfdSessions::default(),
            keep_alives: keep_alive::KeepAlives::default(),
            speed: None,
            announcements: Announcements::default(),
            hooks_due: BTreeMap::new(),
            applied_active: None,
            carrier_by_daemon: false,
            device_socket: None,
            reread_requested: false,
            reread_outcome: Rc::from("{}"),
            trial: None,
        }
    }

    /// Returns when to call [`deadline_reached`](Self::deadline_reached).
    pub fn deadline(&self) -> Option<Instant> {
        let carrier = self.carrier_watch.deadline();
        let trial = self.trial_deadline();
        let deadlines = self.core.next_deadline().into_iter().chain(carrier).chain(trial);
        let hooks = self.hooks_due.values().min().copied();
        let announcing = (!self.announcements.is_empty()).then_some(Instant::ZERO);
        let others = [
            self.port_sockets.deadline(),
            self.udev_wait.next_deadline(),
            hooks,
            self.bfd.deadline(),
            self.followers.deadline(),
            announcing,
        ];
        deadlines.chain(others.into_iter().flatten()).min()
    }

    /// Does what is due at `now`.
    pub fn deadline_reached(&mut self, kernel: &mut Kernel, now: Instant) {
        self.expire_bfd(kernel, now);
        if self.core.next_deadline().is_some_and(|due| due <= now) {
            self.handle(kernel, now, Event::DeadlineReached);
        }
        self.end_trial(kernel, now);
        if self.carrier_watch.is_due(now) {
            self.poll_carriers(kernel, now);
        }
        self.take_named_ports(kernel, now);
        self.restore_due_hooks(now);
        self.update_followers(kernel, now);
        if !self.announcements.is_empty() {
            if let Err(error) = self.announce(kernel) {
                log::warn!("Failed to announce the team ({}).", strerror(&error));
            }
        }
        if let Err(error) = self.port_sockets.resume(now) {
            let why = strerror(&error);
            log::warn!("Failed to receive control frames again ({why}).");
        }
    }

    /// Goes on polling the carriers: the programs moved frames at `now`.
    pub fn frames_moved(&mut self, now: Instant) {
        self.carrier_watch.frames_moved(now);
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
            let settings = self.core.port(port).map(Port::settings);
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
            self.receive_bfd(kernel, now, port, &frame);
            if bfd::is_packet(&frame) {
                continue;
            }
            self.handle(kernel, now, Event::FrameReceived { port, frame });
        }
        drained
    }

    /// Hands the core a host name that has been resolved.
    pub fn resolved(&mut self, kernel: &mut Kernel, now: Instant, answer: Answer) {
        if let Some(event) = self.resolver.answered(answer) {
            self.handle(kernel, now, event);
        }
    }

    /// Returns half a line about the team for the service manager's status.
    pub fn summary(&self) -> String {
        let total = self.core.ports().count();
        let up = self.core.ports().filter(|port| port.watches_up()).count();
        let active = self.core.active_port().and_then(|port| self.core.port(port));
        let active = active.map_or_else(String::new, |port| format!(", {} active", port.name()));
        format!("{}: {up} of {total} ports up{active}", self.device.name)
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

    /// Returns whether any port has a link watch of this kind.
    fn has_watch(&self, is_kind: impl Fn(&LinkWatchSettings) -> bool) -> bool {
        let mut watches = self.core.ports().flat_map(Port::watches);
        watches.any(|watch| is_kind(watch.settings()))
    }

    /// Returns whether the daemon, not the data path, opens, closes and restores the ports.
    fn daemon_owns_ports(&self) -> bool {
        self.data_path.capabilities().ports == Owner::Daemon
    }
}
