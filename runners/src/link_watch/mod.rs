//! Link watches: what they say of a port. How several become one verdict is in `group`.
//!
//! A watch starts down and keeps its own verdict and count of failures. Each kind has its own
//! module that says when the verdict changes.

mod arp_ping;
mod ethtool;
mod group;
mod nsna_ping;
mod resolved;
mod rhythm;
mod tipc;

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::control_frames::ControlFrames;
use crate::ident::{HwAddr, IpFamily, Link};
use crate::settings::LinkWatchSettings;
use crate::time::Instant;
use arp_ping::ArpPing;
use ethtool::Ethtool;
use nsna_ping::NsnaPing;
use resolved::Resolved;
use rhythm::Rhythm;
use tipc::Tipc;

pub(crate) use arp_ping::is_sent_by;
pub(crate) use group::LinkWatches;

/// One link watch on one port.
#[derive(Debug)]
pub struct LinkWatch {
    settings: LinkWatchSettings,
    up: bool,
    down_count: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Ethtool(Ethtool),
    ArpPing(ArpPing),
    NsnaPing(NsnaPing),
    Tipc(Tipc),
}

/// What a watch that asks a neighbour has come to so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingStatus {
    /// Intervals in a row without an answer; counts on while the link is down.
    pub missed: u32,
    /// When it last asked.
    pub last_probe: Option<Instant>,
    /// When it last heard what counts as an answer.
    pub last_answer: Option<Instant>,
    /// Whom it asks, once known.
    pub target: Option<IpAddr>,
    /// In whose name, if that is configured and known.
    pub source: Option<IpAddr>,
}

/// What keeps a watch from doing what it was told to; displays as a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchProblem<'a> {
    /// The name of a host has no address yet; nothing is asked until then.
    Unresolved(&'a str),
    /// Neither the port nor the team device has a link-local address; one is made of the
    /// hardware address until then.
    NoLinkLocal,
    /// The kernel has no TIPC, or its topology server cannot be reached.
    NoTipc,
}

impl fmt::Display for WatchProblem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WatchProblem::Unresolved(host) => write!(f, "waits for the address of \"{host}\""),
            WatchProblem::NoLinkLocal => f.write_str(
                "no link-local address, asks from one made of the port's hardware address",
            ),
            WatchProblem::NoTipc => f.write_str("no TIPC in this kernel (module tipc), stays down"),
        }
    }
}

/// What a watch has to know of its port and the rest of the team.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WatchContext {
    /// The port has a carrier.
    pub(crate) linked: bool,
    /// The port takes part in receive and transmit.
    pub(crate) enabled: bool,
    /// Some port does.
    pub(crate) someone_enabled: bool,
    /// The team's own address belongs on another port, also while this one carries.
    pub(crate) hwaddr_belongs_elsewhere: bool,
    /// The port's hardware address now.
    pub(crate) hwaddr: HwAddr,
    /// One that belongs to the port alone, whatever the team's is.
    pub(crate) spare_hwaddr: HwAddr,
    /// Of the port, else of the team device.
    pub(crate) link_local: Option<Ipv6Addr>,
}

impl WatchContext {
    /// Others carry the traffic.
    fn is_waiting(&self) -> bool {
        !self.enabled && self.someone_enabled
    }

    /// What the port sends must not draw the team's traffic here.
    fn is_quiet(&self) -> bool {
        self.hwaddr_belongs_elsewhere || self.is_waiting()
    }
}

/// What a watch wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WatchAction {
    /// The verdict changed; worth a line in the log.
    Tell {
        /// Its name.
        watch: &'static str,
        /// The verdict.
        up: bool,
    },
    /// A question, to be sent on the port.
    Send(Vec<u8>),
    /// A name is to be resolved.
    Resolve {
        /// The name.
        host: String,
        /// To an address of this kind.
        family: IpFamily,
    },
}

impl LinkWatch {
    fn new(settings: LinkWatchSettings, now: Instant) -> Self {
        let kind = match &settings {
            LinkWatchSettings::Ethtool {
                delay_up,
                delay_down,
            } => Kind::Ethtool(Ethtool::new(*delay_up, *delay_down)),
            LinkWatchSettings::ArpPing(settings) => Kind::ArpPing(ArpPing::new(settings, now)),
            LinkWatchSettings::NsnaPing(settings) => Kind::NsnaPing(NsnaPing::new(settings, now)),
            LinkWatchSettings::Tipc { bearer } => Kind::Tipc(Tipc::new(bearer)),
        };
        LinkWatch {
            settings,
            up: false,
            down_count: 0,
            kind,
        }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Ethtool(_) => "ethtool",
            Kind::ArpPing(_) => "arp_ping",
            Kind::NsnaPing(_) => "nsna_ping",
            Kind::Tipc(_) => "tipc",
        }
    }

    /// What it was told to do.
    pub fn settings(&self) -> &LinkWatchSettings {
        &self.settings
    }

    /// Its verdict.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// How often the verdict went from up to down; stops at the maximum.
    pub fn down_count(&self) -> u32 {
        self.down_count
    }

    /// What came of its questions; none for a watch that asks nobody.
    pub fn ping_status(&self) -> Option<PingStatus> {
        let (rhythm, target, source) = match &self.kind {
            Kind::Ethtool(_) | Kind::Tipc(_) => return None,
            Kind::ArpPing(ping) => {
                let source = ping.source.as_ref().and_then(Resolved::address);
                let target = ping.target.address().map(IpAddr::V4);
                (&ping.rhythm, target, source.map(IpAddr::V4))
            }
            Kind::NsnaPing(ping) => {
                let target = ping.target.address().map(IpAddr::V6);
                (&ping.rhythm, target, None)
            }
        };
        Some(PingStatus {
            missed: rhythm.missed(),
            last_probe: rhythm.last_probe(),
            last_answer: rhythm.last_answer(),
            target,
            source,
        })
    }

    /// Why it cannot do what it was told to.
    pub fn problem(&self) -> Option<WatchProblem<'_>> {
        match &self.kind {
            Kind::Ethtool(_) => None,
            Kind::ArpPing(ping) => {
                let source = ping.source.as_ref();
                unresolved(&ping.target).or_else(|| unresolved(source?))
            }
            Kind::NsnaPing(ping) => {
                let lack = ping.lacks_link_local.then_some(WatchProblem::NoLinkLocal);
                unresolved(&ping.target).or(lack)
            }
            Kind::Tipc(tipc) => tipc.is_missing.then_some(WatchProblem::NoTipc),
        }
    }

    fn rhythm(&mut self) -> Option<&mut Rhythm> {
        match &mut self.kind {
            Kind::Ethtool(_) | Kind::Tipc(_) => None,
            Kind::ArpPing(ping) => Some(&mut ping.rhythm),
            Kind::NsnaPing(ping) => Some(&mut ping.rhythm),
        }
    }

    fn control_frames(&self) -> ControlFrames {
        ControlFrames {
            arp: matches!(self.kind, Kind::ArpPing(_)),
            neighbour_discovery: matches!(self.kind, Kind::NsnaPing(_)),
            ..ControlFrames::default()
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        match &self.kind {
            Kind::Ethtool(ethtool) => ethtool.next_deadline(),
            Kind::ArpPing(ping) => Some(ping.rhythm.next_deadline()),
            Kind::NsnaPing(ping) => Some(ping.rhythm.next_deadline()),
            Kind::Tipc(_) => None,
        }
    }

    fn link_changed(
        &mut self,
        now: Instant,
        link: Link,
        came: bool,
        context: &WatchContext,
    ) -> WatchActions {
        if let Kind::Ethtool(ethtool) = &mut self.kind {
            let up = ethtool.carrier_changed(now, link.up, self.up);
            return self.set(up);
        }
        let has_begun = self.rhythm().is_some_and(|rhythm| rhythm.has_begun());
        // What was asked before went nowhere.
        match came && has_begun && !self.up {
            true => self.ask(now, context),
            false => WatchActions::new(),
        }
    }

    /// The watch goes on from what it would have said: that a neighbour answered as long as
    /// there was a link.
    fn link_found(&mut self, link: Link) -> WatchActions {
        self.set(link.up)
    }

    fn expire(&mut self, due: Instant, now: Instant, context: &WatchContext) -> WatchActions {
        let up = self.up;
        if let Kind::Ethtool(ethtool) = &mut self.kind {
            let up = ethtool.expire(due, up);
            return self.set(up);
        }
        let Some(beat) = self.rhythm().map(|rhythm| rhythm.expire(due, now, up)) else {
            return WatchActions::new();
        };
        let mut actions = self.set(beat.up);
        if beat.asks {
            actions.extend(self.questions(now));
            actions.extend(self.ask(now, context));
        }
        actions
    }

    fn ask(&mut self, now: Instant, context: &WatchContext) -> WatchActions {
        let question = match &mut self.kind {
            Kind::Ethtool(_) | Kind::Tipc(_) => None,
            Kind::ArpPing(ping) => ping.ask(now, context),
            Kind::NsnaPing(ping) => ping.ask(now, context),
        };
        question.into_iter().map(WatchAction::Send).collect()
    }

    /// The names that have to be resolved.
    fn questions(&mut self, now: Instant) -> WatchActions {
        let up = self.up;
        let mut actions = WatchActions::new();
        let mut resolve = |name: Option<&str>, family| {
            actions.extend(name.map(|name| WatchAction::Resolve {
                host: name.to_owned(),
                family,
            }));
        };
        match &mut self.kind {
            Kind::Ethtool(_) | Kind::Tipc(_) => {}
            Kind::ArpPing(ping) => {
                resolve(ping.target.question(now, up), IpFamily::V4);
                if let Some(source) = &mut ping.source {
                    resolve(source.question(now, up), IpFamily::V4);
                }
            }
            Kind::NsnaPing(ping) => resolve(ping.target.question(now, up), IpFamily::V6),
        }
        actions
    }

    fn host_resolved(
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
                let target = ping.target.answer(now, host, address);
                let source = ping.source.as_mut();
                target | source.is_some_and(|source| source.answer(now, host, address))
            }
            (Kind::NsnaPing(ping), IpFamily::V6) => {
                let address = match address {
                    Some(IpAddr::V6(address)) => Some(address),
                    _ => None,
                };
                ping.target.answer(now, host, address)
            }
            _ => false,
        };
        match is_new {
            true => self.ask(now, context),
            false => WatchActions::new(),
        }
    }

    fn frame_received(
        &mut self,
        now: Instant,
        frame: &[u8],
        ours: bool,
        context: &WatchContext,
    ) -> WatchActions {
        let up = self.up;
        let lives = match &mut self.kind {
            Kind::Ethtool(_) | Kind::Tipc(_) => false,
            Kind::ArpPing(ping) => ping.receive(now, frame, ours, context, up),
            Kind::NsnaPing(ping) => ping.receive(now, frame, ours),
        };
        self.set(up | lives)
    }

    fn bearers_changed(&mut self, linked: Option<&BTreeSet<String>>) -> WatchActions {
        match &mut self.kind {
            Kind::Tipc(tipc) => {
                let up = tipc.bearers_changed(linked);
                self.set(up)
            }
            _ => WatchActions::new(),
        }
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
        vec![WatchAction::Tell { watch, up }]
    }
}

fn unresolved<A: Copy>(host: &Resolved<A>) -> Option<WatchProblem<'_>> {
    let is_known = host.address().is_some();
    (!is_known).then(|| WatchProblem::Unresolved(host.name()))
}

/// What the watches of a port want done, in this order.
pub(crate) type WatchActions = Vec<WatchAction>;
