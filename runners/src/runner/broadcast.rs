//! broadcast: every frame leaves on every port with a link.
//!
//! Ports stay enabled whatever the state of their link watches; the data path skips a port without a
//! link.

use crate::forwarding::TxPolicy;
use crate::port::Port;
use crate::runner::Runner;
use crate::settings::RunnerSettings;
use crate::time::Instant;

#[derive(Clone, Debug)]
pub(crate) struct Broadcast;

impl Runner for Broadcast {
    fn decide(&mut self, _now: Instant, _ports: &[Port]) -> TxPolicy {
        TxPolicy::Broadcast
    }

    fn settings_changed(&mut self, _now: Instant, settings: &RunnerSettings) -> bool {
        matches!(settings, RunnerSettings::Broadcast)
    }

    fn needs_probes(&self) -> bool {
        true
    }
}
