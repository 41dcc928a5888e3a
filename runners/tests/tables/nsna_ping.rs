//! nsna_ping: source addresses of requests, and frames that count as an answer.

use std::net::Ipv6Addr;
use std::time::Duration;

use runners::wire::probe::neighbour_solicitation;
use runners::{
    Event, Host, HwAddrPolicy, LinkWatchSettings, NsnaPingSettings, PortId, PortSettings, Probing,
    TeamSettings, WatchProblem,
};

use crate::play::{UP, added, backed_up, hw};
use crate::site::{Site, TARGET6, advertisement};

const TEAMS: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xdd);
const PORTS: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xee);

pub fn port(prio: i32) -> PortSettings {
    PortSettings {
        prio,
        link_watches: vec![LinkWatchSettings::NsnaPing(NsnaPingSettings {
            probing: Probing {
                interval: Duration::from_millis(100),
                init_wait: Duration::from_millis(10),
                missed_max: 3,
                retry_interval: None,
            },
            target_host: Host { name: TARGET6.to_string(), address: Some(TARGET6) },
        })],
        ..PortSettings::default()
    }
}

fn pair(reached: &[u32]) -> Site {
    let settings = TeamSettings::new(backed_up(HwAddrPolicy::SameAll));
    let mut site = Site::new(settings, reached, &[1, 2]);
    site.handle(Event::TeamLinkLocalChanged { address: Some(TEAMS) });
    site.handle(added(1, UP, port(10)));
    site.handle(added(2, UP, port(0)));
    site
}

fn problem(site: &Site) -> Option<WatchProblem<'_>> {
    let port = site.team.port(PortId(1)).expect("a port");
    port.watches()[0].problem()
}

/// The link-local address derived from the hardware address of a port.
fn derived(last: u16, group: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, group, 0x00ff, 0xfe00, last)
}

#[test]
fn every_port_sends_requests_and_a_waiting_one_from_its_own_address() {
    let mut site = pair(&[1, 2]);
    site.pass(1000);
    assert_eq!(site.active(), Some(1));
    assert!(site.is_up(2), "teamd keeps the waiting port down");
    let active = neighbour_solicitation(hw(1), TEAMS, TARGET6);
    assert!(site.sent_on(1, 0).iter().all(|frame| **frame == active));
    let waiting = neighbour_solicitation(hw(2), derived(2, 0), TARGET6);
    assert!(site.sent_on(2, 100).len() >= 9);
    assert!(site.sent_on(2, 100).iter().all(|frame| **frame == waiting));
    assert!(site.actions.contains(&"listen neighbour discovery".to_owned()), "{:?}", site.actions);
}

#[test]
fn the_preferred_port_becomes_active_again() {
    let mut site = pair(&[2]);
    site.pass(1000);
    assert_eq!(site.active(), Some(2));
    // The team has the first port's address.
    let waiting =
        neighbour_solicitation(hw(1).with_local_bit_flipped(), derived(1, 0x0200), TARGET6);
    assert_eq!(site.sent_on(1, 500)[0], waiting);
    site.reached = vec![1, 2];
    site.pass(1200);
    assert_eq!(site.active(), Some(1));
    site.reached = vec![2];
    site.pass(1650);
    assert_eq!(site.active(), Some(2));
}

#[test]
fn a_missing_link_local_address_is_reported_and_replaced() {
    let mut site = pair(&[]);
    site.handle(Event::TeamLinkLocalChanged { address: None });
    site.pass(50);
    assert_eq!(problem(&site), Some(WatchProblem::NoLinkLocal));
    let made = neighbour_solicitation(hw(1), derived(1, 0), TARGET6);
    assert_eq!(site.sent_on(1, 0), [&made]);
    let port = PortId(1);
    site.handle(Event::PortLinkLocalChanged { port, address: Some(PORTS) });
    site.handle(Event::TeamLinkLocalChanged { address: Some(TEAMS) });
    site.pass(150);
    assert_eq!(problem(&site), None);
    let own = neighbour_solicitation(hw(1), PORTS, TARGET6);
    assert_eq!(site.sent_on(1, 50), [&own]);
    let teams = neighbour_solicitation(hw(1), TEAMS, TARGET6);
    assert_eq!(site.sent_on(2, 50), [&teams]);
}

#[test]
fn only_the_targets_untagged_advertisement_counts_as_an_answer() {
    let answer = advertisement(TARGET6);
    let tagged = [&answer[..12], &[0x81, 0, 0, 5], &answer[12..]].concat();
    let mut ours = answer.clone();
    ours[6..12].copy_from_slice(&hw(1).0);
    for (what, frame, expected) in [
        ("the target's", answer.clone(), true),
        ("another host's", advertisement(TEAMS), false),
        ("in a VLAN", tagged, false),
        ("our own", ours, false),
        ("a solicitation", neighbour_solicitation(hw(9), PORTS, TARGET6), false),
        ("cut short", answer[..80].to_vec(), false),
        ("nothing", Vec::new(), false),
    ] {
        let mut site = pair(&[]);
        site.pass(20);
        site.receive(1, &frame);
        assert_eq!(site.is_up(1), expected, "{what}");
    }
}
