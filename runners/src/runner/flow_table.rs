//! Which port carries each flow: the bucket table, spread evenly and balanced by load.
//!
//! Shared by the runners that keep a flow on one port; which ports carry is theirs to say.

use std::mem;
use std::time::Duration;

use crate::action::Action;
use crate::forwarding::balancer::{self, Balancer};
use crate::forwarding::bucket_assignment;
use crate::forwarding::{BUCKETS, BucketTable, TxPolicy};
use crate::ident::PortId;
use crate::port::Port;
use crate::time::Instant;
use crate::tx_hash::HashFields;

#[derive(Debug)]
pub(crate) struct FlowTable {
    fields: HashFields,
    /// The ports that `buckets` is spread over.
    carrying: Vec<PortId>,
    buckets: Box<BucketTable>,
    balancer: Option<Balancer>,
    /// The balancer waits for the bucket counters.
    counts_due: bool,
}

impl FlowTable {
    pub(crate) fn new(fields: HashFields, balancing_interval: Option<Duration>) -> Self {
        FlowTable {
            fields,
            carrying: Vec::new(),
            buckets: Box::new([None; BUCKETS]),
            balancer: balancing_interval.map(Balancer::new),
            counts_due: false,
        }
    }

    pub(crate) fn is_balanced(&self) -> bool {
        self.balancer.is_some()
    }

    /// Spreads the flows over these ports.
    pub(crate) fn decide(
        &mut self,
        now: Instant,
        carrying: Vec<PortId>,
        balanced: bool,
    ) -> TxPolicy {
        if carrying != self.carrying {
            bucket_assignment::spread(&mut self.buckets, &carrying);
            self.carrying = carrying;
        }
        if let Some(balancer) = &mut self.balancer {
            balancer.start(now);
        }
        TxPolicy::LoadBalance {
            fields: self.fields,
            buckets: self.buckets.clone(),
            balanced,
        }
    }

    /// Bytes sent in each bucket so far.
    pub(crate) fn count(&mut self, ports: &[Port], bytes: &[u64; BUCKETS]) {
        let carrying = ports
            .iter()
            .filter(|port| self.carrying.contains(&port.id()));
        if let Some(balancer) = &mut self.balancer {
            balancer.count(bytes);
            balancer.balance(&mut self.buckets, &balancer::shares(carrying));
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.balancer.as_ref()?.next_deadline()
    }

    pub(crate) fn expire(&mut self, due: Instant, now: Instant) {
        if let Some(balancer) = &mut self.balancer {
            self.counts_due |= balancer.expire(due, now);
        }
    }

    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        mem::take(&mut self.counts_due).then_some(Action::ReadBucketCounters)
    }
}
