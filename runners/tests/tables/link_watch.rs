//! Link watches: delays, several watches on one port, both policies.

use runners::{
    Event, HwAddrPolicy, LinkWatchPolicy, LinkWatchSettings, PortId, PortSettings, RunnerSettings,
    TeamSettings, WatchProblem,
};

use crate::play::*;

fn watched(policy: LinkWatchPolicy, watches: &[(u64, u64)]) -> Play {
    let mut play = Play::new(TeamSettings {
        link_watch_policy: policy,
        ..TeamSettings::new(RunnerSettings::Broadcast)
    });
    let settings = PortSettings {
        link_watches: watches.iter().map(|(up, down)| ethtool(*up, *down)).collect(),
        ..PortSettings::default()
    };
    play.skip(0, added(1, DOWN, settings));
    play
}

fn watches_up(play: &Play) -> bool {
    play.team.port(PortId(1)).is_some_and(|port| port.watches_up())
}

const CARRIER_ON: [&str; 3] = ["forward broadcast: 1+^", "carrier true", "carrier changed to UP"];
const CARRIER_OFF: [&str; 3] =
    ["forward broadcast: 1+_", "carrier false", "carrier changed to DOWN"];

#[test]
fn a_delay_keeps_the_state_of_the_watch() {
    let mut play = watched(LinkWatchPolicy::Any, &[(100, 50)]);
    play.at(1000, link_is(1, UP), &CARRIER_ON);
    assert!(!watches_up(&play));
    play.expires_at(1100, &["eth1: ethtool-link went up."]);
    assert!(watches_up(&play));
    play.at(2000, link_is(1, DOWN), &CARRIER_OFF);
    play.expires_at(2050, &["eth1: ethtool-link went down."]);
    play.has_no_deadline();
}

#[test]
fn a_returned_carrier_ends_the_delay() {
    let mut play = watched(LinkWatchPolicy::Any, &[(0, 50)]);
    play.skip(0, link_is(1, UP));
    play.at(100, link_is(1, DOWN), &CARRIER_OFF);
    play.at(149, link_is(1, UP), &CARRIER_ON);
    play.has_no_deadline();
    play.at(160, link_is(1, DOWN), &CARRIER_OFF);
    play.expires_at(210, &["eth1: ethtool-link went down."]);
}

#[test]
fn another_speed_does_not_restart_the_delay() {
    let mut play = watched(LinkWatchPolicy::Any, &[(100, 0)]);
    play.at(0, link_is(1, link(true, 0)), &CARRIER_ON);
    play.at(60, link_is(1, link(true, 1000)), &[]);
    play.at(80, link_is(1, link(true, 1000)), &[]);
    play.expires_at(100, &["eth1: ethtool-link went up."]);
}

#[test]
fn overdue_deadlines_are_handled_before_the_event() {
    let mut play = watched(LinkWatchPolicy::Any, &[(100, 0)]);
    play.skip(0, link_is(1, UP));
    play.at(
        150,
        link_is(1, DOWN),
        &[
            "eth1: ethtool-link went up.",
            "eth1: ethtool-link went down.",
            "forward broadcast: 1+_",
            "carrier false",
            "carrier changed to DOWN",
        ],
    );
    play.has_no_deadline();
}

#[test]
fn any_and_all_combine_several_watches() {
    for (policy, first, both, one_left, none) in [
        (LinkWatchPolicy::Any, true, true, true, false),
        (LinkWatchPolicy::All, false, true, false, false),
    ] {
        let mut play = watched(policy, &[(0, 10), (20, 30)]);
        assert!(!watches_up(&play));
        play.skip(0, link_is(1, UP));
        assert_eq!(watches_up(&play), first);
        play.expires_at(20, &["eth1: ethtool-link went up."]);
        assert_eq!(watches_up(&play), both);
        play.skip(100, link_is(1, DOWN));
        play.expires_at(110, &["eth1: ethtool-link went down."]);
        assert_eq!(watches_up(&play), one_left);
        play.expires_at(130, &["eth1: ethtool-link went down."]);
        assert_eq!(watches_up(&play), none);
    }
}

#[test]
fn a_port_without_a_watch_is_up() {
    for policy in [LinkWatchPolicy::Any, LinkWatchPolicy::All] {
        assert!(watches_up(&watched(policy, &[])));
    }
}

#[test]
fn down_count_counts_changes_from_up_to_down() {
    let mut play = watched(LinkWatchPolicy::Any, &[(0, 0)]);
    let count = |play: &Play| play.team.port(PortId(1)).map(|port| port.watches()[0].down_count());
    assert_eq!(count(&play), Some(0), "a new watch is down without a failure");
    for n in 1..4 {
        play.skip(0, link_is(1, UP));
        play.skip(0, link_is(1, DOWN));
        play.skip(0, link_is(1, DOWN));
        assert_eq!(count(&play), Some(n));
    }
}

#[test]
fn events_for_unknown_ports_are_ignored() {
    let mut play = watched(LinkWatchPolicy::Any, &[(0, 0)]);
    for event in [
        removed(9),
        link_is(9, UP),
        allowed(9, true),
        chosen(9),
        settings_are(9, prio(1)),
        port_hwaddr(9, 9),
        added(1, UP, prio(0)),
    ] {
        play.at(1, event, &[]);
    }
}

#[test]
fn tipc_follows_the_links_of_its_bearer() {
    let mut play = Play::new(TeamSettings::new(backed_up(HwAddrPolicy::SameAll)));
    for number in [1, 2] {
        let watch = LinkWatchSettings::Tipc { bearer: format!("eth{number}") };
        let settings = PortSettings { link_watches: vec![watch], ..PortSettings::default() };
        play.skip(0, added(number, UP, settings));
    }
    let linked = |bearers: &[&str]| Event::TipcBearersChanged {
        linked: Some(bearers.iter().map(|&bearer| bearer.to_owned()).collect()),
    };
    let states = |play: &Play| -> Vec<bool> { play.team.ports().map(|p| p.watches_up()).collect() };
    assert_eq!(states(&play), [false, false], "the carrier does not count");
    play.skip(10, linked(&["eth2", "eth10"]));
    assert_eq!(states(&play), [false, true]);
    assert_eq!(play.team.active_port(), Some(PortId(2)));
    play.at(20, linked(&["eth2"]), &[]);
    play.skip(30, linked(&["eth1"]));
    assert_eq!(play.team.active_port(), Some(PortId(1)));
    play.skip(40, link_is(1, DOWN));
    assert_eq!(states(&play), [true, false], "TIPC detects the loss itself");
    play.skip(50, Event::TipcBearersChanged { linked: None });
    assert_eq!(states(&play), [false, false]);
    let problem = |play: &Play| {
        let port = play.team.ports().next().expect("a port");
        port.watches()[0].problem().map(|o| o.to_string())
    };
    let none = WatchProblem::NoTipc.to_string();
    assert_eq!(problem(&play), Some(none));
    play.skip(60, linked(&[]));
    assert_eq!(problem(&play), None);
    play.has_no_deadline();
}
