//! The watch bfd: the port follows the verdict of its session.

use std::net::Ipv4Addr;
use std::time::Duration;

use runners::{
    BfdSettings, Event, HwAddrPolicy, LinkWatchSettings, PortId, PortSettings, TeamSettings,
};

use crate::play::*;

fn session(last: u8) -> BfdSettings {
    BfdSettings {
        single_hop: false,
        local: Ipv4Addr::new(10, 0, 0, 1).into(),
        peer: Ipv4Addr::new(10, 0, 0, last).into(),
        interval: Duration::from_millis(10),
        multiplier: 3,
    }
}

fn watched() -> PortSettings {
    let watch = LinkWatchSettings::Bfd(session(2));
    PortSettings { link_watches: vec![watch], ..PortSettings::default() }
}

fn path_is(port: u32, peer: u8, up: bool) -> Event {
    Event::PathChanged { port: PortId(port), settings: session(peer), up }
}

fn two_ports() -> Play {
    let mut play = Play::new(TeamSettings::new(backed_up(HwAddrPolicy::SameAll)));
    play.skip(0, added(1, UP, watched()));
    play.skip(0, added(2, UP, watched()));
    play
}

#[test]
fn a_port_is_up_while_its_session_is() {
    let mut play = two_ports();
    assert_eq!(play.team.active_port(), None, "the carrier does not suffice");
    play.skip(1, path_is(1, 2, true));
    play.skip(2, path_is(2, 2, true));
    assert_eq!(play.team.active_port(), Some(PortId(1)));
    play.at(
        3,
        path_is(1, 2, false),
        &[
            "eth1: bfd-link went down.",
            "forward active 2: 1-_ 2+^",
            "Changed active port to \"eth2\".",
        ],
    );
    play.at(4, path_is(1, 9, true), &[]);
    play.has_no_deadline();
}

#[test]
fn a_lost_carrier_ends_the_watch_until_the_session_is_up_again() {
    let mut play = two_ports();
    play.skip(1, path_is(1, 2, true));
    play.skip(2, link_is(1, DOWN));
    let port = |play: &Play| play.team.port(PortId(1)).map(|port| port.watches_up());
    assert_eq!(port(&play), Some(false));
    play.skip(3, link_is(1, UP));
    assert_eq!(port(&play), Some(false));
    play.skip(4, path_is(1, 2, true));
    assert_eq!(port(&play), Some(true));
}

#[test]
fn an_adopted_port_carries_on_until_its_session_says_otherwise() {
    let mut play = Play::new(TeamSettings::new(backed_up(HwAddrPolicy::SameAll)));
    play.skip(0, adopted(1, UP, watched()));
    assert_eq!(play.team.active_port(), Some(PortId(1)));
    play.skip(1, path_is(1, 2, false));
    assert_eq!(play.team.active_port(), None);
}
