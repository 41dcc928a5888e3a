//! [`model`](crate::model) types to settings of the core.

use std::str::FromStr;

use runners::{
    ArpPingSettings, Host, LacpPortSettings, LinkWatchSettings, NsnaPingSettings, PortSettings,
    RunnerSettings, TeamSettings,
};

use crate::model::{Port, Runner, Team, Watch};

impl Team {
    /// Returns the settings of the team; `seed` is for the runner `random`.
    pub(crate) fn settings(&self, seed: u64) -> TeamSettings {
        TeamSettings {
            runner: self.runner.settings(seed),
            hwaddr: self.hwaddr,
            link_watch_policy: self.link_watch_policy,
            notify_peers: self.notify_peers,
            mcast_rejoin: self.mcast_rejoin,
            min_ports: self.min_ports,
            probe: self.probe.unwrap_or(true),
        }
    }
}

impl Runner {
    fn settings(&self, seed: u64) -> RunnerSettings {
        match self {
            Runner::Broadcast => RunnerSettings::Broadcast,
            Runner::RoundRobin { packets_per_port } => RunnerSettings::RoundRobin {
                packets_per_port: *packets_per_port,
            },
            Runner::Random => RunnerSettings::Random { seed },
            Runner::ActiveBackup {
                hwaddr_policy,
                failback,
            } => RunnerSettings::ActiveBackup {
                hwaddr_policy: *hwaddr_policy,
                failback: *failback,
            },
            Runner::LoadBalance(hashing) => RunnerSettings::LoadBalance {
                tx_hash: hashing.tx_hash,
                balancing_interval: hashing.balancing_interval,
            },
            Runner::Slb {
                host,
                balancing_interval,
                learning_interval,
            } => RunnerSettings::Slb {
                host: *host,
                balancing_interval: *balancing_interval,
                learning_interval: *learning_interval,
            },
            Runner::Lacp(settings) => RunnerSettings::Lacp(settings.clone()),
        }
    }
}

impl Port {
    /// Returns the settings of the port.
    pub(crate) fn settings(&self) -> PortSettings {
        PortSettings {
            prio: self.prio,
            sticky: self.sticky,
            queue_id: self.queue_id,
            lacp: LacpPortSettings {
                prio: self.lacp_prio,
                key: self.lacp_key,
                ..LacpPortSettings::default()
            },
            link_watches: self.link_watches.iter().map(Watch::settings).collect(),
        }
    }
}

impl Watch {
    fn settings(&self) -> LinkWatchSettings {
        match self {
            Watch::Ethtool {
                delay_up,
                delay_down,
            } => LinkWatchSettings::Ethtool {
                delay_up: *delay_up,
                delay_down: *delay_down,
            },
            Watch::ArpPing(ping) => LinkWatchSettings::ArpPing(ArpPingSettings {
                probing: ping.probing,
                target_host: host(&ping.target_host),
                source_host: ping.source_host.as_deref().map(host),
                vlanid: ping.vlanid,
                validate_active: ping.validate_active,
                validate_inactive: ping.validate_inactive,
                send_always: ping.send_always,
            }),
            Watch::NsnaPing(ping) => LinkWatchSettings::NsnaPing(NsnaPingSettings {
                probing: ping.probing,
                target_host: host(&ping.target_host),
            }),
            Watch::Tipc { bearer } => LinkWatchSettings::Tipc {
                bearer: bearer.clone(),
            },
        }
    }
}

/// Returns a host with its address, or a name to resolve. The interface behind `%` is dropped: a
/// watch sends on its own port only.
fn host<A: FromStr>(text: &str) -> Host<A> {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    Host {
        name: text.to_owned(),
        address: address.parse().ok(),
    }
}
