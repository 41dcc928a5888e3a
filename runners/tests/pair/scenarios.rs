//! Single stories, told step by step.

use std::time::Duration;

use runners::wire::lacpdu::{Lacpdu, StateBits};
use runners::{
    AggSelectPolicy, Duplex, Event, FallbackMethod, LacpPortSettings, LacpSettings, Link, PortId,
};

use crate::invariants;
use crate::network::{Pair, fast, millis, seconds, up};

fn key(key: u16) -> LacpPortSettings {
    LacpPortSettings {
        key,
        ..LacpPortSettings::default()
    }
}

fn prio(prio: u16) -> LacpPortSettings {
    LacpPortSettings {
        prio,
        ..LacpPortSettings::default()
    }
}

/// Time until both ends distribute on all of these ports.
fn converges(pair: &mut Pair, ports: &[u32], within: Duration) -> Duration {
    let start = pair.now;
    let end = start + within;
    while pair.distributing(0) != ports || pair.distributing(1) != ports {
        assert!(
            pair.step(end),
            "{:?} {:?}",
            pair.distributing(0),
            pair.distributing(1)
        );
        invariants::hold(pair);
    }
    pair.now.saturating_since(start)
}

#[test]
fn two_links_carry_after_wait_while() {
    for settings in [
        [fast(), fast()],
        [LacpSettings::default(), LacpSettings::default()],
    ] {
        let mut pair = Pair::new(settings, 1).with_ports(2);
        let took = converges(&mut pair, &[0, 1], seconds(4));
        assert!(took >= seconds(2) && took < millis(2100), "{took:?}");
        assert_eq!(pair.carrier, [true, true]);
    }
}

#[test]
fn a_partner_that_has_attached_already_is_not_made_to_wait() {
    let mut pair = Pair::new([fast(), fast()], 1).with_ports(2);
    converges(&mut pair, &[0, 1], seconds(4));
    // The limit of three PDUs has room again.
    pair.run(seconds(2));
    // One end alone forgets everything; the other still has the link attached.
    pair.link((0, 1), false);
    pair.link((0, 1), true);
    let took = converges(&mut pair, &[0, 1], seconds(4));
    assert!(took < millis(100), "{took:?}");
}

#[test]
fn silence_is_expired_then_defaulted_and_the_first_pdu_ends_it() {
    let mut pair = Pair::new([fast(), fast()], 1).with_ports(2);
    converges(&mut pair, &[0, 1], seconds(4));
    pair.run(millis(500));
    pair.deaf.insert((0, 1));
    pair.run(millis(1900));
    assert_eq!(pair.distributing(0), [0, 1]);
    pair.run(millis(1200));
    assert_eq!(
        (pair.distributing(0), pair.word((0, 1))),
        (vec![0], "expired")
    );
    assert_eq!(pair.distributing(1), [0], "told by the PDU without sync");
    let told = pair.teams[1].lacp_status(pair.now).unwrap().ports[1].partner;
    assert!(
        !told.state.has(StateBits::SYNCHRONIZATION),
        "a coupled partner heeds nothing else"
    );
    pair.run(seconds(3));
    assert_eq!(pair.word((0, 1)), "defaulted");
    assert!(
        pair.why((0, 1)).starts_with("no LACPDU heard for 6 s"),
        "{}",
        pair.why((0, 1))
    );
    assert!(
        pair.why((1, 1)).starts_with("the partner does not hear"),
        "{}",
        pair.why((1, 1))
    );
    pair.deaf.clear();
    let took = converges(&mut pair, &[0, 1], seconds(5));
    assert!(took < millis(3200), "{took:?}");
}

#[test]
fn a_partner_that_no_longer_collects_is_left_at_once() {
    let mut pair = Pair::new([fast(), fast()], 1).with_ports(2);
    converges(&mut pair, &[0, 1], seconds(4));
    pair.run(seconds(2));
    let port = PortId(1);
    pair.tell(
        1,
        Event::PortAllowed {
            port,
            allowed: false,
        },
    );
    pair.run(millis(10));
    assert_eq!(pair.distributing(0), [0]);
    assert_eq!(pair.carrier, [true, true]);
    // Still in sync, but deaf: a PDU by hand.
    let mut actor = pair.teams[1].lacp_status(pair.now).unwrap().ports[0].actor;
    let partner = pair.teams[0].lacp_status(pair.now).unwrap().ports[0].actor;
    actor.state = actor.state.with(StateBits::COLLECTING, false);
    let frame = Lacpdu::new(actor, partner, None).frame(Default::default());
    pair.tell(
        0,
        Event::FrameReceived {
            port: PortId(0),
            frame,
        },
    );
    assert_eq!(pair.distributing(0), [0; 0]);
    assert!(pair.port((0, 0)).unwrap().collecting);
    assert!(pair.why((0, 0)).starts_with("the partner does not collect"));
}

#[test]
fn passive_ends_are_silent_to_one_another_and_answer_an_active_one() {
    let passive = || LacpSettings {
        active: false,
        ..fast()
    };
    let mut pair = Pair::new([passive(), passive()], 1).with_ports(1);
    pair.run(seconds(200));
    assert!(pair.sent.is_empty());
    assert!(pair.why((0, 0)).contains("\"active\" is false"));
    let mut pair = Pair::new([fast(), passive()], 1).with_ports(2);
    converges(&mut pair, &[0, 1], seconds(4));
}

#[test]
fn no_more_than_three_pdus_in_a_second() {
    let mut pair = Pair::new([fast(), fast()], 1).with_ports(1);
    pair.run(seconds(5));
    let before = pair.sent[&(0, 0)];
    let actor = pair.teams[1].lacp_status(pair.now).unwrap().ports[0].actor;
    for n in 0..100 {
        // A view of us that is never right asks for an answer each time.
        let mut wrong = actor;
        wrong.key = n;
        let frame = Lacpdu::new(actor, wrong, None).frame(Default::default());
        pair.tell(
            0,
            Event::FrameReceived {
                port: PortId(0),
                frame,
            },
        );
        pair.run(millis(10));
    }
    assert!(
        pair.sent[&(0, 0)] - before <= 4,
        "{}",
        pair.sent[&(0, 0)] - before
    );
}

#[test]
fn keys_part_ports_and_the_cause_is_named() {
    let mut pair = Pair::new([fast(), fast()], 1);
    pair.add((0, 0), key(0), up(1000));
    pair.add((1, 0), key(0), up(1000));
    pair.add((0, 1), key(0), up(1000));
    pair.add((1, 1), key(7), up(1000));
    pair.run(seconds(6));
    assert_eq!(pair.distributing(0), [0]);
    assert_eq!(pair.distributing(1), [0]);
    assert!(
        pair.why((0, 1)).contains("gives it key 7, and p0 key 0"),
        "{}",
        pair.why((0, 1))
    );
    assert!(
        pair.why((1, 1)).contains("its key is 7, that of p0 is 0"),
        "{}",
        pair.why((1, 1))
    );
}

#[test]
fn a_cable_to_the_same_host_is_a_loop() {
    let mut pair = Pair::new([fast(), fast()], 1).with_ports(2);
    converges(&mut pair, &[0, 1], seconds(4));
    let own = pair.teams[0].lacp_status(pair.now).unwrap().ports[0].actor;
    let frame = Lacpdu::new(own, own, None).frame(Default::default());
    pair.tell(
        0,
        Event::FrameReceived {
            port: PortId(1),
            frame,
        },
    );
    assert_eq!(pair.distributing(0), [0]);
    assert!(
        pair.why((0, 1))
            .contains("LACPDUs come back, from port number 1")
    );
}

#[test]
fn half_duplex_takes_no_part() {
    let mut pair = Pair::new([fast(), fast()], 1).with_ports(2);
    converges(&mut pair, &[0, 1], seconds(4));
    let half = Link {
        up: true,
        speed: 100,
        duplex: Duplex::Half,
    };
    pair.tell(
        0,
        Event::LinkChanged {
            port: PortId(1),
            link: half,
        },
    );
    assert_eq!(pair.distributing(0), [0]);
    assert_eq!(pair.word((0, 1)), "disabled");
    assert!(pair.why((0, 1)).contains("100 Mbit/s half duplex"));
    // Neither speed nor duplex known: many virtual interfaces.
    let unknown = Link {
        up: true,
        speed: 0,
        duplex: Duplex::Half,
    };
    pair.tell(
        0,
        Event::LinkChanged {
            port: PortId(1),
            link: unknown,
        },
    );
    converges(&mut pair, &[0, 1], seconds(4));
}

#[test]
fn the_last_pdu_of_a_port_that_leaves_ends_it_at_the_partner_at_once() {
    let mut pair = Pair::new([fast(), fast()], 1).with_ports(2);
    converges(&mut pair, &[0, 1], seconds(4));
    pair.tell(0, Event::PortRemoved { port: PortId(1) });
    pair.run(millis(10));
    assert_eq!(pair.distributing(1), [0]);
    pair.tell(0, Event::TeamAdminChanged { up: false });
    pair.run(millis(10));
    assert_eq!(pair.distributing(1), [0; 0]);
    assert_eq!(pair.carrier, [false, false]);
    let sent = pair.sent[&(0, 0)];
    pair.run(seconds(10));
    assert_eq!(pair.sent[&(0, 0)], sent, "a team that is down is silent");
    assert!(pair.why((0, 0)).starts_with("the team device is down"));
}

#[test]
fn fallback_carries_on_one_port_or_all_until_the_first_pdu() {
    for (method, ports) in [
        (FallbackMethod::Single, vec![1]),
        (FallbackMethod::All, vec![0, 1]),
    ] {
        let falls_back = LacpSettings {
            fallback: true,
            fallback_method: method,
            fallback_delay: millis(500),
            ..fast()
        };
        let mut pair = Pair::new([falls_back, fast()], 1);
        pair.add((0, 0), prio(200), up(1000));
        pair.add((0, 1), prio(100), up(1000));
        pair.run(millis(3400));
        assert_eq!(pair.distributing(0), [0; 0]);
        pair.run(millis(200));
        assert_eq!(pair.distributing(0), ports, "{method:?}");
        assert!(pair.carrier[0]);
        assert_eq!(pair.word((0, 1)), "fallback");
        pair.add((1, 0), prio(255), up(1000));
        pair.run(millis(1));
        assert_eq!(pair.distributing(0), ports, "until its PDU is here");
        pair.run(millis(10));
        assert_eq!(pair.distributing(0), [0; 0]);
        pair.add((1, 1), prio(255), up(1000));
        converges(&mut pair, &[0, 1], seconds(4));
    }
}

#[test]
fn settings_change_without_a_flap() {
    let mut pair = Pair::new([fast(), fast()], 1).with_ports(2);
    converges(&mut pair, &[0, 1], seconds(4));
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
        pair.tell(0, Event::LacpSettingsChanged { settings });
        pair.run(seconds(2));
    }
    pair.tell(0, Event::MinPortsChanged { min_ports: 2 });
    pair.run(seconds(2));
    assert_eq!(pair.flaps, flaps);
    assert_eq!(pair.carrier, [true, true]);
    pair.tell(0, Event::MinPortsChanged { min_ports: 3 });
    assert_eq!(pair.carrier, [false, true]);
}

#[test]
fn who_is_left_in_place_tells_the_partner_once_more() {
    let mut pair = Pair::new([fast(), fast()], 1).with_ports(2);
    converges(&mut pair, &[0, 1], seconds(4));
    // The limit of three PDUs has room again.
    pair.run(millis(1500));
    let (before, flaps) = (pair.sent.clone(), pair.flaps);
    pair.tell(0, Event::LeftInPlace);
    for port in [0, 1] {
        assert_eq!(pair.sent[&(0, port)], before[&(0, port)] + 1);
    }
    assert_eq!(pair.flaps, flaps);
}

/// The partner has to select anew (6.4.9, update_Selected: the system priority is part of who we
/// are), but nobody waits for `wait_while`.
#[test]
fn another_sys_prio_takes_as_long_as_a_few_pdus() {
    let mut pair = Pair::new([fast(), fast()], 1).with_ports(2);
    converges(&mut pair, &[0, 1], seconds(4));
    // The limit of three PDUs has room again.
    pair.run(seconds(2));
    let settings = LacpSettings {
        sys_prio: 7,
        ..fast()
    };
    let flaps = pair.flaps;
    pair.tell(0, Event::LacpSettingsChanged { settings });
    assert!(pair.flaps == flaps, "nothing until the partner knows");
    pair.run(millis(1));
    pair.step(pair.now + millis(1));
    assert!(pair.distributing(1).len() < 2, "the partner leaves");
    let took = converges(&mut pair, &[0, 1], seconds(4));
    assert!(took < millis(10), "{took:?}");
    pair.run(seconds(3));
    assert_eq!(
        (pair.distributing(0), pair.carrier),
        (vec![0, 1], [true, true])
    );
}

#[test]
fn a_retry_count_lets_more_pdus_be_missed() {
    let patient = LacpSettings {
        retry_count: 6,
        ..fast()
    };
    let mut pair = Pair::new([patient, fast()], 1).with_ports(1);
    converges(&mut pair, &[0], seconds(4));
    pair.run(seconds(2));
    let heard = pair.teams[1].lacp_status(pair.now).unwrap();
    assert_eq!(heard.ports[0].partner_retry_count, 6);
    pair.deaf.insert((1, 0));
    pair.run(seconds(4));
    assert_eq!(pair.distributing(1), [0]);
    pair.run(seconds(3));
    assert_eq!(pair.distributing(1), [0; 0]);
}

#[test]
fn a_short_period_finds_silence_sooner() {
    let quick = || LacpSettings {
        fast_period: millis(100),
        ..fast()
    };
    let mut pair = Pair::new([quick(), quick()], 1).with_ports(2);
    converges(&mut pair, &[0, 1], seconds(4));
    pair.run(seconds(1));
    pair.deaf.insert((0, 1));
    pair.run(millis(310));
    assert_eq!(pair.distributing(0), [0]);
}

#[test]
fn an_aggregator_that_carries_is_not_left_for_one_that_does_not() {
    let mut pair = Pair::new([fast(), fast()], 1);
    // Ports 0 go to the other team, port 1 to a switch that is booting: it speaks, and it has
    // the better system, but it is not in sync.
    pair.add((0, 0), prio(255), up(1000));
    pair.add((1, 0), prio(255), up(1000));
    pair.add((0, 1), prio(1), up(1000));
    converges(&mut pair, &[0], seconds(4));
    let status = pair.teams[0].lacp_status(pair.now).unwrap();
    let (us, mut switch) = (status.ports[1].actor, status.ports[0].partner);
    switch.system_priority = 1;
    switch.system.0[5] = 9;
    for sync in [false, true] {
        switch.state = StateBits(0x07).with(StateBits::SYNCHRONIZATION, sync);
        let frame = Lacpdu::new(switch, us, None).frame(Default::default());
        pair.tell(
            0,
            Event::FrameReceived {
                port: PortId(1),
                frame,
            },
        );
        pair.run(millis(500));
        assert_eq!(pair.distributing(0), if sync { vec![] } else { vec![0] });
    }
}

#[test]
fn newer_versions_are_read_and_malformed_pdus_change_nothing() {
    let mut pair = Pair::new([fast(), fast()], 1).with_ports(1);
    converges(&mut pair, &[0], seconds(4));
    let status = |pair: &Pair| pair.teams[0].lacp_status(pair.now).unwrap().ports[0].clone();
    let before = status(&pair);
    let good = Lacpdu::new(before.partner, before.actor, None).frame(Default::default());
    let mut newer = good.clone();
    newer[15] = 2;
    newer[72..76].copy_from_slice(&[9, 4, 1, 2]);
    let port = PortId(0);
    pair.tell(0, Event::FrameReceived { port, frame: newer });
    assert_eq!(
        status(&pair).counters.received,
        before.counters.received + 1
    );
    assert_eq!(status(&pair).machines, before.machines);
    for length in 14..74 {
        let frame = good[..length].to_vec();
        pair.tell(0, Event::FrameReceived { port, frame });
    }
    let after = status(&pair);
    // An empty payload has not even a subtype.
    assert_eq!(after.counters.malformed, 59);
    assert_eq!(after.counters.received, before.counters.received + 1);
    assert_eq!((after.partner, after.actor), (before.partner, before.actor));
    let mut unicast = good;
    unicast[..6].copy_from_slice(&[2, 0, 0, 0, 1, 0]);
    pair.tell(
        0,
        Event::FrameReceived {
            port,
            frame: unicast,
        },
    );
    assert_eq!(status(&pair).counters, after.counters);
}

#[test]
fn a_core_that_takes_over_goes_on_from_the_last_pdu() {
    let mut pair = Pair::new([fast(), fast()], 1).with_ports(2);
    converges(&mut pair, &[0, 1], seconds(4));
    pair.run(seconds(1));
    // The partner's last words, as the first core kept them.
    let words: Vec<Vec<u8>> = (0..2)
        .map(|port| {
            let status = pair.teams[1].lacp_status(pair.now).unwrap().ports[port].clone();
            Lacpdu::new(status.actor, status.partner, None).frame(Default::default())
        })
        .collect();
    let mut second = Pair::new([fast(), fast()], 1).with_ports(2);
    for (port, frame) in (0..).map(PortId).zip(words) {
        second.tell(0, Event::FrameReceived { port, frame });
    }
    assert_eq!(second.distributing(0), [0, 1], "at once");
    assert!(second.carrier[0]);
}
