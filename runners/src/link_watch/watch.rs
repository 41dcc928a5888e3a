//! One link watch of any kind.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use super::arp_ping::ArpPing;
use super::context::WatchContext;
use super::errors::Errors;
use super::ethtool::Ethtool;
use super::nsna_ping::NsnaPing;
use super::ping_timer::{PingTimer, Situation};
use super::probe::{Probe, ProbeStatus};
use super::resolved::Resolved;
use super::tipc::Tipc;
use crate::control_frames::ControlFrames;
use crate::ident::{IpFamily, Link};
use crate::receive_errors::{ErrorsStatus, ReceiveCounters};
use crate::settings::lacp::LacpSettings;
use crate::settings::{BfdSettings, LinkWatchSettings};
use crate::time::Instant;

/// A link watch on one port. A new watch is down, but errors is up; an adopted port sets it to the
/// carrier.
#[derive(Clone, Debug)]
pub struct LinkWatch {
    settings: LinkWatchSettings,
    up: bool,
    down_count: u32,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Ethtool(Ethtool),
    ArpPing(ArpPing),
    NsnaPing(NsnaPing),
    Probe(Probe),
    Tipc(Tipc),
    Errors(Errors),
    /// The session runs beside the team ([`crate::bfd`]).
    Bfd(BfdSettings),
    /// The team runs the session ([`crate::team`]).
    Lacp,
}

/// State of a watch that asks a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingStatus {
    /// Number of intervals in a row without an answer, or of the requests of the series that took the
    /// watch down, whichever is greater. The count goes on while the watch is down.
    pub missed: u32,
    /// When the watch last sent a request.
    pub last_probe: Option<Instant>,
    /// When the watch last received a frame that counts as an answer.
    pub last_answer: Option<Instant>,
    /// Address of the neighbour, once resolved.
    pub target: Option<IpAddr>,
    /// Configured source address, once resolved.
    pub source: Option<IpAddr>,
}

/// A condition that keeps a watch from working; displays as a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchProblem<'a> {
    /// A host name is not resolved yet; the watch sends no request until then.
    Unresolved(&'a str),
    /// Neither the port nor the team device has a link-local address; the watch derives one from
    /// the hardware address until then.
    NoLinkLocal,
    /// The kernel has no TIPC, or its topology server does not answer.
    NoTipc,
    /// The two addresses of a BFD session do not fit together.
    UnlikeAddresses,
    /// No port answers any port of the team.
    NoPeers,
}

impl fmt::Display for WatchProblem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WatchProblem::Unresolved(host) => write!(f, "waits for the address of \"{host}\""),
            WatchProblem::NoLinkLocal => f.write_str(
                "no link-local address, asks from one made of the port's hardware address",
            ),
            WatchProblem::UnlikeAddresses => f.write_str(
                "the addresses are of two families, or not of IPv4 with \"single_hop\"; stays down",
            ),
            WatchProblem::NoPeers => f.write_str(
                "no port of the group answers any port of this team, so the watch cannot judge the path",
            ),
            WatchProblem::NoTipc => f.write_str("no TIPC in this kernel (module tipc), stays down"),
        }
    }
}

/// Output of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WatchAction {
    /// The watch went up or down.
    Report {
        /// Name of the watch.
        watch: &'static str,
        /// Whether the watch is up now.
        up: bool,
    },
    /// Send this frame on the port.
    Send(Vec<u8>),
    /// Resolve a host name.
    Resolve {
        /// The name.
        host: String,
        /// Address family of the wanted address.
        family: IpFamily,
    },
    /// Read the counters of the port.
    ReadCounters,
}

/// The outputs of a port's watches, in order.
pub(crate) type WatchActions = Vec<WatchAction>;

impl LinkWatch {
    pub(super) fn new(settings: LinkWatchSettings, now: Instant) -> Self {
        let kind = match &settings {
            LinkWatchSettings::Ethtool { delay_up, delay_down } => {
                Kind::Ethtool(Ethtool::new(*delay_up, *delay_down))
            }
            LinkWatchSettings::ArpPing(settings) => Kind::ArpPing(ArpPing::new(settings, now)),
            LinkWatchSettings::NsnaPing(settings) => Kind::NsnaPing(NsnaPing::new(settings, now)),
            LinkWatchSettings::Probe(settings) => Kind::Probe(Probe::new(*settings, now)),
            LinkWatchSettings::Tipc { bearer } => Kind::Tipc(Tipc::new(bearer)),
            LinkWatchSettings::Errors(settings) => Kind::Errors(Errors::new(*settings, now)),
            LinkWatchSettings::Bfd(settings) => Kind::Bfd(*settings),
            LinkWatchSettings::Lacp(_) => Kind::Lacp,
        };
        let up = matches!(kind, Kind::Errors(_));
        LinkWatch { settings, up, down_count: 0, kind }
    }

    /// Returns the name of the watch in the configuration.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Ethtool(_) => "ethtool",
            Kind::ArpPing(_) => "arp_ping",
            Kind::NsnaPing(_) => "nsna_ping",
            Kind::Probe(_) => "probe",
            Kind::Tipc(_) => "tipc",
            Kind::Errors(_) => "errors",
            Kind::Bfd(_) => "bfd",
            Kind::Lacp => "lacp",
        }
    }

    /// Returns the settings of the watch.
    pub fn settings(&self) -> &LinkWatchSettings {
        &self.settings
    }

    /// Whether the watch reports the link up.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Returns how often the watch went down; saturates.
    pub fn down_count(&self) -> u32 {
        self.down_count
    }

    /// Returns the state of the requests; `None` for a watch that asks no neighbour.
    pub fn ping_status(&self) -> Option<PingStatus> {
        let (timer, target, source) = match &self.kind {
            Kind::Ethtool(_) | Kind::Tipc(_) | Kind::Errors(_) | Kind::Bfd(_) | Kind::Lacp => {
                return None;
            }
            Kind::ArpPing(ping) => {
                let source = ping.source.as_ref().and_then(Resolved::address);
                let target = ping.target.address().map(IpAddr::V4);
                (&ping.timer, target, source.map(IpAddr::V4))
            }
            Kind::NsnaPing(ping) => {
                let target = ping.target.address().map(IpAddr::V6);
                (&ping.timer, target, None)
            }
            Kind::Probe(probe) => (&probe.timer, None, None),
        };
        Some(PingStatus {
            missed: timer.missed(),
            last_probe: timer.last_probe(),
            last_answer: timer.last_answer(),
            target,
            source,
        })
    }

    /// Returns the state of the watch probe; `None` for other watches.
    pub fn probe_status(&self) -> Option<ProbeStatus> {
        match &self.kind {
            Kind::Probe(probe) => Some(probe.status()),
            _ => None,
        }
    }

    /// Whether this is a watch probe that is answered now.
    pub(super) fn is_answered_probe(&self) -> bool {
        matches!(&self.kind, Kind::Probe(probe) if probe.is_answered())
    }

    /// Returns the settings of the session of the watch bfd; `None` for other watches.
    pub fn bfd_settings(&self) -> Option<&BfdSettings> {
        match &self.kind {
            Kind::Bfd(settings) => Some(settings),
            _ => None,
        }
    }

    /// Returns the settings of the session of the watch lacp; `None` for other watches.
    pub fn lacp_settings(&self) -> Option<&LacpSettings> {
        match &self.settings {
            LinkWatchSettings::Lacp(settings) => Some(settings),
            _ => None,
        }
    }

    /// Returns the judgement of the watch errors; `None` for other watches.
    pub fn errors_status(&self) -> Option<ErrorsStatus> {
        match &self.kind {
            Kind::Errors(errors) => Some(errors.status),
            _ => None,
        }
    }

    /// Returns the condition that keeps the watch from working.
    pub fn problem(&self) -> Option<WatchProblem<'_>> {
        match &self.kind {
            Kind::Ethtool(_) | Kind::Errors(_) | Kind::Lacp => None,
            Kind::Bfd(settings) => {
                let fit = settings.local.is_ipv4() == settings.peer.is_ipv4()
                    && (settings.local.is_ipv4() || !settings.single_hop);
                (!fit).then_some(WatchProblem::UnlikeAddresses)
            }
            Kind::ArpPing(ping) => {
                let source = ping.source.as_ref();
                unresolved(&ping.target).or_else(|| unresolved(source?))
            }
            Kind::NsnaPing(ping) => {
                let problem = ping.lacks_link_local.then_some(WatchProblem::NoLinkLocal);
                unresolved(&ping.target).or(problem)
            }
            Kind::Probe(probe) => (self.up && probe.lacks_peers()).then_some(WatchProblem::NoPeers),
            Kind::Tipc(tipc) => tipc.is_missing.then_some(WatchProblem::NoTipc),
        }
    }

    fn timer(&mut self) -> Option<&mut PingTimer> {
        match &mut self.kind {
            Kind::Ethtool(_) | Kind::Tipc(_) | Kind::Errors(_) | Kind::Bfd(_) | Kind::Lacp => None,
            Kind::ArpPing(ping) => Some(&mut ping.timer),
            Kind::NsnaPing(ping) => Some(&mut ping.timer),
            Kind::Probe(probe) => Some(&mut probe.timer),
        }
    }

    pub(super) fn control_frames(&self) -> ControlFrames {
        ControlFrames {
            arp: match &self.kind {
                Kind::ArpPing(_) => true,
                Kind::Bfd(settings) => settings.single_hop,
                _ => false,
            },
            bfd: matches!(self.kind, Kind::Bfd(_)),
            neighbour_discovery: matches!(self.kind, Kind::NsnaPing(_)),
            probes: matches!(self.kind, Kind::Probe(_)),
            slow_protocols: matches!(self.kind, Kind::Lacp),
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match &self.kind {
            Kind::Ethtool(ethtool) => ethtool.next_deadline(),
            Kind::ArpPing(ping) => Some(ping.timer.next_deadline()),
            Kind::NsnaPing(ping) => Some(ping.timer.next_deadline()),
            Kind::Probe(probe) => Some(probe.timer.next_deadline()),
            Kind::Tipc(_) | Kind::Bfd(_) | Kind::Lacp => None,
            Kind::Errors(errors) => Some(errors.next_deadline()),
        }
    }

    pub(super) fn link_changed(
        &mut self,
        now: Instant,
        link: Link,
        came_up: bool,
        context: &WatchContext,
    ) -> WatchActions {
        if let Kind::Ethtool(ethtool) = &mut self.kind {
            let up = ethtool.carrier_changed(now, link.up, self.up);
            return self.set(up);
        }
        if let Kind::Bfd(_) | Kind::Lacp = self.kind {
            return self.set(self.up && link.up);
        }
        if let (Kind::Probe(probe), false) = (&mut self.kind, link.up) {
            probe.carrier_lost();
            return self.set(false);
        }
        let has_begun = self.timer().is_some_and(|timer| timer.has_begun());
        // A request from before the link came up was lost.
        match came_up && has_begun && !self.up {
            true => self.send_request(now, context),
            false => WatchActions::new(),
        }
    }

    /// Sets the first state, without delays. A watch that asks a neighbour and begins up assumes
    /// answers until it misses some. The watch errors does not depend on the carrier.
    pub(super) fn begin(&mut self, up: bool) -> WatchActions {
        match self.kind {
            Kind::Errors(_) => WatchActions::new(),
            _ => self.set(up),
        }
    }

    pub(super) fn expire(
        &mut self,
        due: Instant,
        now: Instant,
        context: &WatchContext,
    ) -> WatchActions {
        let up = self.up;
        if let Kind::Ethtool(ethtool) = &mut self.kind {
            let up = ethtool.expire(due, up);
            return self.set(up);
        }
        if let Kind::Errors(errors) = &mut self.kind {
            let reading = errors.expire(due, now).then_some(WatchAction::ReadCounters);
            let up = errors.is_up();
            return self.set(up).into_iter().chain(reading).collect();
        }
        if let Kind::Probe(probe) = &mut self.kind {
            let (up, request_due) = probe.expire(due, now, up, context);
            let request = request_due.then(|| self.send_request(now, context));
            return self.set(up).into_iter().chain(request.into_iter().flatten()).collect();
        }
        let situation = Situation { up, has_other_port: context.has_other_port };
        let Some(expiry) = self.timer().map(|timer| timer.expire(due, now, situation)) else {
            return WatchActions::new();
        };
        let mut actions = self.set(expiry.up);
        if expiry.request_due {
            actions.extend(self.resolve_hosts(now));
            actions.extend(self.send_request(now, context));
        }
        actions
    }

    /// Sends a request to the neighbour.
    fn send_request(&mut self, now: Instant, context: &WatchContext) -> WatchActions {
        let request = match &mut self.kind {
            Kind::Ethtool(_) | Kind::Tipc(_) | Kind::Errors(_) | Kind::Bfd(_) | Kind::Lacp => None,
            Kind::ArpPing(ping) => ping.request(now, context),
            Kind::NsnaPing(ping) => ping.request(now, context),
            Kind::Probe(probe) => probe.request(now, context),
        };
        request.into_iter().map(WatchAction::Send).collect()
    }

    /// Requests the resolution of host names that need it.
    fn resolve_hosts(&mut self, now: Instant) -> WatchActions {
        let up = self.up;
        let mut actions = WatchActions::new();
        let mut resolve = |name: Option<&str>, family| {
            actions.extend(name.map(|name| WatchAction::Resolve { host: name.to_owned(), family }));
        };
        match &mut self.kind {
            Kind::Ethtool(_)
            | Kind::Probe(_)
            | Kind::Tipc(_)
            | Kind::Errors(_)
            | Kind::Bfd(_)
            | Kind::Lacp => {}
            Kind::ArpPing(ping) => {
                resolve(ping.target.request(now, up), IpFamily::V4);
                if let Some(source) = &mut ping.source {
                    resolve(source.request(now, up), IpFamily::V4);
                }
            }
            Kind::NsnaPing(ping) => resolve(ping.target.request(now, up), IpFamily::V6),
        }
        actions
    }

    pub(super) fn host_resolved(
        &mut self,
        now: Instant,
        host: &str,
        family: IpFamily,
        address: Option<IpAddr>,
        context: &WatchContext,
    ) -> WatchActions {
        let is_new = match (&mut self.kind, family) {
            (Kind::ArpPing(ping), IpFamily::V4) => {
                let address = match address {
                    Some(IpAddr::V4(address)) => Some(address),
                    _ => None,
                };
                let target = ping.target.resolved(now, host, address);
                let source = ping.source.as_mut();
                target | source.is_some_and(|source| source.resolved(now, host, address))
            }
            (Kind::NsnaPing(ping), IpFamily::V6) => {
                let address = match address {
                    Some(IpAddr::V6(address)) => Some(address),
                    _ => None,
                };
                ping.target.resolved(now, host, address)
            }
            _ => false,
        };
        match is_new {
            true => self.send_request(now, context),
            false => WatchActions::new(),
        }
    }

    pub(super) fn frame_received(
        &mut self,
        now: Instant,
        frame: &[u8],
        ours: bool,
        context: &WatchContext,
    ) -> WatchActions {
        let up = self.up;
        let mut reply = None;
        let is_alive = match &mut self.kind {
            Kind::Ethtool(_) | Kind::Tipc(_) | Kind::Errors(_) | Kind::Bfd(_) | Kind::Lacp => false,
            Kind::ArpPing(ping) => ping.receive(now, frame, ours, context, up),
            Kind::NsnaPing(ping) => ping.receive(now, frame, ours),
            Kind::Probe(probe) => {
                let received = probe.receive(now, frame, context);
                reply = received.reply.map(WatchAction::Send);
                received.is_answer
            }
        };
        self.set(up | is_alive).into_iter().chain(reply).collect()
    }

    pub(super) fn bearers_changed(&mut self, linked: Option<&BTreeSet<String>>) -> WatchActions {
        match &mut self.kind {
            Kind::Tipc(tipc) => {
                let up = tipc.bearers_changed(linked);
                self.set(up)
            }
            _ => WatchActions::new(),
        }
    }

    /// Handles the verdict of a BFD session.
    pub(super) fn path_changed(&mut self, settings: &BfdSettings, up: bool) -> WatchActions {
        match self.bfd_settings() == Some(settings) {
            true => self.set(up),
            false => WatchActions::new(),
        }
    }

    /// Handles the verdict of the LACP session of the port.
    pub(super) fn partner_changed(&mut self, up: bool) -> WatchActions {
        match self.kind {
            Kind::Lacp => self.set(up),
            _ => WatchActions::new(),
        }
    }

    pub(super) fn counters_read(
        &mut self,
        now: Instant,
        counters: ReceiveCounters,
    ) -> WatchActions {
        self.judge(|errors| errors.counters_read(now, counters))
    }

    pub(super) fn restore_errors(&mut self, status: ErrorsStatus) -> WatchActions {
        self.judge(|errors| errors.restore(status))
    }

    /// Changes the judgement of the watch errors.
    fn judge(&mut self, change: impl FnOnce(&mut Errors)) -> WatchActions {
        let Kind::Errors(errors) = &mut self.kind else {
            return WatchActions::new();
        };
        change(errors);
        let up = errors.is_up();
        self.set(up)
    }

    fn set(&mut self, up: bool) -> WatchActions {
        if up == self.up {
            return WatchActions::new();
        }
        self.up = up;
        if !up {
            self.down_count = self.down_count.saturating_add(1);
        }
        let watch = self.name();
        vec![WatchAction::Report { watch, up }]
    }
}

fn unresolved<A: Copy>(host: &Resolved<A>) -> Option<WatchProblem<'_>> {
    let is_known = host.address().is_some();
    (!is_known).then(|| WatchProblem::Unresolved(host.name()))
}
