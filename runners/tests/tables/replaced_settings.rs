//! Other settings for a running team.

use std::time::Duration;

use runners::{
    Burst, Event, HashFields, HostTraffic, HwAddrPolicy, LacpSettings, LinkWatchPolicy,
    LinkWatchSettings, PortId, PortSettings, RunnerSettings, TeamSettings,
};

use crate::play::*;

fn replaced(settings: TeamSettings, ports: Vec<(PortId, PortSettings)>) -> Event {
    Event::SettingsReplaced { settings: Box::new(settings), ports }
}

fn runners() -> Vec<RunnerSettings> {
    let slb = |host| RunnerSettings::Slb {
        host,
        balancing_interval: None,
        learning_interval: Some(Duration::from_secs(1)),
    };
    let hashing = |balancing_interval| RunnerSettings::LoadBalance {
        tx_hash: HashFields::ETH,
        balancing_interval,
    };
    vec![
        RunnerSettings::Broadcast,
        ROUNDROBIN,
        RunnerSettings::Random { seed: 7 },
        backed_up(HwAddrPolicy::SameAll),
        backed_up(HwAddrPolicy::ByActive),
        hashing(None),
        hashing(Some(Duration::from_secs(5))),
        RunnerSettings::Lacp(LacpSettings::default()),
        slb(HostTraffic::OnePort),
        slb(HostTraffic::Both),
    ]
}

/// What frames can tell of a team's settings.
fn outcome(play: &Play) -> (Vec<bool>, bool, Option<PortId>, Option<PortId>) {
    let enabled = play.team.ports().map(runners::Port::is_enabled).collect();
    let team = &play.team;
    (enabled, team.carrier(), team.active_port(), team.designated_port())
}

#[test]
fn each_runner_becomes_each_other_one_as_if_the_team_had_begun_with_it() {
    let forwarding =
        |lines: &[String]| lines.iter().rfind(|line| line.starts_with("forward")).cloned();
    let begin = |runner: &RunnerSettings| {
        let mut play = Play::new(TeamSettings::new(runner.clone()));
        let mut lines = play.shown(0, added(1, UP, prio(0)));
        lines.extend(play.shown(0, added(2, UP, prio(0))));
        (play, forwarding(&lines))
    };
    for before in runners() {
        for after in runners() {
            let (mut changed, first) = begin(&before);
            let (fresh, expected) = begin(&after);
            let lines = changed.shown(1, replaced(TeamSettings::new(after.clone()), Vec::new()));
            let context = format!("{before:?} to {after:?}");
            assert_eq!(outcome(&changed), outcome(&fresh), "{context}");
            assert_eq!(forwarding(&lines).or(first), expected, "{context}");
            assert_eq!(changed.team.settings().runner, after);
        }
    }
}

#[test]
fn the_same_settings_change_nothing() {
    for runner in runners() {
        let settings = TeamSettings::new(runner);
        let mut play = Play::new(settings.clone());
        play.skip(0, added(1, UP, prio(0)));
        play.skip(0, added(2, UP, prio(0)));
        let deadline = play.team.next_deadline();
        play.at(0, replaced(settings, vec![(PortId(1), prio(0)), (PortId(2), prio(0))]), &[]);
        assert_eq!(play.team.next_deadline(), deadline);
    }
}

#[test]
fn the_active_port_stays_and_a_higher_prio_takes_over() {
    let settings = TeamSettings::new(backed_up(HwAddrPolicy::SameAll));
    let mut play = Play::new(settings.clone());
    play.skip(0, added(1, UP, prio(0)));
    play.skip(0, added(2, UP, prio(0)));
    let other = TeamSettings { min_ports: 2, ..settings };
    play.at(1, replaced(other.clone(), Vec::new()), &[]);
    assert_eq!(play.team.active_port(), Some(PortId(1)));
    play.skip(2, replaced(other, vec![(PortId(2), prio(5))]));
    assert_eq!(play.team.active_port(), Some(PortId(2)));
}

#[test]
fn a_watch_with_the_same_settings_goes_on() {
    let settings = TeamSettings::new(ROUNDROBIN);
    let port = |watches: &[LinkWatchSettings]| PortSettings {
        link_watches: watches.to_vec(),
        ..PortSettings::default()
    };
    let mut play = Play::new(settings.clone());
    play.skip(0, added(1, DOWN, port(&[ethtool(100, 0)])));
    play.skip(0, link_is(1, UP));
    // The first watch waits for its delay; the new one follows the carrier at once.
    let both = port(&[ethtool(100, 0), ethtool(0, 0)]);
    play.at(
        50,
        replaced(settings.clone(), vec![(PortId(1), both.clone())]),
        &["eth1: ethtool-link went up."],
    );
    assert!(play.team.ports().all(runners::Port::watches_up), "any");
    let all = TeamSettings { link_watch_policy: LinkWatchPolicy::All, ..settings };
    play.at(60, replaced(all, vec![(PortId(1), both)]), &[]);
    assert!(!play.team.ports().all(runners::Port::watches_up), "all");
    play.expires_at(100, &["eth1: ethtool-link went up."]);
    assert!(play.team.ports().all(runners::Port::watches_up));
}

#[test]
fn a_configured_hardware_address_reaches_the_device_and_its_ports() {
    let settings = TeamSettings::new(ROUNDROBIN);
    let mut play = Play::new(settings.clone());
    play.skip(0, added(1, UP, prio(0)));
    play.skip(0, port_hwaddr(1, 1));
    play.at(
        1,
        replaced(TeamSettings { hwaddr: Some(hw(9)), ..settings.clone() }, Vec::new()),
        &["team hwaddr 09", "port 1 hwaddr 09"],
    );
    play.at(2, replaced(settings, Vec::new()), &["team hwaddr 01", "port 1 hwaddr 01"]);
}

#[test]
fn other_announcements_begin_with_the_next_port() {
    let settings = TeamSettings::new(backed_up(HwAddrPolicy::SameAll));
    let mut play = Play::new(settings.clone());
    play.skip(0, added(1, UP, prio(0)));
    play.skip(0, added(2, UP, prio(0)));
    let burst = Burst { count: 1, interval: Duration::ZERO };
    play.at(1, replaced(TeamSettings { notify_peers: burst, ..settings }, Vec::new()), &[]);
    let lines = play.shown(2, link_is(1, DOWN));
    assert!(lines.contains(&"notify peers".to_owned()), "{lines:?}");
}

#[test]
fn the_default_address_returns_after_an_address_of_the_settings_or_of_the_active_port() {
    let plain = TeamSettings::new(backed_up(HwAddrPolicy::SameAll));
    let named = TeamSettings { hwaddr: Some(hw(0x77)), ..plain.clone() };
    let by_active = TeamSettings::new(backed_up(HwAddrPolicy::ByActive));
    for first in [&plain, &named, &by_active] {
        let mut play = Play::new(first.clone());
        play.skip(0, added(1, UP, prio(0)));
        play.skip(0, added(2, UP, prio(5)));
        for other in [&named, &by_active, &named] {
            play.skip(1, replaced(other.clone(), Vec::new()));
            play.skip(1, replaced(plain.clone(), Vec::new()));
            assert_eq!(play.team.hwaddr(), hw(1), "{first:?} then {other:?}");
        }
        play.skip(1, replaced(named.clone(), Vec::new()));
        assert_eq!(play.team.hwaddr(), hw(0x77));
        play.skip(1, replaced(by_active.clone(), Vec::new()));
        assert_eq!(play.team.hwaddr(), hw(2), "the active port's");
        play.skip(1, replaced(TeamSettings::new(ROUNDROBIN), Vec::new()));
        assert_eq!(play.team.hwaddr(), hw(1));
    }
}
