//! Gates, damping and drains of ports, with every runner.

use std::time::Duration;

use runners::{
    Action, DampingSettings, Event, Exclusion, HashFields, HostTraffic, HwAddrPolicy, Instant,
    LacpSettings, PortId, PortSettings, RunnerSettings, SplitMix64, TeamSettings,
};

use crate::play::*;

/// The settings of SONiC's worked example.
const DAMPING: DampingSettings = DampingSettings {
    penalty: 1000,
    suppress: 1600,
    reuse: 1200,
    half_life: Duration::from_secs(15),
    max_suppress: Duration::from_secs(30),
};

fn damped(prio_: i32) -> PortSettings {
    PortSettings { damping: Some(DAMPING), ..prio(prio_) }
}

fn drained(n: u32, drained: bool) -> Event {
    Event::PortDrained { port: PortId(n), drained }
}

fn loadbalance() -> RunnerSettings {
    RunnerSettings::LoadBalance { tx_hash: HashFields::ETH, balancing_interval: None }
}

fn slb() -> RunnerSettings {
    RunnerSettings::Slb {
        host: HostTraffic::OnePort,
        balancing_interval: None,
        learning_interval: None,
    }
}

fn every_runner() -> [RunnerSettings; 7] {
    [
        RunnerSettings::Broadcast,
        ROUNDROBIN,
        RunnerSettings::Random { seed: 7 },
        backed_up(HwAddrPolicy::SameAll),
        loadbalance(),
        slb(),
        RunnerSettings::Lacp(LacpSettings::default()),
    ]
}

/// A team of two ports with a link at 1 ms.
fn two_ports(runner: RunnerSettings, settings: PortSettings) -> Play {
    let mut play = Play::new(TeamSettings::new(runner));
    play.skip(0, added(1, UP, settings.clone()));
    play.skip(1, added(2, UP, settings));
    play
}

#[test]
fn a_flapping_port_stays_out_until_its_penalty_has_decayed() {
    let mut play = two_ports(backed_up(HwAddrPolicy::SameAll), damped(0));
    play.at(
        3000,
        link_is(1, DOWN),
        &[
            "eth1: ethtool-link went down.",
            "forward active 2: 1-_ 2+^",
            "Changed active port to \"eth2\".",
        ],
    );
    play.at(7000, link_is(1, UP), &["eth1: ethtool-link went up.", "forward active 2: 1-^ 2+^"]);
    play.at(
        10_000,
        link_is(1, DOWN),
        &[
            "eth1: ethtool-link went down.",
            "forward active 2: 1-_ 2+^",
            "eth1: Carries no traffic: damping suppresses it, because its link was lost too often.",
        ],
    );
    // The log reports the link; for the data path the suppressed port has no link.
    play.at(14_000, link_is(1, UP), &["eth1: ethtool-link went up."]);
    play.at(15_000, chosen(1), &[]);
    let port = play.team.port(PortId(1)).expect("a port");
    assert!(port.watches_up() && !port.is_linked() && !port.is_usable());
    let end = play.team.next_deadline().expect("the end of the suppression").as_nanos();
    assert_eq!(end / 1_000_000_000, 17, "7.8 s after the last lost link");
    let now = Instant::from_nanos(end);
    play.team.handle(now, Event::DeadlineReached);
    let actions: Vec<String> =
        std::iter::from_fn(|| play.team.poll_action()).map(|action| action.to_string()).collect();
    assert_eq!(actions, ["forward active 2: 1-^ 2+^", "eth1: May carry traffic again."]);
    play.has_no_deadline();
}

#[test]
fn damping_counts_each_lost_link_once() {
    let watch = |watches| PortSettings { link_watches: watches, ..damped(0) };
    let penalty = |play: &Play, millis: u64| {
        let port = play.team.port(PortId(1)).expect("a port");
        let now = Instant::ZERO + Duration::from_millis(millis);
        port.damping(now).expect("damping is on").penalty
    };
    // The carrier is lost, and the watch goes down after its delay.
    let mut play = two_ports(ROUNDROBIN, watch(vec![ethtool(0, 500)]));
    play.skip(1000, link_is(1, DOWN));
    play.skip(1500, Event::DeadlineReached);
    assert!((900..=1000).contains(&penalty(&play, 1500)));
    // A carrier that does not stay for `delay_up` is lost as well.
    let mut play = two_ports(ROUNDROBIN, watch(vec![ethtool(500, 0)]));
    play.skip(1000, link_is(1, DOWN));
    play.skip(1100, link_is(1, UP));
    play.skip(1200, link_is(1, DOWN));
    assert!((1900..=2000).contains(&penalty(&play, 1200)));
    // The carrier stays, and the neighbour is silent.
    let tipc = runners::LinkWatchSettings::Tipc { bearer: "eth1".to_owned() };
    let mut play = two_ports(ROUNDROBIN, watch(vec![tipc]));
    let linked = |up: bool| up.then(|| "eth1".to_owned()).into_iter().collect();
    for (second, up) in [(1, true), (2, false), (3, true)] {
        play.skip(1000 * second, Event::TipcBearersChanged { linked: Some(linked(up)) });
    }
    assert!((900..=1000).contains(&penalty(&play, 3000)));
}

#[test]
fn many_flaps_cause_few_actions_and_one_deadline_with_every_runner() {
    for runner in every_runner() {
        let mut play = two_ports(runner.clone(), damped(0));
        let mut random = SplitMix64::new(3);
        let (mut now, mut last) = (Instant::ZERO + Duration::from_secs(5), Instant::ZERO);
        let (mut actions, mut up) = (0, true);
        for _ in 0..4000 {
            now = now + Duration::from_millis(1 + random.below(20) as u64);
            up = !up;
            last = if up { last } else { now };
            let link = if up { UP } else { DOWN };
            play.team.handle(now, link_is(1, link));
            while let Some(action) = play.team.poll_action() {
                let counts = match &action {
                    // The flaps themselves are told, and LACPDUs and probes have limits of their own.
                    Action::Report(_) | Action::SendFrame { .. } | Action::RememberPdu { .. } => {
                        false
                    }
                    Action::ReadStations | Action::Listen(_) => false,
                    _ => true,
                };
                actions += usize::from(counts);
            }
            let port = play.team.port(PortId(1)).expect("a port");
            assert!(!port.is_enabled() || now.as_nanos() < 5_200_000_000, "{runner:?}");
        }
        assert!(actions <= 12, "{runner:?}: {actions} actions");
        // After the last flap the port is out for max_suppress at most.
        let end = last + DAMPING.max_suppress;
        while let Some(due) = play.team.next_deadline().filter(|due| *due <= end) {
            play.team.handle(due, Event::DeadlineReached);
        }
        let port = play.team.port(PortId(1)).expect("a port");
        assert_eq!(port.exclusion(), None, "{runner:?}");
    }
}

#[test]
fn a_closed_gate_keeps_a_port_out_with_every_runner_and_leaves_its_link() {
    for runner in every_runner() {
        let mut play = two_ports(runner.clone(), prio(0));
        play.skip(2, settings_are(1, PortSettings { gate: false, ..prio(0) }));
        let port = play.team.port(PortId(1)).expect("a port");
        assert_eq!(port.exclusion(), Some(Exclusion::GateClosed));
        assert!(port.link().up && port.watches_up() && !port.is_enabled(), "{runner:?}");
        play.skip(3, settings_are(1, prio(0)));
        let port = play.team.port(PortId(1)).expect("a port");
        assert_eq!(port.exclusion(), None);
    }
    let mut play = two_ports(backed_up(HwAddrPolicy::SameAll), prio(0));
    play.at(
        2,
        settings_are(1, PortSettings { gate: false, ..prio(0) }),
        &[
            "forward active 2: 1-^ 2+^",
            "Changed active port to \"eth2\".",
            "eth1: Carries no traffic: its gate is closed.",
        ],
    );
}

#[test]
fn a_drained_port_sends_nothing_and_receives_as_long_as_the_partner_sends() {
    for (runner, at_once, later) in [
        // The partner of a static aggregate does not learn of the drain.
        (RunnerSettings::Broadcast, "broadcast: 1<^ 2+^", None),
        (ROUNDROBIN, "roundrobin: 1<^ 2+^", None),
        (RunnerSettings::Random { seed: 7 }, "random 7: 1<^ 2+^", None),
        (loadbalance(), "shares 0/256: 1<^ 2+^", None),
        // An announcement moves the address on the switch.
        (backed_up(HwAddrPolicy::SameAll), "active 2: 1-^ 2+^", None),
        (
            slb(),
            "stations 0/256, broadcast 2: 1<^ 2+^",
            Some("stations 0/256, broadcast 2: 1-^ 2+^"),
        ),
    ] {
        let mut play = two_ports(runner.clone(), prio(0));
        play.skip(2, Event::Stations { stations: Vec::new(), peers: Vec::new() });
        let forwardings = |play: &mut Play, until: u64, event: Event| {
            let until = Instant::ZERO + Duration::from_millis(until);
            while let Some(due) = play.team.next_deadline().filter(|due| *due < until) {
                play.team.handle(due, Event::DeadlineReached);
            }
            play.team.handle(until, event);
            let actions = std::iter::from_fn(|| play.team.poll_action());
            let shown = actions.filter(|action| matches!(action, Action::ApplyForwarding(_)));
            shown.map(|action| action.to_string()).last()
        };
        forwardings(&mut play, 9999, Event::DeadlineReached);
        let forward = |text: &str| Some(format!("forward {text}"));
        let found = forwardings(&mut play, 10_000, drained(1, true));
        assert_eq!(found, forward(at_once), "{runner:?}");
        let is_drained = |play: &Play| play.team.port(PortId(1)).expect("a port").is_drained();
        assert_eq!(is_drained(&play), later.is_none(), "{runner:?}");
        let found = forwardings(&mut play, 15_001, Event::DeadlineReached);
        assert_eq!(found, later.and_then(forward), "{runner:?}");
        assert!(is_drained(&play), "{runner:?}");
        forwardings(&mut play, 15_002, drained(1, false));
        let port = play.team.port(PortId(1)).expect("a port");
        assert!(!port.is_drained() && port.exclusion().is_none(), "{runner:?}");
    }
}

#[test]
fn a_team_keeps_its_carrier_without_a_port_if_enough_others_can_carry() {
    for runner in every_runner() {
        if matches!(runner, RunnerSettings::Lacp(_)) {
            continue;
        }
        let mut play = two_ports(runner.clone(), prio(0));
        let keeps = |play: &Play, port| play.team.keeps_carrier_without(PortId(port));
        assert!(keeps(&play, 1) && keeps(&play, 2), "{runner:?}");
        play.skip(2, Event::MinPortsChanged { min_ports: 2 });
        assert!(!keeps(&play, 1) && !keeps(&play, 2), "{runner:?}");
        play.skip(3, Event::MinPortsChanged { min_ports: 1 });
        play.skip(4, link_is(2, DOWN));
        assert!(!keeps(&play, 1), "{runner:?}");
        assert!(keeps(&play, 2), "{runner:?}: a port without a link carries nothing");
        play.skip(5, link_is(2, UP));
        play.skip(6, drained(2, true));
        assert!(!keeps(&play, 1), "{runner:?}: the other port is drained");
    }
}

/// A recording that begins later has the state of damping, the gates and the drain.
#[test]
fn a_penalty_can_be_restored() {
    let mut play = two_ports(ROUNDROBIN, damped(0));
    let until = Instant::ZERO + Duration::from_secs(9);
    let penalty =
        Event::PortPenalty { port: PortId(1), penalty: 1500, suppressed_until: Some(until) };
    play.skip(2, penalty);
    let port = play.team.port(PortId(1)).expect("a port");
    assert_eq!(port.exclusion(), Some(Exclusion::Damped));
    assert_eq!(play.team.next_deadline().map(|due| due.min(until)), play.team.next_deadline());
    play.skip(9000, Event::DeadlineReached);
    let port = play.team.port(PortId(1)).expect("a port");
    assert_eq!(port.exclusion(), None);
}
