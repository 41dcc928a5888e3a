//! The team: its ports, their addresses, its carrier, its announcements.
//!
//! Every event changes facts; the files [`ports`], [`links`], [`addresses`], [`frames`],
//! [`deadlines`] and [`replaced_settings`] handle one family of events each. Then [`outputs`]
//! derives the whole outcome from the facts and queues an action for each difference from the last
//! request. Therefore the order of events matters in three cases only: the active port among equal
//! ports, `sticky`, and a port that the user chose.
//!
//! The runner chooses ports; the data path forwards frames.

mod addresses;
mod announcements;
mod corruption;
mod deadlines;
pub(crate) mod failovers;
mod frames;
mod lacp_watches;
mod links;
mod outputs;
mod ports;
mod replaced_settings;
mod view;

use std::collections::VecDeque;
use std::net::Ipv6Addr;

use crate::action::Action;
use crate::control_frames::ControlFrames;
use crate::event::Event;
use crate::forwarding::Forwarding;
use crate::ident::{HwAddr, PortId};
use crate::port::Port;
use crate::probe::Prober;
use crate::probe::schedule::ProbeTimes;
use crate::runner::{Runner, factory};
use crate::settings::lacp::LacpSettings;
use crate::settings::{RunnerSettings, TeamSettings};
use crate::time::Instant;
use addresses::TeamHwAddr;
use announcements::Announcements;
use failovers::Failovers;
use lacp_watches::LacpSessions;

/// One team device with its ports.
#[derive(Clone, Debug)]
pub struct Team {
    settings: TeamSettings,
    runner: Box<dyn Runner>,
    /// In the order in which they joined.
    ports: Vec<Port>,
    /// Hardware address of the team device.
    hwaddr: TeamHwAddr,
    /// The team device is administratively up.
    admin_up: bool,
    /// Link-local IPv6 address of the team device, as last read.
    link_local: Option<Ipv6Addr>,
    /// Active port as last reported.
    active: Option<PortId>,
    /// Designated port as last reported.
    designated: Option<PortId>,
    /// Forwarding as last requested.
    forwarding: Option<Forwarding>,
    failovers: Failovers,
    /// Sessions of the watch lacp.
    lacp_sessions: LacpSessions,
    /// Carrier as last requested.
    carrier: Option<bool>,
    /// Until this time the carrier is on even without ports.
    carrier_hold_until: Option<Instant>,
    /// Control frames as last requested; none at first.
    control_frames: ControlFrames,
    /// The ports are announced although none becomes enabled.
    announcement_due: bool,
    notify_peers: Announcements,
    mcast_rejoin: Announcements,
    prober: Prober,
    probe_times: ProbeTimes,
    /// Probes to send after the action that requests their reception.
    probes: Vec<(PortId, Vec<u8>)>,
    actions: VecDeque<Action>,
}

impl Team {
    /// Creates a team without ports on a device with the hardware address `hwaddr`.
    pub fn new(settings: TeamSettings, hwaddr: HwAddr) -> Self {
        let mut team = Team {
            runner: factory::runner(&settings.runner),
            ports: Vec::new(),
            hwaddr: TeamHwAddr::new(hwaddr),
            admin_up: true,
            link_local: None,
            active: None,
            designated: None,
            forwarding: None,
            failovers: Failovers::default(),
            lacp_sessions: LacpSessions::default(),
            carrier: None,
            carrier_hold_until: None,
            control_frames: ControlFrames::default(),
            announcement_due: false,
            notify_peers: Announcements::new(settings.notify_peers),
            mcast_rejoin: Announcements::new(settings.mcast_rejoin),
            prober: Prober::default(),
            probe_times: ProbeTimes::default(),
            probes: Vec::new(),
            actions: VecDeque::new(),
            settings,
        };
        if let Some(explicit) = team.settings.hwaddr {
            team.set_hwaddr(explicit);
        }
        team
    }

    /// Handles an event at the time `now`, after all deadlines up to `now`. [`Event::Resumed`]
    /// alone takes effect before these deadlines.
    ///
    /// Drain [`poll_action`](Self::poll_action) and read
    /// [`next_deadline`](Self::next_deadline) after each call. The first event of a team also yields
    /// forwarding and carrier, so that a new data path is in a known state.
    pub fn handle(&mut self, now: Instant, event: Event) {
        self.handle_all(now, [event]);
    }

    /// Handles several events at the time `now` with one decision after the last of them, such as
    /// the changes that one read of an interface shows.
    pub fn handle_all(&mut self, now: Instant, events: impl IntoIterator<Item = Event>) {
        let mut events = events.into_iter().peekable();
        if events.peek() == Some(&Event::Resumed) {
            self.runner.resumed(now);
            self.lacp_sessions.resumed(now);
        }
        self.expire_deadlines(now);
        for event in events {
            self.apply(now, event);
        }
        self.update_outputs(now);
    }

    /// Returns the next action, oldest first; `None` when none is left.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Changes the facts that the event is about.
    fn apply(&mut self, now: Instant, event: Event) {
        match event {
            Event::PortAdded { port, name, hwaddr, link, settings, adopted } => {
                let policy = self.settings.link_watch_policy;
                let port = Port::new(port, name, hwaddr, settings, policy, now);
                self.add_port(now, port, link, adopted);
            }
            Event::PortRemoved { port } => self.remove_port(port),
            Event::PortRenamed { port, name } => self.rename_port(port, name),
            Event::PortSettingsChanged { port, settings } => {
                self.set_port_settings(now, port, settings)
            }
            Event::PortAllowed { port, allowed } => self.allow_port(port, allowed),
            Event::PortMacsecGate { port, open } => self.set_macsec_gate(port, open),
            Event::PortDrained { port, drained } => self.drain_port(now, port, drained),
            Event::PortPenalty { port, penalty, suppressed_until } => {
                self.restore_damping(now, port, penalty, suppressed_until)
            }
            Event::ActivePortChosen { port } => self.choose_active_port(port),
            Event::LinkChanged { port, link } => self.link_changed(now, port, link),
            Event::HostResolved { host, family, address } => {
                self.host_resolved(now, &host, family, address)
            }
            Event::TipcBearersChanged { linked } => self.bearers_changed(now, linked.as_ref()),
            Event::PortHwAddrChanged { port, hwaddr } => self.port_hwaddr_changed(port, hwaddr),
            Event::PortHwAddrRefused { port, hwaddr } => self.port_hwaddr_refused(port, hwaddr),
            Event::TeamHwAddrChanged { hwaddr } => self.hwaddr.read(hwaddr),
            Event::PortLinkLocalChanged { port, address } => self.set_link_local(port, address),
            Event::TeamLinkLocalChanged { address } => self.link_local = address,
            Event::FrameReceived { port, frame } => self.frame_received(now, port, &frame),
            Event::ProbesWanted => self.probe(),
            Event::BucketCounters { bytes } => self.runner.count_buckets(now, &self.ports, &bytes),
            Event::PathChanged { port, settings, up } => {
                self.path_changed(now, port, &settings, up)
            }
            Event::PortCounters { ports } => self.counters_read(now, &ports),
            Event::PortErrors { port, status } => self.restore_errors(port, status),
            Event::PortWatchDown { port, place } => self.take_watch_down(port, place),
            Event::PortWithoutPartner { port } => self.lacp_sessions.assume_no_partner(port),
            Event::Stations { stations, peers } => self.runner.stations(now, &stations, &peers),
            Event::TeamAdminChanged { up } => self.admin_up = up,
            Event::LacpSettingsChanged { settings } => self.set_lacp_settings(now, settings),
            Event::SettingsReplaced { settings, ports } => {
                self.replace_settings(now, *settings, ports)
            }
            Event::MinPortsChanged { min_ports } => self.settings.min_ports = min_ports,
            Event::StatisticsCleared { port } => {
                self.runner.clear_statistics(now, port);
                self.lacp_sessions.clear_statistics(now, port);
            }
            Event::CarrierHeld { until } => self.carrier_hold_until = Some(until),
            Event::LeftInPlace => {
                self.runner.left_in_place();
                self.lacp_sessions.left_in_place();
            }
            Event::Resumed | Event::DeadlineReached => {}
        }
    }

    fn set_lacp_settings(&mut self, now: Instant, settings: LacpSettings) {
        let settings = RunnerSettings::Lacp(settings);
        if self.runner.settings_changed(now, &settings) {
            self.settings.runner = settings;
        }
    }
}
