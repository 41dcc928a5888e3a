//! The decisions of a team in a recording, by kind, so that no reader parses their text.

use std::time::Duration;

use runners::{Action, Report, Team};
use serde::{Deserialize, Serialize};

/// A failover, as the core measures it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failover {
    /// Number of ports that the forwarding no longer uses.
    pub ports: u64,
    /// Time from the event of the last lost link to the forwarding without its port.
    pub took: Duration,
}

/// Finds the failovers of a team among its actions.
#[derive(Clone, Copy, Debug, Default)]
pub struct FailoverDetector {
    count: u64,
}

impl FailoverDetector {
    /// Returns the failover that ends with `action`, which `team` has just returned.
    pub fn detect(&mut self, team: &Team, action: &Action) -> Option<Failover> {
        let times = team.failover_times();
        let ports = times.count.saturating_sub(self.count);
        if ports == 0 || !matches!(action, Action::ApplyForwarding(_)) {
            return None;
        }
        self.count = times.count;
        Some(Failover {
            ports,
            took: times.last,
        })
    }
}

/// Subject of a [`Report`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// A link watch went up or down.
    Watch,
    /// Runner activebackup has another active port.
    ActivePort,
    /// Runner lacp has a port in another state.
    LacpState,
    /// Runners slb, tlb and alb have another designated port.
    DesignatedPort,
    /// Ports lead into one network without an aggregate.
    PlainSwitch,
    /// The team device has another carrier.
    Carrier,
}

impl From<&Report> for ReportKind {
    fn from(report: &Report) -> Self {
        match report {
            Report::WatchChanged { .. } => ReportKind::Watch,
            Report::ActivePortChanged { .. } => ReportKind::ActivePort,
            Report::LacpStateChanged { .. } => ReportKind::LacpState,
            Report::DesignatedPortChanged { .. } => ReportKind::DesignatedPort,
            Report::PlainSwitch { .. } => ReportKind::PlainSwitch,
            Report::CarrierChanged { .. } => ReportKind::Carrier,
        }
    }
}
