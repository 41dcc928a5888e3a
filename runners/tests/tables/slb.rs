//! slb: the designated port, homes of buckets, announcements of those that moved.

use std::net::Ipv4Addr;
use std::time::Duration;

use runners::wire::announce;
use runners::{
    Action, BUCKETS, Event, HostTraffic, HwAddr, PeerSeen, PortId, RunnerSettings, StationSeen,
    TeamSettings,
};

use crate::asking;
use crate::nsna_ping;
use crate::play::*;
use crate::site::Site;

fn slb(balancing_interval: Option<u64>) -> Play {
    Play::new(TeamSettings::new(RunnerSettings::Slb {
        host: HostTraffic::OnePort,
        balancing_interval: balancing_interval.map(Duration::from_millis),
        learning_interval: None,
    }))
}

/// Two ports that are up, all that comes of it handed in.
fn with_two_ports(balancing_interval: Option<u64>) -> Play {
    let mut play = slb(balancing_interval);
    play.skip(0, added(1, UP, prio(0)));
    play.skip(1, added(2, UP, prio(5)));
    play.skip(2, seen(&[]));
    play.wakes_at(1001, &["read stations"]);
    play.wakes_at(3001, &["read stations"]);
    play.skip(3001, seen(&[]));
    play.skip(5001, Event::DeadlineReached);
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
        peers: Vec::new(),
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
        12_000,
        link_is(2, DOWN),
        &[
            "eth2: ethtool-link went down.",
            "forward stations 256/0, broadcast 1: 1+^ 2-_",
            "read stations",
        ],
    );
    // Even buckets are at home on the first port.
    let stations = [(1, None), (11, Some(0)), (12, Some(1)), (13, Some(3))];
    play.at(12_000, seen(&stations), &["announce 0c", "announce 0d"]);
    // Twice more, for a switch that was not ready; with who is there then.
    play.wakes_at(13_000, &["read stations"]);
    play.at(13_000, seen(&stations[..3]), &["announce 0c"]);
    play.wakes_at(15_000, &["read stations"]);
    play.at(15_000, seen(&stations), &["announce 0c", "announce 0d"]);
    // The end of the grace: the former port is gone anyway.
    play.wakes_at(17_000, &[]);
    play.sleeps();

    play.at(
        18_000,
        link_is(2, UP),
        &[
            "eth2: ethtool-link went up.",
            "forward stations 128/128, broadcast 1: 1+^ 2+^",
            "read stations",
        ],
    );
    play.at(18_000, seen(&stations), &["announce 0c", "announce 0d"]);
    play.skip(19_000, Event::DeadlineReached);
    play.skip(21_000, Event::DeadlineReached);
    play.skip(21_000, seen(&[]));
    // The grace for what is under way to the first port.
    play.wakes_at(23_000, &["forward stations 128/128, broadcast 1: 1+^ 2+^"]);
    play.sleeps();
}

#[test]
fn the_teams_own_address_goes_with_the_designated_port() {
    let mut play = with_two_ports(None);
    play.at(
        12_000,
        link_is(1, DOWN),
        &[
            "eth1: ethtool-link went down.",
            "forward stations 0/256, broadcast 2: 1-_ 2+^",
            "Changed designated port to \"eth2\".",
            "read stations",
        ],
    );
    let stations = [(1, None), (11, Some(0)), (12, Some(1))];
    play.at(12_000, seen(&stations), &["announce 01", "announce 0b"]);
    for millis in [13_000, 15_000, 17_000] {
        play.skip(millis, Event::DeadlineReached);
        play.skip(millis, seen(&[]));
    }
    // Back again it is one of two; the designation stays.
    play.at(
        22_000,
        link_is(1, UP),
        &[
            "eth1: ethtool-link went up.",
            "forward stations 128/128, broadcast 2: 1+^ 2+^",
            "read stations",
        ],
    );
    play.at(22_000, seen(&stations), &["announce 0b"]);
}

#[test]
fn many_announcements_are_paced() {
    let mut play = with_two_ports(None);
    play.skip(12_000, link_is(2, DOWN));
    let stations: Vec<_> = (0..150).map(|last| (last, Some(1))).collect();
    let mut told = play.shown(12_000, seen(&stations));
    assert_eq!(told.len(), 64);
    for (millis, more) in [(12_001, 64), (12_002, 22)] {
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
    for (now, expected) in [(10_000, 0), (15_000, 1), (25_000, 0)] {
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

const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

#[test]
fn peers_are_taught_their_ports_anew() {
    let mut play = Play::new(TeamSettings::new(RunnerSettings::Slb {
        host: HostTraffic::Both,
        balancing_interval: None,
        learning_interval: None,
    }));
    play.skip(0, added(1, UP, prio(0)));
    play.skip(1, added(2, UP, prio(0)));
    let peer = |last: u8| PeerSeen {
        vlan: 0,
        own: OWN.into(),
        ip: Ipv4Addr::new(10, 0, 0, last).into(),
        hwaddr: hw(last),
        router: false,
        bucket: last,
    };
    let seen = |peers: &[u8]| Event::Stations {
        stations: Vec::new(),
        peers: peers.iter().map(|last| peer(*last)).collect(),
    };
    // In the order of the peers: on which port, and which address of ours each is told.
    let mut told = |millis, event| -> Vec<(u32, u8, HwAddr)> {
        play.team.handle(at(millis), event);
        std::iter::from_fn(|| play.team.poll_action())
            .filter_map(|action| match action {
                Action::SendFrame { port, frame } => {
                    let told = frame[22..].first_chunk().expect("an address");
                    Some((port.0, frame[5], HwAddr(*told)))
                }
                _ => None,
            })
            .collect()
    };
    for millis in [2, 1001, 3001, 5001] {
        told(millis, Event::DeadlineReached);
        told(millis, seen(&[]));
    }
    // The team has the first port's address, so that is the designated one's here.
    let answer = Event::FrameReceived {
        port: PortId(1),
        frame: announce::arp_reply(hw(0x66), Ipv4Addr::new(10, 0, 0, 0x66), hw(1), OWN, None),
    };
    assert_eq!(told(10_000, answer), []);
    assert_eq!(told(11_000, Event::DeadlineReached), []);
    assert_eq!(told(11_000, seen(&[4, 5])), [(1, 4, hw(1)), (2, 5, hw(2))]);
    // Whose port goes is told of the other one, and of his own when that is back.
    told(20_000, link_is(2, DOWN));
    assert_eq!(told(20_000, seen(&[4, 5])), [(1, 5, hw(1))]);
    for millis in [21_000, 23_000, 25_000] {
        told(millis, Event::DeadlineReached);
        told(millis, seen(&[]));
    }
    told(30_000, link_is(2, UP));
    assert_eq!(told(30_000, seen(&[4, 5])), [(2, 5, hw(2))]);
    for millis in [31_000, 33_000, 35_000] {
        told(millis, Event::DeadlineReached);
        told(millis, seen(&[]));
    }
    // The second port takes the team's address over; the first one comes back under another.
    told(40_000, link_is(1, DOWN));
    assert_eq!(told(40_000, seen(&[4, 5])), [(2, 4, hw(1))]);
    for millis in [41_000, 43_000, 45_000] {
        told(millis, Event::DeadlineReached);
        told(millis, seen(&[]));
    }
    told(50_000, link_is(1, UP));
    let made_of_the_teams = HwAddr([6, 0, 0, 0, 0, 1]);
    assert_eq!(told(50_000, seen(&[4, 5])), [(1, 4, made_of_the_teams)]);
}

#[test]
fn each_port_shows_the_switch_the_address_that_the_team_has_there() {
    let mut play = Play::new(TeamSettings::new(RunnerSettings::Slb {
        host: HostTraffic::Sent,
        balancing_interval: None,
        learning_interval: Some(Duration::from_secs(10)),
    }));
    play.skip(0, added(1, UP, prio(0)));
    play.skip(0, added(2, UP, prio(0)));
    play.skip(0, added(3, DOWN, prio(0)));
    // Until everybody has been announced for the last time.
    for millis in [0, 1000, 3000, 5000] {
        play.skip(millis, Event::DeadlineReached);
        play.skip(millis, seen(&[]));
    }
    play.wakes_at(10_000, &["read stations"]);
    let station = |last, vlan, bucket| StationSeen {
        hwaddr: hw(last),
        vlan,
        bucket,
    };
    let stations = vec![
        station(1, 0, None),
        station(1, 7, None),
        station(9, 8, Some(3)),
    ];
    let seen = Event::Stations {
        stations,
        peers: Vec::new(),
    };
    play.team.handle(at(10_000), seen);
    let shown: Vec<Action> = std::iter::from_fn(|| play.team.poll_action()).collect();
    let expected = [(1, hw(1)), (2, hw(2))]
        .into_iter()
        .flat_map(|(port, own)| {
            [None, Some(7)].map(|vlan| Action::SendFrame {
                port: PortId(port),
                frame: announce::learning(own, vlan),
            })
        });
    assert_eq!(shown, expected.collect::<Vec<_>>());
    play.wakes_at(20_000, &["read stations"]);
}

#[test]
fn a_learning_packet_goes_from_an_address_to_itself() {
    let frame = announce::learning(hw(5), Some(7));
    assert_eq!(frame.len(), 60);
    assert_eq!(frame[..6], hw(5).0);
    assert_eq!(frame[6..12], hw(5).0);
    assert_eq!(frame[12..18], [0x81, 0, 0, 7, 0x90, 0]);
    assert_eq!(frame[18..], [0; 42]);
}

/// Watches of every port ask, and go on asking when the designated port is lost.
#[test]
fn what_watches_ask_does_not_move_the_team_in_the_switch() {
    let watches = [asking::port(0, asking::ping()), nsna_ping::port(0)];
    for (watch, host) in watches
        .into_iter()
        .zip([HostTraffic::OnePort, HostTraffic::Both])
    {
        let settings = TeamSettings::new(RunnerSettings::Slb {
            host,
            balancing_interval: None,
            learning_interval: None,
        });
        let mut site = Site::new(settings, &[1, 2], &[1, 2]);
        site.tell(added(1, UP, watch.clone()));
        site.tell(added(2, UP, watch));
        site.pass(1000);
        let designated = site.team.designated_port().expect("both are up").0;
        site.reached = vec![3 - designated];
        site.pass(3000);
        assert_eq!(site.team.designated_port(), Some(PortId(3 - designated)));
        assert!(!site.is_up(designated));

        let team = site.team.hwaddr();
        let from = |frame: &[u8]| HwAddr(*frame[6..].first_chunk().expect("an address"));
        for (port, since, until) in [(3 - designated, 0, 1000), (designated, 2000, 3000)] {
            let asked = site
                .sent
                .iter()
                .filter(|(when, on, _)| *on == port && (at(since)..at(until)).contains(when));
            let sources: Vec<HwAddr> = asked.map(|(_, _, frame)| from(frame)).collect();
            assert!(
                sources.len() > 5,
                "port {port} asked {} times",
                sources.len()
            );
            assert!(!sources.contains(&team), "port {port}");
        }
        let asked = site.sent_on(designated, 500);
        assert_eq!(from(asked[0]), team, "its own port");
    }
}
