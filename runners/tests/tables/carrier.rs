//! The carrier of the team device.

use runners::{PortSettings, TeamSettings};

use crate::play::*;

#[track_caller]
fn plays(min_ports: u32, steps: &[(runners::Event, bool)]) {
    let mut play = Play::new(TeamSettings { min_ports, ..TeamSettings::new(ROUNDROBIN) });
    for (event, carrier) in steps {
        play.skip(0, event.clone());
        assert_eq!(play.team.carrier(), *carrier, "{event:?}");
    }
}

#[test]
fn one_linked_port_suffices() {
    plays(
        1,
        &[
            (added(1, DOWN, prio(0)), false),
            (link_is(1, UP), true),
            (added(2, DOWN, prio(0)), true),
            (removed(1), false),
            (link_is(2, UP), true),
        ],
    );
}

#[test]
fn min_ports_counts_allowed_ports_with_a_link() {
    plays(
        2,
        &[
            (added(1, UP, prio(0)), false),
            (added(2, UP, prio(0)), true),
            (allowed(2, false), false),
            (added(3, UP, prio(0)), true),
            (link_is(3, DOWN), false),
            (allowed(2, true), true),
        ],
    );
}

#[test]
fn the_first_event_requests_forwarding_and_carrier_once() {
    let mut play = Play::new(TeamSettings::new(ROUNDROBIN));
    let wake = runners::Event::DeadlineReached;
    play.at(0, wake.clone(), &["forward roundrobin:", "carrier false"]);
    play.at(1, wake, &[]);
}

#[test]
fn a_held_carrier_stays_until_enough_ports_carry_or_the_deadline() {
    for enough_ports in [true, false] {
        let mut play = Play::new(TeamSettings::new(ROUNDROBIN));
        let held = runners::Event::CarrierHeld { until: at(3000) };
        play.at(0, held, &["forward roundrobin:", "carrier true", "carrier changed to UP"]);
        play.skip(100, added(1, DOWN, prio(0)));
        assert!(play.team.carrier());
        if enough_ports {
            play.skip(200, link_is(1, UP));
            play.has_no_deadline();
            play.skip(300, link_is(1, DOWN));
            assert!(!play.team.carrier(), "the hold ends with the first port");
        } else {
            play.expires_at(3000, &["carrier false", "carrier changed to DOWN"]);
            play.has_no_deadline();
        }
    }
}

#[test]
fn followers_of_the_team_follow_the_carrier_and_those_of_a_port_the_port() {
    let followers = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
    let of_team = followers(&["eth5", "vf:eth1/3"]);
    let mut play = Play::new(TeamSettings { follow: of_team, ..TeamSettings::new(ROUNDROBIN) });
    let up = |play: &Play| -> Vec<String> {
        let followers = play.team.followers().into_iter().filter(|(_, up)| *up);
        followers.map(|(follower, _)| follower.to_string()).collect()
    };
    let of_port = PortSettings { follow: followers(&["vf:eth1/3", "eth6"]), ..prio(0) };
    play.skip(0, added(1, UP, of_port));
    assert_eq!(up(&play), ["eth5", "eth6", "vf:eth1/3"]);
    play.skip(0, added(2, UP, prio(0)));
    play.skip(0, link_is(1, DOWN));
    assert_eq!(up(&play), ["eth5"], "a link that follows both is down with one");
    play.skip(0, link_is(2, DOWN));
    assert_eq!((up(&play), play.team.followers().len()), (vec![], 3));
    play.skip(0, link_is(1, UP));
    assert_eq!(up(&play), ["eth5", "eth6", "vf:eth1/3"]);
    play.skip(0, allowed(1, false));
    assert_eq!(up(&play), [""; 0]);
}
