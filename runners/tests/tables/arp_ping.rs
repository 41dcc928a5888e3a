//! arp_ping: what is asked where, what counts as an answer, and how fast the verdict follows.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use runners::wire::probe::arp_request;
use runners::wire::{Arp, Ethernet};
use runners::{
    ArpPingSettings, Event, Host, HwAddr, HwAddrPolicy, IpFamily, LinkWatchPolicy,
    LinkWatchSettings, Obstacle, PortId, PortSettings, Probing, TeamSettings,
};

use crate::play::{DOWN, ROUNDROBIN, UP, added, at, backed_up, ethtool, hw, link_is, standing};
use crate::site::{NEIGHBOUR, Site, TARGET, arp_frame};

const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const STRANGER: HwAddr = HwAddr([2, 0, 0, 0, 0, 0x77]);
const EVERYBODY: HwAddr = HwAddr([0xff; 6]);

fn host(address: Ipv4Addr) -> Host<Ipv4Addr> {
    Host {
        name: address.to_string(),
        address: Some(address),
    }
}

/// Every 100 ms from 10 ms on; the fourth miss makes it down.
fn ping() -> ArpPingSettings {
    ArpPingSettings {
        probing: Probing {
            interval: Duration::from_millis(100),
            init_wait: Duration::from_millis(10),
            missed_max: 3,
        },
        target_host: host(TARGET),
        source_host: Some(host(SOURCE)),
        vlanid: None,
        validate_active: false,
        validate_inactive: false,
        send_always: false,
    }
}

fn port(prio: i32, ping: ArpPingSettings) -> PortSettings {
    PortSettings {
        prio,
        link_watches: vec![LinkWatchSettings::ArpPing(ping)],
        ..PortSettings::default()
    }
}

fn activebackup() -> TeamSettings {
    TeamSettings::new(backed_up(HwAddrPolicy::SameAll))
}

/// A team of two ports, of which the first is preferred, with links.
fn pair(ping: ArpPingSettings, reached: &[u32], switched: &[u32]) -> Site {
    let mut site = Site::new(activebackup(), reached, switched);
    site.tell(added(1, UP, port(10, ping.clone())));
    site.tell(added(2, UP, port(0, ping)));
    site
}

/// One port, on which nothing is sent that would be answered.
fn alone(ping: ArpPingSettings) -> Site {
    let mut site = Site::new(activebackup(), &[], &[]);
    site.tell(added(1, UP, port(0, ping)));
    site.pass(20);
    site
}

#[test]
fn a_team_listens_for_what_its_watches_need() {
    let site = alone(ping());
    assert!(
        site.wanted.contains(&"listen arp".to_owned()),
        "{:?}",
        site.wanted
    );
}

#[test]
fn questions_leave_with_the_ports_address_every_interval() {
    let mut site = pair(ping(), &[1, 2], &[1, 2]);
    site.pass(9);
    assert_eq!(site.sent, []);
    site.pass(1000);
    let times = site.sent.iter().filter(|(_, on, _)| *on == 1);
    let times = times.map(|(when, _, _)| when.as_nanos() / 1_000_000);
    let expected: Vec<u64> = (0..10).map(|n| 10 + 100 * n).collect();
    assert_eq!(times.collect::<Vec<_>>(), expected);
    // The team has the first port's address, and so has every port.
    let question = arp_request(hw(1), SOURCE, TARGET, None);
    assert!(site.sent_on(1, 0).iter().all(|frame| **frame == question));
    // The waiting port asks as the other does until somebody carries, then once for itself, and
    // hears the other since.
    let for_itself = arp_request(hw(2), Ipv4Addr::UNSPECIFIED, TARGET, None);
    assert_eq!(site.sent_on(2, 0), [&question, &for_itself]);
    assert!(site.is_up(1) && site.is_up(2));
    assert_eq!(
        (site.active(), site.missed(1), site.missed(2)),
        (Some(1), 0, 0)
    );
}

/// Ask, half an interval, miss; the fourth one counts.
#[test]
fn the_verdict_falls_with_one_miss_more_than_allowed() {
    let mut site = alone(ping());
    assert_eq!(
        site.missed(1),
        1,
        "as teamd counts the time before the first question"
    );
    site.hears(
        1,
        &arp_frame(EVERYBODY, Arp::REQUEST, STRANGER, SOURCE, TARGET),
    );
    assert!(site.is_up(1));
    for (before, missed) in [(159, 0), (160, 1), (260, 2), (360, 3), (459, 3)] {
        site.pass(before);
        assert_eq!((site.missed(1), site.is_up(1)), (missed, true), "{before}");
    }
    site.pass(460);
    assert_eq!((site.missed(1), site.is_up(1)), (4, false));
    let watch = &site.team.port(PortId(1)).expect("a port").watches()[0];
    assert_eq!(watch.down_count(), 1);
    let inquiry = watch.inquiry().expect("it asks");
    assert_eq!(inquiry.last_probe, Some(at(410)));
    assert_eq!(inquiry.last_answer, Some(at(20)));
    site.pass(1000);
    assert_eq!(site.missed(1), 9, "counts on while down");
}

/// Whenever the way is lost, the team leaves it within 450 ms, and not before three questions
/// were given their time.
#[test]
fn a_silent_loss_is_left_within_450_ms() {
    for lost in 1000..1100 {
        let mut site = pair(ping(), &[1, 2], &[1, 2]);
        site.pass(lost);
        assert_eq!(site.active(), Some(1));
        site.reached = vec![2];
        let asked = site.sent.len();
        while site.active() == Some(1) {
            let due = site.team.next_deadline().expect("it goes on asking");
            site.pass(due.as_nanos().div_ceil(1_000_000));
        }
        let after = site.now.saturating_since(at(lost));
        assert!(after <= Duration::from_millis(450), "{lost}: {after:?}");
        assert!(site.sent.len() - asked > 3, "{lost}: hasty");
        assert_eq!(site.active(), Some(2));
        // And stays where it is: what the new port asks is no life sign for the old one.
        site.pass(5000);
        assert_eq!((site.active(), site.is_up(1)), (Some(2), false));
    }
}

#[test]
fn a_neighbour_that_comes_late_is_found_within_two_intervals() {
    for came in 1000..1100 {
        let mut site = pair(ping(), &[], &[1, 2]);
        site.pass(came);
        assert!(!site.is_up(1) && !site.is_up(2), "nobody answered yet");
        site.reached = vec![1, 2];
        site.pass(came + 200);
        assert_eq!(site.active(), Some(1), "{came}");
    }
}

/// The preferred port wins back although another one carries, and is found without a word that
/// could draw the traffic of the team to it.
#[test]
fn prio_holds_after_a_recovery() {
    let mut site = pair(ping(), &[2], &[1, 2]);
    site.pass(1000);
    assert_eq!(site.active(), Some(2));
    let quiet = site.sent_on(1, 500);
    assert!(!quiet.is_empty());
    for frame in quiet {
        // The first port lends the team its address, so it asks from another one.
        let question = arp_request(hw(1).sibling(), Ipv4Addr::UNSPECIFIED, TARGET, None);
        assert_eq!(frame, question);
    }
    site.reached = vec![1, 2];
    site.pass(1200);
    assert_eq!(site.active(), Some(1));
    // Now the other one waits, hears the first, and is silent.
    site.pass(3000);
    assert!(site.is_up(2));
    assert_eq!(site.sent_on(2, 1400), [&[0u8; 0]; 0]);
}

#[test]
fn sticky_holds() {
    let mut site = Site::new(activebackup(), &[2], &[1, 2]);
    site.tell(added(1, UP, port(10, ping())));
    let sticky = PortSettings {
        sticky: true,
        ..port(0, ping())
    };
    site.tell(added(2, UP, sticky));
    site.pass(500);
    assert_eq!(site.active(), Some(2));
    site.reached = vec![1, 2];
    site.pass(1000);
    assert!(site.is_up(1));
    assert_eq!(site.active(), Some(2));
}

/// Separate networks: the waiting port hears nothing of the active one, and asks for itself.
#[test]
fn a_waiting_port_that_hears_nothing_stays_up_by_its_own_questions() {
    let mut strict = ping();
    strict.probing.missed_max = 0;
    let mut site = pair(strict, &[1, 2], &[]);
    site.pass(5000);
    assert!(site.is_up(1) && site.is_up(2));
    assert_eq!(
        site.team.port(PortId(2)).expect("a port").watches()[0].down_count(),
        0
    );
    // Its address is its own, the team's is the first port's.
    let question = arp_request(hw(2), Ipv4Addr::UNSPECIFIED, TARGET, None);
    assert_eq!(site.sent_on(2, 100).first(), Some(&&question[..]));
}

#[test]
fn send_always_asks_everywhere_alike() {
    let mut always = ping();
    always.send_always = true;
    let mut site = pair(always, &[1], &[1, 2]);
    site.pass(1000);
    let question = arp_request(hw(1), SOURCE, TARGET, None);
    assert!(site.sent_on(2, 100).len() >= 9);
    assert!(site.sent_on(2, 100).iter().all(|frame| **frame == question));
    assert!(
        !site.is_up(2),
        "the questions of the first are no answer to its own"
    );
}

/// Nobody answers: the questions of one port must not make the other one live, nor those of one
/// watch the other.
#[test]
fn the_teams_own_questions_keep_nothing_up() {
    let mut site = Site::new(activebackup(), &[], &[1, 2]);
    let two = PortSettings {
        link_watches: vec![LinkWatchSettings::ArpPing(ping()); 2],
        ..PortSettings::default()
    };
    site.tell(added(1, UP, two.clone()));
    site.tell(added(2, UP, two));
    site.pass(5000);
    assert!(site.sent.len() > 100);
    assert!(
        !site.wanted.iter().any(|line| line.contains("went up")),
        "{:?}",
        site.wanted
    );
}

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
fn a_tagged_neighbour_is_asked_and_heard_in_its_vlan() {
    let mut vlan = ping();
    vlan.vlanid = Some(5);
    let mut site = pair(vlan, &[1, 2], &[1, 2]);
    site.pass(1000);
    assert_eq!(site.active(), Some(1));
    let frame = site.sent_on(1, 500)[0].to_vec();
    assert_eq!(frame, arp_request(hw(1), SOURCE, TARGET, Some(5)));
    assert_eq!(Ethernet::parse(&frame).expect("a frame").vlan_ids, 5 << 48);
}

#[test]
fn a_link_that_comes_is_asked_at_once() {
    let mut site = Site::new(activebackup(), &[1], &[]);
    site.tell(added(1, DOWN, port(0, ping())));
    site.pass(530);
    assert_eq!(site.sent, [], "nothing is sent without a carrier");
    site.tell(link_is(1, UP));
    site.pass(532);
    assert!(site.is_up(1));
}

/// The link that the data path is told follows the verdict, so that runners without a choice of
/// their own skip the port.
#[test]
fn plain_runners_hear_of_the_verdict() {
    let mut site = Site::new(TeamSettings::new(ROUNDROBIN), &[1, 2], &[]);
    site.tell(added(1, UP, port(0, ping())));
    site.tell(added(2, UP, port(0, ping())));
    site.pass(500);
    site.reached = vec![2];
    site.pass(1000);
    let forwarding = |site: &Site| {
        let mut lines = site.wanted.iter();
        lines.rfind(|line| line.starts_with("forward")).cloned()
    };
    assert_eq!(
        forwarding(&site).as_deref(),
        Some("forward roundrobin: 1+_ 2+^")
    );
    assert!(site.team.carrier());
    site.reached = Vec::new();
    site.pass(2000);
    assert_eq!(
        forwarding(&site).as_deref(),
        Some("forward roundrobin: 1+_ 2+_")
    );
    assert!(!site.team.carrier());
}

#[test]
fn a_verdict_does_not_outlive_the_carrier_for_the_data_path() {
    let mut site = pair(ping(), &[1, 2], &[1, 2]);
    site.pass(500);
    site.tell(link_is(1, DOWN));
    let port = site.team.port(PortId(1)).expect("a port");
    assert!(port.verdict() && !port.is_linked());
}

#[test]
fn watches_of_several_kinds_are_joined() {
    for (policy, expected) in [(LinkWatchPolicy::Any, true), (LinkWatchPolicy::All, false)] {
        let settings = TeamSettings {
            link_watch_policy: policy,
            ..activebackup()
        };
        let mut site = Site::new(settings, &[], &[]);
        let both = PortSettings {
            link_watches: vec![ethtool(0, 0), LinkWatchSettings::ArpPing(ping())],
            ..PortSettings::default()
        };
        site.tell(added(1, UP, both));
        site.pass(1000);
        assert_eq!(site.is_up(1), expected, "{policy:?}");
    }
}

/// After a take-over traffic goes on until the neighbour proves silent.
#[test]
fn a_port_that_stood_is_believed_at_first() {
    let mut site = Site::new(activebackup(), &[], &[]);
    site.tell(standing(1, UP, port(0, ping())));
    assert_eq!(site.active(), Some(1));
    site.pass(359);
    assert_eq!(site.active(), Some(1));
    site.pass(360);
    assert_eq!(site.active(), None);
}

/// A stopped machine finds its deadlines long past: it asks once, and counts one miss.
#[test]
fn lost_time_is_not_made_up_for() {
    let mut site = pair(ping(), &[1, 2], &[1, 2]);
    site.pass(1000);
    let sent = site.sent.len();
    site.now = at(60_000);
    site.tell(Event::DeadlineReached);
    assert!(site.sent.len() - sent <= 2);
    site.pass(61_000);
    assert_eq!(site.active(), Some(1));
    assert!(!site.wanted.iter().any(|line| line.contains("went down")));
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
        let obstacle = port.watches()[0].inquiry().expect("it asks").obstacle;
        obstacle.map(|obstacle| obstacle.to_string())
    };
    assert_eq!(
        obstacle(&site).as_deref(),
        Some("waits for the address of \"gw\"")
    );
    assert_eq!(
        Obstacle::Unresolved("gw").to_string(),
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
