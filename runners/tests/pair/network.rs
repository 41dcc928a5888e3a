//! Two teams and the links between them.
//!
//! Port `n` of one team is linked to port `n` of the other. A frame takes one millisecond, and
//! [`Impairment`] or a [`Treatment`] may do more to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use runners::{
    Action, Duplex, Event, Forwarding, HwAddr, Instant, LacpPortSettings, LacpPortStatus,
    LacpSettings, Link, PortForwarding, PortId, PortSettings, RunnerSettings, SplitMix64, Team,
    TeamSettings,
};

/// A seeded generator of random faults.
pub struct Random(SplitMix64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(SplitMix64::new(seed))
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound as usize) as u64
    }

    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// Random faults of all links.
#[derive(Clone, Copy, Debug, Default)]
pub struct Impairment {
    /// Percentage of lost frames.
    pub lost: u64,
    /// Percentage of duplicated frames.
    pub duplicated: u64,
    /// Largest additional delay in milliseconds; frames with different delays are reordered.
    pub delay: u64,
}

/// Treatment of one frame in a scripted history.
#[derive(Clone, Copy, Debug)]
pub enum Treatment {
    Arrives,
    Lost,
    /// The frame arrives after frames that are sent later.
    Late,
}

impl Treatment {
    pub const ALL: [Self; 3] = [Self::Arrives, Self::Lost, Self::Late];
}

/// Delay of a late frame.
const LATE: Duration = millis(1500);

/// One end of a link: team 0 or 1, and the port, numbered from 0.
pub type End = (usize, u32);

/// Two teams under virtual time.
pub struct Pair {
    pub now: Instant,
    pub teams: [Team; 2],
    pub forwarding: [Option<Forwarding>; 2],
    pub carrier: [bool; 2],
    /// Frames by arrival, with their destination; the number orders those that arrive together.
    in_flight: BTreeMap<(Instant, u64), (End, Vec<u8>)>,
    /// Ends at which no frame arrives.
    pub blocked: BTreeSet<End>,
    pub impairment: Impairment,
    /// Delay of the link of each port, beyond one millisecond.
    pub latency: BTreeMap<u32, Duration>,
    pub random: Random,
    /// Number of frames sent by each end.
    pub sent: BTreeMap<End, u64>,
    /// Whether a team has requested anything but frames since the test cleared the flag.
    pub changed: bool,
    /// Number of times that a port began or ceased to distribute.
    pub flaps: u64,
    /// Treatment of the next frames; later frames arrive.
    script: VecDeque<Treatment>,
    copies_sent: u64,
}

pub fn system(team: usize) -> HwAddr {
    HwAddr([2, 0, 0, 0, team as u8 + 1, 0])
}

/// Returns a full-duplex link of `speed` Mbit/s.
pub fn link(speed: u32) -> Link {
    Link { up: true, speed, duplex: Duplex::Full }
}

/// Returns the default settings with Short Timeout.
pub fn fast() -> LacpSettings {
    LacpSettings { fast_rate: true, ..LacpSettings::default() }
}

impl Pair {
    pub fn new(settings: [LacpSettings; 2], seed: u64) -> Self {
        let mut team = 0;
        let teams = settings.map(|settings| {
            let settings = TeamSettings::new(RunnerSettings::Lacp(settings));
            team += 1;
            Team::new(settings, system(team - 1))
        });
        Pair {
            now: Instant::ZERO,
            teams,
            forwarding: [None, None],
            carrier: [false; 2],
            in_flight: BTreeMap::new(),
            blocked: BTreeSet::new(),
            impairment: Impairment::default(),
            latency: BTreeMap::new(),
            random: Random::new(seed),
            sent: BTreeMap::new(),
            changed: true,
            flaps: 0,
            script: VecDeque::new(),
            copies_sent: 0,
        }
    }

    /// Adds ports 0 to `count` - 1 to both teams.
    pub fn with_ports(mut self, count: u32) -> Self {
        for port in 0..count {
            for team in 0..2 {
                self.add((team, port), LacpPortSettings::default(), link(1000));
            }
        }
        self
    }

    /// Treats the first frames as the digits of `history` say, to the base of all treatments.
    pub fn with_history(mut self, mut history: u64, frames: u32) -> Self {
        let base = Treatment::ALL.len() as u64;
        for _ in 0..frames {
            self.script.push_back(Treatment::ALL[(history % base) as usize]);
            history /= base;
        }
        self
    }

    /// Returns the number of frames sent by both teams.
    pub fn frames_sent(&self) -> u64 {
        self.sent.values().sum()
    }

    pub fn add(&mut self, (team, port): End, lacp: LacpPortSettings, link: Link) {
        let event = Event::PortAdded {
            port: PortId(port),
            name: format!("p{port}"),
            hwaddr: HwAddr([2, 0, 0, 0, team as u8 + 1, port as u8 + 1]),
            link,
            settings: PortSettings {
                lacp: LacpPortSettings { number: port as u16 + 1, ..lacp },
                ..PortSettings::default()
            },
            adopted: true,
        };
        self.handle(team, event);
    }

    pub fn set_link(&mut self, (team, port): End, link: Link) {
        let port = PortId(port);
        self.handle(team, Event::LinkChanged { port, link });
    }

    pub fn link_down(&mut self, end: End) {
        self.set_link(end, Link::default());
    }

    pub fn link_up(&mut self, end: End) {
        self.set_link(end, link(1000));
    }

    pub fn unplug(&mut self, port: u32) {
        self.link_down((0, port));
        self.link_down((1, port));
    }

    pub fn plug(&mut self, port: u32) {
        self.link_up((0, port));
        self.link_up((1, port));
    }

    pub fn allow(&mut self, (team, port): End, allowed: bool) {
        let port = PortId(port);
        self.handle(team, Event::PortAllowed { port, allowed });
    }

    pub fn drain(&mut self, (team, port): End, drained: bool) {
        let port = PortId(port);
        self.handle(team, Event::PortDrained { port, drained });
    }

    pub fn open_macsec_gate(&mut self, (team, port): End, open: bool) {
        let port = PortId(port);
        self.handle(team, Event::PortMacsecGate { port, open });
    }

    pub fn open_gate(&mut self, (team, number): End, gate: bool) {
        let port = PortId(number);
        let known = self.teams[team].port(port).expect("the port");
        let settings = PortSettings { gate, ..known.settings().clone() };
        self.handle(team, Event::PortSettingsChanged { port, settings });
    }

    /// Delivers a frame that no team has sent.
    pub fn receive(&mut self, (team, port): End, frame: Vec<u8>) {
        let port = PortId(port);
        self.handle(team, Event::FrameReceived { port, frame });
    }

    pub fn handle(&mut self, team: usize, event: Event) {
        self.teams[team].handle(self.now, event);
        while let Some(action) = self.teams[team].poll_action() {
            self.changed |= !matches!(action, Action::SendFrame { .. });
            match action {
                Action::ApplyForwarding(forwarding) => self.apply(team, forwarding),
                Action::SetCarrier(up) => self.carrier[team] = up,
                Action::SendFrame { port, frame } => self.send((team, port.0), frame),
                _ => {}
            }
        }
    }

    fn apply(&mut self, team: usize, forwarding: Forwarding) {
        let before = self.forwarding[team].replace(forwarding);
        for port in before.iter().flat_map(|before| &before.ports) {
            let now = self.port((team, port.port.0));
            let distributes = now.is_some_and(|now| now.distributing);
            self.flaps += u64::from(port.distributing != distributes);
        }
    }

    fn send(&mut self, (team, port): End, frame: Vec<u8>) {
        *self.sent.entry((team, port)).or_default() += 1;
        let treatment = self.script.pop_front().unwrap_or(Treatment::Arrives);
        let (copies, late) = match treatment {
            Treatment::Arrives => (self.copies(), Duration::ZERO),
            Treatment::Lost => (0, Duration::ZERO),
            Treatment::Late => (self.copies(), LATE),
        };
        for _ in 0..copies {
            let delay = millis(1 + self.random.below(self.impairment.delay + 1));
            let latency = self.latency.get(&port).copied().unwrap_or_default();
            let arrival = self.now + delay + latency + late;
            self.copies_sent += 1;
            self.in_flight.insert((arrival, self.copies_sent), ((1 - team, port), frame.clone()));
        }
    }

    fn copies(&mut self) -> usize {
        let lost = self.random.percent(self.impairment.lost);
        let duplicated = self.random.percent(self.impairment.duplicated);
        match (lost, duplicated) {
            (true, _) => 0,
            (false, true) => 2,
            (false, false) => 1,
        }
    }

    /// Advances to the next arrival or deadline before `end`. Returns whether there was one.
    pub fn step(&mut self, end: Instant) -> bool {
        let arrival = self.in_flight.keys().next().map(|(arrival, _)| *arrival);
        let deadlines = [0, 1].map(|team| self.teams[team].next_deadline());
        let next = arrival.into_iter().chain(deadlines.into_iter().flatten());
        let Some(next) = next.min().filter(|next| *next < end) else {
            return false;
        };
        assert!(next >= self.now, "a team missed its deadline");
        self.now = next;
        if arrival == Some(next) {
            let (_, (end, frame)) = self.in_flight.pop_first().expect("a frame");
            let port = self.teams[end.0].port(PortId(end.1));
            if port.is_some_and(|port| port.link().up) && !self.blocked.contains(&end) {
                self.receive(end, frame);
            }
        } else if let Some(team) = deadlines.iter().position(|end| *end == Some(next)) {
            self.handle(team, Event::DeadlineReached);
            let later = self.teams[team].next_deadline();
            assert!(later.is_none_or(|later| later > self.now), "a deadline did not move");
        }
        true
    }

    /// Advances by `time`.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    pub fn port(&self, (team, port): End) -> Option<PortForwarding> {
        let forwarding = self.forwarding[team].as_ref()?;
        let found = forwarding.ports.iter().find(|known| known.port.0 == port);
        found.copied()
    }

    /// Returns the ports of a team that distribute.
    pub fn distributing(&self, team: usize) -> Vec<u32> {
        let forwarding = self.forwarding[team].iter().flat_map(|all| &all.ports);
        forwarding.filter(|port| port.distributing).map(|port| port.port.0).collect()
    }

    pub fn status(&self, (team, port): End) -> LacpPortStatus {
        let status = self.teams[team].lacp_status(self.now).expect("lacp");
        let port = status.ports.into_iter().find(|known| known.port.0 == port);
        port.expect("the port")
    }

    /// Returns the cause that keeps a port from carrying traffic; empty if the port carries.
    pub fn cause(&self, end: End) -> String {
        self.status(end).cause.unwrap_or_default()
    }
}

pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}
