//! lacp: ports that agree with one partner carry together.
//!
//! Standard: IEEE 802.1AX-2014, clauses 6.2 to 6.5; names are those of the standard. Every
//! machine has a file, opening with its diagram: [`receive`], [`periodic`], [`selection`],
//! [`mux`], [`transmit`], [`churn`], [`marker_responder`], [`marker_generator`]. [`port`] joins the machines of
//! one port, [`receive_limit`] spares them a flood, [`status`] tells of them, [`diagnosis`] says what keeps a
//! port from carrying. This file is the runner: it keeps ports and machines in step, and turns
//! their outcome into a decision.
//!
//! Interface and defaults are teamd's; ARCHITECTURE.md lists where the standard was followed
//! instead.

mod churn;
mod diagnosis;
mod marker_generator;
mod marker_responder;
mod mux;
mod periodic;
mod port;
mod receive;
mod receive_limit;
mod selection;
mod status;
mod transmit;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::action::Action;
use crate::control_frames::ControlFrames;
use crate::forwarding::flow_table::FlowTable;
use crate::forwarding::{BUCKETS, BucketTable, TxPolicy};
use crate::ident::{HwAddr, PortId};
use crate::port::Port;
use crate::runner::Runner;
use crate::time::Instant;
use crate::wire::lacpdu::{LACP_SUBTYPE, Lacpdu, SLOW_PROTOCOLS_GROUP, STANDARD_RETRIES};
use crate::wire::marker::{MARKER_SUBTYPE, Marker};
use crate::wire::{Ethernet, ethertype};

use marker_generator::Conversations;
use mux::Mux;
use port::LacpPort;
use receive::Receive;
use selection::Selection;

use crate::settings::lacp::{FallbackMethod, LacpSettings};
pub use mux::Selected;
pub use port::PduCounters;
pub use status::{LacpPortStatus, LacpStatus, MachineStates};

/// The machines of one port settle within a few rounds; more would be a circle.
const ROUNDS: usize = 16;

#[derive(Debug)]
pub(crate) struct Lacp {
    settings: LacpSettings,
    /// When a retry count that was set by hand ends.
    retry_count_until: Option<Instant>,
    system: HwAddr,
    team_is_up: bool,
    ports: BTreeMap<PortId, LacpPort>,
    selection: Selection,
    flows: FlowTable,
    /// Keeps flows in order that move, if that is wanted.
    conversations: Option<Conversations>,
    last_decision: Instant,
    actions: VecDeque<Action>,
}

impl Lacp {
    pub(crate) fn new(settings: &LacpSettings) -> Self {
        Lacp {
            retry_count_until: None,
            system: HwAddr::default(),
            team_is_up: true,
            ports: BTreeMap::new(),
            selection: Selection::default(),
            flows: FlowTable::new(settings.tx_hash, settings.balancing_interval),
            conversations: settings.marker_timeout.map(Conversations::new),
            settings: settings.clone(),
            last_decision: Instant::ZERO,
            actions: VecDeque::new(),
        }
    }

    /// Ports come, go and change as the team says.
    fn follow(&mut self, now: Instant, ports: &[Port]) {
        let gone: Vec<PortId> = self
            .ports
            .keys()
            .filter(|id| ports.iter().all(|port| port.id() != **id))
            .copied()
            .collect();
        for id in gone {
            if let Some(mut port) = self.ports.remove(&id) {
                let farewell = port.farewell(&self.settings);
                self.actions.extend(farewell.map(|frame| send(id, frame)));
                self.actions.push_back(Action::RememberPdu {
                    port: id,
                    frame: None,
                });
            }
        }
        for port in ports {
            let known = self.ports.entry(port.id());
            let known = known.or_insert_with(|| LacpPort::new(port));
            let leaves = known.speaks() && !self.team_is_up && port.link().up;
            if leaves {
                let farewell = known.farewell(&self.settings);
                self.actions
                    .extend(farewell.map(|frame| send(port.id(), frame)));
            }
            known.refresh(now, port, self.system, self.team_is_up, &self.settings);
        }
    }

    /// Lets the machines drive one another until nothing moves.
    fn settle(&mut self, now: Instant) {
        for port in self.ports.values_mut() {
            port.mux.tick(now);
        }
        for _ in 0..ROUNDS {
            let outcome = |port: &LacpPort| (port.mux.state(), port.selected, port.lag);
            let before: Vec<_> = self.ports.values().map(outcome).collect();
            // Who was unselected leaves its aggregator before it may join another.
            self.run_mux(now);
            self.fall_back(now);
            self.selection
                .run(&mut self.ports, self.settings.agg_select_policy);
            self.run_mux(now);
            let after: Vec<_> = self.ports.values().map(outcome).collect();
            if before == after {
                break;
            }
        }
        let retry_count = self.retry_count(now);
        for port in self.ports.values_mut() {
            self.actions.extend(port.report().map(Action::Report));
            let pdu = port.run_followers(now, &self.settings, retry_count);
            self.actions.extend(pdu.map(|frame| send(port.id, frame)));
        }
    }

    /// A port is ready with all that wait for the same aggregator (6.4.14.1 b), or at once if
    /// its partner has attached the link already.
    fn run_mux(&mut self, now: Instant) {
        let waits = |port: &LacpPort| {
            port.selected == Selected::Selected
                && port.mux.state() == Mux::Waiting
                && !port.mux.has_waited()
                && !port.needs_no_wait()
        };
        let nobody_waits = !self.ports.values().any(waits);
        for port in self.ports.values_mut() {
            let waited = nobody_waits && port.mux.has_waited();
            port.run_mux(now, waited || port.needs_no_wait());
        }
    }

    /// Which ports carry although no partner speaks: none while one does or may.
    fn fall_back(&mut self, now: Instant) {
        let speaks =
            |port: &LacpPort| matches!(port.receive.state(), Receive::Current | Receive::Expired);
        let delay = self.settings.fallback_delay;
        let nobody_speaks = self.settings.fallback && !self.ports.values().any(speaks);
        let waited = |port: &LacpPort| port.defaulted_at.is_some_and(|at| at + delay <= now);
        let candidates = self
            .ports
            .values()
            .filter(|port| nobody_speaks && port.allowed && waited(port));
        let order = |port: &&LacpPort| {
            let actor = port.actor();
            (actor.port_priority, actor.port, port.id)
        };
        let chosen: Vec<PortId> = match self.settings.fallback_method {
            FallbackMethod::Single => candidates
                .min_by_key(order)
                .map(|port| port.id)
                .into_iter()
                .collect(),
            FallbackMethod::All => candidates.map(|port| port.id).collect(),
        };
        for port in self.ports.values_mut() {
            port.fallback = chosen.contains(&port.id);
        }
    }

    /// The retry count has no need to transmit of its own in the standard, and at the slow rate
    /// partners would wait for it for 30 s.
    fn tell_partners(&mut self) {
        self.ports.values_mut().for_each(LacpPort::tell_partner);
    }

    /// What the partner is told of how many PDUs we let it miss. A count set by hand is for a
    /// restart, and does not outlive it for long.
    fn retry_count(&mut self, now: Instant) -> u8 {
        if self.retry_count_until.is_some_and(|until| until <= now) {
            self.retry_count_until = None;
            self.settings.retry_count = STANDARD_RETRIES;
            self.tell_partners();
        }
        self.settings.retry_count
    }

    /// Takes flows that are to move off their link, and lets them on to the next in their time.
    fn move_flows(&mut self, now: Instant, distributing: &[PortId], table: &mut BucketTable) {
        let Some(conversations) = &mut self.conversations else {
            return;
        };
        let ports = &mut self.ports;
        let questions = conversations.settle(now, distributing, table, |port| {
            let port = ports.get_mut(&port);
            port.is_some_and(|port| port.may_ask(now))
        });
        for question in questions {
            if let Some(port) = self.ports.get(&question.port) {
                let marker = port.marker(question.transaction);
                self.actions.push_back(send(port.id, marker));
            }
        }
    }

    fn distributes(&self, port: PortId) -> bool {
        let port = self.ports.get(&port);
        port.is_some_and(|port| port.mux.state() == Mux::Distributing)
    }
}

impl Runner for Lacp {
    fn team_changed(&mut self, hwaddr: HwAddr, up: bool) {
        self.system = hwaddr;
        self.team_is_up = up;
    }

    fn decide(&mut self, now: Instant, ports: &[Port]) -> TxPolicy {
        self.last_decision = now;
        self.follow(now, ports);
        self.settle(now);
        let distributing = ports.iter().map(Port::id);
        let distributing: Vec<PortId> = distributing
            .filter(|port| self.distributes(*port))
            .collect();
        // The table binds: the driver's own choice would also use ports that only collect.
        let mut policy = self.flows.decide(now, distributing.clone(), true);
        if let TxPolicy::LoadBalance { buckets, .. } = &mut policy {
            self.move_flows(now, &distributing, buckets);
        }
        policy
    }

    fn enables(&self, port: &Port) -> bool {
        self.distributes(port.id())
    }

    fn collects(&self, port: &Port) -> bool {
        let port = self.ports.get(&port.id());
        port.is_some_and(|port| port.mux.state() >= Mux::Collecting)
    }

    fn carries(&self, port: &Port) -> bool {
        self.distributes(port.id())
    }

    /// The aggregator of this port shall carry.
    fn choose_active(&mut self, port: &Port) {
        let chosen = self.ports.get(&port.id());
        if !chosen.is_some_and(|port| self.selection.pin(port)) {
            log::warn!("{}: has no aggregator that could be chosen", port.name());
        }
    }

    fn lacp_settings_changed(&mut self, now: Instant, settings: &LacpSettings) {
        if settings.retry_count != self.settings.retry_count {
            // As SONiC: a restart takes no longer than the count lasts three times over.
            let minutes = 3 * u64::from(settings.retry_count);
            let lasts = Duration::from_secs(60 * minutes);
            self.retry_count_until =
                (settings.retry_count != STANDARD_RETRIES).then(|| now + lasts);
            self.tell_partners();
        }
        self.settings = settings.clone();
    }

    fn left_in_place(&mut self) {
        self.tell_partners();
    }

    fn count_buckets(&mut self, _now: Instant, ports: &[Port], bytes: &[u64; BUCKETS]) {
        self.flows.count(ports, bytes);
    }

    fn next_deadline(&self) -> Option<Instant> {
        let delay = self.settings.fallback_delay;
        let falls_back = |port: &LacpPort| {
            let at = port
                .defaulted_at
                .filter(|_| self.settings.fallback && !port.fallback)?;
            Some(at + delay).filter(|at| *at > self.last_decision)
        };
        let ports = self.ports.values();
        ports
            .filter_map(LacpPort::next_deadline)
            .chain(self.ports.values().filter_map(falls_back))
            .chain(self.flows.next_deadline())
            .chain(
                self.conversations
                    .as_ref()
                    .and_then(Conversations::deadline),
            )
            .chain(self.retry_count_until)
            .min()
    }

    fn expire(&mut self, due: Instant, now: Instant) {
        // The machines look at their own timers when they settle.
        self.flows.expire(due, now);
    }

    fn control_frames(&self) -> ControlFrames {
        ControlFrames {
            slow_protocols: true,
            ..ControlFrames::default()
        }
    }

    fn frame_received(&mut self, now: Instant, port: &Port, frame: &[u8]) {
        let Some(port) = self.ports.get_mut(&port.id()) else {
            return;
        };
        let Some(payload) = slow_protocol(frame) else {
            return;
        };
        match payload.first() {
            Some(&LACP_SUBTYPE) => match Lacpdu::parse(payload) {
                Some(pdu) => {
                    if port.pdu_received(now, &pdu, frame, &self.settings) {
                        let frame = Some(frame.to_vec());
                        self.actions.push_back(Action::RememberPdu {
                            port: port.id,
                            frame,
                        });
                    }
                }
                None => port.malformed(),
            },
            Some(&MARKER_SUBTYPE) => match Marker::parse(payload) {
                Some(marker) => {
                    if let (Some(conversations), Some(transaction)) =
                        (&mut self.conversations, port.answered(marker))
                    {
                        let in_time = conversations.answered(port.id, transaction);
                        port.counters.own_marker_responses += u64::from(in_time);
                    }
                    let answer = port.marker_received(now, marker);
                    self.actions
                        .extend(answer.map(|frame| send(port.id, frame)));
                }
                None => port.malformed(),
            },
            // 57A.5: other slow protocols are somebody else's.
            Some(_) | None => {}
        }
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.actions
            .pop_front()
            .or_else(|| self.flows.poll_action())
    }

    fn lacp(&self) -> Option<&Lacp> {
        Some(self)
    }
}

fn send(port: PortId, frame: Vec<u8>) -> Action {
    Action::SendFrame { port, frame }
}

/// The payload of a slow protocol's frame, which is for the group address (802.3, 57A.3) and
/// has no tag but perhaps one of priority alone.
fn slow_protocol(frame: &[u8]) -> Option<&[u8]> {
    let ethernet = Ethernet::parse(frame)?;
    let is_ours = ethernet.ethertype == ethertype::SLOW_PROTOCOLS
        && ethernet.vlan_ids == 0
        && ethernet.addresses.starts_with(&SLOW_PROTOCOLS_GROUP.0);
    is_ours.then_some(ethernet.payload)
}
