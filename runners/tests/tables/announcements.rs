//! notify_peers and mcast_rejoin: rounds after a port was enabled.

use std::time::Duration;

use runners::{Burst, HwAddrPolicy, TeamSettings};

use crate::play::*;

fn burst(count: u32, interval: u64) -> Burst {
    Burst {
        count,
        interval: Duration::from_millis(interval),
    }
}

fn play(notify_peers: Burst, mcast_rejoin: Burst) -> Play {
    let mut play = Play::new(TeamSettings {
        notify_peers,
        mcast_rejoin,
        ..TeamSettings::new(backed_up(HwAddrPolicy::SameAll))
    });
    play.skip(0, added(1, DOWN, prio(0)));
    play.skip(0, added(2, DOWN, prio(0)));
    play.sleeps();
    play
}

#[test]
fn first_round_comes_at_once_after_the_addresses() {
    let mut play = play(burst(3, 100), burst(2, 30));
    play.at(
        1000,
        link_is(1, UP),
        &[
            "eth1: ethtool-link went up.",
            "forward active 1: 1+^ 2-_",
            "Changed active port to \"eth1\".",
            "carrier true",
            "carrier changed to UP",
            "notify peers",
            "rejoin multicast",
        ],
    );
    play.wakes_at(1030, &["rejoin multicast"]);
    play.wakes_at(1100, &["notify peers"]);
    play.wakes_at(1200, &["notify peers"]);
    play.sleeps();
}

#[test]
fn count_of_zero_is_off() {
    let mut play = play(burst(0, 100), burst(0, 0));
    play.skip(0, link_is(1, UP));
    play.sleeps();
}

#[test]
fn rounds_add_up_to_two_bursts_at_most() {
    let mut play = play(burst(3, 100), burst(0, 0));
    play.skip(0, link_is(1, UP));
    play.skip(0, link_is(2, UP));
    // Each choice enables the other port; each sends a round at once.
    for n in [2, 1, 2, 1, 2] {
        play.skip(0, chosen(n));
    }
    for n in 1..6 {
        play.wakes_at(n * 100, &["notify peers"]);
    }
    play.sleeps();
}

#[test]
fn disabling_announces_nothing() {
    let mut play = play(burst(1, 0), burst(1, 0));
    play.skip(0, link_is(1, UP));
    play.at(
        1,
        allowed(1, false),
        &[
            "forward active none: 1-^ 2-_",
            "carrier false",
            "carrier changed to DOWN",
        ],
    );
    play.sleeps();
}

#[test]
fn late_rounds_are_not_made_up_for() {
    let mut play = play(burst(4, 0), burst(0, 0));
    play.skip(0, link_is(1, UP));
    play.at(500, runners::Event::DeadlineReached, &["notify peers"]);
    play.wakes_at(501, &["notify peers"]);
    play.wakes_at(502, &["notify peers"]);
    play.sleeps();
}
