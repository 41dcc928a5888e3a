//! slb: the designated port, homes of buckets, announcements of those that moved.

use std::time::Duration;

use runners::{BUCKETS, Event, RunnerSettings, StationSeen, TeamSettings};

use crate::play::*;

fn slb(balancing_interval: Option<u64>) -> Play {
    Play::new(TeamSettings::new(RunnerSettings::Slb {
        balancing_interval: balancing_interval.map(Duration::from_millis),
    }))
}

/// Two ports that are up, all that comes of it handed in.
fn with_two_ports(balancing_interval: Option<u64>) -> Play {
    let mut play = slb(balancing_interval);
    play.skip(0, added(1, UP, prio(0)));
    play.skip(1, added(2, UP, prio(5)));
    play.skip(2, seen(&[]));
    play.at(
        1500,
        Event::DeadlineReached,
        &["forward stations 128/128, broadcast 1: 1+^ 2+^"],
    );
    play
}

/// Stations as (last byte of the address, bucket).
fn seen(stations: &[(u8, Option<u8>)]) -> Event {
    let stations = stations.iter().map(|&(last, bucket)| StationSeen {
        hwaddr: hw(last),
        vlan: 0,
        bucket,
    });
    Event::Stations {
        stations: stations.collect(),
    }
}

#[test]
fn the_first_port_is_designated_and_both_have_buckets() {
    let mut play = slb(None);
    play.at(
        0,
        added(1, UP, prio(0)),
        &[
            "eth1: ethtool-link went up.",
            "team hwaddr 01",
            "forward stations 256, broadcast 1: 1+^",
            "Changed designated port to \"eth1\".",
            "carrier true",
            "carrier changed to UP",
            "read stations",
        ],
    );
    // A higher prio does not take the designation from a port that is well.
    play.at(
        1,
        added(2, UP, prio(5)),
        &[
            "eth2: ethtool-link went up.",
            "forward stations 128/128, broadcast 1: 1+^ 2+^",
            "port 2 hwaddr 01",
            "read stations",
        ],
    );
}

#[test]
fn those_whose_bucket_moved_are_announced() {
    let mut play = with_two_ports(None);
    play.at(
        2000,
        link_is(2, DOWN),
        &[
            "eth2: ethtool-link went down.",
            "forward stations 256/0, broadcast 1: 1+^ 2-_",
            "read stations",
        ],
    );
    // Even buckets are at home on the first port.
    let stations = [(1, None), (11, Some(0)), (12, Some(1)), (13, Some(3))];
    play.at(2000, seen(&stations), &["announce 0c", "announce 0d"]);
    // The grace for frames under way to the former port.
    play.skip(3000, Event::DeadlineReached);
    play.sleeps();

    play.at(
        4000,
        link_is(2, UP),
        &[
            "eth2: ethtool-link went up.",
            "forward stations 128/128, broadcast 1: 1+^ 2+^",
            "read stations",
        ],
    );
    play.at(4000, seen(&stations), &["announce 0c", "announce 0d"]);
    play.wakes_at(5000, &["forward stations 128/128, broadcast 1: 1+^ 2+^"]);
    play.sleeps();
}

#[test]
fn the_teams_own_address_goes_with_the_designated_port() {
    let mut play = with_two_ports(None);
    play.at(
        2000,
        link_is(1, DOWN),
        &[
            "eth1: ethtool-link went down.",
            "forward stations 0/256, broadcast 2: 1-_ 2+^",
            "Changed designated port to \"eth2\".",
            "read stations",
        ],
    );
    let stations = [(1, None), (11, Some(0)), (12, Some(1))];
    play.at(2000, seen(&stations), &["announce 01", "announce 0b"]);
    // Back again it is one of two; the designation stays.
    play.at(
        4000,
        link_is(1, UP),
        &[
            "eth1: ethtool-link went up.",
            "forward stations 128/128, broadcast 2: 1+^ 2+^",
            "read stations",
        ],
    );
    play.at(4000, seen(&stations), &["announce 0b"]);
}

#[test]
fn many_announcements_are_paced() {
    let mut play = with_two_ports(None);
    play.skip(2000, link_is(2, DOWN));
    let stations: Vec<_> = (0..150).map(|last| (last, Some(1))).collect();
    let mut told = play.shown(2000, seen(&stations));
    assert_eq!(told.len(), 64);
    for (millis, more) in [(2001, 64), (2002, 22)] {
        assert_eq!(play.team.next_deadline(), Some(at(millis)));
        let now = play.shown(millis, Event::DeadlineReached);
        assert_eq!(now.len(), more);
        told.extend(now);
    }
    let expected: Vec<String> = (0..150)
        .map(|last| format!("announce {last:02x}"))
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn balancing_moves_buckets_and_announces_them() {
    let mut play = with_two_ports(Some(5000));
    let mut bytes = Box::new([0; BUCKETS]);
    for (now, expected) in [(5000, 0), (10_000, 1), (15_000, 0)] {
        play.skip(now, Event::DeadlineReached);
        let stations = [(11, Some(0)), (12, Some(2)), (13, Some(1))];
        let counters = Event::BucketCounters {
            bytes: bytes.clone(),
        };
        let reads = play.shown(now, counters);
        let reads = reads.contains(&"read stations".to_owned());
        assert_eq!(reads, expected > 0, "at {now}");
        if reads {
            play.at(now, seen(&stations), &["announce 0b"]);
        }
        // Two stations on the first port, each with as much: one of them has to go.
        bytes[0] += 10_000_000;
        bytes[2] += 10_000_000;
    }
}
