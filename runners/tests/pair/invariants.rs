//! What must hold at every moment, and when all is quiet.

use runners::{PortId, Selected, TxPolicy};

use crate::network::Pair;

/// Nothing is sent or taken where it must not be.
pub fn hold(pair: &Pair) {
    for team in 0..2 {
        let Some(forwarding) = &pair.forwarding[team] else {
            continue;
        };
        let status = pair.teams[team].lacp_status(pair.now).expect("lacp");
        for port in &forwarding.ports {
            let known = pair.teams[team]
                .port(port.port)
                .expect("a port of the team");
            let machines = status.ports.iter().find(|known| known.port == port.port);
            let machines = machines.expect("its machines");
            assert!(
                port.collecting || !port.distributing,
                "distributes without collecting"
            );
            if port.collecting {
                assert!(known.link().up, "collects without a link");
                assert_eq!(machines.selected, Selected::Selected, "collects unselected");
                assert!(machines.aggregator_selected);
            }
            if port.distributing && machines.state != "fallback" {
                // What the partner last told; the wire may hold newer news.
                let told = machines.partner.state;
                assert!(told.has(runners::wire::lacpdu::StateBits::COLLECTING));
                assert!(told.has(runners::wire::lacpdu::StateBits::SYNCHRONIZATION));
            }
            assert_eq!(machines.why.is_none(), port.distributing);
        }
        let distributing: Vec<PortId> = forwarding
            .ports
            .iter()
            .filter(|port| port.distributing)
            .map(|port| port.port)
            .collect();
        let TxPolicy::LoadBalance { buckets, .. } = &forwarding.policy else {
            panic!("lacp goes by buckets");
        };
        for bucket in buckets.iter() {
            match bucket {
                Some(port) => assert!(distributing.contains(port), "a bucket on a dead port"),
                None => assert!(distributing.is_empty(), "a bucket without a port"),
            }
        }
        let enough = distributing.len() >= pair.teams[team].settings().min_ports as usize;
        assert_eq!(pair.carrier[team], enough, "carrier");
    }
}

/// With nothing under way, who distributes has a partner that collects, and both ends agree.
pub fn agree(pair: &Pair) {
    assert_eq!(pair.distributing(0), pair.distributing(1), "membership");
    for team in 0..2 {
        for port in pair.distributing(team) {
            let other = pair.port((1 - team, port)).expect("the other end");
            assert!(
                other.collecting,
                "port {port} sends to one that does not collect"
            );
        }
    }
}
