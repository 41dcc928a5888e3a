//! One Aggregation Port: its variables (IEEE 802.1AX-2014, 6.4.7) and its machines.
//!
//! Owns the information about Actor and Partner, and the order in which the machines of one port
//! run. The functions of 6.4.9 are in [`records`], the LACPDU for the kernel is in [`keep_alive`];
//! [`selection`](super::selection) sets the Aggregator and the variable Selected.

mod keep_alive;
pub(super) mod records;

use std::time::Duration;

use crate::action::Report;
use crate::exclusion::Exclusion;
use crate::ident::{Duplex, HwAddr, PortId};
use crate::lacp_status::{PduCounters, Selected};
use crate::port::Port;
use crate::time::Instant;
use crate::wire::lacpdu::{Lacpdu, PortInfo, RetryCounts, STANDARD_RETRIES, StateBits};
use crate::wire::marker::Marker;

use super::churn::{ChurnInput, ChurnMachine};
use super::lag::LagId;
use super::marker_responder::MarkerResponder;
use super::mux::{Conditions, MuxMachine, MuxState, PartnerState};
use super::receive_limit::ReceiveLimit;
use crate::lacp_machines::periodic::{PeriodicMachine, PeriodicState, Rate};
use crate::lacp_machines::receive::{ReceiveEvent, ReceiveMachine, ReceiveState};
use crate::lacp_machines::transmit::TransmitMachine;
use crate::settings::lacp::LacpSettings;

/// One Aggregation Port.
#[derive(Clone, Debug)]
pub(super) struct LacpPort {
    pub(super) id: PortId,
    pub(super) name: String,
    /// The port's own address, the source of its PDUs (6.2.11.2).
    source: HwAddr,
    /// Cause that keeps the port from carrying traffic, whatever its link state.
    pub(super) exclusion: Option<Exclusion>,
    pub(super) carrier: bool,
    /// Mbit/s; 0 if unknown.
    pub(super) speed: u32,
    pub(super) duplex: Duplex,
    /// `prio` of the configuration.
    pub(super) prio: i32,
    /// `sticky` of the configuration.
    pub(super) sticky: bool,
    /// Actor_Oper without the state bits that the machines set.
    identity: PortInfo,
    /// Partner_Oper.
    pub(super) partner: PortInfo,
    /// Synchronization in the Partner's last LACPDU, before `record_pdu` decides on it.
    pub(super) partner_sync_received: bool,
    /// The Partner's view of the Actor in the Partner's last LACPDU.
    pub(super) partner_view: Option<PortInfo>,
    /// Source address and version of the Partner's last LACPDU.
    partner_sender: (HwAddr, u8),
    pub(super) receive_limit: ReceiveLimit,
    pub(super) receive: ReceiveMachine,
    pub(super) periodic: PeriodicMachine,
    pub(super) mux: MuxMachine,
    pub(super) transmit: TransmitMachine,
    pub(super) actor_churn: ChurnMachine,
    pub(super) partner_churn: ChurnMachine,
    marker_responder: MarkerResponder,
    pub(super) selected: Selected,
    /// The Aggregator of the port.
    pub(super) lag: Option<LagId>,
    /// The port carries traffic without a Partner.
    pub(super) fallback: bool,
    /// When the Receive machine entered DEFAULTED, while in that state.
    pub(super) defaulted_at: Option<Instant>,
    pub(super) partner_retry_count: u8,
    /// When the last LACPDU with retry counts arrived.
    retry_counts_received: Option<Instant>,
    pub(super) counters: PduCounters,
    /// Time when the user last set the statistics to zero.
    pub(super) statistics_cleared: Option<Instant>,
    pub(super) last_received: Option<Instant>,
    /// Time between the last two LACPDUs.
    pub(super) receive_interval: Option<Duration>,
    pub(super) last_sent: Option<Instant>,
    /// Fast_Periodic_Time.
    fast_periodic_time: Duration,
    /// The state name in the last log line.
    logged_state: &'static str,
}

impl LacpPort {
    pub(super) fn new(port: &Port) -> Self {
        LacpPort {
            id: port.id(),
            name: port.name().to_owned(),
            source: port.original_hwaddr(),
            exclusion: None,
            carrier: false,
            speed: 0,
            duplex: Duplex::Half,
            prio: 0,
            sticky: false,
            identity: PortInfo::default(),
            partner: PortInfo::default(),
            partner_sync_received: false,
            partner_view: None,
            partner_sender: Default::default(),
            receive_limit: ReceiveLimit::default(),
            receive: ReceiveMachine::new(),
            periodic: PeriodicMachine::new(),
            mux: MuxMachine::new(),
            transmit: TransmitMachine::default(),
            actor_churn: ChurnMachine::new(),
            partner_churn: ChurnMachine::new(),
            marker_responder: MarkerResponder::default(),
            selected: Selected::Unselected,
            lag: None,
            fallback: false,
            defaulted_at: None,
            partner_retry_count: STANDARD_RETRIES,
            retry_counts_received: None,
            counters: PduCounters::default(),
            statistics_cleared: None,
            last_received: None,
            receive_interval: None,
            last_sent: None,
            fast_periodic_time: Duration::from_secs(1),
            logged_state: "disabled",
        }
    }

    /// Copies the facts about the port and runs the Receive machine with link and timer.
    pub(super) fn update(
        &mut self,
        now: Instant,
        port: &Port,
        system: HwAddr,
        team_is_up: bool,
        settings: &LacpSettings,
    ) {
        port.name().clone_into(&mut self.name);
        self.update_exclusion(port.lacp_exclusion());
        let link = port.link();
        (self.carrier, self.speed, self.duplex) = (link.up, link.speed, link.duplex);
        let own = port.settings();
        (self.prio, self.sticky) = (own.prio, own.sticky);
        self.fast_periodic_time = settings.fast_period;
        self.update_identity(PortInfo {
            system_priority: settings.sys_prio,
            system,
            key: own.lacp.key,
            port_priority: own.lacp.prio,
            port: own.lacp.number,
            state: StateBits::AGGREGATION
                .with(StateBits::ACTIVITY, settings.active)
                .with(StateBits::TIMEOUT, settings.fast_rate),
        });
        self.run_receive(now, self.link_event(team_is_up), settings);
        if self.receive.deadline().is_some_and(|end| end <= now) {
            self.run_receive(now, ReceiveEvent::TimerExpired, settings);
        }
    }

    /// Records the exclusion. Begin and end of a drain change Synchronization, so either sets NTT.
    fn update_exclusion(&mut self, exclusion: Option<Exclusion>) {
        let was_draining = self.is_draining();
        self.exclusion = exclusion;
        if self.is_draining() != was_draining {
            self.transmit.set_ntt();
        }
    }

    /// Whether the port may belong to an Aggregator.
    pub(super) fn may_aggregate(&self) -> bool {
        self.exclusion.is_none() || self.is_draining()
    }

    fn is_draining(&self) -> bool {
        self.exclusion == Some(Exclusion::Draining)
    }

    fn update_identity(&mut self, identity: PortInfo) {
        if identity == self.identity {
            return;
        }
        if identity.key != self.identity.key {
            // Another key is another Link Aggregation Group (6.4.14).
            self.unselect();
        }
        self.identity = identity;
        self.transmit.set_ntt();
    }

    /// Returns the event for the link as it is. A driver without a speed has no duplex either, so
    /// the link counts as full duplex.
    fn link_event(&self, team_is_up: bool) -> ReceiveEvent {
        match self.duplex {
            _ if !self.carrier || !team_is_up => ReceiveEvent::LinkDown,
            Duplex::Half if self.speed > 0 => ReceiveEvent::LinkHalfDuplex,
            Duplex::Half | Duplex::Full => ReceiveEvent::LinkUp,
        }
    }

    /// Sets the PDU counters to zero. The times of the last PDUs stay for the diagnosis.
    pub(super) fn clear_statistics(&mut self, now: Instant) {
        self.counters = PduCounters::default();
        self.statistics_cleared = Some(now);
    }

    /// Counts a malformed LACPDU or marker PDU.
    pub(super) fn malformed_received(&mut self) {
        self.counters.malformed += 1;
    }

    /// Handles a marker PDU. Returns the frame of the response, if one must leave.
    pub(super) fn marker_received(&mut self, now: Instant, marker: Marker) -> Option<Vec<u8>> {
        if !self.receive.is_lacp_enabled() {
            self.counters.ignored += 1;
            return None;
        }
        self.counters.markers += u64::from(!marker.response);
        let response = self.marker_responder.respond(now, marker)?;
        self.counters.marker_responses += 1;
        Some(response.frame(self.source))
    }

    /// Returns whether the limit of marker PDUs permits a marker, and counts it as sent.
    pub(super) fn may_send_marker(&mut self, now: Instant) -> bool {
        let may_send = self.marker_responder.may_send(now);
        self.counters.own_markers += u64::from(may_send);
        may_send
    }

    /// Returns the frame of a marker.
    pub(super) fn marker(&self, transaction: u32) -> Vec<u8> {
        let PortInfo { port, system, .. } = self.identity;
        Marker::information(port, system, transaction).frame(self.source)
    }

    /// Returns the transaction if the marker PDU responds to a marker of this port.
    pub(super) fn transaction_of(&self, marker: Marker) -> Option<u32> {
        marker.responds_to(self.identity.port, self.identity.system)
    }

    /// Runs the Mux machine. `ready` is the variable Ready of the port's Aggregator (6.4.14.1 b). A
    /// port that is being drained collects and does not distribute, as with a Partner that does not
    /// collect.
    pub(super) fn run_mux(&mut self, now: Instant, ready: bool) {
        let partner_collects = self.partner.state.has(StateBits::COLLECTING);
        let partner = match (self.partner_in_sync(), partner_collects) {
            _ if self.fallback && !self.is_draining() => PartnerState::Collecting,
            (false, _) => PartnerState::OutOfSync,
            (true, false) => PartnerState::InSync,
            (true, true) if self.is_draining() => PartnerState::InSync,
            (true, true) => PartnerState::Collecting,
        };
        let conditions = Conditions { selected: self.selected, ready, partner };
        if self.mux.run(now, conditions) {
            let state = self.mux.state().name();
            log::debug!("{}: Mux machine enters {state}", self.name);
            self.transmit.set_ntt();
        }
    }

    /// Sets NTT, so that an LACPDU leaves as soon as the limit permits.
    pub(super) fn set_ntt(&mut self) {
        self.transmit.set_ntt();
    }

    /// Returns Partner_Oper_Port_State.Synchronization.
    pub(super) fn partner_in_sync(&self) -> bool {
        self.partner.state.has(StateBits::SYNCHRONIZATION)
    }

    /// Returns whether the port attaches without `wait_while_timer`.
    ///
    /// Deviation from 6.4.15: the timer gives links the time to come up together. A Partner in sync
    /// has attached the link already, and ports in fallback have no Partner.
    pub(super) fn skips_wait_while(&self) -> bool {
        self.partner_in_sync() || self.fallback
    }

    /// Returns teamd's name of the port's state.
    pub(super) fn state_name(&self) -> &'static str {
        match self.receive.state() {
            ReceiveState::PortDisabled | ReceiveState::LacpDisabled => "disabled",
            ReceiveState::Expired => "expired",
            ReceiveState::Defaulted if self.fallback => "fallback",
            ReceiveState::Defaulted => "defaulted",
            ReceiveState::Current => "current",
        }
    }

    /// Returns a log line if the state name differs from that of the last call.
    pub(super) fn report(&mut self) -> Option<Report> {
        let to = self.state_name();
        let from = std::mem::replace(&mut self.logged_state, to);
        (from != to).then(|| Report::LacpStateChanged { port: self.name.clone(), from, to })
    }

    /// Runs the machines that only read the others: Periodic Transmission, Churn Detection and
    /// Transmit. Returns the frame of an LACPDU if one must leave.
    pub(super) fn run_transmission(
        &mut self,
        now: Instant,
        settings: &LacpSettings,
        retry_count: u8,
    ) -> Option<Vec<u8>> {
        let fast_periodic_time = settings.fast_period;
        if self.periodic.run(now, self.rate(), fast_periodic_time) {
            self.transmit.set_ntt();
        }
        let actor_in_sync = self.mux.state() >= MuxState::Attached;
        self.actor_churn.run(now, self.churn_input(actor_in_sync));
        let partner_in_sync = self.partner_in_sync();
        self.partner_churn.run(now, self.churn_input(partner_in_sync));
        let periodic = self.periodic.state();
        let sends = self.transmit.run(now, periodic, fast_periodic_time);
        sends.then(|| self.pdu(now, settings, retry_count))
    }

    fn churn_input(&self, in_sync: bool) -> ChurnInput {
        match in_sync {
            _ if !self.receive.is_lacp_enabled() => ChurnInput::PortDisabled,
            true => ChurnInput::InSync,
            false => ChurnInput::OutOfSync,
        }
    }

    /// Returns the frame of an LACPDU and counts it as sent.
    fn pdu(&mut self, now: Instant, settings: &LacpSettings, retry_count: u8) -> Vec<u8> {
        self.counters.sent += 1;
        self.last_sent = Some(now);
        self.lacpdu(settings, retry_count).frame(self.source)
    }

    /// Returns the LACPDU that describes the present state of the port.
    fn lacpdu(&self, settings: &LacpSettings, retry_count: u8) -> Lacpdu {
        let counts = RetryCounts { actor: retry_count, partner: self.partner_retry_count };
        let is_standard = [counts.actor, counts.partner] == [STANDARD_RETRIES; 2];
        let has_counts = !is_standard || self.retry_counts_received.is_some();
        let counts = (settings.enable_retry_count && has_counts).then_some(counts);
        Lacpdu::new(self.actor(), self.partner, counts)
    }

    /// Returns the frame of the last LACPDU before the port leaves the team or the team device goes
    /// down: a detached port without a Partner.
    pub(super) fn last_pdu(&self, settings: &LacpSettings) -> Option<Vec<u8>> {
        if !self.receive.is_lacp_enabled() || self.periodic.state() == PeriodicState::No {
            return None;
        }
        let mut detached =
            LacpPort { mux: MuxMachine::new(), partner: PortInfo::default(), ..self.clone() };
        Some(detached.pdu(Instant::ZERO, settings, STANDARD_RETRIES))
    }

    fn rate(&self) -> Rate {
        let active = (self.identity.state | self.partner.state).has(StateBits::ACTIVITY);
        match self.partner.state.has(StateBits::TIMEOUT) {
            _ if !self.receive.is_lacp_enabled() || !active => Rate::None,
            true => Rate::Fast,
            false => Rate::Slow,
        }
    }

    /// Returns Actor_Oper.
    ///
    /// Deviation: in figure 6-21 a port with an expired Partner stays attached, so it stays in
    /// sync. The port no longer collects, though, and a Partner with coupled control reads only
    /// Synchronization: the Partner would send to the port for another Short_Timeout_Time. Here
    /// an expired port is out of sync. A port that is being drained is out of sync as well, so that
    /// the Partner stops sending while the port still collects.
    pub(super) fn actor(&self) -> PortInfo {
        let (mux, receive) = (self.mux.state(), self.receive.state());
        let is_expired = receive == ReceiveState::Expired;
        let in_sync = mux >= MuxState::Attached && !is_expired && !self.is_draining();
        let state = self
            .identity
            .state
            .with(StateBits::SYNCHRONIZATION, in_sync)
            .with(StateBits::COLLECTING, mux >= MuxState::Collecting)
            .with(StateBits::DISTRIBUTING, mux >= MuxState::Distributing)
            .with(StateBits::DEFAULTED, receive == ReceiveState::Defaulted)
            .with(StateBits::EXPIRED, is_expired);
        PortInfo { state, ..self.identity }
    }

    /// Returns whether the Partner has answered the withdrawn Synchronization, and sends no frames to
    /// the port. An LACPDU without Distributing alone is no answer: the Partner may have sent the
    /// LACPDU before it began to distribute.
    pub(super) fn partner_stopped_sending(&self) -> bool {
        let knows_withdrawal = |view: PortInfo| {
            view.is_same_port(&self.identity) && !view.state.has(StateBits::SYNCHRONIZATION)
        };
        let is_current = self.receive.state() == ReceiveState::Current;
        let distributes = self.partner.state.has(StateBits::DISTRIBUTING);
        !is_current || !distributes && self.partner_view.is_some_and(knows_withdrawal)
    }

    /// Returns whether the Partner is the Actor's own system.
    pub(super) fn is_looped_back(&self) -> bool {
        self.receive.state() == ReceiveState::Current && self.partner.system == self.identity.system
    }

    /// Returns the first deadline of the port's machines.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.receive.deadline(),
            self.periodic.deadline(),
            self.mux.deadline(),
            self.transmit.deadline(self.fast_periodic_time),
            self.actor_churn.deadline(),
            self.partner_churn.deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }
}
