//! loadbalance: a flow stays on one port, found by its hash bucket.
//!
//! A port is enabled while it is usable; the [`FlowTable`] assigns the flows to enabled ports.

use std::time::Duration;

use crate::action::Action;
use crate::buckets::BUCKETS;
use crate::forwarding::TxPolicy;
use crate::port::Port;
use crate::runner::Runner;
use crate::runner::flow_table::FlowTable;
use crate::settings::RunnerSettings;
use crate::time::Instant;
use crate::tx_hash::HashFields;

#[derive(Clone, Debug)]
pub(crate) struct LoadBalance {
    flows: FlowTable,
}

impl LoadBalance {
    pub(crate) fn new(fields: HashFields, balancing_interval: Option<Duration>) -> Self {
        LoadBalance { flows: FlowTable::new(fields, balancing_interval) }
    }
}

impl Runner for LoadBalance {
    fn decide(&mut self, now: Instant, ports: &[Port]) -> TxPolicy {
        let usable = ports.iter().filter(|port| port.is_usable());
        // Without a bucket table the kernel driver sends on every port, also on a drained one.
        let balanced = self.flows.is_balanced() || ports.iter().any(Port::is_only_drained);
        self.flows.decide(now, usable.map(Port::id).collect(), balanced)
    }

    fn enables(&self, port: &Port) -> bool {
        port.is_usable()
    }

    /// A frame on a port without a link shows that the partner detected the link before us; the
    /// frame must not be lost. The partner does not learn of a drain, so a drained port collects.
    fn collects(&self, port: &Port) -> bool {
        let awaits_link = port.may_carry() && !port.is_linked();
        port.is_usable() || awaits_link || port.is_only_drained()
    }

    fn needs_probes(&self) -> bool {
        true
    }

    fn settings_changed(&mut self, _now: Instant, settings: &RunnerSettings) -> bool {
        let RunnerSettings::LoadBalance { tx_hash, balancing_interval } = settings else {
            return false;
        };
        self.flows.settings_changed(*tx_hash, *balancing_interval);
        true
    }

    fn count_buckets(&mut self, _now: Instant, ports: &[Port], bytes: &[u64; BUCKETS]) {
        self.flows.count(ports, bytes);
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.flows.next_deadline()
    }

    fn expire(&mut self, due: Instant, now: Instant) {
        self.flows.expire(due, now);
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.flows.poll_action()
    }
}
