//! slb, tlb, alb: the designated port, preferred ports of buckets, announcements of moved stations.

use std::net::Ipv4Addr;
use std::time::Duration;

use runners::wire::announce;
use runners::{
    Action, BUCKETS, Event, HostTraffic, HwAddr, PeerSeen, PortId, RunnerSettings, StationSeen,
    TeamSettings,
};

use crate::arp_watch;
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

/// A team of two ports with a link, after its first announcements.
fn with_two_ports(balancing_interval: Option<u64>) -> Play {
    let mut play = slb(balancing_interval);
    play.skip(0, added(1, UP, prio(0)));
    play.skip(1, added(2, UP, prio(5)));
    play.skip(2, seen(&[]));
    play.expires_at(1001, &["read stations"]);
    play.expires_at(3001, &["read stations"]);
    play.skip(3001, seen(&[]));
    play.skip(5001, Event::DeadlineReached);
    play
}

/// Stations as (last byte of the address, bucket).
fn seen(stations: &[(u8, Option<u8>)]) -> Event {
    let stations =
        stations.iter().map(|&(last, bucket)| StationSeen { hwaddr: hw(last), vlan: 0, bucket });
    Event::Stations { stations: stations.collect(), peers: Vec::new() }
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
    // A usable designated port stays designated, whatever the prio of another one.
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
fn stations_of_moved_buckets_are_announced() {
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
    // The first port is the preferred port of even buckets.
    let stations = [(1, None), (11, Some(0)), (12, Some(1)), (13, Some(3))];
    play.at(12_000, seen(&stations), &["announce 0c", "announce 0d"]);
    // Two repetitions for a switch that was not ready, with the stations present then.
    play.expires_at(13_000, &["read stations"]);
    play.at(13_000, seen(&stations[..3]), &["announce 0c"]);
    play.expires_at(15_000, &["read stations"]);
    play.at(15_000, seen(&stations), &["announce 0c", "announce 0d"]);
    // The previous port is forgotten; it is down and was not listed.
    play.expires_at(17_000, &[]);
    play.has_no_deadline();

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
    // The first port is forgotten as the previous one.
    play.expires_at(23_000, &["forward stations 128/128, broadcast 1: 1+^ 2+^"]);
    play.has_no_deadline();
}

#[test]
fn the_teams_own_address_moves_with_the_designated_port() {
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
    // The returned port gets its buckets back, not the designation.
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
    let mut announced = play.shown(12_000, seen(&stations));
    assert_eq!(announced.len(), 64);
    for (millis, more) in [(12_001, 64), (12_002, 22)] {
        assert_eq!(play.team.next_deadline(), Some(at(millis)));
        let now = play.shown(millis, Event::DeadlineReached);
        assert_eq!(now.len(), more);
        announced.extend(now);
    }
    let expected: Vec<String> = (0..150).map(|last| format!("announce {last:02x}")).collect();
    assert_eq!(announced, expected);
}

#[test]
fn balancing_moves_buckets_and_announces_them() {
    let mut play = with_two_ports(Some(5000));
    let mut bytes = Box::new([0; BUCKETS]);
    for (now, expected) in [(10_000, 0), (15_000, 1), (25_000, 0)] {
        play.skip(now, Event::DeadlineReached);
        let stations = [(11, Some(0)), (12, Some(2)), (13, Some(1))];
        let counters = Event::BucketCounters { bytes: bytes.clone() };
        let reads = play.shown(now, counters);
        let reads = reads.contains(&"read stations".to_owned());
        assert_eq!(reads, expected > 0, "at {now}");
        if reads {
            play.at(now, seen(&stations), &["announce 0b"]);
        }
        // Two stations on the first port have the same load: one of them must move.
        bytes[0] += 10_000_000;
        bytes[2] += 10_000_000;
    }
}

const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// Any host may send replies to the team; each would cost one frame for each peer.
#[test]
fn replies_to_the_team_cause_one_announcement_to_all_peers_in_30_s() {
    let mut play = Play::new(TeamSettings::new(RunnerSettings::Slb {
        host: HostTraffic::Both,
        balancing_interval: None,
        learning_interval: None,
    }));
    play.skip(0, added(1, UP, prio(0)));
    for millis in [2, 1001, 3001, 5001] {
        play.skip(millis, Event::DeadlineReached);
    }
    let reply = announce::arp_reply(hw(0x66), Ipv4Addr::new(10, 0, 0, 0x66), hw(1), OWN, None);
    let mut readings = Vec::new();
    for second in 10..60 {
        let frame = reply.clone();
        play.team.handle(at(1000 * second), Event::FrameReceived { port: PortId(1), frame });
        let actions = std::iter::from_fn(|| play.team.poll_action());
        if actions.into_iter().any(|action| matches!(action, Action::ReadStations)) {
            readings.push(second);
        }
    }
    assert_eq!(readings, [11, 41]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one timeline")]
fn peers_learn_the_address_of_their_port_after_a_move() {
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
    // In the order of the peers: port, peer, and the address of ours that the peer learns.
    let mut sent = |millis, event| -> Vec<(u32, u8, HwAddr)> {
        play.team.handle(at(millis), event);
        std::iter::from_fn(|| play.team.poll_action())
            .filter_map(|action| match action {
                Action::SendFrame { port, frame } => {
                    let sender = frame[22..].first_chunk().expect("an address");
                    Some((port.0, frame[5], HwAddr(*sender)))
                }
                _ => None,
            })
            .collect()
    };
    for millis in [2, 1001, 3001, 5001] {
        sent(millis, Event::DeadlineReached);
        sent(millis, seen(&[]));
    }
    // The first port is the designated one, and the team has its address.
    let answer = Event::FrameReceived {
        port: PortId(1),
        frame: announce::arp_reply(hw(0x66), Ipv4Addr::new(10, 0, 0, 0x66), hw(1), OWN, None),
    };
    assert_eq!(sent(10_000, answer), []);
    assert_eq!(sent(11_000, Event::DeadlineReached), []);
    assert_eq!(sent(11_000, seen(&[4, 5])), [(1, 4, hw(1)), (2, 5, hw(2))]);
    // A peer of a failed port learns the other one's address, and its own port's after the return.
    sent(20_000, link_is(2, DOWN));
    assert_eq!(sent(20_000, seen(&[4, 5])), [(1, 5, hw(1))]);
    for millis in [21_000, 23_000, 25_000] {
        sent(millis, Event::DeadlineReached);
        sent(millis, seen(&[]));
    }
    sent(30_000, link_is(2, UP));
    assert_eq!(sent(30_000, seen(&[4, 5])), [(2, 5, hw(2))]);
    for millis in [31_000, 33_000, 35_000] {
        sent(millis, Event::DeadlineReached);
        sent(millis, seen(&[]));
    }
    // The second port takes over the team's address; the first one returns with a derived address.
    sent(40_000, link_is(1, DOWN));
    assert_eq!(sent(40_000, seen(&[4, 5])), [(2, 4, hw(1))]);
    for millis in [41_000, 43_000, 45_000] {
        sent(millis, Event::DeadlineReached);
        sent(millis, seen(&[]));
    }
    sent(50_000, link_is(1, UP));
    let derived = HwAddr([6, 0, 0, 0, 0, 1]);
    assert_eq!(sent(50_000, seen(&[4, 5])), [(1, 4, derived)]);
}

#[test]
fn each_port_sends_learning_packets_from_the_teams_address_there() {
    let mut play = Play::new(TeamSettings::new(RunnerSettings::Slb {
        host: HostTraffic::Sent,
        balancing_interval: None,
        learning_interval: Some(Duration::from_secs(10)),
    }));
    play.skip(0, added(1, UP, prio(0)));
    play.skip(0, added(2, UP, prio(0)));
    play.skip(0, added(3, DOWN, prio(0)));
    // The end of the first announcements.
    for millis in [0, 1000, 3000, 5000] {
        play.skip(millis, Event::DeadlineReached);
        play.skip(millis, seen(&[]));
    }
    play.expires_at(10_000, &["read stations"]);
    let station = |last, vlan, bucket| StationSeen { hwaddr: hw(last), vlan, bucket };
    let stations = vec![station(1, 0, None), station(1, 7, None), station(9, 8, Some(3))];
    let seen = Event::Stations { stations, peers: Vec::new() };
    play.team.handle(at(10_000), seen);
    let shown: Vec<Action> = std::iter::from_fn(|| play.team.poll_action()).collect();
    let expected = [(1, hw(1)), (2, hw(2))].into_iter().flat_map(|(port, own)| {
        [None, Some(7)].map(|vlan| Action::SendFrame {
            port: PortId(port),
            frame: announce::learning(own, vlan),
        })
    });
    assert_eq!(shown, expected.collect::<Vec<_>>());
    play.expires_at(20_000, &["read stations"]);
}

#[test]
fn a_learning_packet_has_equal_source_and_destination() {
    let frame = announce::learning(hw(5), Some(7));
    assert_eq!(frame.len(), 60);
    assert_eq!(frame[..6], hw(5).0);
    assert_eq!(frame[6..12], hw(5).0);
    assert_eq!(frame[12..18], [0x81, 0, 0, 7, 0x90, 0]);
    assert_eq!(frame[18..], [0; 42]);
}

/// Link watches send requests on every port, before and after the loss of the designated port.
#[test]
fn requests_of_link_watches_do_not_move_the_team_in_the_switch() {
    let watches = [arp_watch::port(0, arp_watch::ping()), nsna_ping::port(0)];
    for (watch, host) in watches.into_iter().zip([HostTraffic::OnePort, HostTraffic::Both]) {
        let settings = TeamSettings::new(RunnerSettings::Slb {
            host,
            balancing_interval: None,
            learning_interval: None,
        });
        let mut site = Site::new(settings, &[1, 2], &[1, 2]);
        site.handle(added(1, UP, watch.clone()));
        site.handle(added(2, UP, watch));
        site.pass(1000);
        let designated = site.team.designated_port().expect("both are up").0;
        site.reached = vec![3 - designated];
        site.pass(3000);
        assert_eq!(site.team.designated_port(), Some(PortId(3 - designated)));
        assert!(!site.is_up(designated));

        let team = site.team.hwaddr();
        let from = |frame: &[u8]| HwAddr(*frame[6..].first_chunk().expect("an address"));
        for (port, since, until) in [(3 - designated, 0, 1000), (designated, 2000, 3000)] {
            let sent = site
                .sent
                .iter()
                .filter(|(when, on, _)| *on == port && (at(since)..at(until)).contains(when));
            let sources: Vec<HwAddr> = sent.map(|(_, _, frame)| from(frame)).collect();
            assert!(sources.len() > 5, "port {port} sent {} requests", sources.len());
            assert!(!sources.contains(&team), "port {port}");
        }
        let sent = site.sent_on(designated, 500);
        assert_eq!(from(sent[0]), team, "designated port");
    }
}
