//! The options that a forwarding and the settings amount to. Pure.
//!
//! The order matters: the driver carries out the items of one message one after the other. A new
//! port is enabled before the old one is disabled, so that a change of ports loses nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use runners::{
    BucketTable, Burst, Forwarding, HashFields, PortForwarding, PortId, PortSettings, TxPolicy,
};

use super::hash_program::{hash_program, marked_bucket};
use crate::datapath::Requirements;
use crate::datapath::ebpf::source_program::DESIGNATED_BUCKET;
use crate::netlink::bpf::encode;
use crate::netlink::team::{OptionId, Value, name};

/// An option and the value that it has to have.
pub type OptionWrite = (OptionId, Value);

/// Interface index of each port.
pub type Indices = BTreeMap<PortId, u32>;

/// Returns the driver's mode for a policy; `None` if the driver has none.
pub fn mode(policy: &TxPolicy) -> Option<&'static str> {
    match policy {
        TxPolicy::Broadcast => Some("broadcast"),
        TxPolicy::RoundRobin { .. } => Some("roundrobin"),
        TxPolicy::Random { .. } => Some("random"),
        TxPolicy::ActiveBackup { .. } => Some("activebackup"),
        TxPolicy::LoadBalance { .. } => Some("loadbalance"),
        TxPolicy::SourceBalance { ports, .. } => ports.host.is_none().then_some("loadbalance"),
    }
}

/// Whether the driver can do what a team needs. The driver sends frames of a bucket without a
/// port on a port of its own choice.
pub fn supports(requirements: &Requirements) -> bool {
    mode(&requirements.policy).is_some() && !requirements.drops_unmapped
}

/// Returns the options of the whole team that never change while the daemon runs, the mode first.
pub fn team(requirements: &Requirements) -> Vec<OptionWrite> {
    let mut options = Vec::new();
    let mut push = |name, value| options.push((OptionId::team(name), value));
    if let Some(mode) = mode(&requirements.policy) {
        push(name::MODE, Value::Text(mode.to_owned()));
    }
    let bursts = [
        (requirements.notify_peers, name::NOTIFY_PEERS_COUNT, name::NOTIFY_PEERS_INTERVAL),
        (requirements.mcast_rejoin, name::MCAST_REJOIN_COUNT, name::MCAST_REJOIN_INTERVAL),
    ];
    for (Burst { count, interval }, count_name, interval_name) in bursts {
        push(count_name, Value::U32(count));
        push(interval_name, whole(interval.as_millis()));
    }
    if let TxPolicy::LoadBalance { .. } | TxPolicy::SourceBalance { .. } = requirements.policy {
        let interval = requirements.balancing_interval.unwrap_or(Duration::ZERO);
        // The driver counts in tenths of a second; 0 counts nothing.
        push(name::LB_STATS_REFRESH_INTERVAL, whole(interval.as_millis() / 100));
    }
    options
}

fn whole(number: u128) -> Value {
    Value::U32(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Returns a warning if the driver does less than the policy asks for.
pub fn shortfall(policy: &TxPolicy) -> Option<&'static str> {
    match policy {
        TxPolicy::RoundRobin { packets_per_port } if packets_per_port.get() > 1 => Some(
            "runner.packets_per_port: the kernel's driver changes the port with each frame; \
             the data paths \"programs\" and \"relay\" can do more in a row",
        ),
        TxPolicy::LoadBalance { fields, .. } if fields.contains(HashFields::ENCAP) => Some(
            "runner.tx_hash: the kernel's driver does not look into tunnels (\"encap\"), the \
             outermost packet is hashed; the data paths \"programs\" and \"relay\" look inside",
        ),
        _ => None,
    }
}

/// Returns the options that a port has from its configuration.
pub fn port(ifindex: u32, settings: &PortSettings) -> Vec<OptionWrite> {
    let queue = settings.queue_id.map(|queue| (name::QUEUE_ID, Value::U32(queue)));
    let options = queue.into_iter().chain([(name::PRIORITY, Value::S32(settings.prio))]);
    options.map(|(name, value)| (OptionId::port(name, ifindex), value)).collect()
}

/// The options by which the driver enables a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnableOptions {
    /// One option: a port that is only to collect does neither or both.
    Joint,
    /// One option for each direction.
    PerDirection,
}

impl EnableOptions {
    /// Returns the options that enable a port, or disable it, as `on` says: those of `port` whose
    /// value is `on`. A port collects before it distributes, and ends in the other order. Where
    /// the table of buckets is `binding`, the driver sends nothing on a port that only collects,
    /// so that such a port may be enabled at once.
    fn writes(
        self,
        ifindex: u32,
        port: &PortForwarding,
        on: bool,
        binding: bool,
    ) -> Vec<OptionWrite> {
        let rx = (name::RX_ENABLED, port.collecting);
        let tx = (name::TX_ENABLED, port.distributing);
        let options = match (self, on) {
            (EnableOptions::Joint, _) => {
                let collects = binding && port.collecting && port.linked;
                vec![(name::ENABLED, port.distributing || collects)]
            }
            (EnableOptions::PerDirection, true) => vec![rx, tx],
            (EnableOptions::PerDirection, false) => vec![tx, rx],
        };
        let changed = options.into_iter().filter(|(_, value)| *value == on);
        changed.map(|(name, value)| (OptionId::port(name, ifindex), Value::Bool(value))).collect()
    }
}

/// Replaces the options of both directions of a port, if both become the same, by the joint option.
/// The driver announces a port once for each option that enables the port.
pub fn join_directions(options: &mut Vec<OptionWrite>) {
    let all = options.clone();
    let other = |id: &OptionId| match &*id.name {
        name::RX_ENABLED => Some(OptionId { name: name::TX_ENABLED.into(), ..id.clone() }),
        name::TX_ENABLED => Some(OptionId { name: name::RX_ENABLED.into(), ..id.clone() }),
        _ => None,
    };
    let mut joined = Vec::new();
    options.retain_mut(|(id, value)| {
        let Some(other) = other(id).filter(|other| all.contains(&(other.clone(), value.clone())))
        else {
            return true;
        };
        id.name = name::ENABLED.into();
        let is_first = !joined.contains(&other.port);
        joined.push(other.port);
        is_first
    });
}

/// Whether an option enables or disables a port.
pub fn is_enable_option(id: &OptionId) -> bool {
    [name::ENABLED, name::RX_ENABLED, name::TX_ENABLED].contains(&&*id.name)
}

/// Returns the options for a forwarding. Ports that `indices` does not have are left out.
pub fn forwarding(
    wanted: &Forwarding,
    indices: &Indices,
    enable_options: EnableOptions,
) -> Vec<OptionWrite> {
    let index = |port: &PortId| indices.get(port).copied();
    let ports = wanted.ports.iter();
    let ports: Vec<(u32, &PortForwarding)> =
        ports.filter_map(|port| Some((index(&port.port)?, port))).collect();
    let (mut options, table) = hash_options(&wanted.policy);
    let binding = table.is_some();
    let enabled = |on: bool| {
        let ports = ports.iter();
        ports.flat_map(move |(ifindex, port)| enable_options.writes(*ifindex, port, on, binding))
    };
    options.extend(enabled(true));
    if let TxPolicy::ActiveBackup { active } = &wanted.policy {
        // The driver has no value for no port: the port that was active is only disabled.
        if let Some(active) = active.as_ref().and_then(index) {
            options.push((OptionId::team(name::ACTIVEPORT), Value::U32(active)));
        }
    }
    options.extend(enabled(false));
    if let Some(table) = &table {
        options.extend(mapping(table, indices));
    }
    for (ifindex, port) in &ports {
        options.extend(link_options(*ifindex, port));
    }
    options
}

/// Returns the options of the hash, and the table of buckets where the driver is to use one.
fn hash_options(policy: &TxPolicy) -> (Vec<OptionWrite>, Option<Box<BucketTable>>) {
    let (program, table) = match policy {
        TxPolicy::LoadBalance { fields, balanced, buckets, .. } => {
            let table = balanced.then(|| Box::new(**buckets));
            (hash_program(*fields), table)
        }
        TxPolicy::SourceBalance { ports, .. } => {
            let mut table = ports.buckets.clone();
            table[usize::from(DESIGNATED_BUCKET)] = ports.designated;
            (marked_bucket().to_vec(), Some(table))
        }
        _ => return (Vec::new(), None),
    };
    let method = match table {
        Some(_) => "hash_to_port_mapping",
        None => "hash",
    };
    let options = vec![
        (OptionId::team(name::BPF_HASH_FUNC), Value::Binary(encode(&program))),
        (OptionId::team(name::LB_TX_METHOD), Value::Text(method.to_owned())),
    ];
    (options, table)
}

/// Returns the options for a port's link, where link watches decide on it instead of the carrier.
/// The state of the link is written while the driver ignores it: an earlier daemon may have left
/// the driver following another state.
fn link_options(ifindex: u32, port: &PortForwarding) -> [OptionWrite; 2] {
    let option = |name, value| (OptionId::port(name, ifindex), Value::Bool(value));
    let state = option(name::USER_LINKUP, port.linked);
    let follow = option(name::USER_LINKUP_ENABLED, port.link_from_watch);
    match port.link_from_watch {
        true => [state, follow],
        false => [follow, state],
    }
}

/// Returns the port of each bucket. The driver has no value for a bucket without a port, and
/// chooses by the hash alone.
fn mapping(buckets: &BucketTable, indices: &Indices) -> impl Iterator<Item = OptionWrite> {
    (0_u32..).zip(buckets).filter_map(|(bucket, port)| {
        let ifindex = *indices.get(port.as_ref()?)?;
        let id = OptionId::element(name::LB_TX_HASH_TO_PORT_MAPPING, bucket);
        Some((id, Value::U32(ifindex)))
    })
}
