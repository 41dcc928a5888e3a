//! One port: its machines, the records that they share, and how they drive one another.
//!
//! Owns the variables of 6.4.7; the functions of 6.4.9 that work on one port, `recordPDU`,
//! `recordDefault`, `update_Selected`, `update_Default_Selected` and `update_NTT`, are in
//! [`records`]. Which aggregator a port belongs to is [`selection`](super::selection)'s business.

mod records;

use std::time::Duration;

use crate::action::Report;
use crate::ident::{Duplex, HwAddr, PortId};
use crate::port::Port;
use crate::time::Instant;
use crate::wire::lacpdu::{Lacpdu, PortInfo, RetryCounts, STANDARD_RETRIES, StateBits};
use crate::wire::marker::Marker;

use super::churn::ChurnMachine;
use super::marker_responder::MarkerResponder;
use super::mux::{Conditions, Mux, MuxMachine, Selected};
use super::periodic::{Periodic, PeriodicMachine, Rhythm};
use super::receive::{Input, Receive, ReceiveMachine};
use super::receive_limit::Intake;
use super::selection::LagId;
use super::transmit::TransmitMachine;
use crate::settings::lacp::LacpSettings;

/// PDUs of one port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PduCounters {
    /// Valid LACPDUs heard.
    pub received: u64,
    /// LACPDUs sent.
    pub sent: u64,
    /// Frames of LACP or the marker protocol that make no sense.
    pub malformed: u64,
    /// LACPDUs that came while the port or the team was down, or more than ten in a
    /// Fast_Periodic_Time.
    pub ignored: u64,
    /// Markers heard.
    pub markers: u64,
    /// Markers answered.
    pub marker_responses: u64,
    /// Our own markers.
    pub own_markers: u64,
    /// Answers to those that came in time.
    pub own_marker_responses: u64,
}

/// What makes a port fit for LACP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// No link, or the team is down.
    Down,
    /// Half duplex.
    HalfDuplex,
    /// Fit.
    Up,
}

#[derive(Clone, Debug)]
pub(super) struct LacpPort {
    pub(super) id: PortId,
    pub(super) name: String,
    /// The port's own address, the source of its PDUs (6.2.11.2).
    source: HwAddr,
    pub(super) allowed: bool,
    pub(super) carrier: bool,
    pub(super) speed: u32,
    pub(super) duplex: Duplex,
    /// `prio` and `sticky` of the configuration.
    pub(super) prio: i32,
    pub(super) sticky: bool,
    /// Actor_Oper without the bits that the machines set.
    identity: PortInfo,
    /// Partner_Oper (6.4.7).
    pub(super) partner: PortInfo,
    /// Synchronization as the partner's PDU had it, whether it is believed or not.
    pub(super) partner_claims_sync: bool,
    /// What the partner last knew of us.
    pub(super) partner_view: Option<PortInfo>,
    intake: Intake,
    pub(super) receive: ReceiveMachine,
    pub(super) periodic: PeriodicMachine,
    pub(super) mux: MuxMachine,
    transmit: TransmitMachine,
    pub(super) actor_churn: ChurnMachine,
    pub(super) partner_churn: ChurnMachine,
    markers: MarkerResponder,
    pub(super) selected: Selected,
    pub(super) lag: Option<LagId>,
    /// Carries although no partner speaks.
    pub(super) fallback: bool,
    /// Since when there is no partner.
    pub(super) defaulted_at: Option<Instant>,
    pub(super) partner_retry_count: u8,
    retry_count_heard: Option<Instant>,
    pub(super) counters: PduCounters,
    pub(super) last_heard: Option<Instant>,
    pub(super) last_sent: Option<Instant>,
    /// The last PDU that told something new, whole.
    pub(super) last_news: Option<Vec<u8>>,
    fast_period: Duration,
    /// The word for its state that the log has.
    reported: &'static str,
}

impl LacpPort {
    pub(super) fn new(port: &Port) -> Self {
        LacpPort {
            id: port.id(),
            name: port.name().to_owned(),
            source: port.original_hwaddr(),
            allowed: true,
            carrier: false,
            speed: 0,
            duplex: Duplex::Half,
            prio: 0,
            sticky: false,
            identity: PortInfo::default(),
            partner: PortInfo::default(),
            partner_claims_sync: false,
            partner_view: None,
            intake: Intake::default(),
            receive: ReceiveMachine::new(),
            periodic: PeriodicMachine::new(),
            mux: MuxMachine::new(),
            transmit: TransmitMachine::default(),
            actor_churn: ChurnMachine::new(),
            partner_churn: ChurnMachine::new(),
            markers: MarkerResponder::default(),
            selected: Selected::Unselected,
            lag: None,
            fallback: false,
            defaulted_at: None,
            partner_retry_count: STANDARD_RETRIES,
            retry_count_heard: None,
            counters: PduCounters::default(),
            last_heard: None,
            last_sent: None,
            last_news: None,
            fast_period: Duration::from_secs(1),
            reported: "disabled",
        }
    }

    /// Takes over what is known of the port, and tells the Receive machine of its link.
    pub(super) fn refresh(
        &mut self,
        now: Instant,
        port: &Port,
        system: HwAddr,
        team_is_up: bool,
        settings: &LacpSettings,
    ) {
        port.name().clone_into(&mut self.name);
        self.allowed = port.is_allowed();
        let link = port.link();
        (self.carrier, self.speed, self.duplex) = (link.up, link.speed, link.duplex);
        let own = port.settings();
        (self.prio, self.sticky) = (own.prio, own.sticky);
        self.fast_period = settings.fast_period;
        let identity = PortInfo {
            system_priority: settings.sys_prio,
            system,
            key: own.lacp.key,
            port_priority: own.lacp.prio,
            port: own.lacp.number,
            state: StateBits::AGGREGATION
                .with(StateBits::ACTIVITY, settings.active)
                .with(StateBits::TIMEOUT, settings.fast_rate),
        };
        if identity != self.identity {
            if identity.key != self.identity.key {
                // 6.4.14: another key is another group.
                self.unselect();
            }
            self.identity = identity;
            self.transmit.need(true);
        }
        self.refresh_link(now, team_is_up, settings);
    }

    fn refresh_link(&mut self, now: Instant, team_is_up: bool, settings: &LacpSettings) {
        let input = match self.operation(team_is_up) {
            Operation::Down => Input::Down,
            Operation::HalfDuplex => Input::HalfDuplex,
            Operation::Up => Input::Up,
        };
        self.receive(now, input, settings);
        if self.receive.deadline().is_some_and(|end| end <= now) {
            self.receive(now, Input::Expiry, settings);
        }
    }

    /// A speed that is not known says nothing of the duplex either.
    fn operation(&self, team_is_up: bool) -> Operation {
        match self.duplex {
            _ if !self.carrier || !team_is_up => Operation::Down,
            Duplex::Half if self.speed > 0 => Operation::HalfDuplex,
            Duplex::Half | Duplex::Full => Operation::Up,
        }
    }

    /// Counts a frame that makes no sense.
    pub(super) fn malformed(&mut self) {
        self.counters.malformed += 1;
    }

    /// The answer to a marker PDU.
    pub(super) fn marker_received(&mut self, now: Instant, marker: Marker) -> Option<Vec<u8>> {
        if !self.speaks() {
            self.counters.ignored += 1;
            return None;
        }
        self.counters.markers += u64::from(!marker.response);
        let answer = self.markers.answer(now, marker)?;
        self.counters.marker_responses += 1;
        Some(answer.frame(self.source))
    }

    /// Whether the limit has room for a marker of our own, which then counts as sent.
    pub(super) fn may_ask(&mut self, now: Instant) -> bool {
        let may = self.markers.may_send(now);
        self.counters.own_markers += u64::from(may);
        may
    }

    /// A marker of our own.
    pub(super) fn marker(&self, transaction: u32) -> Vec<u8> {
        let PortInfo { port, system, .. } = self.identity;
        Marker::question(port, system, transaction).frame(self.source)
    }

    /// The transaction of ours that a marker PDU answers.
    pub(super) fn answered(&self, marker: Marker) -> Option<u32> {
        marker.answers(self.identity.port, self.identity.system)
    }

    /// Drives the Mux machine; the aggregator is `ready`.
    pub(super) fn run_mux(&mut self, now: Instant, ready: bool) {
        let conditions = Conditions {
            selected: self.selected,
            ready,
            partner_in_sync: self.fallback || self.partner_in_sync(),
            partner_collects: self.fallback || self.partner.state.has(StateBits::COLLECTING),
        };
        if self.mux.run(now, conditions) {
            log::debug!(
                "{}: Mux machine enters {}",
                self.name,
                self.mux.state().name()
            );
            self.transmit.need(true);
        }
    }

    /// The partner shall hear at once of what the next PDU says.
    pub(super) fn tell_partner(&mut self) {
        self.transmit.need(true);
    }

    pub(super) fn partner_in_sync(&self) -> bool {
        self.partner.state.has(StateBits::SYNCHRONIZATION)
    }

    /// `wait_while` gives links time to come up together. A partner that has attached this
    /// one waits for none, and nobody speaks of those that fall back.
    pub(super) fn needs_no_wait(&self) -> bool {
        self.partner_in_sync() || self.fallback
    }

    /// teamd's word for the state of the Receive machine.
    pub(super) fn word(&self) -> &'static str {
        match self.receive.state() {
            Receive::PortDisabled | Receive::LacpDisabled => "disabled",
            Receive::Expired => "expired",
            Receive::Defaulted if self.fallback => "fallback",
            Receive::Defaulted => "defaulted",
            Receive::Current => "current",
        }
    }

    /// A line for the log if the word is another than at the last call.
    pub(super) fn report(&mut self) -> Option<Report> {
        let to = self.word();
        let from = std::mem::replace(&mut self.reported, to);
        (from != to).then(|| Report::LacpStateChanged {
            port: self.name.clone(),
            from,
            to,
        })
    }

    /// Drives the machines that follow the others; a PDU if one has to leave.
    pub(super) fn run_followers(
        &mut self,
        now: Instant,
        settings: &LacpSettings,
        retry_count: u8,
    ) -> Option<Vec<u8>> {
        let rhythm = self.rhythm();
        let fast = settings.fast_period;
        self.transmit.need(self.periodic.run(now, rhythm, fast));
        let linked = self.speaks();
        let in_sync = self.mux.state() >= Mux::Attached;
        self.actor_churn.run(now, linked, in_sync);
        let partner_in_sync = self.partner_in_sync();
        self.partner_churn.run(now, linked, partner_in_sync);
        // 6.4.16: nothing leaves where both ends are passive.
        let may_speak = self.periodic.state() != Periodic::No;
        if !self.transmit.run(now, may_speak, fast) {
            return None;
        }
        Some(self.pdu(now, settings, retry_count))
    }

    fn pdu(&mut self, now: Instant, settings: &LacpSettings, retry_count: u8) -> Vec<u8> {
        self.counters.sent += 1;
        self.last_sent = Some(now);
        let counts = [retry_count, self.partner_retry_count];
        let uncommon = counts != [STANDARD_RETRIES; 2] || self.retry_count_heard.is_some();
        let counts = RetryCounts {
            actor: retry_count,
            partner: self.partner_retry_count,
        };
        let counts = (settings.enable_retry_count && uncommon).then_some(counts);
        Lacpdu::new(self.actor(), self.partner, counts).frame(self.source)
    }

    /// The last PDU of a port that leaves: it is in no aggregator and knows no partner.
    pub(super) fn farewell(&mut self, settings: &LacpSettings) -> Option<Vec<u8>> {
        if !self.speaks() || self.periodic.state() == Periodic::No {
            return None;
        }
        let mut leaving = LacpPort {
            mux: MuxMachine::new(),
            partner: PortInfo::default(),
            ..self.clone()
        };
        Some(leaving.pdu(Instant::ZERO, settings, STANDARD_RETRIES))
    }

    fn rhythm(&self) -> Rhythm {
        let active = (self.identity.state | self.partner.state).has(StateBits::ACTIVITY);
        match self.partner.state.has(StateBits::TIMEOUT) {
            _ if !self.speaks() || !active => Rhythm::Silent,
            true => Rhythm::Fast,
            false => Rhythm::Slow,
        }
    }

    /// Port and LACP are enabled.
    pub(super) fn speaks(&self) -> bool {
        match self.receive.state() {
            Receive::PortDisabled | Receive::LacpDisabled => false,
            Receive::Expired | Receive::Defaulted | Receive::Current => true,
        }
    }

    /// Actor_Oper (6.4.7).
    ///
    /// A port that waits for a silent partner stays attached, so figure 6-21 would go on to say
    /// that it is in sync. It does not collect, though, and a partner with coupled control heeds
    /// this bit alone: it would send to us for another Short_Timeout_Time. 6.4.7 has the bit
    /// mean that the link's identity is known to be right, which it no longer is.
    pub(super) fn actor(&self) -> PortInfo {
        let (mux, receive) = (self.mux.state(), self.receive.state());
        let in_sync = mux >= Mux::Attached && receive != Receive::Expired;
        let state = self
            .identity
            .state
            .with(StateBits::SYNCHRONIZATION, in_sync)
            .with(StateBits::COLLECTING, mux >= Mux::Collecting)
            .with(StateBits::DISTRIBUTING, mux >= Mux::Distributing)
            .with(StateBits::DEFAULTED, receive == Receive::Defaulted)
            .with(StateBits::EXPIRED, receive == Receive::Expired);
        PortInfo {
            state,
            ..self.identity
        }
    }

    /// The partner is this very system: a loop.
    pub(super) fn hears_itself(&self) -> bool {
        self.receive.state() == Receive::Current && self.partner.system == self.identity.system
    }

    /// When something has to happen although nothing does.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.receive.deadline(),
            self.periodic.deadline(),
            self.mux.deadline(),
            self.transmit.deadline(self.fast_period),
            self.actor_churn.deadline(),
            self.partner_churn.deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }
}
