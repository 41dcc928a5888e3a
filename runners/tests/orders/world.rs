//! The facts, and who changes them: a user, and a small kernel that tells late.

use std::collections::VecDeque;
use std::time::Duration;

use runners::{
    Action, BUCKETS, Duplex, Event, Forwarding, HwAddr, HwAddrPolicy, Instant, Link,
    LinkWatchPolicy, PortId, PortSettings, RunnerSettings, Team, TeamSettings,
};

use crate::dice::Dice;

/// What is true of a port, whatever the team made of it.
#[derive(Clone, Debug)]
pub struct Fact {
    pub id: PortId,
    pub name: String,
    pub link: Link,
    pub allowed: bool,
    pub settings: PortSettings,
    pub watched: bool,
    /// What the kernel's interface carries.
    pub hwaddr: HwAddr,
    /// What it carried before it joined, or was given by the user while it was its own.
    pub own: HwAddr,
    pub original: HwAddr,
}

impl Fact {
    pub fn rank(&self) -> (i32, u32, Duplex) {
        (self.settings.prio, self.link.speed, self.link.duplex)
    }
}

pub struct World {
    pub dice: Dice,
    pub now: Instant,
    pub team: Team,
    pub facts: Vec<Fact>,
    pub next_id: u32,
    pub next_hwaddr: u16,
    /// The team device's address in the kernel.
    pub hwaddr: HwAddr,
    /// The user gave the team device an address after the last that the team asked for.
    pub foreign: bool,
    /// Address events that the team has not seen yet.
    pub echoes: VecDeque<Event>,
    pub pinned: Option<PortId>,
    pub forwarding: Option<Forwarding>,
    pub carrier: Option<bool>,
    pub rounds: [u32; 2],
    pub bytes: Box<[u64; BUCKETS]>,
}

impl World {
    pub fn new(runner: RunnerSettings, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let hwaddr = HwAddr([2, 0, 0, 0, 0, 0xdd]);
        let settings = TeamSettings {
            runner,
            hwaddr: dice.one_in(4).then_some(HwAddr([2, 0, 0, 0, 0, 0xee])),
            link_watch_policy: dice.pick(&[LinkWatchPolicy::Any, LinkWatchPolicy::All]),
            notify_peers: dice.burst(),
            mcast_rejoin: dice.burst(),
            min_ports: dice.pick(&[1, 1, 2]),
            probe: false,
        };
        World {
            team: Team::new(settings, hwaddr),
            dice,
            now: Instant::ZERO,
            facts: Vec::new(),
            next_id: 0,
            next_hwaddr: 0,
            hwaddr,
            foreign: false,
            echoes: VecDeque::new(),
            pinned: None,
            forwarding: None,
            carrier: None,
            rounds: [0; 2],
            bytes: Box::new([0; BUCKETS]),
        }
    }

    pub fn policy(&self) -> HwAddrPolicy {
        match self.team.settings().runner {
            RunnerSettings::ActiveBackup { hwaddr_policy, .. } => hwaddr_policy,
            _ => HwAddrPolicy::SameAll,
        }
    }

    pub fn step(&mut self) {
        let pause = self.dice.pick(&[0, 0, 1, 3, 10, 40]);
        self.pass(Duration::from_millis(pause));
        if !self.echoes.is_empty() && self.dice.one_in(2) {
            self.hear();
            return;
        }
        let event = self.change();
        self.tell(event);
    }

    /// Changes a fact; the event that tells of it.
    pub fn change(&mut self) -> Event {
        if self.facts.is_empty() || (self.facts.len() < 6 && self.dice.one_in(5)) {
            return self.add();
        }
        let at = self.dice.below(self.facts.len());
        let port = self.facts[at].id;
        match self.dice.below(16) {
            0 | 1 => {
                self.facts.remove(at);
                Event::PortRemoved { port }
            }
            2 => {
                let name = format!("renamed{}", self.dice.below(1000));
                self.facts[at].name = name.clone();
                Event::PortRenamed { port, name }
            }
            3 | 4 => {
                let settings = self.dice.settings();
                self.facts[at].settings = settings.clone();
                Event::PortSettingsChanged { port, settings }
            }
            5 | 6 => {
                let allowed = !self.dice.one_in(3);
                self.facts[at].allowed = allowed;
                Event::PortAllowed { port, allowed }
            }
            7 | 8 => {
                let known = self.team.port(port);
                if known.is_some_and(|port| port.is_usable()) {
                    self.pinned = Some(port);
                }
                Event::ActivePortChosen { port }
            }
            9 => {
                // What the user does to an address on its way is a race without a right answer.
                self.hear_all();
                let hwaddr = self.new_hwaddr();
                let active = self.team.active_port() == Some(port);
                if self.policy() != HwAddrPolicy::SameAll && !active {
                    self.facts[at].own = hwaddr;
                }
                self.facts[at].hwaddr = hwaddr;
                Event::PortHwAddrChanged { port, hwaddr }
            }
            10 => {
                self.hear_all();
                self.hwaddr = self.new_hwaddr();
                self.foreign = true;
                let hwaddr = self.hwaddr;
                Event::TeamHwAddrChanged { hwaddr }
            }
            11 => {
                for bytes in self.bytes.iter_mut() {
                    *bytes += self.dice.pick(&[0, 0, 1000, 1_000_000]);
                }
                let bytes = self.bytes.clone();
                Event::BucketCounters { bytes }
            }
            _ => {
                let link = self.dice.link();
                self.facts[at].link = link;
                Event::LinkChanged { port, link }
            }
        }
    }

    /// An address that nothing had before.
    pub fn new_hwaddr(&mut self) -> HwAddr {
        self.next_hwaddr += 1;
        let [high, low] = self.next_hwaddr.to_be_bytes();
        HwAddr([2, 0, 0, 1, high, low])
    }

    pub fn add(&mut self) -> Event {
        self.next_id += 1;
        let hwaddr = self.new_hwaddr();
        let settings = self.dice.settings();
        let fact = Fact {
            id: PortId(self.next_id),
            name: format!("eth{}", self.next_id),
            link: self.dice.link(),
            allowed: true,
            watched: !settings.link_watches.is_empty(),
            settings,
            hwaddr,
            own: hwaddr,
            original: hwaddr,
        };
        self.facts.push(fact.clone());
        Event::PortAdded {
            port: fact.id,
            name: fact.name,
            hwaddr,
            link: fact.link,
            settings: fact.settings,
            adopted: false,
        }
    }

    /// Lets time go by, stopping at each deadline.
    pub fn pass(&mut self, pause: Duration) {
        let until = self.now + pause;
        while let Some(due) = self.team.next_deadline().filter(|due| *due <= until) {
            self.now = due;
            self.tell(Event::DeadlineReached);
        }
        self.now = until;
    }

    pub fn hear(&mut self) {
        if let Some(event) = self.echoes.pop_front() {
            self.tell(event);
        }
    }

    pub fn hear_all(&mut self) {
        // Each may ask for an address once more; they do not go on for ever.
        for _ in 0..100 {
            self.hear();
        }
        assert!(self.echoes.is_empty(), "addresses never come to rest");
    }

    pub fn tell(&mut self, event: Event) {
        let before = self.team.active_port();
        let table = self.table();
        let counted = matches!(event, Event::BucketCounters { .. });
        self.team.handle(self.now, event);
        self.execute();

        let active = self.expected_active(before);
        assert_eq!(self.team.active_port(), active, "before: {before:?}");
        self.check(active);
        if !counted {
            self.check_moves(table);
        }
    }

    pub fn execute(&mut self) {
        while let Some(action) = self.team.poll_action() {
            match action {
                Action::ApplyForwarding(forwarding) => {
                    let forwarding = Some(forwarding);
                    assert_ne!(self.forwarding, forwarding, "nothing new");
                    self.forwarding = forwarding;
                }
                Action::SetCarrier(up) => {
                    assert_ne!(self.carrier, Some(up), "nothing new");
                    self.carrier = Some(up);
                }
                Action::SetTeamHwAddr(hwaddr) => {
                    self.foreign = false;
                    if self.hwaddr != hwaddr {
                        self.hwaddr = hwaddr;
                        self.echoes.push_back(Event::TeamHwAddrChanged { hwaddr });
                    }
                }
                Action::SetPortHwAddr { port, hwaddr } => {
                    let fact = self.facts.iter_mut().find(|fact| fact.id == port);
                    let fact = fact.expect("only present ports are asked");
                    if fact.hwaddr != hwaddr {
                        fact.hwaddr = hwaddr;
                        let echo = Event::PortHwAddrChanged { port, hwaddr };
                        self.echoes.push_back(echo);
                    }
                }
                Action::NotifyPeers => self.rounds[0] += 1,
                Action::RejoinMulticast => self.rounds[1] += 1,
                Action::ReadBucketCounters | Action::Report(_) => {}
                Action::ReadStations | Action::TransmitFrame { .. } | Action::Listen(_) => {}
                Action::SendFrame { .. }
                | Action::ResolveHost { .. }
                | Action::RememberPdu { .. } => {
                    unreachable!("these runners have nothing to say to a partner")
                }
            }
        }
    }
}
