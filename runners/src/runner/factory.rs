//! Creates the runner that the settings name.

use crate::forwarding::TxPolicy;
use crate::runner::Runner;
use crate::runner::activebackup::ActiveBackup;
use crate::runner::broadcast::Broadcast;
use crate::runner::lacp::Lacp;
use crate::runner::loadbalance::LoadBalance;
use crate::runner::random::Random;
use crate::runner::roundrobin::RoundRobin;
use crate::runner::slb::Slb;
use crate::settings::RunnerSettings;
use crate::time::Instant;

/// Returns the policy of the runner that `settings` name, for a team without ports.
pub fn policy_without_ports(settings: &RunnerSettings) -> TxPolicy {
    runner(settings).decide(Instant::ZERO, &[])
}

/// Creates the runner that `settings` name.
pub(crate) fn runner(settings: &RunnerSettings) -> Box<dyn Runner> {
    match settings {
        RunnerSettings::Broadcast => Box::new(Broadcast),
        RunnerSettings::RoundRobin { packets_per_port } => {
            Box::new(RoundRobin::new(*packets_per_port))
        }
        RunnerSettings::Random { seed } => Box::new(Random::new(*seed)),
        RunnerSettings::ActiveBackup { hwaddr_policy, failback } => {
            Box::new(ActiveBackup::new(*hwaddr_policy, *failback))
        }
        RunnerSettings::LoadBalance { tx_hash, balancing_interval } => {
            Box::new(LoadBalance::new(*tx_hash, *balancing_interval))
        }
        RunnerSettings::Lacp(settings) => Box::new(Lacp::new(settings)),
        RunnerSettings::Slb { host, balancing_interval, learning_interval } => {
            Box::new(Slb::new(*host, *balancing_interval, *learning_interval))
        }
    }
}
