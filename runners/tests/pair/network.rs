//! Two teams and the wires between them.
//!
//! Port `n` of one team is wired to port `n` of the other. A frame takes some time; what else
//! may happen to it is in [`Fate`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use runners::{
    Action, Duplex, Event, Forwarding, HwAddr, Instant, LacpPortSettings, LacpSettings, Link,
    PortForwarding, PortId, PortSettings, RunnerSettings, Team, TeamSettings,
};

/// xorshift64*: the seed says all.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % bound
    }

    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// What wires do to frames, in percent of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fate {
    pub lost: u64,
    pub doubled: u64,
    /// Up to so many milliseconds on the way, so that frames overtake one another.
    pub delay: u64,
}

/// Ports are numbered from 0, teams are 0 and 1.
pub type Place = (usize, u32);

pub struct Pair {
    pub now: Instant,
    pub teams: [Team; 2],
    pub forwarding: [Option<Forwarding>; 2],
    pub carrier: [bool; 2],
    /// Frames under way by arrival; the number keeps apart those that arrive together.
    pub wires: BTreeMap<(Instant, u64), (Place, Vec<u8>)>,
    /// Places where nothing arrives.
    pub deaf: BTreeSet<Place>,
    pub fate: Fate,
    /// What the wires of these ports take beyond the usual millisecond.
    pub latency: BTreeMap<u32, Duration>,
    pub dice: Dice,
    /// Frames sent by place.
    pub sent: BTreeMap<Place, u64>,
    /// Something was decided or heard since the last look.
    pub news: bool,
    /// Times that a port began or ceased to distribute.
    pub flaps: u64,
    /// What happens to the next frames: 0 arrives, 1 is lost, 2 comes late.
    script: VecDeque<u64>,
    frames: u64,
}

/// Long enough for a frame's successors to overtake it.
const LATE: Duration = Duration::from_millis(1500);

pub fn system(team: usize) -> HwAddr {
    HwAddr([2, 0, 0, 0, team as u8 + 1, 0])
}

pub fn up(speed: u32) -> Link {
    Link {
        up: true,
        speed,
        duplex: Duplex::Full,
    }
}

pub fn fast() -> LacpSettings {
    LacpSettings {
        fast_rate: true,
        ..LacpSettings::default()
    }
}

impl Pair {
    pub fn new(settings: [LacpSettings; 2], seed: u64) -> Self {
        let mut team = 0;
        let teams = settings.map(|settings| {
            let core = Team::new(
                TeamSettings::new(RunnerSettings::Lacp(settings)),
                system(team),
            );
            team += 1;
            core
        });
        Pair {
            now: Instant::ZERO,
            teams,
            forwarding: [None, None],
            carrier: [false; 2],
            wires: BTreeMap::new(),
            deaf: BTreeSet::new(),
            fate: Fate::default(),
            latency: BTreeMap::new(),
            dice: Dice::new(seed),
            sent: BTreeMap::new(),
            news: true,
            flaps: 0,
            script: VecDeque::new(),
            frames: 0,
        }
    }

    /// Adds ports 0 to `count` - 1 at both ends, with links.
    pub fn with_ports(mut self, count: u32) -> Self {
        for port in 0..count {
            for team in 0..2 {
                self.add((team, port), LacpPortSettings::default(), up(1000));
            }
        }
        self
    }

    /// The digits of `history` to the base `fates` say what happens to the first frames.
    pub fn with_script(mut self, mut history: u64, fates: u64, frames: u32) -> Self {
        for _ in 0..frames {
            self.script.push_back(history % fates);
            history /= fates;
        }
        self
    }

    /// At both ends together.
    pub fn frames_sent(&self) -> u64 {
        self.sent.values().sum()
    }

    pub fn add(&mut self, (team, port): Place, lacp: LacpPortSettings, link: Link) {
        let event = Event::PortAdded {
            port: PortId(port),
            name: format!("p{port}"),
            hwaddr: HwAddr([2, 0, 0, 0, team as u8 + 1, port as u8 + 1]),
            link,
            settings: PortSettings {
                lacp: LacpPortSettings {
                    number: port as u16 + 1,
                    ..lacp
                },
                ..PortSettings::default()
            },
            adopted: true,
        };
        self.tell(team, event);
    }

    pub fn link(&mut self, (team, port): Place, up_now: bool) {
        let link = if up_now { up(1000) } else { Link::default() };
        let port = PortId(port);
        self.tell(team, Event::LinkChanged { port, link });
    }

    /// Both ends of a cable.
    pub fn cable(&mut self, port: u32, up_now: bool) {
        self.link((0, port), up_now);
        self.link((1, port), up_now);
    }

    pub fn tell(&mut self, team: usize, event: Event) {
        self.teams[team].handle(self.now, event);
        while let Some(action) = self.teams[team].poll_action() {
            self.news |= !matches!(action, Action::SendFrame { .. });
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

    fn send(&mut self, (team, port): Place, frame: Vec<u8>) {
        *self.sent.entry((team, port)).or_default() += 1;
        let scripted = self.script.pop_front().unwrap_or(0);
        let copies = match scripted {
            1 => 0,
            _ => self.copies(),
        };
        for _ in 0..copies {
            let delay = 1 + self.dice.below(self.fate.delay + 1);
            let late = if scripted == 2 { LATE } else { Duration::ZERO };
            let latency = self.latency.get(&port).copied().unwrap_or_default();
            let arrival = self.now + Duration::from_millis(delay) + latency + late;
            self.frames += 1;
            self.wires
                .insert((arrival, self.frames), ((1 - team, port), frame.clone()));
        }
    }

    fn copies(&mut self) -> usize {
        match (
            self.dice.percent(self.fate.lost),
            self.dice.percent(self.fate.doubled),
        ) {
            (true, _) => 0,
            (false, true) => 2,
            (false, false) => 1,
        }
    }

    /// The next thing happens, if it does before `end`.
    pub fn step(&mut self, end: Instant) -> bool {
        let frame = self.wires.keys().next().map(|(arrival, _)| *arrival);
        let wakes = [0, 1].map(|team| self.teams[team].next_deadline());
        let Some(next) = frame.into_iter().chain(wakes.into_iter().flatten()).min() else {
            return false;
        };
        if next >= end {
            return false;
        }
        assert!(next >= self.now, "a deadline has passed unserved");
        self.now = next;
        if frame == Some(next) {
            let (_, ((team, port), frame)) = self.wires.pop_first().expect("a frame");
            let linked = self.teams[team]
                .port(PortId(port))
                .is_some_and(|p| p.link().up);
            if linked && !self.deaf.contains(&(team, port)) {
                let port = PortId(port);
                self.tell(team, Event::FrameReceived { port, frame });
            }
        } else if let Some(team) = wakes.iter().position(|wake| *wake == Some(next)) {
            self.tell(team, Event::DeadlineReached);
            let again = self.teams[team].next_deadline();
            assert!(
                again.is_none_or(|again| again > self.now),
                "a deadline that does not move"
            );
        }
        true
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    pub fn port(&self, (team, port): Place) -> Option<PortForwarding> {
        let forwarding = self.forwarding[team].as_ref()?;
        let found = forwarding.ports.iter().find(|known| known.port.0 == port);
        found.copied()
    }

    /// The ports that distribute.
    pub fn distributing(&self, team: usize) -> Vec<u32> {
        let forwarding = self.forwarding[team].iter().flat_map(|all| &all.ports);
        forwarding
            .filter(|port| port.distributing)
            .map(|port| port.port.0)
            .collect()
    }

    pub fn why(&self, (team, port): Place) -> String {
        let status = self.teams[team].lacp_status(self.now).expect("lacp");
        let port = status.ports.into_iter().find(|known| known.port.0 == port);
        port.expect("the port").why.unwrap_or_default()
    }

    pub fn word(&self, (team, port): Place) -> &'static str {
        let status = self.teams[team].lacp_status(self.now).expect("lacp");
        let port = status.ports.into_iter().find(|known| known.port.0 == port);
        port.expect("the port").state
    }
}

pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}
