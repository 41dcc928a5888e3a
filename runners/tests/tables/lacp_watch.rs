//! The watch lacp: the port follows the LACP partner of an aggregate of its own.

use std::time::Duration;

use runners::wire::lacpdu::{Lacpdu, PortInfo, StateBits};
use runners::{
    Action, Event, HwAddr, HwAddrPolicy, LacpPortSettings, LacpSettings, LinkWatchSettings, PortId,
    PortSettings, RunnerSettings, TeamSettings,
};

use crate::play::*;

/// Bytes of the Ethernet header.
const PAYLOAD: usize = 14;
/// Every bit up to Distributing, with the short timeout.
const CARRIES: u8 = 0x3f;
const DISTRIBUTING: u8 = 0x20;
const SYNCHRONIZATION: u8 = 0x08;

fn settings() -> LacpSettings {
    LacpSettings { fast_rate: true, ..LacpSettings::default() }
}

/// Settings of port `n`, watched with these settings.
fn settings_of(n: u16, settings: LacpSettings) -> PortSettings {
    PortSettings {
        prio: -i32::from(n),
        lacp: LacpPortSettings { number: n, ..LacpPortSettings::default() },
        link_watches: vec![LinkWatchSettings::Lacp(settings)],
        ..PortSettings::default()
    }
}

/// A team whose ports have the watch, and a switch that answers with the port's view.
struct Watched {
    play: Play,
    /// The Actor in the last LACPDU of each port.
    sent: Vec<(PortId, PortInfo)>,
}

impl Watched {
    fn new() -> Watched {
        let team = TeamSettings::new(backed_up(HwAddrPolicy::ByActive));
        let mut watched = Watched { play: Play::new(team), sent: Vec::new() };
        for n in [1, 2] {
            watched.handle(0, added(n, UP, settings_of(n as u16, settings())));
        }
        watched
    }

    fn handle(&mut self, millis: u64, event: Event) {
        self.play.team.handle(at(millis), event);
        while let Some(action) = self.play.team.poll_action() {
            if let Action::SendFrame { port, frame } = action {
                if let Some(pdu) = Lacpdu::parse(&frame[PAYLOAD..]) {
                    self.sent.push((port, pdu.actor));
                }
            }
        }
    }

    fn actor(&self, port: u32) -> PortInfo {
        let sent = self.sent.iter().rev().find(|(sender, _)| *sender == PortId(port));
        sent.expect("an LACPDU").1
    }

    /// Port `port` receives an LACPDU of a partner in this state, which has the port's last LACPDU.
    fn partner_sends(&mut self, millis: u64, port: u32, state: u8) {
        let partner = PortInfo { state: StateBits(state), ..partner(port) };
        let frame = Lacpdu::new(partner, self.actor(port), None).frame(hw(0xee));
        self.handle(millis, Event::FrameReceived { port: PortId(port), frame });
    }

    fn is_up(&self, port: u32) -> bool {
        self.play.team.port(PortId(port)).expect("a port").watches_up()
    }

    fn why(&self, millis: u64, port: u32) -> String {
        let status = self.play.team.lacp_watch_status(at(millis), PortId(port));
        status.expect("a session").cause.unwrap_or_default()
    }

    /// Both partners negotiate until both watches are up.
    fn negotiate(&mut self) {
        for port in [1, 2] {
            self.partner_sends(10, port, CARRIES);
            self.partner_sends(20, port, CARRIES);
            assert!(self.is_up(port), "{}", self.why(20, port));
        }
        assert_eq!(self.play.team.active_port(), Some(PortId(1)));
    }
}

/// The partner of port `n` is port `n` of switch `n`.
fn partner(n: u32) -> PortInfo {
    PortInfo {
        system_priority: 7,
        system: HwAddr([2, 0, 0, 0, 9, n as u8]),
        key: 77,
        port_priority: 9,
        port: n as u16,
        state: StateBits(CARRIES),
    }
}

#[test]
fn each_port_has_an_aggregate_of_its_own() {
    let mut watched = Watched::new();
    assert!(!watched.is_up(1), "the carrier does not suffice");
    assert_eq!(watched.play.team.active_port(), None);
    watched.negotiate();
    for port in [1, 2] {
        let actor = watched.actor(port);
        assert_eq!(
            (actor.system, actor.key, actor.port),
            (hw(port as u8), port as u16, port as u16)
        );
        assert_eq!(actor.state, StateBits(CARRIES), "a backup port distributes as well");
    }
}

#[test]
fn each_bit_of_the_partner_that_is_lost_takes_the_watch_down_at_once() {
    for (lost, why) in [
        (SYNCHRONIZATION, "not in sync"),
        (0x10, "does not collect"),
        (DISTRIBUTING, "does not distribute"),
    ] {
        let mut watched = Watched::new();
        watched.negotiate();
        watched.partner_sends(30, 1, CARRIES & !lost);
        assert!(!watched.is_up(1) && watched.is_up(2), "{lost:#x}");
        assert!(watched.why(30, 1).contains(why), "{lost:#x}: {}", watched.why(30, 1));
        assert_eq!(watched.play.team.active_port(), Some(PortId(2)));
        watched.partner_sends(40, 1, CARRIES);
        assert!(watched.is_up(1), "{lost:#x}");
    }
}

#[test]
fn a_silent_partner_is_lost_after_three_periods() {
    let mut watched = Watched::new();
    watched.negotiate();
    for millis in [1000, 2000, 3000, 3019] {
        watched.partner_sends(millis, 2, CARRIES);
        assert!(watched.is_up(1), "{millis}");
    }
    watched.handle(3020, Event::DeadlineReached);
    assert!(!watched.is_up(1) && watched.is_up(2));
    assert_eq!(watched.play.team.active_port(), Some(PortId(2)));
    assert!(watched.why(3020, 1).starts_with("no LACPDU heard for 3 s"));
    watched.partner_sends(3030, 1, CARRIES);
    assert!(watched.is_up(1));
}

/// The hardware address of the team is that of the active port; a partner must not notice.
#[test]
fn a_failover_changes_no_identity() {
    let mut watched = Watched::new();
    watched.negotiate();
    let before = watched.actor(2);
    watched.handle(30, link_is(1, DOWN));
    assert_eq!(watched.play.team.active_port(), Some(PortId(2)));
    watched.handle(31, team_hwaddr(2));
    watched.partner_sends(500, 2, CARRIES);
    assert_eq!((watched.actor(2), watched.is_up(2)), (before, true));
    assert!(!watched.is_up(1), "the carrier is lost");
}

#[test]
fn neither_gate_nor_drain_nor_damping_nor_the_device_ends_the_check() {
    let mut watched = Watched::new();
    watched.negotiate();
    watched.handle(30, allowed(1, false));
    watched.handle(31, Event::PortDrained { port: PortId(2), drained: true });
    watched.handle(32, Event::TeamAdminChanged { up: false });
    for port in [1, 2] {
        watched.partner_sends(40, port, CARRIES);
        assert!(watched.is_up(port), "{}", watched.why(40, port));
        assert_eq!(watched.actor(port).state, StateBits(CARRIES));
    }
}

#[test]
fn a_partner_that_is_another_port_of_the_team_does_not_count() {
    let mut watched = Watched::new();
    let own = PortInfo { system: hw(2), ..partner(2) };
    for millis in [10, 20] {
        let frame = Lacpdu::new(own, watched.actor(1), None).frame(hw(2));
        watched.handle(millis, Event::FrameReceived { port: PortId(1), frame });
    }
    assert!(!watched.is_up(1));
    assert!(watched.why(20, 1).contains("another port of this team"), "{}", watched.why(20, 1));
}

#[test]
fn an_adopted_port_stays_up_for_three_periods_without_a_partner() {
    let adopt = || {
        let team = TeamSettings::new(backed_up(HwAddrPolicy::SameAll));
        let mut watched = Watched { play: Play::new(team), sent: Vec::new() };
        watched.handle(0, adopted(1, UP, settings_of(1, settings())));
        assert!(watched.is_up(1));
        watched
    };
    let mut watched = adopt();
    watched.handle(2999, Event::DeadlineReached);
    assert!(watched.is_up(1));
    watched.handle(3000, Event::DeadlineReached);
    assert!(!watched.is_up(1));

    let mut watched = adopt();
    watched.partner_sends(10, 1, CARRIES);
    watched.partner_sends(20, 1, CARRIES);
    watched.partner_sends(30, 1, CARRIES & !SYNCHRONIZATION);
    assert!(!watched.is_up(1), "a partner that says no counts at once");

    let mut watched = adopt();
    watched.handle(10, link_is(1, DOWN));
    assert!(!watched.is_up(1));
    watched.handle(20, link_is(1, UP));
    assert!(!watched.is_up(1));
}

#[test]
fn a_passive_end_sends_nothing_unasked() {
    let team = TeamSettings::new(backed_up(HwAddrPolicy::SameAll));
    let mut watched = Watched { play: Play::new(team), sent: Vec::new() };
    let passive = LacpSettings { active: false, ..settings() };
    watched.handle(0, added(1, UP, settings_of(1, passive)));
    for millis in [1000, 2000, 3000, 4000] {
        watched.handle(millis, Event::DeadlineReached);
    }
    assert!(watched.sent.is_empty());
    assert!(watched.why(4000, 1).contains("passive"));
}

#[test]
fn the_settings_end_and_change_a_session() {
    let mut watched = Watched::new();
    watched.negotiate();
    let replaced =
        |runner: RunnerSettings, watches: &[LinkWatchSettings]| Event::SettingsReplaced {
            settings: Box::new(TeamSettings::new(runner)),
            ports: [1, 2]
                .map(|n| {
                    let own = settings_of(n, settings());
                    (PortId(n.into()), PortSettings { link_watches: watches.to_vec(), ..own })
                })
                .to_vec(),
        };
    let slow = LinkWatchSettings::Lacp(LacpSettings { sys_prio: 5, ..settings() });
    watched.handle(30, replaced(backed_up(HwAddrPolicy::ByActive), &[slow]));
    assert!(watched.is_up(1), "{}", watched.why(30, 1));
    assert_eq!(watched.actor(1).system_priority, 5);
    watched.partner_sends(40, 1, CARRIES);
    assert!(watched.is_up(1));

    watched.sent.clear();
    watched.handle(50, replaced(backed_up(HwAddrPolicy::ByActive), &[ethtool(0, 0)]));
    assert!(watched.play.team.lacp_watch_status(at(50), PortId(1)).is_none());
    for port in [1, 2] {
        assert_eq!(watched.actor(port).state.only(StateBits::SYNCHRONIZATION), StateBits(0));
    }
    watched.sent.clear();
    watched.handle(20_000, Event::DeadlineReached);
    assert!(watched.sent.is_empty(), "no session is left");
}

#[test]
fn the_kernel_may_answer_the_partner_of_a_watch() {
    let mut watched = Watched::new();
    let limit = Duration::from_secs(600);
    assert!(watched.play.team.keep_alive(PortId(1)).is_none());
    watched.negotiate();
    watched.partner_sends(30, 1, CARRIES);
    assert_eq!(watched.play.team.keep_alive_limit(PortId(1)), limit);
    assert!(watched.play.team.keep_alive(PortId(1)).is_some());
}
