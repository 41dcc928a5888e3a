//! The runner lacp: link aggregation with LACP.
//!
//! Standard: IEEE 802.1AX-2014, clauses 6.2 to 6.5. Each machine has a file that begins with
//! the standard's state diagram:
//!
//! | file | content | clause |
//! |---|---|---|
//! | [`receive`](crate::lacp_machines::receive) | Receive machine | 6.4.12 |
//! | [`periodic`](crate::lacp_machines::periodic) | Periodic Transmission machine | 6.4.13 |
//! | [`lag`] | Link Aggregation Group identification | 6.3.6 |
//! | [`selection`] | Selection Logic | 6.4.14 |
//! | [`mux`] | Mux machine | 6.4.15 |
//! | [`transmit`](crate::lacp_machines::transmit) | Transmit machine | 6.4.16 |
//! | [`churn`] | Churn Detection machines | 6.4.17 |
//! | [`marker_responder`] | Marker Responder | 6.5.4.2 |
//! | [`marker_generator`] | Marker Generator/Receiver | 6.2.4, 6.5 |
//! | [`port`] | variables and functions of one Aggregation Port | 6.4.7, 6.4.9 |
//!
//! [`receive_limit`] protects the machines from a flood, [`fallback`] chooses ports that carry traffic
//! without a Partner, [`status`] describes the state of the machines, and [`diagnosis`] states why a
//! port carries no traffic. This file runs the machines of all ports until no state
//! changes, and turns the outcome into a forwarding policy.
//!
//! Configuration and defaults are teamd's. Each machine lists its deviations from the standard.

mod churn;
mod diagnosis;
#[cfg(test)]
mod every_state;
mod fallback;
mod lag;
mod marker_generator;
mod marker_responder;
mod mux;
mod port;
mod port_map;
mod receive_limit;
mod selection;
mod status;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::action::Action;
use crate::control_frames::ControlFrames;
use crate::forwarding::{BUCKETS, BucketTable, TxPolicy};
use crate::ident::{HwAddr, PortId};
use crate::port::Port;
use crate::runner::Runner;
use crate::runner::flow_table::FlowTable;
use crate::time::Instant;
use crate::wire::lacpdu::{LACP_SUBTYPE, Lacpdu, STANDARD_RETRIES};
use crate::wire::marker::{MARKER_SUBTYPE, Marker};
use crate::wire::slow_protocol;

use marker_generator::MarkerGenerator;
use mux::MuxState;
use port::LacpPort;
use port::records::Recorded;
use port_map::PortMap;
use selection::Selection;

use crate::keep_alive::KeepAlive;
use crate::lacp_status::{LacpStatus, Selected};
use crate::settings::RunnerSettings;
use crate::settings::lacp::LacpSettings;

/// The machines reach a stable state after a few rounds; the limit ends a loop that a defect would
/// make endless.
const MAX_ROUNDS: usize = 16;

/// The runner lacp of one team.
#[derive(Clone, Debug)]
pub(crate) struct Lacp {
    settings: LacpSettings,
    /// When the retry count that the user set returns to the standard's.
    retry_count_until: Option<Instant>,
    /// Address of the team device: the Actor's system.
    system: HwAddr,
    team_is_up: bool,
    ports: PortMap,
    selection: Selection,
    flows: FlowTable,
    /// `None` without the setting `marker`.
    marker_generator: Option<MarkerGenerator>,
    last_decision: Instant,
    actions: VecDeque<Action>,
}

impl Lacp {
    pub(crate) fn new(settings: &LacpSettings) -> Self {
        Lacp {
            retry_count_until: None,
            system: HwAddr::default(),
            team_is_up: true,
            ports: PortMap::default(),
            selection: Selection::default(),
            flows: FlowTable::new(settings.tx_hash, settings.balancing_interval),
            marker_generator: settings.marker_timeout.map(MarkerGenerator::new),
            settings: settings.clone(),
            last_decision: Instant::ZERO,
            actions: VecDeque::new(),
        }
    }

    /// Removes, adds and updates ports according to the ports of the team.
    fn update_ports(&mut self, now: Instant, ports: &[Port]) {
        let is_gone = |id: &PortId| ports.iter().all(|port| port.id() != *id);
        let gone: Vec<PortId> = self.ports.ids().filter(is_gone).collect();
        for id in gone {
            if let Some(port) = self.ports.remove(id) {
                self.send(id, port.last_pdu(&self.settings));
                self.remember_pdu(id, None);
            }
        }
        for port in ports {
            let id = port.id();
            let known = self.ports.get_or_insert_with(id, || LacpPort::new(port));
            let team_goes_down =
                known.receive.is_lacp_enabled() && !self.team_is_up && port.link().up;
            let last_pdu = team_goes_down.then(|| known.last_pdu(&self.settings));
            known.update(now, port, self.system, self.team_is_up, &self.settings);
            self.send(id, last_pdu.flatten());
        }
    }

    /// Runs the machines of all ports until no state changes.
    fn run_machines(&mut self, now: Instant) {
        for port in self.ports.values_mut() {
            port.mux.expire_timer(now);
        }
        for _ in 0..MAX_ROUNDS {
            let outcome = |port: &LacpPort| (port.mux.state(), port.selected, port.lag);
            let before: Vec<_> = self.ports.values().map(outcome).collect();
            // An unselected port detaches from its Aggregator before it may join another.
            self.run_mux(now);
            fallback::update(now, &mut self.ports, &self.settings);
            self.selection.run(&mut self.ports, self.settings.agg_select_policy);
            self.run_mux(now);
            let after: Vec<_> = self.ports.values().map(outcome).collect();
            if before == after {
                break;
            }
        }
        let retry_count = self.retry_count(now);
        for port in self.ports.values_mut() {
            self.actions.extend(port.report().map(Action::Report));
            let pdu = port.run_transmission(now, &self.settings, retry_count);
            self.actions.extend(pdu.map(|frame| send_frame(port.id, frame)));
        }
    }

    /// Runs the Mux machines. A port is ready together with all ports that wait for the same
    /// Aggregator (6.4.14.1 b).
    fn run_mux(&mut self, now: Instant) {
        let still_waits = |port: &LacpPort| {
            port.selected == Selected::Selected
                && port.mux.state() == MuxState::Waiting
                && !port.mux.ready_n()
                && !port.skips_wait_while()
        };
        let all_ready = !self.ports.values().any(still_waits);
        for port in self.ports.values_mut() {
            let ready = all_ready && port.mux.ready_n();
            port.run_mux(now, ready || port.skips_wait_while());
        }
    }

    /// Sets NTT on all ports. The standard sets no NTT for a new retry count: a Partner at the slow
    /// rate would receive the new count up to 30 s later.
    fn set_ntt(&mut self) {
        self.ports.values_mut().for_each(LacpPort::set_ntt);
    }

    /// Returns the retry count for LACPDUs. A count set by the user is meant for a restart and
    /// returns to the standard's after some time.
    fn retry_count(&mut self, now: Instant) -> u8 {
        if self.retry_count_until.is_some_and(|until| until <= now) {
            self.retry_count_until = None;
            self.settings.retry_count = STANDARD_RETRIES;
            self.set_ntt();
        }
        self.settings.retry_count
    }

    /// Holds buckets that must leave their link, and sends the markers for them.
    fn run_marker_generator(
        &mut self,
        now: Instant,
        distributing: &[PortId],
        table: &mut Arc<BucketTable>,
    ) {
        let Some(generator) = &mut self.marker_generator else {
            return;
        };
        let ports = &mut self.ports;
        let markers = generator.run(now, distributing, Arc::make_mut(table), |port| {
            let port = ports.get_mut(port);
            port.is_some_and(|port| port.may_send_marker(now))
        });
        for marker in markers {
            let port = self.ports.get(marker.port);
            let frame = port.map(|port| port.marker(marker.transaction));
            self.send(marker.port, frame);
        }
    }

    /// Returns the Mux state of a port; DETACHED for an unknown port.
    fn mux_state(&self, port: &Port) -> MuxState {
        let port = self.ports.get(port.id());
        port.map_or(MuxState::Detached, |port| port.mux.state())
    }

    fn lacpdu_received(&mut self, now: Instant, id: PortId, pdu: &Lacpdu, frame: &[u8]) {
        if let Some(port) = self.ports.get_mut(id) {
            let recorded = port.pdu_received(now, pdu, &self.settings);
            port.record_sender(now, pdu, frame);
            match recorded {
                Recorded::Changed => self.remember_pdu(id, Some(frame.to_vec())),
                Recorded::Unchanged => {}
            }
        }
    }

    fn marker_pdu_received(&mut self, now: Instant, id: PortId, marker: Marker) {
        let Some(port) = self.ports.get_mut(id) else {
            return;
        };
        if let (Some(generator), Some(transaction)) =
            (&mut self.marker_generator, port.transaction_of(marker))
        {
            let in_time = generator.response_received(id, transaction);
            port.counters.own_marker_responses += u64::from(in_time);
        }
        let response = port.marker_received(now, marker);
        self.send(id, response);
    }

    fn send(&mut self, port: PortId, frame: Option<Vec<u8>>) {
        self.actions.extend(frame.map(|frame| send_frame(port, frame)));
    }

    fn remember_pdu(&mut self, port: PortId, frame: Option<Vec<u8>>) {
        self.actions.push_back(Action::RememberPdu { port, frame });
    }
}

impl Runner for Lacp {
    fn team_changed(&mut self, hwaddr: HwAddr, up: bool) {
        self.system = hwaddr;
        self.team_is_up = up;
    }

    fn decide(&mut self, now: Instant, ports: &[Port]) -> TxPolicy {
        self.last_decision = now;
        self.update_ports(now, ports);
        self.run_machines(now);
        let distributing = ports.iter().filter(|port| self.enables(port));
        let distributing: Vec<PortId> = distributing.map(Port::id).collect();
        // The table is mandatory: the kernel driver's own choice includes ports that only collect.
        let mut policy = self.flows.decide(now, distributing.clone(), true);
        if let TxPolicy::LoadBalance { buckets, neighbours, .. } = &mut policy {
            *neighbours = self.settings.broadcast_neighbor;
            self.run_marker_generator(now, &distributing, buckets);
        }
        policy
    }

    /// A member without its micro session is out of the distribution alone (RFC 7130 section 2.4): the
    /// Partner keeps a session only on a link that LACP has it distribute on.
    fn enables(&self, port: &Port) -> bool {
        self.mux_state(port) >= MuxState::Distributing && !port.lacks_bfd()
    }

    fn collects(&self, port: &Port) -> bool {
        self.mux_state(port) >= MuxState::Collecting
    }

    fn carries(&self, port: &Port) -> bool {
        self.enables(port)
    }

    /// Returns the time of three LACPDUs at the fast rate: a live Partner answers sooner.
    fn drain_time(&self) -> Duration {
        self.settings.fast_period * u32::from(STANDARD_RETRIES)
    }

    fn partner_stopped_sending(&self, port: PortId) -> bool {
        self.ports.get(port).is_none_or(LacpPort::partner_stopped_sending)
    }

    fn chosen_port(&self) -> Option<PortId> {
        let mut ports = self.ports.values();
        Some(ports.find(|port| self.selection.is_chosen(port))?.id)
    }

    /// Selects the Aggregator of this port.
    fn choose_active(&mut self, port: &Port) {
        let chosen = self.ports.get(port.id());
        if !chosen.is_some_and(|port| self.selection.choose_by_user(port)) {
            log::warn!("{}: has no aggregator that could be chosen", port.name());
        }
    }

    /// Keeps the machines. Flows that a marker holds move at once if `marker_timeout` changes.
    fn settings_changed(&mut self, now: Instant, settings: &RunnerSettings) -> bool {
        let RunnerSettings::Lacp(settings) = settings else {
            return false;
        };
        if settings.retry_count != self.settings.retry_count {
            // As in SONiC, the user's count is valid for this count times three minutes.
            let minutes = 3 * u64::from(settings.retry_count);
            let until = now + Duration::from_secs(60 * minutes);
            self.retry_count_until = (settings.retry_count != STANDARD_RETRIES).then_some(until);
            self.set_ntt();
        }
        self.flows.settings_changed(settings.tx_hash, settings.balancing_interval);
        if settings.marker_timeout != self.settings.marker_timeout {
            self.marker_generator = settings.marker_timeout.map(MarkerGenerator::new);
        }
        self.ports.values_mut().for_each(|port| port.settings_changed(settings));
        self.settings = settings.clone();
        true
    }

    fn lacp_settings(&self) -> Option<&LacpSettings> {
        Some(&self.settings)
    }

    fn clear_statistics(&mut self, now: Instant, port: Option<PortId>) {
        let named = |known: &&mut LacpPort| port.is_none_or(|port| port == known.id);
        self.ports.values_mut().filter(named).for_each(|port| port.clear_statistics(now));
    }

    /// With `keepalive`, asks the Partner for the short period: the kernel answers only when an
    /// LACPDU of the Partner arrives.
    fn left_in_place(&mut self) {
        self.settings.fast_rate |= !self.settings.keepalive.is_zero();
        self.ports.values_mut().for_each(|port| port.transmit.set_last_ntt());
    }

    fn resumed(&mut self, now: Instant) {
        let grace = self.settings.fast_period;
        self.ports.values_mut().for_each(|port| port.receive.resumed(now, grace));
    }

    fn keep_alive(&self, port: &Port) -> Option<KeepAlive> {
        let known = self.ports.get(port.id()).filter(|_| self.enables(port))?;
        known.keep_alive(&self.settings)
    }

    fn count_buckets(&mut self, _now: Instant, ports: &[Port], bytes: &[u64; BUCKETS]) {
        self.flows.count(ports, bytes);
    }

    fn next_deadline(&self) -> Option<Instant> {
        let fallback_deadline = |port: &LacpPort| {
            let deadline = fallback::deadline(port, &self.settings);
            deadline.filter(|end| *end > self.last_decision)
        };
        let generator = self.marker_generator.as_ref();
        let ports = self.ports.values();
        ports
            .flat_map(|port| [port.next_deadline(), fallback_deadline(port)])
            .flatten()
            .chain(self.flows.next_deadline())
            .chain(generator.and_then(MarkerGenerator::deadline))
            .chain(self.retry_count_until)
            .min()
    }

    fn expire(&mut self, due: Instant, now: Instant) {
        // The machines read their timers in the next decision.
        self.flows.expire(due, now);
    }

    fn control_frames(&self) -> ControlFrames {
        ControlFrames { slow_protocols: true, ..ControlFrames::default() }
    }

    fn frame_received(&mut self, now: Instant, port: &Port, frame: &[u8]) {
        let Some(payload) = slow_protocol::payload(frame) else {
            return;
        };
        let malformed = |lacp: &mut Lacp| {
            let port = lacp.ports.get_mut(port.id());
            port.into_iter().for_each(LacpPort::malformed_received);
        };
        match payload.first() {
            Some(&LACP_SUBTYPE) => match Lacpdu::parse(payload) {
                Some(pdu) => self.lacpdu_received(now, port.id(), &pdu, frame),
                None => malformed(self),
            },
            Some(&MARKER_SUBTYPE) => match Marker::parse(payload) {
                Some(marker) => self.marker_pdu_received(now, port.id(), marker),
                None => malformed(self),
            },
            // Other subtypes are other slow protocols (IEEE 802.3, 57A.5).
            Some(_) | None => {}
        }
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front().or_else(|| self.flows.poll_action())
    }

    fn lacp_status(&self, now: Instant) -> Option<LacpStatus> {
        Some(self.status(now))
    }
}

fn send_frame(port: PortId, frame: Vec<u8>) -> Action {
    Action::SendFrame { port, frame }
}
