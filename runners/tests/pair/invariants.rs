//! Invariants of each moment, and of a moment without a frame in flight.

use runners::wire::lacpdu::StateBits;
use runners::{Forwarding, LacpPortStatus, PortForwarding, PortId, Selected, TxPolicy};

use crate::network::Pair;

/// Asserts the invariants of each moment on both teams.
pub fn assert_safe(pair: &Pair) {
    for team in 0..2 {
        let Some(forwarding) = &pair.forwarding[team] else {
            continue;
        };
        let status = pair.teams[team].lacp_status(pair.now).expect("lacp");
        for port in &forwarding.ports {
            let status = status.ports.iter().find(|known| known.port == port.port);
            let status = status.expect("the state of the port");
            assert_forwarding_follows_machines(port, status);
            let known = pair.teams[team].port(port.port).expect("the port");
            assert!(!port.collecting || known.link().up, "collects without link");
        }
        assert_one_aggregator_is_selected(&status.ports);
        let distributing = assert_buckets_use_distributing_ports(forwarding);
        let enough = distributing >= pair.teams[team].settings().min_ports as usize;
        assert_eq!(pair.carrier[team], enough, "carrier");
    }
}

fn assert_forwarding_follows_machines(port: &PortForwarding, status: &LacpPortStatus) {
    let mux = status.machines.mux;
    assert_eq!(port.distributing, mux == "DISTRIBUTING", "{mux}");
    let collects = matches!(mux, "COLLECTING" | "DISTRIBUTING");
    assert_eq!(port.collecting, collects, "{mux}");
    assert_eq!(status.cause.is_none(), port.distributing);
    if port.collecting {
        assert_eq!(status.selected, Selected::Selected, "collects unselected");
        assert!(status.aggregator_selected);
    }
    if port.distributing && status.state != "fallback" {
        // The last received state; a newer one may be in flight.
        let partner = status.partner.state;
        assert!(partner.has(StateBits::SYNCHRONIZATION | StateBits::COLLECTING));
    }
    let actor = status.actor.state;
    assert_eq!(actor.has(StateBits::COLLECTING), port.collecting);
    assert_eq!(actor.has(StateBits::DISTRIBUTING), port.distributing);
}

fn assert_one_aggregator_is_selected(ports: &[LacpPortStatus]) {
    let selected = ports.iter().filter(|port| port.selected == Selected::Selected);
    let mut aggregators: Vec<Option<PortId>> = selected.map(|port| port.aggregator).collect();
    aggregators.dedup();
    assert!(aggregators.len() <= 1, "{aggregators:?}");
}

/// Returns the number of distributing ports.
fn assert_buckets_use_distributing_ports(forwarding: &Forwarding) -> usize {
    let distributing = forwarding.ports.iter().filter(|port| port.distributing);
    let distributing: Vec<PortId> = distributing.map(|port| port.port).collect();
    let TxPolicy::LoadBalance { buckets, .. } = &forwarding.policy else {
        panic!("lacp without buckets");
    };
    for bucket in buckets.iter() {
        match bucket {
            Some(port) => assert!(distributing.contains(port), "a bucket on a dead port"),
            None => assert!(distributing.is_empty(), "a bucket without a port"),
        }
    }
    distributing.len()
}

/// Asserts that both teams distribute on the same ports, and that the other end collects.
pub fn assert_ends_agree(pair: &Pair) {
    assert_eq!(pair.distributing(0), pair.distributing(1), "membership");
    for team in 0..2 {
        for port in pair.distributing(team) {
            let peer = pair.port((1 - team, port)).expect("the other end");
            assert!(peer.collecting, "the peer of port {port} does not collect");
        }
    }
}
