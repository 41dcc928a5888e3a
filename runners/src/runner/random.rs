//! random: every frame leaves on a port found by chance.
//!
//! The seed comes with the settings, so a run can be repeated. Ports stay enabled whatever
//! their watches say; the data path skips those without a link.

use crate::forwarding::TxPolicy;
use crate::port::Port;
use crate::runner::Runner;
use crate::time::Instant;

#[derive(Debug)]
pub(crate) struct Random {
    seed: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random { seed }
    }
}

impl Runner for Random {
    fn decide(&mut self, _now: Instant, _ports: &[Port]) -> TxPolicy {
        TxPolicy::Random { seed: self.seed }
    }
    fn needs_probes(&self) -> bool {
        true
    }
}
