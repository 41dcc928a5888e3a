//! The team: its ports, their addresses, its carrier, its announcements.
//!
//! Every event changes facts; then the whole outcome is decided afresh from the facts, and only
//! what differs from what was asked for last leaves as an action. What to choose is the
//! runner's business, how to do it the data path's.

mod announcement;
pub(crate) mod failovers;
mod settle;

use std::collections::VecDeque;
use std::net::Ipv6Addr;

use crate::action::{Action, Report};
use crate::control_frames::ControlFrames;
use crate::event::Event;
use crate::forwarding::Forwarding;
use crate::ident::{HwAddr, Link, PortId};
use crate::link_watch::{WatchAction, WatchActions, is_sent_by};
use crate::port::{Port, TeamContext};
use crate::probe::Prober;
use crate::probe::schedule::ProbeTimes;
use crate::runner::lacp::LacpStatus;
use crate::runner::{self, Runner};
use crate::settings::{RunnerSettings, TeamSettings};
use crate::team::announcement::Announcement;
use crate::team::failovers::{FailoverTimes, Failovers};
use crate::time::Instant;

/// One team device with its ports.
#[derive(Debug)]
pub struct Team {
    settings: TeamSettings,
    runner: Box<dyn Runner>,
    /// In the order in which they joined.
    ports: Vec<Port>,
    /// The team device's address, as asked for or read since.
    hwaddr: HwAddr,
    /// The team device's address as last read.
    read_hwaddr: HwAddr,
    /// What was asked for last, unless another one was read since.
    requested_hwaddr: Option<HwAddr>,
    /// The port that last lent the team its address, with that address.
    lent: Option<(PortId, HwAddr)>,
    /// The team device is administratively up.
    admin_up: bool,
    /// The team device's link-local IPv6 address, as last read.
    link_local: Option<Ipv6Addr>,
    active: Option<PortId>,
    designated: Option<PortId>,
    forwarding: Option<Forwarding>,
    failovers: Failovers,
    carrier: Option<bool>,
    /// Until then the carrier needs no port.
    carrier_hold_until: Option<Instant>,
    /// What is to be heard, as last asked for; nothing at first.
    control_frames: ControlFrames,
    notify_peers: Announcement,
    mcast_rejoin: Announcement,
    prober: Prober,
    probe_times: ProbeTimes,
    /// Probes that leave once they are listened for.
    probes: Vec<(PortId, Vec<u8>)>,
    actions: VecDeque<Action>,
}

impl Team {
    /// A team without ports on a device whose address is `hwaddr`.
    pub fn new(settings: TeamSettings, hwaddr: HwAddr) -> Self {
        let mut team = Team {
            runner: runner::new(&settings.runner),
            ports: Vec::new(),
            hwaddr,
            read_hwaddr: hwaddr,
            requested_hwaddr: Some(hwaddr),
            lent: None,
            admin_up: true,
            link_local: None,
            active: None,
            designated: None,
            forwarding: None,
            failovers: Failovers::default(),
            carrier: None,
            carrier_hold_until: None,
            control_frames: ControlFrames::default(),
            notify_peers: Announcement::new(settings.notify_peers),
            mcast_rejoin: Announcement::new(settings.mcast_rejoin),
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

    /// Takes in what happened at `now`. Deadlines that `now` has passed come first.
    ///
    /// The first event of all also yields the forwarding and the carrier, so that a fresh data
    /// path is in a known state. Drain [`poll_action`](Self::poll_action) and ask for
    /// [`next_deadline`](Self::next_deadline) after each call.
    pub fn handle(&mut self, now: Instant, event: Event) {
        self.handle_all(now, [event]);
    }

    /// The same with several events, after which the team decides once: what one reading of an
    /// interface brings.
    pub fn handle_all(&mut self, now: Instant, events: impl IntoIterator<Item = Event>) {
        while let Some(due) = self.next_deadline().filter(|due| *due <= now) {
            self.expire(due, now);
            self.settle(now);
        }
        for event in events {
            self.apply(now, event);
        }
        self.settle(now);
    }

    /// The next thing to do, oldest first; none when all is done.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`handle`](Self::handle) must be called at the latest, with
    /// [`Event::DeadlineReached`] if nothing else has happened; after the last event's time.
    pub fn next_deadline(&self) -> Option<Instant> {
        let ports = self.ports.iter().filter_map(Port::next_deadline);
        ports
            .chain(self.notify_peers.next_deadline())
            .chain(self.mcast_rejoin.next_deadline())
            .chain(self.probe_times.next_deadline())
            .chain(self.carrier_hold_until)
            .chain(self.runner.next_deadline())
            .min()
    }

    /// All ports, in the order in which they joined.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter()
    }

    /// The port with this identity.
    pub fn port(&self, port: PortId) -> Option<&Port> {
        self.ports.iter().find(|known| known.id() == port)
    }

    /// The port with exactly this interface name.
    pub fn find_port(&self, name: &str) -> Option<PortId> {
        let port = self.ports.iter().find(|port| port.name() == name)?;
        Some(port.id())
    }

    /// activebackup's active port; none with other runners.
    pub fn active_port(&self) -> Option<PortId> {
        self.runner.active_port()
    }

    /// What lacp tells of itself at `now`; none with other runners.
    pub fn lacp_status(&self, now: Instant) -> Option<LacpStatus> {
        let mut status = self.runner.lacp()?.status(now);
        if !self.carrier() {
            let (carry, needed) = (self.carrying(), self.settings.min_ports);
            let ready = status.ports.iter_mut().filter(|port| port.why.is_none());
            ready.for_each(|port| {
                port.why = Some(format!(
                    "ready, but the team has no carrier: {carry} of the {needed} ports carry that \
                     \"min_ports\" asks for; mend the others or set runner.min_ports to {carry}"
                ));
            });
        }
        Some(status)
    }

    /// slb's designated port; none with other runners.
    pub fn designated_port(&self) -> Option<PortId> {
        self.runner.designated_port()
    }

    /// How long failovers took.
    pub fn failover_times(&self) -> FailoverTimes {
        self.failovers.times
    }

    /// How often probes were sent.
    pub fn probe_rounds(&self) -> u32 {
        self.prober.rounds()
    }

    /// Whether a probe left on a port in the last round.
    pub fn probed(&self, port: PortId) -> bool {
        self.prober.sent_on(port)
    }

    /// Where the last probe that left on a port came in.
    pub fn probe_heard_at(&self, port: PortId) -> impl Iterator<Item = PortId> {
        self.prober.heard_at(port)
    }

    /// The carrier that the team device has to show.
    pub fn carrier(&self) -> bool {
        self.carrier.unwrap_or(false)
    }

    /// The address that the team device has to have.
    pub fn hwaddr(&self) -> HwAddr {
        self.hwaddr
    }

    /// The link-local IPv6 address that the team device has, as last read.
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        self.link_local
    }

    /// What the team was told to do.
    pub fn settings(&self) -> &TeamSettings {
        &self.settings
    }

    fn expire(&mut self, due: Instant, now: Instant) {
        let context = self.watch_context();
        for port in &mut self.ports {
            let actions = port.expire(due, now, context);
            push_watch_actions(&mut self.actions, port, actions);
        }
        if self.notify_peers.expire(due, now) {
            self.actions.push_back(Action::NotifyPeers);
        }
        if self.mcast_rejoin.expire(due, now) {
            self.actions.push_back(Action::RejoinMulticast);
        }
        let proven = self.prober.crossed().is_some();
        if self.probe_times.expire(due, now, proven) {
            self.probe();
        }
        self.carrier_hold_until = self.carrier_hold_until.filter(|until| *until > due);
        self.runner.expire(due, now);
    }

    fn apply(&mut self, now: Instant, event: Event) {
        let context = self.watch_context();
        match event {
            Event::PortAdded {
                port,
                name,
                hwaddr,
                link,
                settings,
                adopted,
            } => {
                let policy = self.settings.link_watch_policy;
                let port = Port::new(port, name, hwaddr, settings, policy, now);
                self.add_port(now, port, link, adopted);
            }
            Event::PortRemoved { port } => {
                if let Some(at) = self.position(port) {
                    self.ports.remove(at);
                }
            }
            Event::PortRenamed { port, name } => {
                if let Some(at) = self.position(port) {
                    self.ports[at].name = name;
                }
            }
            Event::LinkChanged { port, link } => {
                if let Some(at) = self.position(port) {
                    let forwarding = self.forwarding.as_ref();
                    self.failovers.link_changed(now, port, link.up, forwarding);
                    let actions = self.ports[at].link_changed(now, link, context);
                    push_watch_actions(&mut self.actions, &self.ports[at], actions);
                }
            }
            Event::PortHwAddrChanged { port, hwaddr } => {
                if let Some(at) = self.position(port) {
                    let carries_team_hwaddr = self.runner.carries_team_hwaddr(port);
                    self.ports[at].hwaddr_changed(hwaddr, carries_team_hwaddr, self.hwaddr);
                }
            }
            Event::TeamHwAddrChanged { hwaddr } => {
                // What was known already may be older than what was asked for since.
                if hwaddr != self.read_hwaddr {
                    self.read_hwaddr = hwaddr;
                    self.hwaddr = hwaddr;
                    self.requested_hwaddr = self.requested_hwaddr.filter(|own| *own == hwaddr);
                }
            }
            Event::PortLinkLocalChanged { port, address } => {
                if let Some(at) = self.position(port) {
                    self.ports[at].link_local_changed(address);
                }
            }
            Event::TeamLinkLocalChanged { address } => self.link_local = address,
            Event::HostResolved {
                host,
                family,
                address,
            } => {
                for port in &mut self.ports {
                    let actions = port.host_resolved(now, &host, family, address, context);
                    push_watch_actions(&mut self.actions, port, actions);
                }
            }
            Event::TipcBearersChanged { linked } => {
                for port in &mut self.ports {
                    let actions = port.bearers_changed(linked.as_ref());
                    push_watch_actions(&mut self.actions, port, actions);
                }
            }
            Event::PortSettingsChanged { port, settings } => {
                if let Some(at) = self.position(port) {
                    self.ports[at].settings = settings;
                }
            }
            Event::PortAllowed { port, allowed } => {
                if let Some(at) = self.position(port) {
                    self.ports[at].allowed = allowed;
                }
            }
            Event::TeamAdminChanged { up } => self.admin_up = up,
            Event::LacpSettingsChanged { settings } => {
                if let RunnerSettings::Lacp(known) = &mut self.settings.runner {
                    self.runner.lacp_settings_changed(now, &settings);
                    *known = settings;
                }
            }
            Event::MinPortsChanged { min_ports } => self.settings.min_ports = min_ports,
            Event::CarrierHeld { until } => self.carrier_hold_until = Some(until),
            Event::LeftInPlace => self.runner.left_in_place(),
            Event::ActivePortChosen { port } => {
                if let Some(at) = self.position(port) {
                    self.runner.choose_active(&self.ports[at]);
                }
            }
            Event::ProbesWanted => self.probe(),
            Event::FrameReceived { port, frame } => {
                self.prober.receive(self.hwaddr, port, &frame);
                self.tell_of_plain_switch();
                if let Some(at) = self.position(port) {
                    self.runner.frame_received(now, &self.ports[at], &frame);
                    let ours = is_sent_by(&frame, |hwaddr| self.sends_from(hwaddr));
                    let actions = self.ports[at].frame_received(now, &frame, ours, context);
                    push_watch_actions(&mut self.actions, &self.ports[at], actions);
                }
            }
            Event::BucketCounters { bytes } => {
                self.runner.count_buckets(now, &self.ports, &bytes);
            }
            Event::Stations { stations, peers } => self.runner.stations(now, &stations, &peers),
            Event::DeadlineReached => {}
        }
    }

    fn add_port(&mut self, now: Instant, mut port: Port, link: Link, adopted: bool) {
        if self.port(port.id()).is_some() {
            log::debug!("{}: added twice", port.name());
            return;
        }
        let hwaddr = port.hwaddr();
        let actions = match adopted {
            true => port.link_found(link),
            false => port.link_changed(now, link, self.watch_context()),
        };
        push_watch_actions(&mut self.actions, &port, actions);
        self.ports.push(port);
        if self.ports.len() == 1 && self.settings.hwaddr.is_none() && !adopted {
            self.set_hwaddr(hwaddr);
        }
    }

    fn carrying(&self) -> usize {
        let carrying = self.ports.iter().filter(|port| self.runner.carries(port));
        carrying.count()
    }

    /// Begins a round of probes.
    fn probe(&mut self) {
        let linked = self.ports.iter().filter(|port| port.is_linked());
        self.probes = self.prober.ask(self.hwaddr, linked.map(Port::id));
    }

    fn tell_of_plain_switch(&mut self) {
        if !self.runner.needs_probes() {
            return;
        }
        let news = self.prober.news();
        let name = |port| Some(self.port(port)?.name().to_owned());
        if let Some((from, at)) = news.and_then(|(from, at)| Some((name(from)?, name(at)?))) {
            let report = Report::PlainSwitch { from, at };
            self.actions.push_back(Action::Report(report));
        }
    }

    fn set_hwaddr(&mut self, hwaddr: HwAddr) {
        self.hwaddr = hwaddr;
        // Not compared with what was read: that may be late news, and older than a request.
        if self.requested_hwaddr != Some(hwaddr) {
            self.requested_hwaddr = Some(hwaddr);
            self.actions.push_back(Action::SetTeamHwAddr(hwaddr));
        }
    }

    fn watch_context(&self) -> TeamContext {
        TeamContext {
            someone_enabled: self.ports.iter().any(|port| port.enabled),
            hwaddr: self.hwaddr,
            link_local: self.link_local,
        }
    }

    /// Frames from this address may be the team's own.
    fn sends_from(&self, hwaddr: HwAddr) -> bool {
        self.hwaddr == hwaddr || self.ports.iter().any(|port| port.sends_from(hwaddr))
    }

    fn position(&self, port: PortId) -> Option<usize> {
        let at = self.ports.iter().position(|known| known.id() == port);
        if at.is_none() {
            log::debug!("event for port {}, which is not in the team", port.0);
        }
        at
    }
}

/// Turns what a port's watches want into actions.
fn push_watch_actions(actions: &mut VecDeque<Action>, port: &Port, watch_actions: WatchActions) {
    actions.extend(watch_actions.into_iter().map(|action| match action {
        WatchAction::Tell { watch, up } => {
            let port = port.name().to_owned();
            Action::Report(Report::WatchChanged { port, watch, up })
        }
        WatchAction::Send(frame) => {
            let port = port.id();
            Action::SendFrame { port, frame }
        }
        WatchAction::Resolve { host, family } => Action::ResolveHost { host, family },
    }));
}
