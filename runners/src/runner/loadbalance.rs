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
use crate::time::Instant;
use crate::tx_hash::HashFields;

#[derive(Debug)]
pub(crate) struct LoadBalance {
    flows: FlowTable,
}

impl LoadBalance {
    pub(crate) fn new(fields: HashFields, balancing_interval: Option<Duration>) -> Self {
        LoadBalance {
            flows: FlowTable::new(fields, balancing_interval),
        }
    }
}

impl Runner for LoadBalance {
    fn decide(&mut self, now: Instant, ports: &[Port]) -> TxPolicy {
        let usable = ports.iter().filter(|port| port.is_usable());
        let balanced = self.flows.is_balanced();
        self.flows
            .decide(now, usable.map(Port::id).collect(), balanced)
    }

    fn enables(&self, port: &Port) -> bool {
        port.is_usable()
    }

    /// A frame on a port without a link shows that the partner detected the link before us; the
    /// frame must not be lost.
    fn collects(&self, port: &Port) -> bool {
        port.is_usable() || !port.is_linked()
    }

    fn needs_probes(&self) -> bool {
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
