//! What options a forwarding and the settings come to. Pure.
//!
//! The order matters: items of one message are carried out one after the other, so a new port
//! is enabled before the old one is disabled and a change of ports loses nothing in between.

use std::collections::BTreeMap;
use std::time::Duration;

use runners::{
    BucketTable, Burst, Forwarding, HashFields, HostTraffic, LacpSettings, PortForwarding, PortId,
    PortSettings, RunnerSettings, TeamSettings, TxPolicy,
};

use super::hash_program::{hash_program, told_bucket};
use crate::datapath::ebpf::source::DESIGNATED_BUCKET;
use crate::netlink::bpf::encode;
use crate::netlink::team::{OptionId, Value, name};

/// An option and the value that it has to have.
pub type OptionWrite = (OptionId, Value);

/// Interface index of each port.
pub type Indices = BTreeMap<PortId, u32>;

/// The driver's mode for a runner; none if the driver cannot do what that runner does.
pub fn mode(runner: &RunnerSettings) -> Option<&'static str> {
    match runner {
        RunnerSettings::Broadcast => Some("broadcast"),
        RunnerSettings::RoundRobin { .. } => Some("roundrobin"),
        RunnerSettings::Random { .. } => Some("random"),
        RunnerSettings::ActiveBackup { .. } => Some("activebackup"),
        RunnerSettings::LoadBalance { .. } | RunnerSettings::Lacp(_) => Some("loadbalance"),
        RunnerSettings::Slb { host, .. } => {
            (*host == HostTraffic::OnePort).then_some("loadbalance")
        }
    }
}

/// Whether the driver can do all that a runner with these settings does: without a port in its
/// table it would choose one by itself, so it cannot hold a flow.
pub fn can_do(runner: &RunnerSettings) -> bool {
    let holds = matches!(runner, RunnerSettings::Lacp(lacp) if lacp.marker_timeout.is_some());
    mode(runner).is_some() && !holds
}

/// Options of the whole team that never change while the daemon runs; the mode first.
pub fn team(settings: &TeamSettings) -> Vec<OptionWrite> {
    let mode = mode(&settings.runner).map(|mode| Value::Text(mode.to_owned()));
    let mode = mode.map(|mode| (OptionId::team(name::MODE), mode));
    let mut options: Vec<OptionWrite> = mode.into_iter().collect();
    let bursts = [
        (
            settings.notify_peers,
            name::NOTIFY_PEERS_COUNT,
            name::NOTIFY_PEERS_INTERVAL,
        ),
        (
            settings.mcast_rejoin,
            name::MCAST_REJOIN_COUNT,
            name::MCAST_REJOIN_INTERVAL,
        ),
    ];
    for (Burst { count, interval }, count_name, interval_name) in bursts {
        options.push((OptionId::team(count_name), Value::U32(count)));
        let interval = whole(interval.as_millis());
        options.push((OptionId::team(interval_name), interval));
    }
    if let RunnerSettings::LoadBalance {
        balancing_interval, ..
    }
    | RunnerSettings::Slb {
        balancing_interval, ..
    }
    | RunnerSettings::Lacp(LacpSettings {
        balancing_interval, ..
    }) = settings.runner
    {
        let interval = balancing_interval.unwrap_or(Duration::ZERO);
        // The driver counts in tenths of a second; 0 counts nothing.
        let tenths = whole(interval.as_millis() / 100);
        options.push((OptionId::team(name::LB_STATS_REFRESH_INTERVAL), tenths));
    }
    options
}

fn whole(number: u128) -> Value {
    Value::U32(u32::try_from(number).unwrap_or(u32::MAX))
}

/// What the settings ask for and the driver cannot do, each with what it does instead.
pub fn shortfalls(settings: &TeamSettings) -> Vec<&'static str> {
    match &settings.runner {
        RunnerSettings::RoundRobin { packets_per_port } if packets_per_port.get() > 1 => vec![
            "runner.packets_per_port: the kernel's driver changes the port with each frame; \
             the data paths \"programs\" and \"relay\" can do more in a row",
        ],
        RunnerSettings::LoadBalance { tx_hash, .. }
        | RunnerSettings::Lacp(LacpSettings { tx_hash, .. })
            if tx_hash.contains(HashFields::ENCAP) =>
        {
            vec![
                "runner.tx_hash: the kernel's driver does not look into tunnels (\"encap\"), the \
             outermost packet is hashed; the data paths \"programs\" and \"relay\" look inside",
            ]
        }
        _ => Vec::new(),
    }
}

/// Options that a port has from its configuration.
pub fn port(ifindex: u32, settings: &PortSettings) -> Vec<OptionWrite> {
    let mut options = Vec::new();
    if let Some(queue) = settings.queue_id {
        options.push((OptionId::port(name::QUEUE_ID, ifindex), Value::U32(queue)));
    }
    let priority = OptionId::port(name::PRIORITY, ifindex);
    options.push((priority, Value::S32(settings.prio)));
    options
}

/// How the driver lets a port take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// By one option: a port that may only collect does neither or both.
    Joined,
    /// By one for each direction.
    Apart,
}

impl Parts {
    /// What a port has to be told so that it takes part, or does no longer, as `on` says. It
    /// collects before it distributes, and ends in the other order. Where the table of buckets
    /// `binds`, it keeps frames off a port that only collects, so that may be enabled at once.
    fn options(
        self,
        ifindex: u32,
        port: &PortForwarding,
        on: bool,
        binds: bool,
    ) -> Vec<OptionWrite> {
        let rx = (name::RX_ENABLED, port.collecting);
        let tx = (name::TX_ENABLED, port.distributing);
        let parts = match (self, on) {
            (Parts::Joined, _) => {
                let collects = binds && port.collecting && port.linked;
                vec![(name::ENABLED, port.distributing || collects)]
            }
            (Parts::Apart, true) => vec![rx, tx],
            (Parts::Apart, false) => vec![tx, rx],
        };
        let concerned = parts.into_iter().filter(|(_, wanted)| *wanted == on);
        concerned
            .map(|(name, wanted)| (OptionId::port(name, ifindex), Value::Bool(wanted)))
            .collect()
    }
}

/// Whether an option says what part a port takes.
pub fn is_part(id: &OptionId) -> bool {
    [name::ENABLED, name::RX_ENABLED, name::TX_ENABLED].contains(&&*id.name)
}

/// Options for a forwarding. Ports that `indices` does not know are left out.
pub fn forwarding(wanted: &Forwarding, indices: &Indices, parts: Parts) -> Vec<OptionWrite> {
    let mut options = Vec::new();
    let index = |port: &PortId| indices.get(port).copied();
    let ports: Vec<(u32, &PortForwarding)> = wanted
        .ports
        .iter()
        .filter_map(|port| Some((index(&port.port)?, port)))
        .collect();
    // The program of the hash, and the port of each bucket where the driver is to be told.
    let (program, table) = match &wanted.policy {
        TxPolicy::LoadBalance {
            fields,
            balanced,
            buckets,
        } => {
            let table = balanced.then(|| buckets.clone());
            (Some(hash_program(*fields)), table)
        }
        TxPolicy::SourceBalance { ports, .. } => {
            let mut table = ports.buckets.clone();
            table[usize::from(DESIGNATED_BUCKET)] = ports.designated;
            (Some(told_bucket().to_vec()), Some(table))
        }
        _ => (None, None),
    };
    if let Some(program) = program {
        let program = Value::Binary(encode(&program));
        options.push((OptionId::team(name::BPF_HASH_FUNC), program));
        let method = match table {
            Some(_) => "hash_to_port_mapping",
            None => "hash",
        };
        let method = Value::Text(method.to_owned());
        options.push((OptionId::team(name::LB_TX_METHOD), method));
    }
    let binds = table.is_some();
    let enabled = |on: bool| {
        let each = ports.iter();
        each.flat_map(move |(ifindex, port)| parts.options(*ifindex, port, on, binds))
    };
    options.extend(enabled(true));
    if let TxPolicy::ActiveBackup { active } = &wanted.policy {
        // None cannot be told: the port that was active is disabled, that is all.
        if let Some(active) = active.as_ref().and_then(index) {
            options.push((OptionId::team(name::ACTIVEPORT), Value::U32(active)));
        }
    }
    options.extend(enabled(false));
    if let Some(table) = &table {
        options.extend(mapping(table, indices));
    }
    for (ifindex, port) in &ports {
        let linkup = OptionId::port(name::USER_LINKUP, *ifindex);
        let linkup = (linkup, Value::Bool(port.linked));
        let told = OptionId::port(name::USER_LINKUP_ENABLED, *ifindex);
        let told = (told, Value::Bool(port.link_from_watch));
        // What is told is right before the driver begins to heed it, and changes after it has
        // ended to: an earlier daemon may have left it heeding.
        match port.link_from_watch {
            true => options.extend([linkup, told]),
            false => options.extend([told, linkup]),
        }
    }
    options
}

/// A bucket without a port cannot be told; the driver then chooses by the hash alone.
fn mapping(buckets: &BucketTable, indices: &Indices) -> impl Iterator<Item = OptionWrite> {
    (0_u32..).zip(buckets).filter_map(|(bucket, port)| {
        let ifindex = *indices.get(port.as_ref()?)?;
        let id = OptionId::element(name::LB_TX_HASH_TO_PORT_MAPPING, bucket);
        Some((id, Value::U32(ifindex)))
    })
}
