//! What the runner tells of itself.

use std::time::Duration;

use crate::ident::{HwAddr, PortId};
use crate::time::Instant;
use crate::wire::lacpdu::PortInfo;

use super::mux::{Mux, Selected};
use super::port::{LacpPort, PduCounters};
use super::{Lacp, diagnosis, selection};
use crate::settings::lacp::LacpSettings;

/// The runner as it is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LacpStatus {
    /// As they are now.
    pub settings: LacpSettings,
    /// The team's address, which is the system's.
    pub system: HwAddr,
    /// In the order in which they joined.
    pub ports: Vec<LacpPortStatus>,
}

/// One port as it is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LacpPortStatus {
    /// Which.
    pub port: PortId,
    /// teamd's word: disabled, expired, defaulted, current or fallback.
    pub state: &'static str,
    /// What Selection Logic says of it.
    pub selected: Selected,
    /// The lead of its aggregator.
    pub aggregator: Option<PortId>,
    /// Its aggregator is the one that carries.
    pub aggregator_selected: bool,
    /// Our end.
    pub actor: PortInfo,
    /// The other end, as far as it is known.
    pub partner: PortInfo,
    /// LACPDUs in a row that the partner lets us miss before it is given up.
    pub partner_retry_count: u8,
    /// The machines.
    pub machines: MachineStates,
    /// Names of the timers that run, with the time left.
    pub timers: Vec<(&'static str, Duration)>,
    /// PDUs.
    pub counters: PduCounters,
    /// Our own markers that nobody has answered since the port began to distribute.
    pub unanswered_markers: u64,
    /// Times that a churn machine found churn: the actor's, the partner's.
    pub churns: (u64, u64),
    /// Time since the last LACPDU was heard.
    pub heard_ago: Option<Duration>,
    /// Time since the last LACPDU was sent.
    pub sent_ago: Option<Duration>,
    /// What keeps it from carrying, and the cure; none if it carries.
    pub why: Option<String>,
}

/// The state of each machine, by the standard's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineStates {
    /// Receive.
    pub receive: &'static str,
    /// Periodic Transmission.
    pub periodic: &'static str,
    /// Mux.
    pub mux: &'static str,
    /// Churn Detection, of the actor.
    pub actor_churn: &'static str,
    /// Churn Detection, of the partner.
    pub partner_churn: &'static str,
}

impl Lacp {
    /// All that can be told at `now`.
    pub(crate) fn status(&self, now: Instant) -> LacpStatus {
        LacpStatus {
            settings: self.settings.clone(),
            system: self.system,
            ports: self
                .ports
                .values()
                .map(|port| self.port_status(now, port))
                .collect(),
        }
    }

    fn port_status(&self, now: Instant, port: &LacpPort) -> LacpPortStatus {
        let siblings = self.ports.values().filter(|other| other.lag == port.lag);
        let lead = selection::lead(siblings, self.settings.agg_select_policy);
        let conversations = self.conversations.as_ref();
        let timers = [
            ("current_while", port.receive.deadline()),
            ("periodic", port.periodic.deadline()),
            ("wait_while", port.mux.deadline()),
            ("actor_churn", port.actor_churn.deadline()),
            ("partner_churn", port.partner_churn.deadline()),
            (
                "marker",
                conversations.and_then(|all| all.waits_until(port.id)),
            ),
        ];
        let ago = |at: Option<Instant>| at.map(|at| now.saturating_since(at));
        LacpPortStatus {
            port: port.id,
            state: port.word(),
            selected: port.selected,
            aggregator: port.lag.and(lead).map(|lead| lead.id),
            aggregator_selected: self.selection.carries(port),
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
            timers: timers
                .into_iter()
                .filter_map(|(name, end)| Some((name, end?.saturating_since(now))))
                .collect(),
            counters: port.counters,
            unanswered_markers: conversations.map_or(0, |all| all.unanswered(port.id)),
            churns: (port.actor_churn.found(), port.partner_churn.found()),
            heard_ago: ago(port.last_heard),
            sent_ago: ago(port.last_sent),
            why: (port.mux.state() != Mux::Distributing)
                .then(|| diagnosis::sentence(self, now, port)),
        }
    }
}
