//! Plays events to a team and shows the actions as short lines; none may go unasserted.

use std::time::Duration;

use runners::{
    Action, BucketTable, Duplex, Event, Forwarding, HwAddr, Instant, Link, LinkWatchSettings,
    PortId, PortSettings, Team, TeamSettings, TxPolicy,
};

/// The address of the device in [`Play::new`].
pub const DEVICE: u8 = 0xdd;

pub const DOWN: Link = link(false, 0);
pub const UP: Link = link(true, 1000);

pub const fn link(up: bool, speed: u32) -> Link {
    let duplex = if up { Duplex::Full } else { Duplex::Half };
    Link { up, speed, duplex }
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

/// Settings with one ethtool watch without delays.
pub fn prio(prio: i32) -> PortSettings {
    PortSettings {
        prio,
        link_watches: vec![ethtool(0, 0)],
        ..PortSettings::default()
    }
}

/// Port `n` named `ethN` with address `n`.
pub fn added(n: u32, link: Link, settings: PortSettings) -> Event {
    Event::PortAdded {
        port: PortId(n),
        name: format!("eth{n}"),
        hwaddr: hw(n as u8),
        link,
        settings,
        standing: false,
    }
}

/// The same for a port that was in the team before.
pub fn standing(n: u32, link: Link, settings: PortSettings) -> Event {
    Event::PortAdded {
        port: PortId(n),
        name: format!("eth{n}"),
        hwaddr: hw(n as u8),
        link,
        settings,
        standing: true,
    }
}

pub fn removed(n: u32) -> Event {
    Event::PortRemoved { port: PortId(n) }
}

pub fn link_is(n: u32, link: Link) -> Event {
    Event::LinkChanged {
        port: PortId(n),
        link,
    }
}

pub fn allowed(n: u32, allowed: bool) -> Event {
    Event::PortAllowed {
        port: PortId(n),
        allowed,
    }
}

pub fn chosen(n: u32) -> Event {
    Event::ActivePortChosen { port: PortId(n) }
}

pub fn settings_are(n: u32, settings: PortSettings) -> Event {
    Event::PortSettingsChanged {
        port: PortId(n),
        settings,
    }
}

pub fn port_hwaddr(n: u32, last: u8) -> Event {
    Event::PortHwAddrChanged {
        port: PortId(n),
        hwaddr: hw(last),
    }
}

pub fn team_hwaddr(last: u8) -> Event {
    Event::TeamHwAddrChanged { hwaddr: hw(last) }
}

pub struct Play {
    pub team: Team,
}

impl Play {
    pub fn new(settings: TeamSettings) -> Self {
        Play {
            team: Team::new(settings, hw(DEVICE)),
        }
    }

    /// Hands `event` in at `millis` and asserts all that comes of it.
    #[track_caller]
    pub fn at(&mut self, millis: u64, event: Event, expected: &[&str]) {
        let shown = self.shown(millis, event.clone());
        assert_eq!(shown, expected, "at {millis} ms: {event:?}");
    }

    /// The same for what the test does not look at.
    pub fn skip(&mut self, millis: u64, event: Event) {
        self.shown(millis, event);
    }

    /// Asserts when the next deadline is, and all that comes of it.
    #[track_caller]
    pub fn wakes_at(&mut self, millis: u64, expected: &[&str]) {
        assert_eq!(self.team.next_deadline(), Some(at(millis)));
        self.at(millis, Event::DeadlineReached, expected);
    }

    #[track_caller]
    pub fn sleeps(&self) {
        assert_eq!(self.team.next_deadline(), None);
    }

    /// Hands `event` in at `millis`; all that comes of it, for the test to assert.
    pub fn shown(&mut self, millis: u64, event: Event) -> Vec<String> {
        self.team.handle(at(millis), event);
        std::iter::from_fn(|| self.team.poll_action())
            .map(|action| show(&action))
            .collect()
    }
}

pub fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

fn show(action: &Action) -> String {
    match action {
        Action::ApplyForwarding(forwarding) => show_forwarding(forwarding),
        Action::SetPortHwAddr { port, hwaddr } => {
            format!("port {} hwaddr {:02x}", port.0, hwaddr.0[5])
        }
        Action::SetTeamHwAddr(hwaddr) => format!("team hwaddr {:02x}", hwaddr.0[5]),
        Action::SetCarrier(up) => format!("carrier {up}"),
        Action::NotifyPeers => "notify peers".into(),
        Action::RejoinMulticast => "rejoin multicast".into(),
        Action::Listen(control) => format!("listen {control:?}"),
        Action::SendFrame { port, frame } => format!("port {} sends {frame:02x?}", port.0),
        Action::ReadStations => "read stations".into(),
        Action::TransmitFrame { frame } => format!("announce {:02x}", frame[11]),
        Action::ReadBucketCounters => "read counters".into(),
        Action::Report(report) => report.to_string(),
    }
}

fn shares(buckets: &BucketTable, forwarding: &Forwarding) -> String {
    let share = |port: &PortId| buckets.iter().filter(|b| **b == Some(*port)).count();
    let ports = forwarding
        .ports
        .iter()
        .map(|port| share(&port.port).to_string());
    ports.collect::<Vec<_>>().join("/")
}

/// `forward active 1: 1+^ 2-^`: collecting and distributing, or only one (`<`, `>`), or
/// neither; linked or not.
fn show_forwarding(forwarding: &Forwarding) -> String {
    let policy = match &forwarding.policy {
        TxPolicy::Broadcast => "broadcast".into(),
        TxPolicy::RoundRobin => "roundrobin".into(),
        TxPolicy::Random { seed } => format!("random {seed}"),
        TxPolicy::ActiveBackup { active: None } => "active none".into(),
        TxPolicy::ActiveBackup { active: Some(port) } => format!("active {}", port.0),
        TxPolicy::LoadBalance { buckets, .. } => format!("shares {}", shares(buckets, forwarding)),
        TxPolicy::SourceBalance { ports, .. } => format!(
            "stations {}, broadcast {}",
            shares(&ports.buckets, forwarding),
            ports.designated.map_or(0, |port| port.0)
        ),
    };
    let mut line = format!("forward {policy}:");
    for port in &forwarding.ports {
        line += &format!(
            " {}{}{}",
            port.port.0,
            match (port.collecting, port.distributing) {
                (true, true) => '+',
                (true, false) => '<',
                (false, true) => '>',
                (false, false) => '-',
            },
            if port.linked { '^' } else { '_' },
        );
    }
    line
}
