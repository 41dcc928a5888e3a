//! roundrobin: frames leave on one port after the other.
//!
//! Ports stay enabled whatever their watches say; the data path skips those without a link.

use crate::forwarding::TxPolicy;
use crate::port::Port;
use crate::runner::Runner;
use crate::time::Instant;

#[derive(Debug)]
pub(crate) struct RoundRobin;

impl Runner for RoundRobin {
    fn decide(&mut self, _now: Instant, _ports: &[Port]) -> TxPolicy {
        TxPolicy::RoundRobin
    }
}
