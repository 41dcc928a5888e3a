//! Random orders of events end in the state that the final facts alone would give.
//!
//! A small kernel carries out what the team asks for and tells of it late; a user changes
//! facts. After each step the invariants are checked, at the end the whole outcome against a
//! model that knows the facts and nothing of how they came about. Where history may decide
//! (equal ports, sticky, a pin) the model names the one right answer from the port that was
//! active before.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use runners::{
    Action, BUCKETS, BucketTable, Burst, Duplex, Event, Forwarding, HashFields, HwAddr,
    HwAddrPolicy, Instant, Link, LinkWatchPolicy, LinkWatchSettings, PortId, PortSettings,
    RunnerSettings, Team, TeamSettings, TxPolicy,
};

/// For each of the eight tests, each with seeds of its own.
const ORDERS: u64 = 1_500;
const STEPS: usize = 30;

/// xorshift64*: enough for a test, and the seed says all.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        high as usize % bound
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn link(&mut self) -> Link {
        let up = !self.one_in(3);
        Link {
            up,
            speed: if up {
                self.pick(&[0, 10, 1000, 10_000])
            } else {
                0
            },
            duplex: self.pick(&[Duplex::Half, Duplex::Full]),
        }
    }

    fn settings(&mut self) -> PortSettings {
        let watches = self.pick(&[0, 1, 1, 1, 2, 3]);
        PortSettings {
            prio: self.pick(&[-1, 0, 0, 0, 100]),
            sticky: self.one_in(4),
            queue_id: None,
            link_watches: (0..watches)
                .map(|_| LinkWatchSettings::Ethtool {
                    delay_up: Duration::from_millis(self.pick(&[0, 0, 5, 20])),
                    delay_down: Duration::from_millis(self.pick(&[0, 0, 5, 20])),
                })
                .collect(),
        }
    }

    fn burst(&mut self) -> Burst {
        Burst {
            count: self.pick(&[0, 1, 3]),
            interval: Duration::from_millis(self.pick(&[0, 7])),
        }
    }
}

/// What is true of a port, whatever the team made of it.
#[derive(Clone, Debug)]
struct Fact {
    id: PortId,
    name: String,
    link: Link,
    allowed: bool,
    settings: PortSettings,
    watched: bool,
    /// What the kernel's interface carries.
    hwaddr: HwAddr,
    /// What it carried before it joined, or was given by the user while it was its own.
    own: HwAddr,
    original: HwAddr,
}

impl Fact {
    fn rank(&self) -> (i32, u32, Duplex) {
        (self.settings.prio, self.link.speed, self.link.duplex)
    }
}

struct World {
    dice: Dice,
    now: Instant,
    team: Team,
    facts: Vec<Fact>,
    next_id: u32,
    next_hwaddr: u16,
    /// The team device's address in the kernel.
    hwaddr: HwAddr,
    /// The user gave the team device an address after the last that the team asked for.
    foreign: bool,
    /// Address events that the team has not seen yet.
    echoes: VecDeque<Event>,
    pinned: Option<PortId>,
    forwarding: Option<Forwarding>,
    carrier: Option<bool>,
    rounds: [u32; 2],
    bytes: Box<[u64; BUCKETS]>,
}

impl World {
    fn new(runner: RunnerSettings, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let hwaddr = HwAddr([2, 0, 0, 0, 0, 0xdd]);
        let settings = TeamSettings {
            runner,
            hwaddr: dice.one_in(4).then_some(HwAddr([2, 0, 0, 0, 0, 0xee])),
            link_watch_policy: dice.pick(&[LinkWatchPolicy::Any, LinkWatchPolicy::All]),
            notify_peers: dice.burst(),
            mcast_rejoin: dice.burst(),
            min_ports: dice.pick(&[1, 1, 2]),
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

    fn policy(&self) -> HwAddrPolicy {
        match self.team.settings().runner {
            RunnerSettings::ActiveBackup { hwaddr_policy } => hwaddr_policy,
            _ => HwAddrPolicy::SameAll,
        }
    }

    fn step(&mut self) {
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
    fn change(&mut self) -> Event {
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
    fn new_hwaddr(&mut self) -> HwAddr {
        self.next_hwaddr += 1;
        let [high, low] = self.next_hwaddr.to_be_bytes();
        HwAddr([2, 0, 0, 1, high, low])
    }

    fn add(&mut self) -> Event {
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
        }
    }

    /// Lets time go by, stopping at each deadline.
    fn pass(&mut self, pause: Duration) {
        let until = self.now + pause;
        while let Some(due) = self.team.next_deadline().filter(|due| *due <= until) {
            self.now = due;
            self.tell(Event::DeadlineReached);
        }
        self.now = until;
    }

    fn hear(&mut self) {
        if let Some(event) = self.echoes.pop_front() {
            self.tell(event);
        }
    }

    fn hear_all(&mut self) {
        // Each may ask for an address once more; they do not go on for ever.
        for _ in 0..100 {
            self.hear();
        }
        assert!(self.echoes.is_empty(), "addresses never come to rest");
    }

    fn tell(&mut self, event: Event) {
        let before = self.team.active_port();
        let table = self.table();
        let counted = matches!(event, Event::BucketCounters { .. });
        self.team.handle(self.now, event);
        self.carry_out();

        let active = self.expected_active(before);
        assert_eq!(self.team.active_port(), active, "before: {before:?}");
        self.check(active);
        if !counted {
            self.check_moves(table);
        }
    }

    fn carry_out(&mut self) {
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
            }
        }
    }

    fn table(&self) -> Option<Box<BucketTable>> {
        match &self.forwarding.as_ref()?.policy {
            TxPolicy::LoadBalance { buckets, .. } => Some(buckets.clone()),
            _ => None,
        }
    }

    /// activebackup's rule, from the team's own verdicts and the port active before.
    fn expected_active(&mut self, before: Option<PortId>) -> Option<PortId> {
        let RunnerSettings::ActiveBackup { .. } = self.team.settings().runner else {
            return None;
        };
        let usable: Vec<&Fact> = self
            .facts
            .iter()
            .filter(|fact| self.team.port(fact.id).is_some_and(|port| port.verdict()))
            .filter(|fact| fact.allowed)
            .collect();
        let find = |id: PortId| usable.iter().find(|fact| fact.id == id);
        self.pinned = self.pinned.filter(|pinned| find(*pinned).is_some());
        if self.pinned.is_some() {
            return self.pinned;
        }
        let best = usable.iter().map(|fact| fact.rank()).max()?;
        match before.and_then(find) {
            Some(active) if active.settings.sticky || active.rank() == best => before,
            _ => usable
                .iter()
                .find(|fact| fact.rank() == best)
                .map(|fact| fact.id),
        }
    }

    /// What holds after every step.
    fn check(&self, active: Option<PortId>) {
        if let Some(due) = self.team.next_deadline() {
            assert!(due > self.now, "a deadline is left behind");
        }
        let forwarding = self
            .forwarding
            .as_ref()
            .expect("the first event yields one");
        let listed: Vec<PortId> = forwarding.ports.iter().map(|port| port.port).collect();
        let present: Vec<PortId> = self.facts.iter().map(|fact| fact.id).collect();
        assert_eq!(listed, present);
        for (entry, fact) in forwarding.ports.iter().zip(&self.facts) {
            let port = self.team.port(fact.id).expect("present");
            assert_eq!(port.name(), fact.name);
            assert!(self.team.find_port(&fact.name).is_some());
            assert_eq!(port.link(), fact.link);
            assert_eq!(port.original_hwaddr(), fact.original);
            assert_eq!(entry.enabled, port.is_enabled());
            assert_eq!(entry.linked, fact.link.up);
            let enabled = match self.team.settings().runner {
                RunnerSettings::ActiveBackup { .. } => active == Some(fact.id),
                RunnerSettings::LoadBalance { .. } => fact.allowed && port.verdict(),
                _ => fact.allowed,
            };
            assert_eq!(entry.enabled, enabled, "{fact:?}");
        }
        let linked = self
            .facts
            .iter()
            .filter(|fact| fact.allowed && fact.link.up);
        let carrier = linked.count() >= self.team.settings().min_ports as usize;
        assert_eq!(self.carrier, Some(carrier));
        assert_eq!(self.team.carrier(), carrier);
        match &forwarding.policy {
            TxPolicy::ActiveBackup { active: told } => assert_eq!(*told, active),
            TxPolicy::LoadBalance {
                buckets, balanced, ..
            } => {
                self.check_buckets(forwarding, buckets, *balanced);
            }
            TxPolicy::Broadcast | TxPolicy::RoundRobin | TxPolicy::Random { .. } => {}
        }
        if self.echoes.is_empty() {
            self.check_addresses(active);
        }
    }

    fn check_buckets(&self, forwarding: &Forwarding, buckets: &BucketTable, balanced: bool) {
        let enabled = forwarding.ports.iter().filter(|port| port.enabled);
        let shares: Vec<usize> = enabled
            .map(|port| buckets.iter().filter(|b| **b == Some(port.port)).count())
            .collect();
        let total = if shares.is_empty() { 0 } else { BUCKETS };
        assert_eq!(shares.iter().sum::<usize>(), total, "on enabled ports only");
        assert_eq!(buckets.iter().flatten().count(), total);
        if !balanced {
            let (most, fewest) = (shares.iter().max(), shares.iter().min());
            assert!(
                most <= fewest.map(|fewest| fewest + 1).as_ref(),
                "{shares:?}"
            );
        }
    }

    /// A bucket of a port that stays enabled moves to a port that has just been enabled, if at all.
    fn check_moves(&self, before: Option<Box<BucketTable>>) {
        let (Some(before), Some(after)) = (before, self.table()) else {
            return;
        };
        let had: BTreeSet<PortId> = before.iter().flatten().copied().collect();
        for (from, to) in before.iter().zip(after.iter()) {
            if let (Some(from), Some(to)) = (from, to) {
                if from == to {
                    continue;
                }
                let stays = self.team.port(*from).is_some_and(|port| port.is_enabled());
                assert!(!stays || !had.contains(to), "needless move");
            }
        }
    }

    /// Holds once the team has heard of all addresses.
    fn check_addresses(&self, active: Option<PortId>) {
        assert_eq!(self.team.hwaddr(), self.hwaddr);
        for fact in &self.facts {
            let expected = match self.policy() {
                HwAddrPolicy::SameAll => self.hwaddr,
                HwAddrPolicy::OnlyActive if active == Some(fact.id) => self.hwaddr,
                // Nobody but the user sets it.
                HwAddrPolicy::ByActive => fact.hwaddr,
                HwAddrPolicy::OnlyActive => fact.own,
            };
            assert_eq!(fact.hwaddr, expected, "{fact:?}");
            let known = self.team.port(fact.id).map(|port| port.hwaddr());
            assert_eq!(known, Some(fact.hwaddr));
            if self.policy() == HwAddrPolicy::ByActive && active == Some(fact.id) && !self.foreign {
                assert_eq!(self.hwaddr, fact.hwaddr);
            }
        }
    }

    /// What the final facts alone say, once all is quiet.
    fn check_end(&mut self) {
        self.hear_all();
        self.pass(Duration::from_secs(1));
        self.hear_all();
        let reads = matches!(
            self.team.settings().runner,
            RunnerSettings::LoadBalance {
                balancing_interval: Some(_),
                ..
            }
        );
        assert_eq!(
            self.team.next_deadline().is_some(),
            reads,
            "all delays are over"
        );
        for fact in &self.facts {
            let port = self.team.port(fact.id).expect("present");
            // Every delay is over, so every watch agrees with the carrier.
            assert!(
                port.watches()
                    .iter()
                    .all(|watch| watch.is_up() == fact.link.up)
            );
            assert_eq!(port.verdict(), fact.link.up || !fact.watched);
        }
        let bursts = [
            self.team.settings().notify_peers,
            self.team.settings().mcast_rejoin,
        ];
        for (rounds, burst) in self.rounds.iter().zip(bursts) {
            assert!(burst.count > 0 || *rounds == 0);
        }
    }

    /// Without history to decide, a team that sees only the final facts ends the same.
    fn check_against_fresh(&self) {
        let mut fresh = Team::new(self.team.settings().clone(), self.hwaddr);
        fresh.handle(Instant::ZERO, Event::DeadlineReached);
        for fact in &self.facts {
            let settings = PortSettings {
                link_watches: if fact.watched {
                    let port = self.team.port(fact.id).expect("present");
                    port.watches()
                        .iter()
                        .map(|watch| watch.settings().clone())
                        .collect()
                } else {
                    Vec::new()
                },
                ..fact.settings.clone()
            };
            fresh.handle(
                Instant::ZERO,
                Event::PortAdded {
                    port: fact.id,
                    name: fact.name.clone(),
                    hwaddr: fact.hwaddr,
                    link: fact.link,
                    settings,
                },
            );
            let (port, allowed) = (fact.id, fact.allowed);
            fresh.handle(Instant::ZERO, Event::PortAllowed { port, allowed });
        }
        fresh.handle(
            Instant::ZERO + Duration::from_secs(1),
            Event::DeadlineReached,
        );
        assert_eq!(fresh.carrier(), self.team.carrier());
        for (a, b) in fresh.ports().zip(self.team.ports()) {
            assert_eq!((a.id(), a.verdict()), (b.id(), b.verdict()));
            if !matches!(
                self.team.settings().runner,
                RunnerSettings::ActiveBackup { .. }
            ) {
                assert_eq!(a.is_enabled(), b.is_enabled());
            }
        }
    }
}

/// Names the seed if an order fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {}", self.0);
        }
    }
}

fn orders(first_seed: u64, runner: &RunnerSettings) {
    for seed in first_seed..first_seed + ORDERS {
        let seed = Seed(seed);
        let mut world = World::new(runner.clone(), seed.0);
        world.tell(Event::DeadlineReached);
        for _ in 0..STEPS {
            world.step();
        }
        world.check_end();
        world.check_against_fresh();
    }
}

fn activebackup(first_seed: u64, hwaddr_policy: HwAddrPolicy) {
    orders(first_seed, &RunnerSettings::ActiveBackup { hwaddr_policy });
}

fn loadbalance(first_seed: u64, balancing_interval: Option<Duration>) {
    let runner = RunnerSettings::LoadBalance {
        tx_hash: HashFields::ETH,
        balancing_interval,
    };
    orders(first_seed, &runner);
}

#[test]
fn broadcast() {
    orders(100_000, &RunnerSettings::Broadcast);
}

#[test]
fn roundrobin() {
    orders(200_000, &RunnerSettings::RoundRobin);
}

#[test]
fn random() {
    orders(300_000, &RunnerSettings::Random { seed: 1 });
}

#[test]
fn activebackup_same_all() {
    activebackup(400_000, HwAddrPolicy::SameAll);
}

#[test]
fn activebackup_by_active() {
    activebackup(500_000, HwAddrPolicy::ByActive);
}

#[test]
fn activebackup_only_active() {
    activebackup(600_000, HwAddrPolicy::OnlyActive);
}

#[test]
fn loadbalance_even() {
    loadbalance(700_000, None);
}

#[test]
fn loadbalance_by_load() {
    loadbalance(800_000, Some(Duration::from_millis(100)));
}
