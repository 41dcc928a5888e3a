//! activebackup: the active port and its changes.

use std::time::Duration;

use runners::{
    Action, Event, Failback, FailbackPolicy, HwAddrPolicy, Link, PortId, PortSettings,
    RunnerSettings, TeamSettings,
};

use crate::play::*;

fn activebackup() -> Play {
    let mut play = Play::new(TeamSettings {
        hwaddr: Some(hw(DEVICE)),
        ..TeamSettings::new(backed_up(HwAddrPolicy::ByActive))
    });
    play.skip(0, removed(0));
    play
}

fn sticky(prio_: i32) -> PortSettings {
    PortSettings { sticky: true, ..prio(prio_) }
}

/// Checks the active port after each step; 0 stands for none.
#[track_caller]
fn plays(steps: &[(runners::Event, u32)]) {
    let mut play = activebackup();
    for (n, (event, active)) in steps.iter().enumerate() {
        play.skip(0, event.clone());
        let found = play.team.active_port().map_or(0, |port| port.0);
        assert_eq!(found, *active, "step {n}: {event:?}");
        for port in play.team.ports() {
            assert_eq!(port.is_enabled(), port.id() == PortId(*active));
        }
    }
}

#[test]
fn actions_of_a_failover() {
    let runner = backed_up(HwAddrPolicy::SameAll);
    let mut play = Play::new(TeamSettings::new(runner));
    play.at(0, removed(1), &["forward active none:", "carrier false"]);
    play.at(
        0,
        added(1, UP, prio(0)),
        &[
            "eth1: ethtool-link went up.",
            "team hwaddr 01",
            "forward active 1: 1+^",
            "Changed active port to \"eth1\".",
            "carrier true",
            "carrier changed to UP",
        ],
    );
    play.at(
        1,
        added(2, UP, prio(0)),
        &["eth2: ethtool-link went up.", "forward active 1: 1+^ 2-^", "port 2 hwaddr 01"],
    );
    play.at(
        2,
        link_is(1, DOWN),
        &[
            "eth1: ethtool-link went down.",
            "forward active 2: 1-_ 2+^",
            "Changed active port to \"eth2\".",
        ],
    );
    play.at(
        3,
        link_is(2, DOWN),
        &[
            "eth2: ethtool-link went down.",
            "forward active none: 1-_ 2-_",
            "carrier false",
            "carrier changed to DOWN",
        ],
    );
    play.has_no_deadline();
}

#[test]
fn several_events_at_once_cause_one_decision() {
    let mut play = Play::new(TeamSettings::new(backed_up(HwAddrPolicy::SameAll)));
    play.skip(0, added(1, UP, prio(0)));
    play.skip(0, added(2, UP, prio(0)));
    let swapped = [link_is(1, DOWN), link_is(2, DOWN), link_is(2, UP)];
    play.team.handle_all(at(1), swapped);
    let actions = std::iter::from_fn(|| play.team.poll_action());
    let actions: Vec<String> = actions.map(|action| action.to_string()).collect();
    assert_eq!(
        actions,
        [
            "eth1: ethtool-link went down.",
            "eth2: ethtool-link went down.",
            "eth2: ethtool-link went up.",
            "forward active 2: 1-_ 2+^",
            "Changed active port to \"eth2\".",
        ]
    );
}

#[test]
fn ports_rank_by_prio_then_speed_then_duplex() {
    let half = Link { duplex: runners::Duplex::Half, ..UP };
    for (better, worse) in [
        ((link(true, 10), 1), (link(true, 10_000), 0)),
        ((link(true, 10), 0), (link(true, 10_000), -1)),
        ((link(true, 10_000), 0), (UP, 0)),
        ((UP, 0), (half, 0)),
        ((link(true, 10), 0), (link(true, 0), 0)),
    ] {
        // The order of joining does not matter.
        plays(&[(added(1, better.0, prio(better.1)), 1), (added(2, worse.0, prio(worse.1)), 1)]);
        plays(&[(added(1, worse.0, prio(worse.1)), 1), (added(2, better.0, prio(better.1)), 2)]);
    }
}

#[test]
fn the_active_port_stays_active_among_equals() {
    plays(&[
        (added(1, DOWN, prio(0)), 0),
        (added(2, UP, prio(0)), 2),
        (added(3, UP, prio(0)), 2),
        (link_is(1, UP), 2),
        (link_is(2, DOWN), 1),
        (link_is(2, UP), 1),
        (removed(1), 2),
    ]);
}

#[test]
fn a_sticky_port_stays_active_until_it_fails() {
    plays(&[
        (added(1, UP, sticky(0)), 1),
        (added(2, UP, prio(100)), 1),
        (link_is(1, DOWN), 2),
        (link_is(1, UP), 2),
        (settings_are(1, sticky(200)), 1),
        (settings_are(1, sticky(0)), 1),
        (settings_are(1, prio(0)), 2),
    ]);
}

#[test]
fn prio_and_speed_take_effect_at_once() {
    plays(&[
        (added(1, UP, prio(0)), 1),
        (added(2, UP, prio(0)), 1),
        (settings_are(2, prio(1)), 2),
        (settings_are(1, prio(1)), 2),
        (link_is(1, link(true, 10_000)), 1),
    ]);
}

#[test]
fn a_chosen_port_stays_active_until_it_fails() {
    plays(&[
        (added(1, UP, prio(100)), 1),
        (added(2, UP, prio(0)), 1),
        (chosen(2), 2),
        (link_is(1, DOWN), 2),
        (link_is(1, UP), 2),
        (settings_are(1, prio(200)), 2),
        (chosen(1), 1),
        (chosen(2), 2),
        (link_is(2, DOWN), 1),
        (link_is(2, UP), 1),
        (chosen(2), 2),
        (allowed(2, false), 1),
        (allowed(2, true), 1),
    ]);
}

#[test]
fn a_chosen_port_replaces_a_sticky_one() {
    plays(&[(added(1, UP, sticky(0)), 1), (added(2, UP, prio(0)), 1), (chosen(2), 2)]);
}

#[test]
fn an_unusable_port_cannot_be_chosen() {
    plays(&[
        (added(1, UP, prio(0)), 1),
        (added(2, DOWN, prio(0)), 1),
        (chosen(2), 1),
        (link_is(2, UP), 1),
        (allowed(2, false), 1),
        (chosen(2), 1),
    ]);
}

#[test]
fn a_forbidden_port_is_never_active() {
    plays(&[
        (added(1, UP, sticky(0)), 1),
        (allowed(1, false), 0),
        (added(2, UP, prio(-5)), 2),
        (allowed(1, true), 1),
    ]);
}

#[test]
fn a_renamed_port_is_found_by_its_new_name_only() {
    let mut play = activebackup();
    play.skip(0, added(1, UP, prio(0)));
    let port = PortId(1);
    let name = "eth10".to_owned();
    play.at(1, runners::Event::PortRenamed { port, name }, &[]);
    assert_eq!(play.team.active_port(), Some(port));
    assert_eq!(play.team.find_port("eth10"), Some(port));
    assert_eq!(play.team.find_port("eth1"), None);
}

#[test]
fn an_adopted_port_becomes_active_without_delay_or_new_address() {
    let runner = backed_up(HwAddrPolicy::SameAll);
    let mut play = Play::new(TeamSettings::new(runner));
    let delayed = PortSettings { link_watches: vec![ethtool(1000, 0)], ..PortSettings::default() };
    play.at(
        0,
        adopted(1, UP, delayed),
        &[
            "eth1: ethtool-link went up.",
            "forward active 1: 1+^",
            "Changed active port to \"eth1\".",
            "port 1 hwaddr dd",
            "carrier true",
            "carrier changed to UP",
        ],
    );
}

fn failing_back(policy: FailbackPolicy, delay: u64) -> Play {
    let mut play = Play::new(TeamSettings::new(RunnerSettings::ActiveBackup {
        hwaddr_policy: HwAddrPolicy::SameAll,
        failback: Failback { policy, delay: Duration::from_millis(delay), probe: false },
    }));
    play.skip(0, added(1, UP, prio(0)));
    play
}

#[track_caller]
fn becomes(play: &mut Play, millis: u64, event: runners::Event, active: u32) {
    play.skip(millis, event);
    assert_eq!(play.team.active_port(), Some(PortId(active)));
}

#[test]
fn failback_better_needs_a_faster_port() {
    let mut play = failing_back(FailbackPolicy::Better, 0);
    becomes(&mut play, 1, added(2, UP, prio(100)), 1);
    // Faster, but of lower prio.
    becomes(&mut play, 2, added(3, link(true, 40_000), prio(-1)), 1);
    becomes(&mut play, 3, link_is(2, link(true, 10_000)), 2);
    becomes(&mut play, 4, link_is(2, DOWN), 1);
    becomes(&mut play, 5, link_is(1, DOWN), 3);
}

#[test]
fn failback_failure_waits_until_the_active_port_fails() {
    let mut play = failing_back(FailbackPolicy::Failure, 0);
    becomes(&mut play, 1, added(2, link(true, 10_000), prio(100)), 1);
    becomes(&mut play, 2, chosen(2), 2);
    becomes(&mut play, 3, link_is(2, DOWN), 1);
    becomes(&mut play, 4, link_is(2, link(true, 10_000)), 1);
}

#[test]
fn failback_delay_runs_only_while_the_active_port_is_usable() {
    let mut play = failing_back(FailbackPolicy::Always, 500);
    becomes(&mut play, 100, added(2, UP, prio(100)), 1);
    // A flap restarts the delay.
    becomes(&mut play, 300, link_is(2, DOWN), 1);
    play.has_no_deadline();
    becomes(&mut play, 400, link_is(2, UP), 1);
    play.expires_at(900, &["forward active 2: 1-^ 2+^", "Changed active port to \"eth2\"."]);
    play.has_no_deadline();
    becomes(&mut play, 1000, link_is(2, DOWN), 1);
    becomes(&mut play, 1100, link_is(2, UP), 1);
    becomes(&mut play, 1200, link_is(1, DOWN), 2);
    play.has_no_deadline();
    // The choice of the user takes effect at once.
    becomes(&mut play, 1300, link_is(1, UP), 2);
    becomes(&mut play, 1400, chosen(1), 1);
    play.has_no_deadline();
}

/// Two ports, of which port 2 is the better one, with `failback_probe`.
fn probing() -> Play {
    let mut play = Play::new(TeamSettings {
        probe: true,
        ..TeamSettings::new(RunnerSettings::ActiveBackup {
            hwaddr_policy: HwAddrPolicy::SameAll,
            failback: Failback { probe: true, ..Failback::default() },
        })
    });
    becomes(&mut play, 0, added(1, UP, prio(0)), 1);
    // Nothing is known about the network yet.
    becomes(&mut play, 0, added(2, UP, prio(100)), 2);
    play
}

/// Handles `event` at `millis`. Returns the probes sent, each with its port.
fn probes(play: &mut Play, millis: u64, event: Event) -> Vec<(u32, Vec<u8>)> {
    play.team.handle(at(millis), event);
    let actions = std::iter::from_fn(|| play.team.poll_action());
    let sent = actions.filter_map(|action| match action {
        Action::SendFrame { port, frame } => Some((port.0, frame)),
        _ => None,
    });
    sent.collect()
}

fn received(port: u32, frame: &[u8]) -> Event {
    Event::FrameReceived { port: PortId(port), frame: frame.to_vec() }
}

/// Shows by a probe of port 1 at port 2 that both lead into one network.
fn connect(play: &mut Play) {
    let first = probes(play, 1000, Event::DeadlineReached);
    assert_eq!(first.iter().map(|(port, _)| *port).collect::<Vec<_>>(), [1, 2]);
    play.skip(1001, received(2, &first[0].1));
}

#[test]
fn failback_awaits_a_probe_through_a_switch_that_connects_both_ports() {
    let mut play = probing();
    connect(&mut play);
    becomes(&mut play, 2000, link_is(2, DOWN), 1);
    let sent = probes(&mut play, 3000, link_is(2, UP));
    let [(2, probe)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(play.team.active_port(), Some(PortId(1)));
    for round in 1..=5 {
        let again = probes(&mut play, 3000 + 50 * round, Event::DeadlineReached);
        assert_eq!(again, [(2, probe.clone())]);
    }
    // A probe that comes back to its own port proves nothing.
    becomes(&mut play, 3251, received(2, probe), 1);
    becomes(&mut play, 3252, received(1, probe), 2);
    for millis in [13_000, 48_000] {
        assert_eq!(probes(&mut play, millis, Event::DeadlineReached), [], "all is known");
    }
    play.has_no_deadline();
}

#[test]
fn a_wait_for_a_probe_and_its_end_are_reported() {
    let wait = |play: &mut Play, millis| {
        play.skip(millis, link_is(2, DOWN));
        let shown = play.shown(millis + 1000, link_is(2, UP));
        let waits = "\"eth2\" waits for its probe to reach \"eth1\", which stays active: the switch may not \
             forward yet.";
        assert!(shown.iter().any(|action| action == waits), "{shown:?}");
        assert_eq!(play.team.waiting_port(), Some(PortId(2)));
    };
    let ends = |play: &mut Play, millis, event, line: &str| {
        let shown = play.shown(millis, event);
        assert!(shown.iter().any(|action| action == line), "{shown:?}");
        assert_eq!(play.team.waiting_port(), None);
    };
    let mut play = probing();
    connect(&mut play);
    wait(&mut play, 2000);
    let again = probes(&mut play, 3050, Event::DeadlineReached);
    let proof = received(1, &again[0].1);
    ends(&mut play, 3060, proof, "The probe of \"eth2\" came in: the switch forwards.");
    wait(&mut play, 4000);
    let line = "No probe of \"eth2\" came in for 35 s: the failback goes on without one.";
    ends(&mut play, 40_000, Event::DeadlineReached, line);
}

#[test]
fn failback_is_immediate_between_ports_whose_probes_never_met() {
    let mut play = probing();
    assert_eq!(probes(&mut play, 1000, Event::DeadlineReached).len(), 2);
    becomes(&mut play, 2000, link_is(2, DOWN), 1);
    becomes(&mut play, 3000, link_is(2, UP), 2);
}

#[test]
fn failback_happens_without_a_probe_after_35_seconds_and_then_at_once() {
    let mut play = probing();
    connect(&mut play);
    becomes(&mut play, 2000, link_is(2, DOWN), 1);
    becomes(&mut play, 3000, link_is(2, UP), 1);
    becomes(&mut play, 37_999, Event::DeadlineReached, 1);
    becomes(&mut play, 38_000, Event::DeadlineReached, 2);
    becomes(&mut play, 39_000, link_is(2, DOWN), 1);
    becomes(&mut play, 40_000, link_is(2, UP), 2);
}

#[test]
fn a_wait_for_a_probe_ends_with_its_ports_and_by_the_users_choice() {
    let mut play = probing();
    connect(&mut play);
    becomes(&mut play, 2000, link_is(2, DOWN), 1);
    becomes(&mut play, 3000, link_is(2, UP), 1);
    becomes(&mut play, 3010, link_is(1, DOWN), 2);
    becomes(&mut play, 3020, link_is(1, UP), 2);
    becomes(&mut play, 3030, link_is(2, DOWN), 1);
    let sent = probes(&mut play, 3040, link_is(2, UP));
    assert_eq!(sent.len(), 1);
    becomes(&mut play, 3045, chosen(2), 2);
    becomes(&mut play, 3050, chosen(1), 1);
    assert_eq!(probes(&mut play, 3100, Event::DeadlineReached), [], "the choice stays");
}
