//! The Frame Distributor under each policy, with ports that join, leave, and lose their link.

mod frame;

use std::num::NonZeroU32;
use std::sync::Arc;

use frame::Frame;
use runners::{
    BUCKETS, BucketTable, Distributor, Forwarding, HashFields, PortForwarding, PortId, TxPolicy,
};

const A: PortId = PortId(7);
const B: PortId = PortId(2);
const C: PortId = PortId(900);

/// A forwarding with ports as (port, enabled, linked).
fn forwarding(policy: &TxPolicy, ports: &[(PortId, bool, bool)]) -> Forwarding {
    Forwarding {
        policy: policy.clone(),
        ports: ports
            .iter()
            .map(|&(port, enabled, linked)| PortForwarding {
                port,
                collecting: enabled,
                distributing: enabled,
                linked,
                link_from_watch: false,
            })
            .collect(),
    }
}

const ALL_UP: [(PortId, bool, bool); 3] = [(A, true, true), (B, true, true), (C, true, true)];
/// B has no link, C is not enabled.
const ONLY_A_UP: [(PortId, bool, bool); 3] = [(A, true, true), (B, true, false), (C, false, true)];

fn in_turn(packets_per_port: u32) -> TxPolicy {
    TxPolicy::RoundRobin {
        packets_per_port: NonZeroU32::new(packets_per_port).expect("at least one"),
    }
}

fn flow(number: u32) -> Vec<u8> {
    Frame::tcp4(0x0a00_0001 + number, 0xc0a8_0101, [40_000, 443]).build()
}

/// Returns the ports of `count` frames of different flows; each frame leaves on one port or none.
fn ports_of(distributor: &mut Distributor, count: u32) -> Vec<Option<PortId>> {
    (0..count)
        .map(|number| {
            let frame = flow(number);
            let selection = distributor.select(&frame);
            assert!(selection.ports.len() <= 1);
            selection.ports.first().copied()
        })
        .collect()
}

fn collecting(distributor: &Distributor) -> Vec<PortId> {
    [A, B, C, PortId(0)].into_iter().filter(|port| distributor.collects(*port)).collect()
}

fn load_balance(buckets: BucketTable) -> TxPolicy {
    TxPolicy::LoadBalance {
        fields: HashFields::IPV4 | HashFields::TCP,
        buckets: Arc::new(buckets),
        balanced: false,
        neighbours: false,
    }
}

#[test]
fn a_new_distributor_drops_every_frame_and_collects_nothing() {
    let mut distributor = Distributor::new();
    assert!(distributor.select(&flow(0)).ports.is_empty());
    assert_eq!(collecting(&distributor), []);
}

#[test]
fn broadcast_uses_all_linked_ports_and_collects_on_all_enabled_ones() {
    let mut distributor = Distributor::new();
    distributor.apply(&forwarding(&TxPolicy::Broadcast, &ALL_UP));
    assert_eq!(distributor.select(&flow(0)).ports, [A, B, C]);
    assert_eq!(distributor.select(&flow(0)).bucket, None);
    distributor.apply(&forwarding(&TxPolicy::Broadcast, &ONLY_A_UP));
    assert_eq!(distributor.select(&flow(0)).ports, [A]);
    assert_eq!(collecting(&distributor), [A, B]);
    distributor.apply(&forwarding(&TxPolicy::Broadcast, &[]));
    assert!(distributor.select(&flow(0)).ports.is_empty());
}

#[test]
fn frames_that_resolve_addresses_leave_on_every_linked_port() {
    let framed = |ethertype: [u8; 2], payload: &[u8]| [&[2; 12][..], &ethertype, payload].concat();
    let icmpv6 = |kind: u8| {
        let mut packet = [0; 48];
        (packet[0], packet[6], packet[40]) = (0x60, 58, kind);
        framed([0x86, 0xdd], &packet)
    };
    let tagged = [&[2; 12][..], &[0x81, 0, 0, 7], &icmpv6(136)[12..]].concat();
    let copied = [framed([8, 6], &[0; 28]), icmpv6(135), icmpv6(136), tagged];
    let single = [flow(0), icmpv6(134), icmpv6(128), framed([0x86, 0xdd], &[0x60; 8]), vec![]];
    let mut distributor = Distributor::new();
    for (neighbours, ports) in [(true, vec![A, B, C]), (false, vec![A])] {
        let mut policy = load_balance([Some(A); BUCKETS]);
        if let TxPolicy::LoadBalance { neighbours: all, .. } = &mut policy {
            *all = neighbours;
        }
        distributor.apply(&forwarding(&policy, &ALL_UP));
        for frame in &copied {
            assert_eq!(distributor.select(frame).ports, ports, "{frame:02x?}");
        }
        for frame in &single {
            assert_eq!(distributor.select(frame).ports, [A], "{frame:02x?}");
        }
        distributor.apply(&forwarding(&policy, &ONLY_A_UP));
        assert_eq!(distributor.select(&copied[0]).ports, [A]);
    }
}

#[test]
fn roundrobin_takes_turns_and_continues_after_an_equal_forwarding() {
    let mut distributor = Distributor::new();
    let all_up = forwarding(&in_turn(1), &ALL_UP);
    distributor.apply(&all_up);
    let turn = [Some(A), Some(B), Some(C), Some(A)];
    assert_eq!(ports_of(&mut distributor, 4), turn);
    distributor.apply(&all_up);
    assert_eq!(ports_of(&mut distributor, 2), [Some(B), Some(C)]);

    distributor.apply(&forwarding(&in_turn(1), &ONLY_A_UP));
    assert_eq!(ports_of(&mut distributor, 3), [Some(A); 3]);
    assert_eq!(collecting(&distributor), [A, B]);
    distributor.apply(&forwarding(&in_turn(1), &[(A, true, false)]));
    assert_eq!(ports_of(&mut distributor, 3), [None; 3]);
}

#[test]
fn roundrobin_sends_packets_per_port_in_a_row() {
    let mut distributor = Distributor::new();
    let all_up = forwarding(&in_turn(3), &ALL_UP);
    distributor.apply(&all_up);
    let rows = |ports: &[PortId]| ports.iter().copied().map(Some).collect::<Vec<_>>();
    assert_eq!(ports_of(&mut distributor, 5), rows(&[A, A, A, B, B]));
    distributor.apply(&all_up);
    assert_eq!(ports_of(&mut distributor, 5), rows(&[B, C, C, C, A]));
    // With a lower limit, a turn beyond the limit ends with its next frame.
    distributor.apply(&forwarding(&in_turn(1), &ALL_UP));
    assert_eq!(ports_of(&mut distributor, 3), rows(&[A, B, C]));
    distributor.apply(&forwarding(&in_turn(2), &ONLY_A_UP));
    assert_eq!(ports_of(&mut distributor, 3), rows(&[A, A, A]));
}

#[test]
fn roundrobin_is_even_over_the_remaining_ports() {
    let mut distributor = Distributor::new();
    let b_dead = [(A, true, true), (B, true, false), (C, true, true)];
    distributor.apply(&forwarding(&in_turn(1), &b_dead));
    let ports = ports_of(&mut distributor, 1000);
    assert_eq!(ports.iter().filter(|port| **port == Some(A)).count(), 500);
    assert_eq!(ports.iter().filter(|port| **port == Some(C)).count(), 500);
}

#[test]
fn random_repeats_with_its_seed_and_continues_after_an_equal_forwarding() {
    let random = |seed| forwarding(&TxPolicy::Random { seed }, &ALL_UP);
    let mut whole = Distributor::new();
    whole.apply(&random(1));
    let sequence = ports_of(&mut whole, 3000);
    for port in [A, B, C] {
        let count = sequence.iter().filter(|chosen| **chosen == Some(port)).count();
        assert!((900..1100).contains(&count), "{port:?}: {count}");
    }

    let mut halves = Distributor::new();
    halves.apply(&random(1));
    let mut ports = ports_of(&mut halves, 1500);
    halves.apply(&random(1));
    ports.extend(ports_of(&mut halves, 1500));
    assert_eq!(ports, sequence);

    halves.apply(&random(2));
    assert_ne!(ports_of(&mut halves, 3000), sequence);
    halves.apply(&forwarding(&TxPolicy::Random { seed: 2 }, &ONLY_A_UP));
    assert_eq!(ports_of(&mut halves, 100), [Some(A); 100]);
    assert_eq!(collecting(&halves), [A, B]);
    halves.apply(&forwarding(&TxPolicy::Random { seed: 2 }, &[]));
    assert_eq!(ports_of(&mut halves, 3), [None; 3]);
}

#[test]
fn activebackup_sends_and_collects_on_the_active_port_alone() {
    let active = |active| TxPolicy::ActiveBackup { active };
    let mut distributor = Distributor::new();
    distributor.apply(&forwarding(&active(Some(B)), &ALL_UP));
    assert_eq!(ports_of(&mut distributor, 3), [Some(B); 3]);
    assert_eq!(collecting(&distributor), [B]);

    // The runner chooses the active port; a lost link does not change the choice.
    distributor.apply(&forwarding(&active(Some(B)), &ONLY_A_UP));
    assert_eq!(ports_of(&mut distributor, 3), [Some(B); 3]);

    for (port, why) in
        [(None, "no active port"), (Some(C), "not enabled"), (Some(PortId(0)), "no such port")]
    {
        distributor.apply(&forwarding(&active(port), &ONLY_A_UP));
        assert_eq!(ports_of(&mut distributor, 1), [None], "{why}");
        assert_eq!(collecting(&distributor), [], "{why}");
    }
}

#[test]
fn loadbalance_follows_the_table_and_returns_the_bucket() {
    let ports = [A, B, C];
    let table: BucketTable = std::array::from_fn(|bucket| Some(ports[bucket % 3]));
    let mut distributor = Distributor::new();
    distributor.apply(&forwarding(&load_balance(table), &ALL_UP));
    for number in 0..1000 {
        let frame = flow(number);
        let selection = distributor.select(&frame);
        let bucket = usize::from(selection.bucket.unwrap());
        assert_eq!(selection.ports, [ports[bucket % 3]]);
    }
    assert_eq!(collecting(&distributor), ports);

    // A port without a link keeps its buckets until the runner moves them; a disabled one sends nothing.
    distributor.apply(&forwarding(&load_balance(table), &ONLY_A_UP));
    for number in 0..1000 {
        let frame = flow(number);
        let selection = distributor.select(&frame);
        match ports[usize::from(selection.bucket.unwrap()) % 3] {
            C => assert!(selection.ports.is_empty()),
            port => assert_eq!(selection.ports, [port]),
        }
    }
    assert_eq!(collecting(&distributor), [A, B]);

    distributor.apply(&forwarding(&load_balance([None; BUCKETS]), &ALL_UP));
    assert_eq!(ports_of(&mut distributor, 10), [None; 10]);
}

#[test]
fn loadbalance_moves_no_flow_of_a_remaining_port() {
    let ports = [A, B, C];
    let before_table: BucketTable = std::array::from_fn(|bucket| Some(ports[bucket % 3]));
    let after_table = std::array::from_fn(|bucket| match before_table[bucket] {
        Some(B) => Some([A, C][bucket / 3 % 2]),
        other => other,
    });
    let mut distributor = Distributor::new();
    distributor.apply(&forwarding(&load_balance(before_table), &ALL_UP));
    let before = ports_of(&mut distributor, 65_536);
    let remaining = [(A, true, true), (C, true, true)];
    distributor.apply(&forwarding(&load_balance(after_table), &remaining));
    let after = ports_of(&mut distributor, 65_536);

    let mut moved = 0;
    for (before, after) in before.iter().zip(&after) {
        if *before == Some(B) {
            moved += 1;
            assert!([Some(A), Some(C)].contains(after));
        } else {
            assert_eq!(before, after);
        }
    }
    assert!(moved > 20_000, "{moved}");
}

#[test]
fn changed_hash_fields_take_effect() {
    let table = std::array::from_fn(|_| Some(A));
    let mut distributor = Distributor::new();
    let mut buckets_with = |fields| {
        let policy = TxPolicy::LoadBalance {
            fields,
            buckets: Arc::new(table),
            balanced: false,
            neighbours: false,
        };
        distributor.apply(&forwarding(&policy, &ALL_UP));
        (0..100)
            .map(|number| distributor.select(&flow(number)).bucket)
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    };
    assert_eq!(buckets_with(HashFields::ETH), 1);
    assert!(buckets_with(HashFields::IPV4) > 50);
    assert_eq!(buckets_with(HashFields::ETH), 1);
}
