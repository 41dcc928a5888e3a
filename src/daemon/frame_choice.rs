//! The ports that would send frames of the team device now, for `teamrctl hash`.
//!
//! Applies the team's forwarding to the frames as the relay would, without effect on the data path.

use runners::wire::is_address_resolution;
use runners::{Distributor, Forwarding, HashFields, Instant, Port, PortId, TxPolicy};
use serde_json::{Value, json};

use super::team::ManagedTeam;
use crate::datapath::team_driver::flow_bucket;
use crate::datapath::{FlowHash, SnapshotPart};

/// Returns the answer for each of these frames, as
/// [`TeamControl::frame_ports`](crate::control::TeamControl::frame_ports) defines it.
pub fn of_frames(team: &ManagedTeam, now: Instant, frames: &[Vec<u8>]) -> Value {
    let Some(forwarding) = team.core.forwarding() else {
        return frames.iter().map(|_| json!({"ports": [], "rule": "none"})).collect();
    };
    let names = |ports: &[PortId]| -> Vec<&str> {
        let ports = ports.iter().filter_map(|port| team.core.port(*port));
        ports.map(Port::name).collect()
    };
    let mut distributor = Distributor::new();
    distributor.apply(forwarding);
    if let Some(learned) = team.data_path.snapshot(SnapshotPart::Learned).learned {
        distributor.restore_sources(learned);
    }
    distributor.set_time(now);
    let by_socket = hashes_sockets(team, forwarding);
    let any_port = |rule: &str, bucket: Option<u8>| {
        let ports = names(&forwarding.usable());
        json!({"ports": ports, "rule": rule, "bucket": bucket})
    };
    let answers = frames.iter().map(|frame| {
        if let Some((port, bucket)) = driver_choice(team, distributor.forwarding(), frame) {
            return match port {
                _ if by_socket => any_port("socket", Some(bucket)),
                Some(port) => json!({"ports": names(&[port]), "rule": "flow", "bucket": bucket}),
                None => any_port("driver", Some(bucket)),
            };
        }
        let selection = distributor.select(frame);
        let rule = rule(&forwarding.policy, frame, selection.bucket);
        if let "next" | "random" = rule {
            return json!({"ports": names(&forwarding.usable()), "rule": rule});
        }
        if rule == "flow" && by_socket {
            return any_port("socket", selection.bucket);
        }
        let mut answer = json!({"ports": names(selection.ports), "rule": rule});
        if let Some(bucket) = selection.bucket {
            answer["bucket"] = bucket.into();
        }
        if let Some(source) = selection.source {
            answer["source"] = source.to_string().into();
        }
        answer
    });
    answers.collect()
}

/// Returns whether the kernel's hash of the sender's socket takes the place of the hash of the header
/// fields. No header shows the hash of the socket.
fn hashes_sockets(team: &ManagedTeam, forwarding: &Forwarding) -> bool {
    let TxPolicy::LoadBalance { fields, .. } = &forwarding.policy else {
        return false;
    };
    let knows_sockets = team.data_path.capabilities().flow_hash != FlowHash::Core;
    knows_sockets && fields.contains(HashFields::SOCKET)
}

/// Returns the choice of the kernel's driver, which has a hash of its own: the port, `None` where the
/// driver does not follow the table, and the bucket. `None` without a driver that hashes flows.
fn driver_choice(
    team: &ManagedTeam,
    forwarding: &Forwarding,
    frame: &[u8],
) -> Option<(Option<PortId>, u8)> {
    let TxPolicy::LoadBalance { fields, buckets, balanced, neighbours } = &forwarding.policy else {
        return None;
    };
    let is_copied = *neighbours && is_address_resolution(frame);
    if is_copied || team.data_path.capabilities().flow_hash != FlowHash::Driver {
        return None;
    }
    let bucket = flow_bucket(*fields, frame);
    Some((buckets[usize::from(bucket)].filter(|_| *balanced), bucket))
}

/// Returns the word for the rule by which `policy` chose the ports of `frame`, which is in `bucket`.
fn rule(policy: &TxPolicy, frame: &[u8], bucket: Option<u8>) -> &'static str {
    match (policy, bucket) {
        (TxPolicy::ActiveBackup { .. }, _) => "active",
        (TxPolicy::Broadcast, _) | (TxPolicy::LoadBalance { .. }, None) => "all",
        (TxPolicy::LoadBalance { .. }, Some(_)) => "flow",
        (TxPolicy::SourceBalance { .. }, None) => "designated",
        (TxPolicy::SourceBalance { ports, .. }, Some(_)) => {
            let is_own = frame.get(6..12) == Some(&ports.hwaddr.0[..]);
            if is_own { "peer" } else { "station" }
        }
        (TxPolicy::RoundRobin { .. }, _) => "next",
        (TxPolicy::Random { .. }, _) => "random",
    }
}
