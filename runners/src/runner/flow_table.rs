//! Flows on ports: the bucket table, assigned evenly and balanced by load.
//!
//! Shared by the runners that keep a flow on one port; the runner says which ports carry.

use std::sync::Arc;
use std::time::Duration;

use crate::action::Action;
use crate::buckets::{BUCKETS, BucketTable};
use crate::forwarding::TxPolicy;
use crate::forwarding::balancer::Balancer;
use crate::forwarding::bucket_assignment;
use crate::ident::PortId;
use crate::port::Port;
use crate::time::Instant;
use crate::tx_hash::HashFields;

#[derive(Clone, Debug)]
pub(crate) struct FlowTable {
    fields: HashFields,
    /// The ports that `buckets` is assigned to.
    carrying: Vec<PortId>,
    buckets: Arc<BucketTable>,
    balancer: Balancer,
}

impl FlowTable {
    pub(crate) fn new(fields: HashFields, balancing_interval: Option<Duration>) -> Self {
        FlowTable {
            fields,
            carrying: Vec::new(),
            buckets: Arc::new([None; BUCKETS]),
            balancer: Balancer::new(balancing_interval),
        }
    }

    /// Goes on with other settings; buckets stay on their ports.
    pub(crate) fn settings_changed(
        &mut self,
        fields: HashFields,
        balancing_interval: Option<Duration>,
    ) {
        self.fields = fields;
        self.balancer.set_interval(balancing_interval);
    }

    pub(crate) fn is_balanced(&self) -> bool {
        self.balancer.is_configured()
    }

    /// Assigns the flows to the carrying ports. `balanced` makes the data path follow the table.
    pub(crate) fn decide(
        &mut self,
        now: Instant,
        carrying: Vec<PortId>,
        balanced: bool,
    ) -> TxPolicy {
        if carrying != self.carrying {
            bucket_assignment::spread(Arc::make_mut(&mut self.buckets), &carrying);
            self.carrying = carrying;
        }
        self.balancer.start(now);
        TxPolicy::LoadBalance {
            fields: self.fields,
            buckets: Arc::clone(&self.buckets),
            balanced,
            neighbours: false,
        }
    }

    /// Takes in the bucket counters and balances the carrying ports.
    pub(crate) fn count(&mut self, ports: &[Port], bytes: &[u64; BUCKETS]) {
        let carrying = ports.iter().filter(|port| self.carrying.contains(&port.id()));
        let speeds: Vec<_> = carrying.map(Port::id_and_speed).collect();
        self.balancer.rebalance(Arc::make_mut(&mut self.buckets), &speeds, bytes);
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.balancer.next_deadline()
    }

    pub(crate) fn expire(&mut self, due: Instant, now: Instant) {
        self.balancer.expire(due, now);
    }

    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        let is_due = self.balancer.take_counters_due();
        is_due.then_some(Action::ReadBucketCounters)
    }
}
