//! The state of the runner for the state document: machines, timers, counters.

use std::time::Duration;

use crate::ident::{HwAddr, PortId};
use crate::time::Instant;
use crate::wire::lacpdu::PortInfo;

use super::marker_generator::MarkerGenerator;
use super::mux::{MuxState, Selected};
use super::port::{LacpPort, PduCounters};
use super::{Lacp, diagnosis, selection};
use crate::settings::lacp::LacpSettings;

/// State of the runner lacp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LacpStatus {
    /// Settings in effect.
    pub settings: LacpSettings,
    /// Address of the team device: the Actor's system.
    pub system: HwAddr,
    /// State of each port, in the order in which the ports joined.
    pub ports: Vec<LacpPortStatus>,
}

/// State of one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LacpPortStatus {
    /// The port.
    pub port: PortId,
    /// teamd's name of the state: disabled, expired, defaulted, current or fallback.
    pub state: &'static str,
    /// The variable Selected.
    pub selected: Selected,
    /// Lead port of the port's Aggregator.
    pub aggregator: Option<PortId>,
    /// Whether the port's Aggregator is the one that carries traffic.
    pub aggregator_selected: bool,
    /// Actor_Oper.
    pub actor: PortInfo,
    /// Partner_Oper.
    pub partner: PortInfo,
    /// Number of LACPDUs in a row that the Partner lets this port miss.
    pub partner_retry_count: u8,
    /// State of each machine.
    pub machines: MachineStates,
    /// Names of the running timers, with the time left.
    pub timers: Vec<(&'static str, Duration)>,
    /// PDU counters.
    pub counters: PduCounters,
    /// Markers sent without a response since the port began to distribute.
    pub unanswered_markers: u64,
    /// Number of churns of the Actor.
    pub actor_churns: u64,
    /// Number of churns of the Partner.
    pub partner_churns: u64,
    /// Time since the last LACPDU received.
    pub since_received: Option<Duration>,
    /// Time since the last LACPDU sent.
    pub since_sent: Option<Duration>,
    /// Why the port does not carry traffic, and the remedy; `None` if the port distributes.
    pub why: Option<String>,
}

/// States of the machines of a port, by the standard's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineStates {
    /// Receive machine.
    pub receive: &'static str,
    /// Periodic Transmission machine.
    pub periodic: &'static str,
    /// Mux machine.
    pub mux: &'static str,
    /// Actor Churn Detection machine.
    pub actor_churn: &'static str,
    /// Partner Churn Detection machine.
    pub partner_churn: &'static str,
}

impl Lacp {
    /// Returns the state of the runner at `now`.
    pub(crate) fn status(&self, now: Instant) -> LacpStatus {
        let ports = self.ports.values();
        LacpStatus {
            settings: self.settings.clone(),
            system: self.system,
            ports: ports.map(|port| self.port_status(now, port)).collect(),
        }
    }

    fn port_status(&self, now: Instant, port: &LacpPort) -> LacpPortStatus {
        let members = self.ports.values().filter(|other| other.lag == port.lag);
        let lead = selection::lead(members, self.settings.agg_select_policy);
        let unanswered = |generator: &MarkerGenerator| generator.unanswered(port.id);
        let since = |at: Option<Instant>| at.map(|at| now.saturating_since(at));
        let is_distributing = port.mux.state() == MuxState::Distributing;
        LacpPortStatus {
            port: port.id,
            state: port.state_name(),
            selected: port.selected,
            aggregator: port.lag.and(lead).map(|lead| lead.id),
            aggregator_selected: self.selection.is_selected(port),
            actor: port.actor(),
            partner: port.partner,
            partner_retry_count: port.partner_retry_count,
            machines: MachineStates {
                receive: port.receive.state().name(),
                periodic: port.periodic.state().name(),
                mux: port.mux.state().name(),
                actor_churn: port.actor_churn.state().name(),
                partner_churn: port.partner_churn.state().name(),
            },
            timers: self.timers(now, port),
            counters: port.counters,
            unanswered_markers: self.marker_generator.as_ref().map_or(0, unanswered),
            actor_churns: port.actor_churn.count(),
            partner_churns: port.partner_churn.count(),
            since_received: since(port.last_received),
            since_sent: since(port.last_sent),
            why: (!is_distributing).then(|| diagnosis::diagnose(self, now, port)),
        }
    }

    /// Returns the names of the running timers of a port, with the time left.
    fn timers(&self, now: Instant, port: &LacpPort) -> Vec<(&'static str, Duration)> {
        let generator = self.marker_generator.as_ref();
        let marker_timer = generator.and_then(|generator| generator.waits_until(port.id));
        let timers = [
            ("current_while", port.receive.deadline()),
            ("periodic", port.periodic.deadline()),
            ("wait_while", port.mux.deadline()),
            ("actor_churn", port.actor_churn.deadline()),
            ("partner_churn", port.partner_churn.deadline()),
            ("marker", marker_timer),
        ];
        timers
            .into_iter()
            .filter_map(|(name, end)| Some((name, end?.saturating_since(now))))
            .collect()
    }
}
