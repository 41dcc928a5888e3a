//! arp_ping: requests on each port, and the time until the watch goes up or down.

use std::net::Ipv4Addr;
use std::time::Duration;

use runners::wire::probe::arp_request;
use runners::wire::{Arp, Ethernet};
use runners::{Event, LinkWatchPolicy, LinkWatchSettings, PortId, PortSettings, TeamSettings};

use crate::arp_watch::{BROADCAST, SOURCE, STRANGER, activebackup, alone, pair, ping, port};
use crate::play::{DOWN, ROUNDROBIN, UP, added, adopted, at, ethtool, hw, link_is};
use crate::site::{Site, TARGET, arp_frame};

#[test]
fn a_team_receives_the_frames_that_its_watches_read() {
    let site = alone(ping());
    assert!(site.actions.contains(&"listen arp".to_owned()), "{:?}", site.actions);
}

#[test]
fn requests_leave_with_the_ports_address_every_interval() {
    let mut site = pair(ping(), &[1, 2], &[1, 2]);
    site.pass(9);
    assert_eq!(site.sent, []);
    site.pass(1000);
    let times = site.sent.iter().filter(|(_, on, _)| *on == 1);
    let times = times.map(|(when, _, _)| when.as_nanos() / 1_000_000);
    let expected: Vec<u64> = (0..10).map(|n| 10 + 100 * n).collect();
    assert_eq!(times.collect::<Vec<_>>(), expected);
    // Every port has the team's address, which is the first port's.
    let request = arp_request(hw(1), SOURCE, TARGET, None);
    assert!(site.sent_on(1, 0).iter().all(|frame| **frame == request));
    // The waiting port sends the normal request until a port is active, then one probe of its own;
    // afterwards it receives the requests of the active port.
    let own_probe = arp_request(hw(2), Ipv4Addr::UNSPECIFIED, TARGET, None);
    assert_eq!(site.sent_on(2, 0), [&request, &own_probe]);
    assert!(site.is_up(1) && site.is_up(2));
    assert_eq!((site.active(), site.missed(1), site.missed(2)), (Some(1), 0, 0));
}

/// A miss counts half an interval after the request; the fourth miss takes the watch down.
#[test]
fn the_watch_goes_down_with_one_miss_more_than_allowed() {
    let mut site = alone(ping());
    assert_eq!(site.missed(1), 1, "init_wait counts as a miss, as with teamd");
    site.receive(1, &arp_frame(BROADCAST, Arp::REQUEST, STRANGER, SOURCE, TARGET));
    assert!(site.is_up(1));
    for (before, missed) in [(159, 0), (160, 1), (260, 2), (360, 3), (459, 3)] {
        site.pass(before);
        assert_eq!((site.missed(1), site.is_up(1)), (missed, true), "{before}");
    }
    site.pass(460);
    assert_eq!((site.missed(1), site.is_up(1)), (4, false));
    let watch = &site.team.port(PortId(1)).expect("a port").watches()[0];
    assert_eq!(watch.down_count(), 1);
    let status = watch.ping_status().expect("a watch with requests");
    assert_eq!(status.last_probe, Some(at(410)));
    assert_eq!(status.last_answer, Some(at(20)));
    site.pass(1000);
    assert_eq!(site.missed(1), 9, "misses count while the watch is down");
}

/// The team leaves a silent path within 450 ms of any loss, and not before three requests had time
/// for an answer.
#[test]
fn a_silent_loss_is_left_within_450_ms() {
    for lost in 1000..1100 {
        let mut site = pair(ping(), &[1, 2], &[1, 2]);
        site.pass(lost);
        assert_eq!(site.active(), Some(1));
        site.reached = vec![2];
        let sent = site.sent.len();
        while site.active() == Some(1) {
            let due = site.team.next_deadline().expect("the watch sends requests");
            site.pass(due.as_nanos().div_ceil(1_000_000));
        }
        let after = site.now.saturating_since(at(lost));
        assert!(after <= Duration::from_millis(450), "{lost}: {after:?}");
        assert!(site.sent.len() - sent > 3, "{lost}: too early");
        assert_eq!(site.active(), Some(2));
        // Requests of the new port do not take the old one up.
        site.pass(5000);
        assert_eq!((site.active(), site.is_up(1)), (Some(2), false));
    }
}

#[test]
fn a_late_neighbour_is_found_within_two_intervals() {
    for came in 1000..1100 {
        let mut site = pair(ping(), &[], &[1, 2]);
        site.pass(came);
        assert!(!site.is_up(1) && !site.is_up(2), "no answer yet");
        site.reached = vec![1, 2];
        site.pass(came + 200);
        assert_eq!(site.active(), Some(1), "{came}");
    }
}

/// The preferred port becomes active again although another one carries, without a frame that could
/// attract the team's traffic to it before.
#[test]
fn the_preferred_port_becomes_active_again() {
    let mut site = pair(ping(), &[2], &[1, 2]);
    site.pass(1000);
    assert_eq!(site.active(), Some(2));
    let quiet = site.sent_on(1, 500);
    assert!(!quiet.is_empty());
    for frame in quiet {
        // The team has the first port's address, so the port sends from another one.
        let request =
            arp_request(hw(1).with_local_bit_flipped(), Ipv4Addr::UNSPECIFIED, TARGET, None);
        assert_eq!(frame, request);
    }
    site.reached = vec![1, 2];
    site.pass(1200);
    assert_eq!(site.active(), Some(1));
    // The other port waits, receives the requests of the first one, and sends nothing.
    site.pass(3000);
    assert!(site.is_up(2));
    assert_eq!(site.sent_on(2, 1400), [&[0u8; 0]; 0]);
}

#[test]
fn a_sticky_port_stays_active() {
    let mut site = Site::new(activebackup(), &[2], &[1, 2]);
    site.handle(added(1, UP, port(10, ping())));
    let sticky = PortSettings { sticky: true, ..port(0, ping()) };
    site.handle(added(2, UP, sticky));
    site.pass(500);
    assert_eq!(site.active(), Some(2));
    site.reached = vec![1, 2];
    site.pass(1000);
    assert!(site.is_up(1));
    assert_eq!(site.active(), Some(2));
}

/// In separate networks the waiting port does not receive the requests of the active one.
#[test]
fn a_waiting_port_that_receives_nothing_stays_up_by_its_own_requests() {
    let mut strict = ping();
    strict.probing.missed_max = 0;
    let mut site = pair(strict, &[1, 2], &[]);
    site.pass(5000);
    assert!(site.is_up(1) && site.is_up(2));
    assert_eq!(site.team.port(PortId(2)).expect("a port").watches()[0].down_count(), 0);
    // The probe has the second port's own address.
    let request = arp_request(hw(2), Ipv4Addr::UNSPECIFIED, TARGET, None);
    assert_eq!(site.sent_on(2, 100).first(), Some(&&request[..]));
}

#[test]
fn send_always_sends_a_request_of_the_port_itself_on_a_waiting_port() {
    let mut always = ping();
    always.send_always = true;
    let mut site = pair(always, &[1], &[1, 2]);
    site.pass(1000);
    // The team has the first port's address: a switch would move the team to the waiting port.
    let own_probe = arp_request(hw(2), Ipv4Addr::UNSPECIFIED, TARGET, None);
    assert!(site.sent_on(2, 100).len() >= 9);
    assert!(site.sent_on(2, 100).iter().all(|frame| **frame == own_probe));
    assert!(!site.is_up(2), "requests of the first port are no answers");
}

/// Without a neighbour, the requests of one port or watch must not take another one up.
#[test]
fn the_teams_own_requests_take_no_watch_up() {
    let mut site = Site::new(activebackup(), &[], &[1, 2]);
    let two = PortSettings {
        link_watches: vec![LinkWatchSettings::ArpPing(ping()); 2],
        ..PortSettings::default()
    };
    site.handle(added(1, UP, two.clone()));
    site.handle(added(2, UP, two));
    site.pass(5000);
    assert!(site.sent.len() > 100);
    assert!(!site.actions.iter().any(|line| line.contains("went up")), "{:?}", site.actions);
}

#[test]
fn requests_and_answers_have_the_tag_of_vlanid() {
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
fn a_request_leaves_as_soon_as_the_link_comes_up() {
    let mut site = Site::new(activebackup(), &[1], &[]);
    site.handle(added(1, DOWN, port(0, ping())));
    site.pass(530);
    assert_eq!(site.sent, [], "nothing is sent without a carrier");
    site.handle(link_is(1, UP));
    site.pass(532);
    assert!(site.is_up(1));
}

/// `linked` of a forwarding follows the watch, so that the data path skips the port under plain
/// runners.
#[test]
fn plain_runners_skip_a_port_whose_watch_is_down() {
    let mut site = Site::new(TeamSettings::new(ROUNDROBIN), &[1, 2], &[]);
    site.handle(added(1, UP, port(0, ping())));
    site.handle(added(2, UP, port(0, ping())));
    site.pass(500);
    site.reached = vec![2];
    site.pass(1000);
    let forwarding = |site: &Site| {
        let mut lines = site.actions.iter();
        lines.rfind(|line| line.starts_with("forward")).cloned()
    };
    assert_eq!(forwarding(&site).as_deref(), Some("forward roundrobin: 1+_ 2+^"));
    assert!(site.team.carrier());
    site.reached = Vec::new();
    site.pass(2000);
    assert_eq!(forwarding(&site).as_deref(), Some("forward roundrobin: 1+_ 2+_"));
    assert!(!site.team.carrier());
}

#[test]
fn a_port_without_a_carrier_is_not_linked_although_its_watch_is_up() {
    let mut site = pair(ping(), &[1, 2], &[1, 2]);
    site.pass(500);
    site.handle(link_is(1, DOWN));
    let port = site.team.port(PortId(1)).expect("a port");
    assert!(port.watches_up() && !port.is_linked());
}

#[test]
fn a_lost_carrier_is_left_at_once_with_arp_ping_alone() {
    let mut site = pair(ping(), &[1, 2], &[1, 2]);
    site.pass(500);
    assert_eq!(site.active(), Some(1));
    site.handle(link_is(1, DOWN));
    assert_eq!(site.active(), Some(2));
}

/// The ethtool watch may delay the loss, the watch that asks may not.
#[test]
fn a_lost_carrier_is_left_after_the_delay_of_ethtool_with_any_watch() {
    for (delay, active) in [(0, Some(2)), (200, Some(1))] {
        let mut site = Site::new(activebackup(), &[1, 2], &[1, 2]);
        for number in [1, 2] {
            let prio = 10 / number as i32;
            let mut settings = port(prio, ping());
            settings.link_watches.push(ethtool(0, delay));
            site.handle(added(number, UP, settings));
        }
        site.pass(500);
        assert_eq!(site.active(), Some(1));
        site.handle(link_is(1, DOWN));
        assert_eq!(site.active(), active, "{delay}");
    }
}

#[test]
fn watches_of_several_kinds_are_combined() {
    for (policy, expected) in [(LinkWatchPolicy::Any, true), (LinkWatchPolicy::All, false)] {
        let settings = TeamSettings { link_watch_policy: policy, ..activebackup() };
        let mut site = Site::new(settings, &[], &[]);
        let both = PortSettings {
            link_watches: vec![ethtool(0, 0), LinkWatchSettings::ArpPing(ping())],
            ..PortSettings::default()
        };
        site.handle(added(1, UP, both));
        site.pass(1000);
        assert_eq!(site.is_up(1), expected, "{policy:?}");
    }
}

/// After a take-over traffic continues until requests stay without an answer.
#[test]
fn an_adopted_port_starts_up() {
    let mut site = Site::new(activebackup(), &[], &[]);
    site.handle(adopted(1, UP, port(0, ping())));
    assert_eq!(site.active(), Some(1));
    site.pass(359);
    assert_eq!(site.active(), Some(1));
    site.pass(360);
    assert_eq!(site.active(), None);
}

/// After a pause of the whole process each watch sends one request and counts one miss.
#[test]
fn a_pause_of_the_process_counts_as_one_miss() {
    let mut site = pair(ping(), &[1, 2], &[1, 2]);
    site.pass(1000);
    let sent = site.sent.len();
    site.now = at(60_000);
    site.handle(Event::DeadlineReached);
    assert!(site.sent.len() - sent <= 2);
    site.pass(61_000);
    assert_eq!(site.active(), Some(1));
    assert!(!site.actions.iter().any(|line| line.contains("went down")));
}
