//! arp_ping: what counts as an answer, and hosts that are known by name.

use std::net::{IpAddr, Ipv4Addr};

use runners::wire::Arp;
use runners::wire::probe::arp_request;
use runners::{Event, Host, IpFamily, PortId, WatchProblem};

use crate::asking::{EVERYBODY, SOURCE, STRANGER, alone, pair, ping};
use crate::play::hw;
use crate::site::{NEIGHBOUR, Site, TARGET, arp_frame};

/// Any ARP message in the right VLAN is a sign of life; with validation, only the answer.
#[test]
fn what_counts_as_an_answer() {
    let reply = |sender, target| arp_frame(hw(1), Arp::REPLY, STRANGER, sender, target);
    let request = arp_frame(EVERYBODY, Arp::REQUEST, STRANGER, SOURCE, TARGET);
    let tagged = |tci: u16, frame: &[u8]| {
        [&frame[..12], &[0x81, 0], &tci.to_be_bytes(), &frame[12..]].concat()
    };
    let with = |frame: &[u8], place: usize, byte: u8| {
        let mut frame = frame.to_vec();
        frame[place] = byte;
        frame
    };
    let answer = reply(TARGET, SOURCE);
    let to_probe = reply(TARGET, Ipv4Addr::UNSPECIFIED);
    let swapped = reply(SOURCE, TARGET);
    let other = reply(Ipv4Addr::new(192, 0, 2, 9), SOURCE);
    // Frame, without validation, with validation, with vlanid 5.
    let cases: Vec<(&str, Vec<u8>, bool, bool, bool)> = vec![
        ("the answer", answer.clone(), true, true, false),
        ("the answer to a probe", to_probe, true, true, false),
        ("somebody's request", request.clone(), true, false, false),
        ("another one's reply", other, true, false, false),
        ("our words come back", swapped, true, false, false),
        ("priority tag", tagged(0xe000, &answer), true, true, false),
        ("its VLAN", tagged(5, &answer), false, false, true),
        (
            "its VLAN with priority",
            tagged(0xf005, &answer),
            false,
            false,
            true,
        ),
        ("another VLAN", tagged(6, &answer), false, false, false),
        (
            "two tags",
            tagged(5, &tagged(5, &answer)),
            false,
            false,
            false,
        ),
        ("reverse ARP", with(&answer, 21, 3), false, false, false),
        ("no operation", with(&answer, 21, 0), false, false, false),
        (
            "operation 256 + 2",
            with(&answer, 20, 1),
            false,
            false,
            false,
        ),
        ("not Ethernet", with(&answer, 15, 6), false, false, false),
        ("not IPv4", with(&answer, 16, 9), false, false, false),
        (
            "short hardware address",
            with(&answer, 18, 4),
            false,
            false,
            false,
        ),
        (
            "long protocol address",
            with(&answer, 19, 16),
            false,
            false,
            false,
        ),
        ("IPv4", with(&answer, 13, 0), false, false, false),
        (
            "from our own address",
            with(&answer, 27, 1),
            false,
            false,
            false,
        ),
        (
            "from our own station",
            with(&answer, 11, 1),
            false,
            false,
            false,
        ),
        ("cut short", answer[..41].to_vec(), false, false, false),
        (
            "cut in the header",
            answer[..13].to_vec(),
            false,
            false,
            false,
        ),
        (
            "tag without end",
            tagged(5, &answer)[..15].to_vec(),
            false,
            false,
            false,
        ),
        ("nothing", Vec::new(), false, false, false),
        (
            "padded",
            [&answer[..], &[0xff; 18]].concat(),
            true,
            true,
            false,
        ),
    ];
    for (what, frame, any, valid, in_vlan) in cases {
        let mut validating = ping();
        (validating.validate_active, validating.validate_inactive) = (true, true);
        let mut vlan = ping();
        vlan.vlanid = Some(5);
        for (watch, expected) in [(ping(), any), (validating, valid), (vlan, in_vlan)] {
            let mut site = alone(watch);
            site.hears(1, &frame);
            assert_eq!(site.is_up(1), expected, "{what}, expected {expected}");
        }
    }
}

/// The two keys are told apart by who carries.
#[test]
fn validation_looks_at_the_port_that_it_is_for() {
    let request = arp_frame(EVERYBODY, Arp::REQUEST, STRANGER, SOURCE, TARGET);
    for (active, inactive) in [(true, false), (false, true)] {
        let mut watch = ping();
        (watch.validate_active, watch.validate_inactive) = (active, inactive);
        let mut site = pair(watch, &[1, 2], &[]);
        site.pass(100);
        site.reached = Vec::new();
        for time in (110..500).step_by(50) {
            site.pass(time);
            site.hears(1, &request);
            site.hears(2, &request);
        }
        let fell = |port| {
            let line = format!("{port}: arp_ping-link went down.");
            site.wanted.contains(&line)
        };
        assert_eq!((fell("eth1"), fell("eth2")), (active, inactive));
    }
}

#[test]
fn a_name_is_resolved_while_everything_goes_on() {
    let mut named = ping();
    named.target_host = Host {
        name: "gw".to_owned(),
        address: None,
    };
    let mut site = pair(named, &[1, 2], &[1, 2]);
    let resolved = |address| Event::HostResolved {
        host: "gw".to_owned(),
        family: IpFamily::V4,
        address,
    };
    let asked = |site: &Site| {
        let lines = site.wanted.iter();
        lines.filter(|line| *line == "resolve gw V4").count()
    };
    site.pass(5000);
    assert_eq!(site.sent, []);
    assert_eq!(asked(&site), 2, "once for each port");
    let obstacle = |site: &Site| {
        let port = site.team.port(PortId(1)).expect("a port");
        let obstacle = port.watches()[0].problem();
        obstacle.map(|obstacle| obstacle.to_string())
    };
    assert_eq!(
        obstacle(&site).as_deref(),
        Some("waits for the address of \"gw\"")
    );
    assert_eq!(
        WatchProblem::Unresolved("gw").to_string(),
        obstacle(&site).unwrap_or_default()
    );

    // Nobody knows it; asked again, but not soon.
    site.tell(resolved(None));
    site.pass(14_900);
    assert_eq!(asked(&site), 2);
    site.pass(15_200);
    assert_eq!(asked(&site), 4);
    site.tell(resolved(Some(IpAddr::V4(TARGET))));
    assert_eq!(obstacle(&site), None);
    site.pass(15_300);
    assert_eq!(site.active(), Some(1));
    assert_eq!(asked(&site), 4);

    // A target that is gone may have moved.
    site.reached = Vec::new();
    site.pass(26_000);
    assert_eq!(asked(&site), 6);
}

#[test]
fn an_answer_for_another_name_is_none() {
    let mut named = ping();
    named.source_host = Some(Host {
        name: "me".to_owned(),
        address: None,
    });
    let mut site = alone(named);
    for (host, family, address) in [
        ("gw", IpFamily::V4, IpAddr::V4(TARGET)),
        ("me", IpFamily::V6, IpAddr::V6(TARGET.to_ipv6_mapped())),
    ] {
        let host = host.to_owned();
        let address = Some(address);
        site.tell(Event::HostResolved {
            host,
            family,
            address,
        });
    }
    assert_eq!(site.sent, []);
    site.tell(Event::HostResolved {
        host: "me".to_owned(),
        family: IpFamily::V4,
        address: Some(IpAddr::V4(SOURCE)),
    });
    assert_eq!(
        site.sent_on(1, 0),
        [arp_request(hw(1), SOURCE, TARGET, None)]
    );
    site.hears(1, &arp_frame(hw(1), Arp::REPLY, NEIGHBOUR, TARGET, SOURCE));
    assert!(site.is_up(1));
}
