//! Hardware addresses of the team device and its ports.

use runners::{HwAddrPolicy, PortId, TeamSettings};

use crate::play::*;

fn team(hwaddr_policy: HwAddrPolicy) -> Play {
    Play::new(TeamSettings::new(backed_up(hwaddr_policy)))
}

/// Handles `event` and checks the actions about hardware addresses.
#[track_caller]
fn addresses(play: &mut Play, event: runners::Event, expected: &[&str]) {
    let actions = play.shown(0, event.clone());
    let found: Vec<&String> = actions.iter().filter(|line| line.contains("hwaddr")).collect();
    assert_eq!(found, expected, "{event:?}");
}

#[test]
fn the_only_port_gives_the_team_its_address() {
    let mut play = team(HwAddrPolicy::SameAll);
    addresses(&mut play, added(1, DOWN, prio(0)), &["team hwaddr 01"]);
    addresses(&mut play, team_hwaddr(1), &[]);
    addresses(&mut play, added(2, DOWN, prio(0)), &["port 2 hwaddr 01"]);
    addresses(&mut play, port_hwaddr(2, 1), &[]);
    addresses(&mut play, removed(1), &[]);
    addresses(&mut play, added(3, DOWN, prio(0)), &["port 3 hwaddr 01"]);
    addresses(&mut play, removed(2), &[]);
    addresses(&mut play, removed(3), &[]);
    addresses(&mut play, added(4, DOWN, prio(0)), &["team hwaddr 04"]);
}

#[test]
fn a_configured_address_stays() {
    let mut play =
        Play::new(TeamSettings { hwaddr: Some(hw(0xee)), ..TeamSettings::new(ROUNDROBIN) });
    let expected = ["team hwaddr ee", "port 1 hwaddr ee"];
    addresses(&mut play, added(1, UP, prio(0)), &expected);
}

#[test]
fn an_address_that_another_program_sets_before_the_first_port_stays() {
    let mut play = team(HwAddrPolicy::SameAll);
    addresses(&mut play, team_hwaddr(0x66), &[]);
    addresses(&mut play, added(1, DOWN, prio(0)), &["port 1 hwaddr 66"]);
    addresses(&mut play, port_hwaddr(1, 0x66), &[]);
    addresses(&mut play, removed(1), &[]);
    addresses(&mut play, added(2, DOWN, prio(0)), &["port 2 hwaddr 66"]);
}

#[test]
fn the_active_port_gives_its_address_whatever_another_program_has_set() {
    let mut play = team(HwAddrPolicy::ByActive);
    addresses(&mut play, team_hwaddr(0x66), &[]);
    addresses(&mut play, added(1, UP, prio(0)), &["team hwaddr 01"]);
}

#[test]
fn same_all_restores_port_addresses_and_follows_the_team() {
    let mut play = team(HwAddrPolicy::SameAll);
    addresses(&mut play, added(1, UP, prio(0)), &["team hwaddr 01"]);
    addresses(&mut play, added(2, UP, prio(0)), &["port 2 hwaddr 01"]);
    addresses(&mut play, port_hwaddr(2, 1), &[]);
    addresses(&mut play, port_hwaddr(1, 0x77), &["port 1 hwaddr 01"]);
    addresses(&mut play, port_hwaddr(1, 1), &[]);
    let both = ["port 1 hwaddr 66", "port 2 hwaddr 66"];
    addresses(&mut play, team_hwaddr(0x66), &both);
}

#[test]
fn an_address_read_before_the_request_took_effect_changes_nothing() {
    let mut play = team(HwAddrPolicy::SameAll);
    addresses(&mut play, added(1, UP, prio(0)), &["team hwaddr 01"]);
    addresses(&mut play, team_hwaddr(DEVICE), &[]);
    addresses(&mut play, added(2, UP, prio(0)), &["port 2 hwaddr 01"]);
    addresses(&mut play, port_hwaddr(2, 2), &[]);
}

#[test]
fn by_active_gives_the_team_the_active_ports_address() {
    let mut play = team(HwAddrPolicy::ByActive);
    addresses(&mut play, added(1, UP, prio(0)), &["team hwaddr 01"]);
    addresses(&mut play, added(2, UP, prio(0)), &[]);
    addresses(&mut play, link_is(1, DOWN), &["team hwaddr 02"]);
    addresses(&mut play, team_hwaddr(2), &[]);
    addresses(&mut play, port_hwaddr(2, 0x22), &["team hwaddr 22"]);
    addresses(&mut play, team_hwaddr(0x22), &[]);
    addresses(&mut play, team_hwaddr(0x66), &[]);
    addresses(&mut play, port_hwaddr(1, 0x11), &[]);
    addresses(&mut play, link_is(2, DOWN), &[]);
    addresses(&mut play, link_is(2, UP), &["team hwaddr 22"]);
}

#[test]
fn only_active_gives_the_active_port_the_teams_address() {
    let mut play = team(HwAddrPolicy::OnlyActive);
    addresses(&mut play, added(1, UP, prio(0)), &["team hwaddr 01"]);
    addresses(&mut play, added(2, UP, prio(0)), &[]);
    addresses(&mut play, added(3, DOWN, prio(0)), &[]);
    addresses(&mut play, link_is(1, DOWN), &["port 2 hwaddr 01"]);
    addresses(&mut play, port_hwaddr(2, 1), &[]);
    // One port gives up the team's address before another one takes it.
    let expected = ["port 2 hwaddr 02", "port 1 hwaddr 66"];
    addresses(&mut play, team_hwaddr(0x66), &["port 2 hwaddr 66"]);
    addresses(&mut play, port_hwaddr(2, 0x66), &[]);
    addresses(&mut play, link_is(1, UP), &[]);
    addresses(&mut play, chosen(1), &expected);
    addresses(&mut play, port_hwaddr(2, 2), &[]);
    addresses(&mut play, port_hwaddr(1, 0x66), &[]);
    // The active port's address is restored; another port's new address becomes its own.
    addresses(&mut play, port_hwaddr(1, 0x77), &["port 1 hwaddr 66"]);
    addresses(&mut play, port_hwaddr(1, 0x66), &[]);
    addresses(&mut play, port_hwaddr(2, 0x22), &[]);
    let expected = ["port 1 hwaddr 01", "port 2 hwaddr 66"];
    addresses(&mut play, chosen(2), &expected);
    addresses(&mut play, port_hwaddr(1, 1), &[]);
    addresses(&mut play, port_hwaddr(2, 0x66), &[]);
    let expected = ["port 2 hwaddr 22", "port 1 hwaddr 66"];
    addresses(&mut play, chosen(1), &expected);
}

#[test]
fn only_active_withdraws_an_address_before_its_confirmation() {
    let mut play = team(HwAddrPolicy::OnlyActive);
    addresses(&mut play, added(1, DOWN, prio(0)), &["team hwaddr 01"]);
    addresses(&mut play, added(2, UP, prio(0)), &["port 2 hwaddr 01"]);
    addresses(&mut play, link_is(2, DOWN), &["port 2 hwaddr 02"]);
    addresses(&mut play, port_hwaddr(2, 1), &["port 2 hwaddr 02"]);
    addresses(&mut play, port_hwaddr(2, 2), &[]);
}

#[test]
fn a_late_event_about_the_teams_address_does_not_make_it_the_ports_own() {
    let mut play = team(HwAddrPolicy::OnlyActive);
    addresses(&mut play, added(1, DOWN, prio(0)), &["team hwaddr 01"]);
    addresses(&mut play, added(2, UP, prio(0)), &["port 2 hwaddr 01"]);
    addresses(&mut play, link_is(2, DOWN), &["port 2 hwaddr 02"]);
    addresses(&mut play, link_is(2, UP), &["port 2 hwaddr 01"]);
    // The events of three requests arrive one by one, and the port fails again meanwhile.
    addresses(&mut play, port_hwaddr(2, 1), &[]);
    addresses(&mut play, link_is(2, DOWN), &["port 2 hwaddr 02"]);
    addresses(&mut play, port_hwaddr(2, 2), &[]);
    addresses(&mut play, port_hwaddr(2, 1), &["port 2 hwaddr 02"]);
    addresses(&mut play, port_hwaddr(2, 2), &[]);
}

#[test]
fn a_port_that_refuses_the_teams_address_carries_nothing_until_it_accepts() {
    let mut play = team(HwAddrPolicy::SameAll);
    play.skip(0, added(1, UP, prio(0)));
    addresses(&mut play, added(2, UP, prio(10)), &["port 2 hwaddr 01"]);
    assert_eq!(play.team.active_port(), Some(PortId(2)));
    addresses(&mut play, port_refuses(2, 1), &[]);
    assert_eq!(play.team.active_port(), Some(PortId(1)));
    // Reading the same address again is no change; a new carrier is.
    addresses(&mut play, port_hwaddr(2, 2), &[]);
    addresses(&mut play, link_is(2, DOWN), &["port 2 hwaddr 01"]);
    addresses(&mut play, port_refuses(2, 1), &[]);
    addresses(&mut play, link_is(2, UP), &["port 2 hwaddr 01"]);
    assert_eq!(play.team.active_port(), Some(PortId(1)));
    // The port carries nothing before the address is read.
    addresses(&mut play, allowed(2, true), &["port 2 hwaddr 01"]);
    assert_eq!(play.team.active_port(), Some(PortId(1)));
    addresses(&mut play, port_hwaddr(2, 1), &[]);
    assert_eq!(play.team.active_port(), Some(PortId(2)));
}

#[test]
fn a_team_that_takes_the_refusing_ports_address_uses_the_port() {
    let mut play = Play::new(TeamSettings::new(ROUNDROBIN));
    let carrying = |play: &Play| {
        let ports = play.team.ports().filter(|port| port.is_enabled());
        ports.map(|port| port.id().0).collect::<Vec<_>>()
    };
    play.skip(0, added(1, UP, prio(0)));
    play.skip(0, added(2, UP, prio(0)));
    play.skip(0, port_refuses(2, 1));
    assert_eq!(carrying(&play), [1]);
    addresses(&mut play, team_hwaddr(2), &["port 1 hwaddr 02", "port 2 hwaddr 02"]);
    assert_eq!(carrying(&play), [1, 2]);
}

#[test]
fn a_refused_address_of_another_kind_keeps_no_port_from_carrying() {
    let mut play = team(HwAddrPolicy::ByActive);
    play.skip(0, added(1, UP, prio(0)));
    play.skip(0, added(2, DOWN, prio(10)));
    play.skip(0, port_refuses(2, 0x22));
    play.skip(0, link_is(2, UP));
    assert_eq!(play.team.active_port(), Some(PortId(2)));
}

#[test]
fn only_active_asks_a_refusing_port_again_when_its_link_comes_back() {
    let mut play = team(HwAddrPolicy::OnlyActive);
    play.skip(0, added(1, UP, prio(0)));
    addresses(&mut play, added(2, UP, prio(10)), &["port 2 hwaddr 01"]);
    play.skip(0, port_refuses(2, 1));
    assert_eq!(play.team.active_port(), Some(PortId(1)));
    play.skip(0, link_is(2, DOWN));
    addresses(&mut play, link_is(2, UP), &["port 2 hwaddr 01"]);
}
