//! arp_ping: frames that count as an answer, and hosts that are configured by name.

use std::net::{IpAddr, Ipv4Addr};

use runners::wire::Arp;
use runners::wire::probe::arp_request;
use runners::{Event, Host, IpFamily, PortId, WatchProblem};

use crate::arp_watch::{BROADCAST, SOURCE, STRANGER, alone, pair, ping};
use crate::play::hw;
use crate::site::{NEIGHBOUR, Site, TARGET, arp_frame};

/// Any ARP message in the right VLAN counts; with validation, only the reply of the target.
#[test]
fn only_matching_arp_messages_count_as_answers() {
    let reply = |sender, target| arp_frame(hw(1), Arp::REPLY, STRANGER, sender, target);
    let request = arp_frame(BROADCAST, Arp::REQUEST, STRANGER, SOURCE, TARGET);
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
        ("another host's request", request.clone(), true, false, false),
        ("another host's reply", other, true, false, false),
        ("our own addresses swapped", swapped, true, false, false),
        ("priority tag", tagged(0xe000, &answer), true, true, false),
        ("its VLAN", tagged(5, &answer), false, false, true),
        ("its VLAN with priority", tagged(0xf005, &answer), false, false, true),
        ("another VLAN", tagged(6, &answer), false, false, false),
        ("two tags", tagged(5, &tagged(5, &answer)), false, false, false),
        ("reverse ARP", with(&answer, 21, 3), false, false, false),
        ("no operation", with(&answer, 21, 0), false, false, false),
        ("operation 256 + 2", with(&answer, 20, 1), false, false, false),
        ("not Ethernet", with(&answer, 15, 6), false, false, false),
        ("not IPv4", with(&answer, 16, 9), false, false, false),
        ("short hardware address", with(&answer, 18, 4), false, false, false),
        ("long protocol address", with(&answer, 19, 16), false, false, false),
        ("IPv4", with(&answer, 13, 0), false, false, false),
        ("from our own address", with(&answer, 27, 1), false, false, false),
        ("from our own station", with(&answer, 11, 1), false, false, false),
        ("cut short", answer[..41].to_vec(), false, false, false),
        ("cut in the header", answer[..13].to_vec(), false, false, false),
        ("tag without end", tagged(5, &answer)[..15].to_vec(), false, false, false),
        ("nothing", Vec::new(), false, false, false),
        ("padded", [&answer[..], &[0xff; 18]].concat(), true, true, false),
    ];
    for (what, frame, any, valid, in_vlan) in cases {
        let mut validating = ping();
        (validating.validate_active, validating.validate_inactive) = (true, true);
        let mut vlan = ping();
        vlan.vlanid = Some(5);
        for (watch, expected) in [(ping(), any), (validating, valid), (vlan, in_vlan)] {
            let mut site = alone(watch);
            site.receive(1, &frame);
            assert_eq!(site.is_up(1), expected, "{what}, expected {expected}");
        }
    }
}

/// `validate_active` is for enabled ports, `validate_inactive` for the others.
#[test]
fn each_validation_key_applies_to_its_ports() {
    let request = arp_frame(BROADCAST, Arp::REQUEST, STRANGER, SOURCE, TARGET);
    for (active, inactive) in [(true, false), (false, true)] {
        let mut watch = ping();
        (watch.validate_active, watch.validate_inactive) = (active, inactive);
        let mut site = pair(watch, &[1, 2], &[]);
        site.pass(100);
        site.reached = Vec::new();
        for time in (110..500).step_by(50) {
            site.pass(time);
            site.receive(1, &request);
            site.receive(2, &request);
        }
        let fell = |port| {
            let line = format!("{port}: arp_ping-link went down.");
            site.actions.contains(&line)
        };
        assert_eq!((fell("eth1"), fell("eth2")), (active, inactive));
    }
}

#[test]
fn a_host_name_is_resolved_in_the_background() {
    let mut named = ping();
    named.target_host = Host { name: "gw".to_owned(), address: None };
    let mut site = pair(named, &[1, 2], &[1, 2]);
    let resolved =
        |address| Event::HostResolved { host: "gw".to_owned(), family: IpFamily::V4, address };
    let requests = |site: &Site| {
        let lines = site.actions.iter();
        lines.filter(|line| *line == "resolve gw V4").count()
    };
    site.pass(5000);
    assert_eq!(site.sent, []);
    assert_eq!(requests(&site), 2, "once for each port");
    let problem = |site: &Site| {
        let port = site.team.port(PortId(1)).expect("a port");
        let problem = port.watches()[0].problem();
        problem.map(|problem| problem.to_string())
    };
    assert_eq!(problem(&site).as_deref(), Some("waits for the address of \"gw\""));
    assert_eq!(WatchProblem::Unresolved("gw").to_string(), problem(&site).unwrap_or_default());

    // A failed resolution is requested again after a pause.
    site.handle(resolved(None));
    site.pass(14_900);
    assert_eq!(requests(&site), 2);
    site.pass(15_200);
    assert_eq!(requests(&site), 4);
    site.handle(resolved(Some(IpAddr::V4(TARGET))));
    assert_eq!(problem(&site), None);
    site.pass(15_300);
    assert_eq!(site.active(), Some(1));
    assert_eq!(requests(&site), 4);

    // A silent target may have a new address.
    site.reached = Vec::new();
    site.pass(26_000);
    assert_eq!(requests(&site), 6);
}

#[test]
fn a_resolution_of_another_name_or_family_is_ignored() {
    let mut named = ping();
    named.source_host = Some(Host { name: "me".to_owned(), address: None });
    let mut site = alone(named);
    for (host, family, address) in [
        ("gw", IpFamily::V4, IpAddr::V4(TARGET)),
        ("me", IpFamily::V6, IpAddr::V6(TARGET.to_ipv6_mapped())),
    ] {
        let host = host.to_owned();
        let address = Some(address);
        site.handle(Event::HostResolved { host, family, address });
    }
    assert_eq!(site.sent, []);
    site.handle(Event::HostResolved {
        host: "me".to_owned(),
        family: IpFamily::V4,
        address: Some(IpAddr::V4(SOURCE)),
    });
    assert_eq!(site.sent_on(1, 0), [arp_request(hw(1), SOURCE, TARGET, None)]);
    site.receive(1, &arp_frame(hw(1), Arp::REPLY, NEIGHBOUR, TARGET, SOURCE));
    assert!(site.is_up(1));
}
