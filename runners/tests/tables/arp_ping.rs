//! arp_ping: what is asked where, and how fast the verdict follows.

use std::net::Ipv4Addr;
use std::time::Duration;

use runners::wire::probe::arp_request;
use runners::wire::{Arp, Ethernet};
use runners::{Event, LinkWatchPolicy, LinkWatchSettings, PortId, PortSettings, TeamSettings};

use crate::asking::{EVERYBODY, SOURCE, STRANGER, activebackup, alone, pair, ping, port};
use crate::play::{DOWN, ROUNDROBIN, UP, added, adopted, at, ethtool, hw, link_is};
use crate::site::{Site, TARGET, arp_frame};

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
    let inquiry = watch.ping_status().expect("it asks");
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
        let question = arp_request(
            hw(1).with_local_bit_flipped(),
            Ipv4Addr::UNSPECIFIED,
            TARGET,
            None,
        );
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
    assert!(port.watches_up() && !port.is_linked());
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
    site.tell(adopted(1, UP, port(0, ping())));
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
