//! Feeds events to a team and compares all actions, as short lines, with the expected ones.

use std::num::NonZeroU32;
use std::time::Duration;

use runners::{
    Duplex, Event, Failback, HwAddr, HwAddrPolicy, Instant, Link, LinkWatchSettings, PortId,
    PortSettings, RunnerSettings, Team, TeamSettings,
};

/// Last byte of the team device's hardware address in [`Play::new`].
pub const DEVICE: u8 = 0xdd;

/// Prefix of all hardware addresses; shown lines leave it out.
const HIGH_BYTES: &str = "02:00:00:00:00:";
pub const ROUNDROBIN: RunnerSettings =
    RunnerSettings::RoundRobin { packets_per_port: NonZeroU32::MIN };

pub const DOWN: Link = link(false, 0);
pub const UP: Link = link(true, 1000);

pub const fn link(up: bool, speed: u32) -> Link {
    let duplex = if up { Duplex::Full } else { Duplex::Half };
    Link { up, speed, duplex }
}

/// activebackup that fails back at once.
pub fn backed_up(hwaddr_policy: HwAddrPolicy) -> RunnerSettings {
    RunnerSettings::ActiveBackup { hwaddr_policy, failback: Failback::default() }
}

pub fn hw(last: u8) -> HwAddr {
    HwAddr([2, 0, 0, 0, 0, last])
}

pub fn ethtool(delay_up: u64, delay_down: u64) -> LinkWatchSettings {
    LinkWatchSettings::Ethtool {
        delay_up: Duration::from_millis(delay_up),
        delay_down: Duration::from_millis(delay_down),
    }
}

/// Settings with a prio and one ethtool watch without delays.
pub fn prio(prio: i32) -> PortSettings {
    PortSettings { prio, link_watches: vec![ethtool(0, 0)], ..PortSettings::default() }
}

/// Adds port `n`, named `ethN`, with a hardware address that ends in `n`.
pub fn added(n: u32, link: Link, settings: PortSettings) -> Event {
    Event::PortAdded {
        port: PortId(n),
        name: format!("eth{n}"),
        hwaddr: hw(n as u8),
        link,
        settings,
        adopted: false,
    }
}

/// Like [`added`], for a port that was in the team before.
pub fn adopted(n: u32, link: Link, settings: PortSettings) -> Event {
    Event::PortAdded {
        port: PortId(n),
        name: format!("eth{n}"),
        hwaddr: hw(n as u8),
        link,
        settings,
        adopted: true,
    }
}

pub fn removed(n: u32) -> Event {
    Event::PortRemoved { port: PortId(n) }
}

pub fn link_is(n: u32, link: Link) -> Event {
    Event::LinkChanged { port: PortId(n), link }
}

pub fn allowed(n: u32, allowed: bool) -> Event {
    Event::PortAllowed { port: PortId(n), allowed }
}

pub fn chosen(n: u32) -> Event {
    Event::ActivePortChosen { port: PortId(n) }
}

pub fn settings_are(n: u32, settings: PortSettings) -> Event {
    Event::PortSettingsChanged { port: PortId(n), settings }
}

pub fn port_hwaddr(n: u32, last: u8) -> Event {
    Event::PortHwAddrChanged { port: PortId(n), hwaddr: hw(last) }
}

pub fn port_refuses(n: u32, last: u8) -> Event {
    Event::PortHwAddrRefused { port: PortId(n), hwaddr: hw(last) }
}

pub fn team_hwaddr(last: u8) -> Event {
    Event::TeamHwAddrChanged { hwaddr: hw(last) }
}

pub struct Play {
    pub team: Team,
}

impl Play {
    pub fn new(settings: TeamSettings) -> Self {
        Play { team: Team::new(settings, hw(DEVICE)) }
    }

    /// Handles `event` at `millis` and checks all actions.
    #[track_caller]
    pub fn at(&mut self, millis: u64, event: Event, expected: &[&str]) {
        let shown = self.shown(millis, event.clone());
        assert_eq!(shown, expected, "at {millis} ms: {event:?}");
    }

    /// Handles `event` at `millis` without a check.
    pub fn skip(&mut self, millis: u64, event: Event) {
        self.shown(millis, event);
    }

    /// Checks the time of the next deadline, handles it and checks all actions.
    #[track_caller]
    pub fn expires_at(&mut self, millis: u64, expected: &[&str]) {
        assert_eq!(self.team.next_deadline(), Some(at(millis)));
        self.at(millis, Event::DeadlineReached, expected);
    }

    #[track_caller]
    pub fn has_no_deadline(&self) {
        assert_eq!(self.team.next_deadline(), None);
    }

    /// Handles `event` at `millis`. Returns all actions.
    pub fn shown(&mut self, millis: u64, event: Event) -> Vec<String> {
        self.team.handle(at(millis), event);
        std::iter::from_fn(|| self.team.poll_action())
            .map(|action| action.to_string().replace(HIGH_BYTES, ""))
            .collect()
    }
}

pub fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}
