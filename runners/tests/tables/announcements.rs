//! notify_peers and mcast_rejoin: rounds after a port was enabled.

use std::time::Duration;

use runners::{Burst, HwAddrPolicy, TeamSettings};

use crate::play::*;

fn burst(count: u32, interval: u64) -> Burst {
    Burst { count, interval: Duration::from_millis(interval) }
}

fn play(notify_peers: Burst, mcast_rejoin: Burst) -> Play {
    let mut play = Play::new(TeamSettings {
        notify_peers,
        mcast_rejoin,
        ..TeamSettings::new(backed_up(HwAddrPolicy::SameAll))
    });
    play.skip(0, added(1, DOWN, prio(0)));
    play.skip(0, added(2, DOWN, prio(0)));
    play.has_no_deadline();
    play
}

#[test]
fn the_first_round_follows_the_addresses_at_once() {
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
    play.expires_at(1030, &["rejoin multicast"]);
    play.expires_at(1100, &["notify peers"]);
    play.expires_at(1200, &["notify peers"]);
    play.has_no_deadline();
}

#[test]
fn a_count_of_zero_turns_announcements_off() {
    let mut play = play(burst(0, 100), burst(0, 0));
    play.skip(0, link_is(1, UP));
    play.has_no_deadline();
}

#[test]
fn pending_rounds_add_up_to_two_bursts_at_most() {
    let mut play = play(burst(3, 100), burst(0, 0));
    play.skip(0, link_is(1, UP));
    play.skip(0, link_is(2, UP));
    // Each choice enables the other port and sends a round at once.
    for n in [2, 1, 2, 1, 2] {
        play.skip(0, chosen(n));
    }
    for n in 1..6 {
        play.expires_at(n * 100, &["notify peers"]);
    }
    play.has_no_deadline();
}

#[test]
fn a_disabled_port_is_not_announced() {
    let mut play = play(burst(1, 0), burst(1, 0));
    play.skip(0, link_is(1, UP));
    play.at(
        1,
        allowed(1, false),
        &["forward active none: 1-^ 2-_", "carrier false", "carrier changed to DOWN"],
    );
    play.has_no_deadline();
}

#[test]
fn missed_rounds_are_not_sent_later_in_a_row() {
    let mut play = play(burst(4, 0), burst(0, 0));
    play.skip(0, link_is(1, UP));
    play.at(500, runners::Event::DeadlineReached, &["notify peers"]);
    play.expires_at(501, &["notify peers"]);
    play.expires_at(502, &["notify peers"]);
    play.has_no_deadline();
}
