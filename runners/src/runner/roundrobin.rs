//! roundrobin: frames leave on one port after the other, `packets_per_port` in a row.
//!
//! Ports stay enabled whatever the state of their link watches; the data path skips a port without a
//! link.

use std::num::NonZeroU32;

use crate::forwarding::TxPolicy;
use crate::port::Port;
use crate::runner::Runner;
use crate::settings::RunnerSettings;
use crate::time::Instant;

#[derive(Clone, Debug)]
pub(crate) struct RoundRobin {
    packets_per_port: NonZeroU32,
}

impl RoundRobin {
    pub(crate) fn new(packets_per_port: NonZeroU32) -> Self {
        RoundRobin { packets_per_port }
    }
}

impl Runner for RoundRobin {
    fn decide(&mut self, _now: Instant, _ports: &[Port]) -> TxPolicy {
        TxPolicy::RoundRobin { packets_per_port: self.packets_per_port }
    }

    fn settings_changed(&mut self, _now: Instant, settings: &RunnerSettings) -> bool {
        let RunnerSettings::RoundRobin { packets_per_port } = settings else {
            return false;
        };
        self.packets_per_port = *packets_per_port;
        true
    }

    fn needs_probes(&self) -> bool {
        true
    }
}
