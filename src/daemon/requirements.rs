//! The needs of a team from its data path, and the data paths that serve these needs on any host.

use runners::{Burst, RunnerSettings, TeamSettings, policy_without_ports};

use crate::datapath::{DataPathKind, Requirements, team_driver};

/// Returns whether a data path serves the runner, on any host.
pub fn supports(kind: DataPathKind, requirements: &Requirements) -> bool {
    match kind {
        DataPathKind::Kernel => team_driver::supports(requirements),
        DataPathKind::Programs | DataPathKind::Relay => true,
    }
}

/// Returns whether the daemon announces the team on every data path: with `broadcast_neighbor`. The
/// team driver announces a port that it enables, and before Linux 7.1 it enables a port that only
/// collects: no copy of the announcement would leave on this port.
pub fn announces(settings: &TeamSettings) -> bool {
    matches!(&settings.runner, RunnerSettings::Lacp(lacp) if lacp.broadcast_neighbor)
}

/// Returns the needs of a team with these settings.
pub fn requirements(settings: &TeamSettings) -> Requirements {
    let lacp = match &settings.runner {
        RunnerSettings::Lacp(lacp) => Some(lacp),
        _ => None,
    };
    let of_data_path = |burst| if announces(settings) { Burst::default() } else { burst };
    Requirements {
        policy: policy_without_ports(&settings.runner),
        // A flow that waits for the partner's Marker Response has no port.
        drops_unmapped: lacp.is_some_and(|lacp| lacp.marker_timeout.is_some()),
        balancing_interval: match &settings.runner {
            RunnerSettings::LoadBalance { balancing_interval, .. }
            | RunnerSettings::Slb { balancing_interval, .. } => *balancing_interval,
            _ => lacp.and_then(|lacp| lacp.balancing_interval),
        },
        notify_peers: of_data_path(settings.notify_peers),
        mcast_rejoin: of_data_path(settings.mcast_rejoin),
    }
}
