//! Scenarios with expected outcomes, step by step.

use std::time::Duration;

use runners::wire::lacpdu::{Lacpdu, PortInfo, StateBits};
use runners::{
    AggSelectPolicy, Duplex, Event, FallbackMethod, HashFields, HwAddr, LacpPortSettings,
    LacpSettings, Link, PortId, RunnerSettings, TeamSettings,
};

use crate::invariants::assert_safe;
use crate::network::{End, Pair, fast, link, millis, seconds};

fn key(key: u16) -> LacpPortSettings {
    LacpPortSettings { key, ..LacpPortSettings::default() }
}

fn prio(prio: u16) -> LacpPortSettings {
    LacpPortSettings { prio, ..LacpPortSettings::default() }
}

/// Advances until both teams distribute on exactly these ports, and returns how long that takes.
fn converge(pair: &mut Pair, ports: &[u32], within: Duration) -> Duration {
    let start = pair.now;
    let end = start + within;
    while pair.distributing(0) != ports || pair.distributing(1) != ports {
        assert!(pair.step(end), "{:?} {:?}", pair.distributing(0), pair.distributing(1));
        assert_safe(pair);
    }
    pair.now.saturating_since(start)
}

/// Returns a pair whose ports, 0 to `ports` - 1, distribute at both ends.
fn distributing_pair(ports: u32) -> Pair {
    let mut pair = Pair::new([fast(), fast()], 1).with_ports(ports);
    let all: Vec<u32> = (0..ports).collect();
    converge(&mut pair, &all, seconds(4));
    pair
}

/// Returns the frame of an LACPDU.
fn lacpdu(actor: PortInfo, partner: PortInfo) -> Vec<u8> {
    Lacpdu::new(actor, partner, None).frame(HwAddr::default())
}

/// Asserts that `end` reports a cause with this text.
fn assert_cause(pair: &Pair, end: End, expected: &str) {
    let why = pair.cause(end);
    assert!(why.contains(expected), "{why}");
}

#[test]
fn two_links_distribute_after_wait_while_timer() {
    for settings in [[fast(), fast()], [LacpSettings::default(), LacpSettings::default()]] {
        let mut pair = Pair::new(settings, 1).with_ports(2);
        let took = converge(&mut pair, &[0, 1], seconds(4));
        assert!(took >= seconds(2) && took < millis(2100), "{took:?}");
        assert_eq!(pair.carrier, [true, true]);
    }
}

#[test]
fn a_returning_port_skips_wait_while_timer_if_its_partner_is_in_sync() {
    let mut pair = distributing_pair(2);
    // The limit of three LACPDUs in a period has room again.
    pair.run(seconds(2));
    // One end forgets its partner; the other stays attached.
    pair.link_down((0, 1));
    pair.link_up((0, 1));
    let took = converge(&mut pair, &[0, 1], seconds(4));
    assert!(took < millis(100), "{took:?}");
}

#[test]
fn a_port_without_pdus_expires_then_defaults_and_returns_with_the_first_pdu() {
    let mut pair = distributing_pair(2);
    pair.run(millis(500));
    pair.blocked.insert((0, 1));
    pair.run(millis(1900));
    assert_eq!(pair.distributing(0), [0, 1]);
    pair.run(millis(1200));
    assert_eq!((pair.distributing(0), pair.status((0, 1)).state), (vec![0], "expired"));
    // A partner with coupled control reads only Synchronization.
    assert_eq!(pair.distributing(1), [0], "the PDU says out of sync");
    let expired = pair.status((1, 1)).partner.state;
    assert!(!expired.has(StateBits::SYNCHRONIZATION));
    pair.run(seconds(3));
    assert_eq!(pair.status((0, 1)).state, "defaulted");
    assert_cause(&pair, (0, 1), "no LACPDU heard for 6 s");
    assert_cause(&pair, (1, 1), "the partner does not hear");
    pair.blocked.clear();
    let took = converge(&mut pair, &[0, 1], seconds(5));
    assert!(took < millis(3200), "{took:?}");
}

#[test]
fn a_port_stops_distributing_when_its_partner_stops_collecting() {
    let mut pair = distributing_pair(2);
    pair.run(seconds(2));
    pair.allow((1, 1), false);
    pair.run(millis(10));
    assert_eq!(pair.distributing(0), [0]);
    assert_eq!(pair.carrier, [true, true]);
    // The partner stays in sync, but stops collecting.
    let mut actor = pair.status((1, 0)).actor;
    let partner = pair.status((0, 0)).actor;
    actor.state = actor.state.with(StateBits::COLLECTING, false);
    let frame = lacpdu(actor, partner);
    pair.receive((0, 0), frame);
    assert_eq!(pair.distributing(0), [0; 0]);
    assert!(pair.port((0, 0)).unwrap().collecting);
    assert_cause(&pair, (0, 0), "the partner does not collect");
}

#[test]
fn a_drained_port_stops_receiving_after_its_partner_stops_sending() {
    let mut pair = distributing_pair(2);
    pair.run(seconds(2));
    let sent = pair.sent[&(0, 1)];
    pair.drain((0, 1), true);
    assert_eq!((pair.distributing(0), pair.distributing(1)), (vec![0], vec![0, 1]));
    assert_eq!(pair.sent[&(0, 1)], sent + 1, "the partner learns of the drain at once");
    assert!(!pair.status((0, 1)).actor.state.has(StateBits::SYNCHRONIZATION));
    assert!(pair.port((0, 1)).unwrap().collecting, "the partner still sends");
    assert_cause(&pair, (0, 1), "being drained");
    pair.run(millis(50));
    assert_eq!(pair.distributing(1), [0], "the partner no longer sends");
    assert!(pair.port((0, 1)).unwrap().collecting, "frames are in flight");
    pair.run(millis(100));
    assert!(!pair.port((0, 1)).unwrap().collecting);
    assert!(pair.teams[0].port(PortId(1)).unwrap().is_drained());
    assert_cause(&pair, (0, 1), "it is drained: end the drain");
    pair.run(seconds(60));
    assert_eq!((pair.distributing(0), pair.status((0, 1)).state), (vec![0], "current"));
    pair.drain((0, 1), false);
    converge(&mut pair, &[0, 1], seconds(4));
    // A drain that ends before the partner has answered.
    pair.drain((0, 1), true);
    pair.drain((0, 1), false);
    converge(&mut pair, &[0, 1], seconds(4));
}

/// The limit of LACPDUs may delay both the withdrawal and the answer.
#[test]
fn a_port_drained_at_any_moment_receives_until_its_partner_stops_sending() {
    for millis_after in [0, 1, 30, 60, 200, 500, 900, 1500] {
        let mut pair = distributing_pair(2);
        pair.run(millis(millis_after));
        pair.drain((0, 1), true);
        let end = pair.now + seconds(4);
        while pair.step(end) {
            let partner_sends = pair.distributing(1).contains(&1);
            let receives = pair.port((0, 1)).unwrap().collecting;
            assert!(receives || !partner_sends, "drained {millis_after} ms after");
        }
        assert!(pair.teams[0].port(PortId(1)).unwrap().is_drained());
    }
}

#[test]
fn a_drain_waits_three_periods_for_a_partner_that_does_not_answer() {
    let mut pair = distributing_pair(2);
    pair.run(seconds(2));
    pair.blocked.insert((1, 1));
    pair.drain((0, 1), true);
    pair.run(millis(1900));
    assert!(pair.port((0, 1)).unwrap().collecting);
    assert!(!pair.teams[0].port(PortId(1)).unwrap().is_drained());
    pair.run(millis(1200));
    assert!(!pair.port((0, 1)).unwrap().collecting);
    assert!(pair.teams[0].port(PortId(1)).unwrap().is_drained());
}

#[test]
fn a_closed_gate_withdraws_synchronization_at_once() {
    for set in [Pair::open_macsec_gate, Pair::open_gate] {
        let mut pair = distributing_pair(2);
        pair.run(seconds(2));
        let sent = pair.sent[&(0, 1)];
        set(&mut pair, (0, 1), false);
        assert_eq!(pair.distributing(0), [0]);
        assert_eq!(pair.sent[&(0, 1)], sent + 1);
        let state = pair.status((0, 1)).actor.state;
        assert!(!state.has(StateBits::SYNCHRONIZATION) && !state.has(StateBits::COLLECTING));
        assert_cause(&pair, (0, 1), "gate is closed");
        pair.run(millis(10));
        assert_eq!(pair.distributing(1), [0]);
        pair.run(seconds(200));
        assert_eq!(pair.status((0, 1)).state, "current", "the port still sends LACPDUs");
        assert_eq!(pair.carrier, [true, true]);
        set(&mut pair, (0, 1), true);
        converge(&mut pair, &[0, 1], seconds(4));
    }
}

#[test]
fn two_passive_ends_send_nothing_and_one_answers_an_active_end() {
    let passive = || LacpSettings { active: false, ..fast() };
    let mut pair = Pair::new([passive(), passive()], 1).with_ports(1);
    pair.run(seconds(200));
    assert!(pair.sent.is_empty());
    assert_cause(&pair, (0, 0), "\"active\" is false");
    let mut pair = Pair::new([fast(), passive()], 1).with_ports(2);
    converge(&mut pair, &[0, 1], seconds(4));
}

#[test]
fn a_port_sends_at_most_three_pdus_in_a_second() {
    let mut pair = Pair::new([fast(), fast()], 1).with_ports(1);
    pair.run(seconds(5));
    let before = pair.sent[&(0, 0)];
    let actor = pair.status((1, 0)).actor;
    for n in 0..100 {
        // Each wrong view of the actor sets NTT.
        let mut wrong = actor;
        wrong.key = n;
        let frame = lacpdu(actor, wrong);
        pair.receive((0, 0), frame);
        pair.run(millis(10));
    }
    let sent = pair.sent[&(0, 0)] - before;
    assert!(sent <= 4, "{sent}");
}

#[test]
fn ports_with_different_keys_do_not_aggregate() {
    let mut pair = Pair::new([fast(), fast()], 1);
    pair.add((0, 0), key(0), link(1000));
    pair.add((1, 0), key(0), link(1000));
    pair.add((0, 1), key(0), link(1000));
    pair.add((1, 1), key(7), link(1000));
    pair.run(seconds(6));
    assert_eq!(pair.distributing(0), [0]);
    assert_eq!(pair.distributing(1), [0]);
    assert_cause(&pair, (0, 1), "gives it key 7, and p0 key 0");
    assert_cause(&pair, (1, 1), "its key is 7, that of p0 is 0");
}

#[test]
fn a_looped_port_carries_no_traffic() {
    let mut pair = distributing_pair(2);
    let own = pair.status((0, 0)).actor;
    let frame = lacpdu(own, own);
    pair.receive((0, 1), frame);
    assert_eq!(pair.distributing(0), [0]);
    assert_cause(&pair, (0, 1), "LACPDUs come back, from port number 1");
}

#[test]
fn a_half_duplex_port_carries_no_traffic() {
    let mut pair = distributing_pair(2);
    let half = Link { up: true, speed: 100, duplex: Duplex::Half };
    pair.set_link((0, 1), half);
    assert_eq!(pair.distributing(0), [0]);
    assert_eq!(pair.status((0, 1)).state, "disabled");
    assert_cause(&pair, (0, 1), "100 Mbit/s half duplex");
    // Many virtual interfaces report neither speed nor duplex.
    let unknown = Link { up: true, speed: 0, duplex: Duplex::Half };
    pair.set_link((0, 1), unknown);
    converge(&mut pair, &[0, 1], seconds(4));
}

#[test]
fn a_partner_stops_at_the_last_pdu_of_a_removed_port() {
    let mut pair = distributing_pair(2);
    pair.handle(0, Event::PortRemoved { port: PortId(1) });
    pair.run(millis(10));
    assert_eq!(pair.distributing(1), [0]);
    pair.handle(0, Event::TeamAdminChanged { up: false });
    pair.run(millis(10));
    assert_eq!(pair.distributing(1), [0; 0]);
    assert_eq!(pair.carrier, [false, false]);
    let sent = pair.sent[&(0, 0)];
    pair.run(seconds(10));
    assert_eq!(pair.sent[&(0, 0)], sent, "a team that is down sends nothing");
    assert_cause(&pair, (0, 0), "the team device is down");
}

#[test]
fn ports_in_fallback_distribute_until_the_first_pdu() {
    for (method, ports) in [(FallbackMethod::Single, vec![1]), (FallbackMethod::All, vec![0, 1])] {
        let settings = LacpSettings {
            fallback: true,
            fallback_method: method,
            fallback_delay: millis(500),
            ..fast()
        };
        let mut pair = Pair::new([settings, fast()], 1);
        pair.add((0, 0), prio(200), link(1000));
        pair.add((0, 1), prio(100), link(1000));
        pair.run(millis(3400));
        assert_eq!(pair.distributing(0), [0; 0]);
        pair.run(millis(200));
        assert_eq!(pair.distributing(0), ports, "{method:?}");
        assert!(pair.carrier[0]);
        assert_eq!(pair.status((0, 1)).state, "fallback");
        pair.add((1, 0), prio(255), link(1000));
        pair.run(millis(1));
        assert_eq!(pair.distributing(0), ports, "the PDU is in flight");
        pair.run(millis(10));
        assert_eq!(pair.distributing(0), [0; 0]);
        pair.add((1, 1), prio(255), link(1000));
        converge(&mut pair, &[0, 1], seconds(4));
    }
}

#[test]
fn new_settings_cause_no_flap() {
    let mut pair = distributing_pair(2);
    let flaps = pair.flaps;
    let changes: [fn(&mut LacpSettings); 5] = [
        |settings| settings.fast_rate = false,
        |settings| settings.fast_rate = true,
        |settings| settings.fallback = true,
        |settings| settings.agg_select_policy = AggSelectPolicy::Count,
        |settings| settings.retry_count = 5,
    ];
    let mut settings = fast();
    for change in changes {
        change(&mut settings);
        let settings = settings.clone();
        pair.handle(0, Event::LacpSettingsChanged { settings });
        pair.run(seconds(2));
    }
    // The distribution may change as well.
    settings.tx_hash = HashFields::IPV4;
    settings.balancing_interval = Some(seconds(1));
    let settings = Box::new(TeamSettings::new(RunnerSettings::Lacp(settings)));
    pair.handle(0, Event::SettingsReplaced { settings, ports: Vec::new() });
    pair.run(seconds(2));
    pair.handle(0, Event::MinPortsChanged { min_ports: 2 });
    pair.run(seconds(2));
    assert_eq!(pair.flaps, flaps);
    assert_eq!(pair.carrier, [true, true]);
    pair.handle(0, Event::MinPortsChanged { min_ports: 3 });
    assert_eq!(pair.carrier, [false, true]);
}

/// The Partner learns of Long Timeout at once, and its next LACPDU comes after 30 s.
#[test]
fn a_longer_timeout_waits_for_the_next_lacpdu() {
    let slow = LacpSettings::default;
    let longer = |partner: LacpSettings, meanwhile| {
        let mut pair = Pair::new([slow(), partner], 1).with_ports(2);
        converge(&mut pair, &[0, 1], seconds(4));
        pair.run(seconds(40));
        let flaps = pair.flaps;
        for (settings, time) in [(fast(), millis(meanwhile)), (slow(), seconds(200))] {
            pair.handle(0, Event::LacpSettingsChanged { settings });
            pair.run(time);
        }
        assert_eq!(pair.flaps, flaps);
    };
    for meanwhile in [0, 10, 999, 5000] {
        longer(slow(), meanwhile);
        longer(fast(), meanwhile);
    }
}

/// The last LACPDU says that the port is no longer Aggregatable and in sync, so the partner stops at
/// once instead of after its timeout.
#[test]
fn a_partner_of_lacp_hears_that_another_runner_takes_its_place() {
    let mut pair = distributing_pair(2);
    pair.run(seconds(2));
    let settings = Box::new(TeamSettings::new(RunnerSettings::Broadcast));
    pair.handle(0, Event::SettingsReplaced { settings, ports: Vec::new() });
    pair.run(millis(10));
    assert_eq!(pair.distributing(1), [0; 0]);
}

#[test]
fn a_team_left_in_place_sends_one_more_pdu_on_each_port() {
    let mut pair = distributing_pair(2);
    // The limit of three LACPDUs in a period has room again.
    pair.run(millis(1500));
    let (before, flaps) = (pair.sent.clone(), pair.flaps);
    pair.handle(0, Event::LeftInPlace);
    for port in [0, 1] {
        assert_eq!(pair.sent[&(0, port)], before[&(0, port)] + 1);
    }
    assert_eq!(pair.flaps, flaps);
}

/// update_Selected (6.4.9) of the partner compares the system priority, so the partner selects
/// anew; both ends skip `wait_while_timer`.
#[test]
fn a_new_sys_prio_interrupts_traffic_for_a_few_pdus() {
    let mut pair = distributing_pair(2);
    // The limit of three LACPDUs in a period has room again.
    pair.run(seconds(2));
    let settings = LacpSettings { sys_prio: 7, ..fast() };
    let flaps = pair.flaps;
    pair.handle(0, Event::LacpSettingsChanged { settings });
    assert!(pair.flaps == flaps, "the PDU is in flight");
    pair.run(millis(1));
    pair.step(pair.now + millis(1));
    assert!(pair.distributing(1).len() < 2, "the partner selects anew");
    let took = converge(&mut pair, &[0, 1], seconds(4));
    assert!(took < millis(10), "{took:?}");
    pair.run(seconds(3));
    assert_eq!((pair.distributing(0), pair.carrier), (vec![0, 1], [true, true]));
}

#[test]
fn a_retry_count_lets_the_partner_miss_more_pdus() {
    let patient = LacpSettings { retry_count: 6, ..fast() };
    let mut pair = Pair::new([patient, fast()], 1).with_ports(1);
    converge(&mut pair, &[0], seconds(4));
    pair.run(seconds(2));
    assert_eq!(pair.status((1, 0)).partner_retry_count, 6);
    pair.blocked.insert((1, 0));
    pair.run(seconds(4));
    assert_eq!(pair.distributing(1), [0]);
    pair.run(seconds(3));
    assert_eq!(pair.distributing(1), [0; 0]);
}

#[test]
fn a_port_with_a_short_period_expires_sooner() {
    let quick = || LacpSettings { fast_period: millis(100), ..fast() };
    let mut pair = Pair::new([quick(), quick()], 1).with_ports(2);
    converge(&mut pair, &[0, 1], seconds(4));
    pair.run(seconds(1));
    pair.blocked.insert((0, 1));
    pair.run(millis(310));
    assert_eq!(pair.distributing(0), [0]);
}

#[test]
fn a_working_aggregator_stays_selected_until_a_better_one_works() {
    let mut pair = Pair::new([fast(), fast()], 1);
    // Port 0 leads to the other team, port 1 to a booting switch: a better system, out of sync.
    pair.add((0, 0), prio(255), link(1000));
    pair.add((1, 0), prio(255), link(1000));
    pair.add((0, 1), prio(1), link(1000));
    converge(&mut pair, &[0], seconds(4));
    let (actor, mut switch) = (pair.status((0, 1)).actor, pair.status((0, 0)).partner);
    switch.system_priority = 1;
    switch.system.0[5] = 9;
    for sync in [false, true] {
        switch.state = StateBits(0x07).with(StateBits::SYNCHRONIZATION, sync);
        let frame = lacpdu(switch, actor);
        pair.receive((0, 1), frame);
        pair.run(millis(500));
        assert_eq!(pair.distributing(0), if sync { vec![] } else { vec![0] });
    }
}

#[test]
fn pdus_of_newer_versions_count_as_received_and_malformed_ones_change_nothing() {
    let mut pair = distributing_pair(1);
    let before = pair.status((0, 0));
    let good = lacpdu(before.partner, before.actor);
    let mut newer = good.clone();
    newer[15] = 2;
    newer[72..76].copy_from_slice(&[9, 4, 1, 2]);
    pair.receive((0, 0), newer);
    assert_eq!(pair.status((0, 0)).counters.received, before.counters.received + 1);
    assert_eq!(pair.status((0, 0)).machines, before.machines);
    for length in 14..74 {
        pair.receive((0, 0), good[..length].to_vec());
    }
    let after = pair.status((0, 0));
    // 60 lengths, but an empty payload has no subtype.
    assert_eq!(after.counters.malformed, 59);
    assert_eq!(after.counters.received, before.counters.received + 1);
    assert_eq!((after.partner, after.actor), (before.partner, before.actor));
    let mut unicast = good;
    unicast[..6].copy_from_slice(&[2, 0, 0, 0, 1, 0]);
    pair.receive((0, 0), unicast);
    assert_eq!(pair.status((0, 0)).counters, after.counters);
}

#[test]
fn a_new_core_distributes_at_once_with_the_last_pdus() {
    let pair = distributing_pair(2);
    let last_pdus = [0, 1].map(|port| {
        let partner = pair.status((1, port));
        lacpdu(partner.actor, partner.partner)
    });
    let mut second = Pair::new([fast(), fast()], 1).with_ports(2);
    for (port, frame) in (0..).zip(last_pdus) {
        second.receive((0, port), frame);
    }
    assert_eq!(second.distributing(0), [0, 1]);
    assert!(second.carrier[0]);
}
