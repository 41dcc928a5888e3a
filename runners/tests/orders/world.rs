//! The facts, and models of the user and the kernel, which change them.

use std::collections::VecDeque;
use std::time::Duration;

use runners::{
    Action, BUCKETS, Duplex, Event, Forwarding, HwAddr, HwAddrPolicy, Instant, Link,
    LinkWatchPolicy, PortId, PortSettings, RunnerSettings, Team, TeamSettings,
};

use crate::random::Random;

/// The facts about one port, independent of the team.
#[derive(Clone, Debug)]
pub struct Fact {
    pub id: PortId,
    pub name: String,
    pub link: Link,
    pub allowed: bool,
    pub settings: PortSettings,
    pub watched: bool,
    /// Hardware address in the kernel.
    pub hwaddr: HwAddr,
    /// Own hardware address: from before the port joined, or set by the user since.
    pub own: HwAddr,
    pub original: HwAddr,
}

impl Fact {
    pub fn rank(&self) -> (i32, u32, Duplex) {
        (self.settings.prio, self.link.speed, self.link.duplex)
    }
}

pub struct World {
    pub random: Random,
    pub now: Instant,
    pub team: Team,
    pub facts: Vec<Fact>,
    pub next_id: u32,
    pub next_hwaddr: u16,
    /// Hardware address of the team device in the kernel.
    pub hwaddr: HwAddr,
    /// The user changed the team device's address after the last request of the team.
    pub foreign: bool,
    /// Address events that are still to be delivered.
    pub pending: VecDeque<Event>,
    pub pinned: Option<PortId>,
    pub forwarding: Option<Forwarding>,
    pub carrier: Option<bool>,
    pub rounds: [u32; 2],
    pub bytes: Box<[u64; BUCKETS]>,
}

impl World {
    pub fn new(runner: RunnerSettings, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let hwaddr = HwAddr([2, 0, 0, 0, 0, 0xdd]);
        let settings = TeamSettings {
            runner,
            hwaddr: random.one_in(4).then_some(HwAddr([2, 0, 0, 0, 0, 0xee])),
            link_watch_policy: random.pick(&[LinkWatchPolicy::Any, LinkWatchPolicy::All]),
            notify_peers: random.burst(),
            mcast_rejoin: random.burst(),
            min_ports: random.pick(&[1, 1, 2]),
            probe: false,
            follow: Vec::new(),
        };
        World {
            team: Team::new(settings, hwaddr),
            random,
            now: Instant::ZERO,
            facts: Vec::new(),
            next_id: 0,
            next_hwaddr: 0,
            hwaddr,
            foreign: false,
            pending: VecDeque::new(),
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
        let pause = self.random.pick(&[0, 0, 1, 3, 10, 40]);
        self.pass(Duration::from_millis(pause));
        if !self.pending.is_empty() && self.random.one_in(2) {
            self.deliver();
            return;
        }
        let event = self.change();
        self.handle(event);
    }

    /// Changes a fact. Returns its event.
    #[expect(clippy::too_many_lines, reason = "one arm for each change")]
    pub fn change(&mut self) -> Event {
        if self.facts.is_empty() || (self.facts.len() < 6 && self.random.one_in(5)) {
            return self.add();
        }
        let at = self.random.below(self.facts.len());
        let port = self.facts[at].id;
        match self.random.below(16) {
            0 | 1 => {
                self.facts.remove(at);
                Event::PortRemoved { port }
            }
            2 => {
                let name = format!("renamed{}", self.random.below(1000));
                self.facts[at].name = name.clone();
                Event::PortRenamed { port, name }
            }
            3 | 4 => {
                let settings = self.random.settings();
                self.facts[at].settings = settings.clone();
                Event::PortSettingsChanged { port, settings }
            }
            5 | 6 => {
                let allowed = !self.random.one_in(3);
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
                // A change by the user during a pending request is a race without one right outcome.
                self.deliver_all();
                let hwaddr = self.new_hwaddr();
                let active = self.team.active_port() == Some(port);
                if self.policy() != HwAddrPolicy::SameAll && !active {
                    self.facts[at].own = hwaddr;
                }
                self.facts[at].hwaddr = hwaddr;
                Event::PortHwAddrChanged { port, hwaddr }
            }
            10 => {
                self.deliver_all();
                self.hwaddr = self.new_hwaddr();
                self.foreign = true;
                let hwaddr = self.hwaddr;
                Event::TeamHwAddrChanged { hwaddr }
            }
            11 => {
                for bytes in self.bytes.iter_mut() {
                    *bytes += self.random.pick(&[0, 0, 1000, 1_000_000]);
                }
                let bytes = self.bytes.clone();
                Event::BucketCounters { bytes }
            }
            _ => {
                let link = self.random.link();
                self.facts[at].link = link;
                Event::LinkChanged { port, link }
            }
        }
    }

    /// Returns a new hardware address.
    pub fn new_hwaddr(&mut self) -> HwAddr {
        self.next_hwaddr += 1;
        let [high, low] = self.next_hwaddr.to_be_bytes();
        HwAddr([2, 0, 0, 1, high, low])
    }

    pub fn add(&mut self) -> Event {
        self.next_id += 1;
        let hwaddr = self.new_hwaddr();
        let settings = self.random.settings();
        let fact = Fact {
            id: PortId(self.next_id),
            name: format!("eth{}", self.next_id),
            link: self.random.link(),
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

    /// Advances time and handles each deadline.
    pub fn pass(&mut self, pause: Duration) {
        let until = self.now + pause;
        while let Some(due) = self.team.next_deadline().filter(|due| *due <= until) {
            self.now = due;
            self.handle(Event::DeadlineReached);
        }
        self.now = until;
    }

    pub fn deliver(&mut self) {
        if let Some(event) = self.pending.pop_front() {
            self.handle(event);
        }
    }

    pub fn deliver_all(&mut self) {
        // Each event may cause one more request; the requests must end.
        for _ in 0..100 {
            self.deliver();
        }
        assert!(self.pending.is_empty(), "address requests never end");
    }

    pub fn handle(&mut self, event: Event) {
        let before = self.team.active_port();
        let table = self.table();
        let counted = matches!(event, Event::BucketCounters { .. });
        self.team.handle(self.now, event);
        self.execute_actions();

        let active = self.expected_active(before);
        assert_eq!(self.team.active_port(), active, "before: {before:?}");
        self.check(active);
        if !counted {
            self.check_moves(table);
        }
    }

    pub fn execute_actions(&mut self) {
        while let Some(action) = self.team.poll_action() {
            match action {
                Action::ApplyForwarding(forwarding) => {
                    let forwarding = Some(forwarding);
                    assert_ne!(self.forwarding, forwarding, "equal to the last request");
                    self.forwarding = forwarding;
                }
                Action::SetCarrier(up) => {
                    assert_ne!(self.carrier, Some(up), "equal to the last request");
                    self.carrier = Some(up);
                }
                Action::SetTeamHwAddr(hwaddr) => {
                    self.foreign = false;
                    if self.hwaddr != hwaddr {
                        self.hwaddr = hwaddr;
                        self.pending.push_back(Event::TeamHwAddrChanged { hwaddr });
                    }
                }
                Action::SetPortHwAddr { port, hwaddr } => {
                    let fact = self.facts.iter_mut().find(|fact| fact.id == port);
                    let fact = fact.expect("a port of the team");
                    if fact.hwaddr != hwaddr {
                        fact.hwaddr = hwaddr;
                        let event = Event::PortHwAddrChanged { port, hwaddr };
                        self.pending.push_back(event);
                    }
                }
                Action::NotifyPeers => self.rounds[0] += 1,
                Action::RejoinMulticast => self.rounds[1] += 1,
                Action::ReadBucketCounters | Action::ReadPortCounters | Action::Report(_) => {}
                Action::ReadStations | Action::TransmitFrame { .. } | Action::Listen(_) => {}
                Action::SendFrame { .. }
                | Action::ResolveHost { .. }
                | Action::RememberPdu { .. } => {
                    unreachable!("these runners send no frames of their own")
                }
            }
        }
    }
}
