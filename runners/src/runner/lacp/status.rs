//! The state of the runner for the state document: machines, timers, counters.

use std::time::Duration;

use crate::lacp_status::{LacpPortStatus, LacpStatus, MachineStates};
use crate::time::Instant;

use super::marker_generator::MarkerGenerator;
use super::mux::MuxState;
use super::port::LacpPort;
use super::{Lacp, diagnosis, selection};

impl Lacp {
    /// Returns the state of the runner at `now`.
    pub(super) fn status(&self, now: Instant) -> LacpStatus {
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
            receive_interval: port.receive_interval,
            since_sent: since(port.last_sent),
            since_cleared: since(port.statistics_cleared),
            cause: (!is_distributing).then(|| diagnosis::diagnose(self, now, port)),
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
