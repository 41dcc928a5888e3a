//! loadbalance: a flow keeps to one port, found through its hash bucket.
//!
//! A port is enabled while it is usable. Buckets are spread evenly by [`buckets`] whenever the
//! enabled ports change; with `tx_balancer` the [`Balancer`] then moves some by load.

use std::mem;
use std::time::Duration;

use crate::action::Action;
use crate::balancer::{self, Balancer};
use crate::buckets;
use crate::forwarding::{BUCKETS, BucketTable, TxPolicy};
use crate::ident::PortId;
use crate::port::Port;
use crate::runner::Runner;
use crate::time::Instant;
use crate::tx_hash::HashFields;

#[derive(Debug)]
pub(crate) struct LoadBalance {
    fields: HashFields,
    /// The ports that `buckets` is spread over.
    enabled: Vec<PortId>,
    buckets: Box<BucketTable>,
    balancer: Option<Balancer>,
    /// The balancer waits for the bucket counters.
    counts_due: bool,
}

impl LoadBalance {
    pub(crate) fn new(fields: HashFields, balancing_interval: Option<Duration>) -> Self {
        LoadBalance {
            fields,
            enabled: Vec::new(),
            buckets: Box::new([None; BUCKETS]),
            balancer: balancing_interval.map(Balancer::new),
            counts_due: false,
        }
    }
}

impl Runner for LoadBalance {
    fn decide(&mut self, now: Instant, ports: &[Port]) -> TxPolicy {
        let enabled: Vec<PortId> = balancer::usable(ports).map(Port::id).collect();
        if enabled != self.enabled {
            buckets::spread(&mut self.buckets, &enabled);
            self.enabled = enabled;
        }
        if let Some(balancer) = &mut self.balancer {
            balancer.start(now);
        }
        TxPolicy::LoadBalance {
            fields: self.fields,
            buckets: self.buckets.clone(),
            balanced: self.balancer.is_some(),
        }
    }

    fn enables(&self, port: &Port) -> bool {
        port.is_usable()
    }

    fn count_buckets(&mut self, _now: Instant, ports: &[Port], bytes: &[u64; BUCKETS]) {
        if let Some(balancer) = &mut self.balancer {
            balancer.count(bytes);
            balancer.balance(&mut self.buckets, &balancer::shares(ports));
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.balancer.as_ref()?.next_deadline()
    }

    fn expire(&mut self, due: Instant, now: Instant) {
        if let Some(balancer) = &mut self.balancer {
            self.counts_due |= balancer.expire(due, now);
        }
    }

    fn poll_action(&mut self) -> Option<Action> {
        mem::take(&mut self.counts_due).then_some(Action::ReadBucketCounters)
    }
}
