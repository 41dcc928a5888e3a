//! random: every frame leaves on a random port.
//!
//! The settings contain the seed, so a run can be repeated. Ports stay enabled whatever the state of
//! their link watches; the data path skips a port without a link.

use crate::forwarding::TxPolicy;
use crate::port::Port;
use crate::runner::Runner;
use crate::settings::RunnerSettings;
use crate::time::Instant;

#[derive(Clone, Debug)]
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

    /// The sequence goes on: another seed would be no other behaviour.
    fn settings_changed(&mut self, _now: Instant, settings: &RunnerSettings) -> bool {
        matches!(settings, RunnerSettings::Random { .. })
    }

    fn needs_probes(&self) -> bool {
        true
    }
}
