//! broadcast: every frame leaves on every port that has a link.
//!
//! Ports stay enabled whatever their watches say; the data path skips those without a link.

use crate::forwarding::TxPolicy;
use crate::port::Port;
use crate::runner::Runner;
use crate::time::Instant;

#[derive(Debug)]
pub(crate) struct Broadcast;

impl Runner for Broadcast {
    fn decide(&mut self, _now: Instant, _ports: &[Port]) -> TxPolicy {
        TxPolicy::Broadcast
    }
    fn needs_probes(&self) -> bool {
        true
    }
}
