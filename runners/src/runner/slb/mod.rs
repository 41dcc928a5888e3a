//! slb, tlb and alb: source load balancing. Several links into a switch that knows nothing of a team, and
//! guests behind a bridge on top of it.
//!
//! Each bucket has a home among the ports; while that is not usable it stays with another, and
//! goes home when it can. What happens to a frame is in [`source_balance`](crate::forwarding::source_balance).
//! Whenever a bucket moves, everybody in it is announced, so that also a guest that only listens
//! is found on its new link. With `tx_balancer` the [`Balancer`] moves buckets by load; as in Open
//! vSwitch that is off unless asked for.
//!
//! tlb and alb also spread the traffic of the team itself, by peer. Each port has an address then:
//! what leaves on it has that source, and with alb the peers of its buckets are told it by ARP and
//! neighbour discovery, so that they answer there; [`Learning`] keeps the switch aware of it.

mod learning;

use std::collections::VecDeque;
use std::mem;
use std::net::IpAddr;
use std::time::Duration;

use crate::action::Action;
use crate::control_frames::ControlFrames;
use crate::event::{PeerSeen, StationSeen};
use crate::forwarding::balancer::{self, Balancer};
use crate::forwarding::source_balance::policy::{HostBalance, SourceBalance};
use crate::forwarding::{BUCKETS, BucketTable, TxPolicy};
use crate::ident::{HwAddr, PortId};
use crate::port::Port;
use crate::runner::Runner;
use crate::settings::HostTraffic;
use crate::time::Instant;
use crate::wire::announce;
use learning::Learning;

/// For so long a switch may still send to the port that a bucket has left; longer than it is told
/// otherwise.
const GRACE: Duration = Duration::from_secs(5);
/// The pauses before stations that moved are announced again: a switch may not forward yet on a
/// link that has just come up.
const REPEATS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];
/// After an answer to the team, the pause before peers are taught their ports again.
const TEACHING_DELAY: Duration = Duration::from_secs(1);
/// Announcements that leave at once; the next ones after [`PAUSE`]. 64 frames are 43 microseconds
/// of a gigabit link.
const ANNOUNCED_AT_ONCE: usize = 64;
const PAUSE: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Slb {
    host: HostTraffic,
    /// The address of each port, where the team's own traffic is spread.
    addresses: Vec<(PortId, HwAddr)>,
    /// Every peer is to be told where its port is, not only those whose bucket moved.
    teach_all: bool,
    teach_due: Option<Instant>,
    /// All ports, and of these the usable ones, that the buckets are spread over.
    known: Vec<PortId>,
    usable: Vec<PortId>,
    designated: Option<PortId>,
    hwaddr: HwAddr,
    buckets: Box<BucketTable>,
    previous: Box<BucketTable>,
    previous_until: Option<Instant>,
    balancer: Option<Balancer>,
    learning: Option<Learning>,
    counts_due: bool,
    /// Buckets, and last the team's own address, that moved since stations were announced.
    moved: Box<[bool; BUCKETS + 1]>,
    stations_due: bool,
    /// The stations that will be told of are to be announced.
    announcing: bool,
    repeats: usize,
    repeat_due: Option<Instant>,
    announcements: VecDeque<Action>,
    /// How many of them may leave now.
    released: usize,
    release_due: Option<Instant>,
}

impl Slb {
    pub(crate) fn new(
        host: HostTraffic,
        balancing_interval: Option<Duration>,
        learning_interval: Option<Duration>,
    ) -> Self {
        let spread = host != HostTraffic::OnePort;
        Slb {
            host,
            addresses: Vec::new(),
            teach_all: false,
            teach_due: None,
            known: Vec::new(),
            usable: Vec::new(),
            designated: None,
            hwaddr: HwAddr::default(),
            buckets: Box::new([None; BUCKETS]),
            previous: Box::new([None; BUCKETS]),
            previous_until: None,
            balancer: balancing_interval.map(Balancer::new),
            learning: learning_interval.filter(|_| spread).map(Learning::new),
            counts_due: false,
            moved: Box::new([false; BUCKETS + 1]),
            stations_due: false,
            announcing: false,
            repeats: 0,
            repeat_due: None,
            announcements: VecDeque::new(),
            released: 0,
            release_due: None,
        }
    }

    /// Buckets whose port is gone go to another, and to those that came back go theirs.
    fn spread(&mut self, known: Vec<PortId>, usable: Vec<PortId>) {
        let came = |port: &PortId| !self.usable.contains(port) || !self.known.contains(port);
        for (place, bucket) in self.buckets.iter_mut().enumerate() {
            let home = known.get(place % known.len().max(1)).copied();
            let home = home.filter(|home| usable.contains(home));
            let stays = bucket.is_some_and(|port| usable.contains(&port));
            *bucket = match home {
                Some(home) if !stays || came(&home) => Some(home),
                None if !stays => {
                    let turn = place / known.len().max(1);
                    usable.get(turn % usable.len().max(1)).copied()
                }
                _ => *bucket,
            };
        }
        (self.known, self.usable) = (known, usable);
    }

    /// Notes what differs from `before`, for the announcements and for frames under way.
    fn note_moves(&mut self, now: Instant, before: &BucketTable) {
        for (place, from) in before.iter().enumerate() {
            if *from != self.buckets[place] {
                self.previous[place] = from.filter(|from| self.usable.contains(from));
                self.previous_until = Some(now + GRACE);
                self.announce(now, place);
            }
        }
    }

    /// Has the stations of a place in `moved` announced, now and once more later.
    fn announce(&mut self, now: Instant, place: usize) {
        self.moved[place] = true;
        self.repeats = 0;
        self.repeat(now);
    }

    /// Everybody who has to be announced is, once it is known who is there.
    fn ask_for_stations(&mut self) {
        self.stations_due = true;
        self.announcing = true;
    }

    fn repeat(&mut self, now: Instant) {
        self.ask_for_stations();
        self.repeat_due = REPEATS.get(self.repeats).map(|pause| now + *pause);
        self.repeats += 1;
    }

    /// Each port has an address of its own, which never goes to another: frames to it may be
    /// under way for long. The port whose address the team has taken gets one made of it.
    fn spread_addresses(&mut self, ports: &[Port]) {
        /// Local, and unlike the address that it is made of.
        const LOCAL: u8 = 0x02;
        const UNLIKE: u8 = 0x04;
        let address = |port: &Port| {
            let own = port.own_hwaddr();
            let [first, rest @ ..] = own.0;
            let [b, c, d, e, f] = rest;
            match own == self.hwaddr {
                true => HwAddr([(first ^ UNLIKE) | LOCAL, b, c, d, e, f]),
                false => own,
            }
        };
        self.addresses = ports
            .iter()
            .map(|port| (port.id(), address(port)))
            .collect();
    }

    /// The address that the team has on a port.
    fn address_on(&self, port: PortId) -> Option<HwAddr> {
        if self.designated == Some(port) {
            return Some(self.hwaddr);
        }
        let mut addresses = self.addresses.iter();
        let (_, hwaddr) = addresses.find(|(of, _)| *of == port)?;
        Some(*hwaddr)
    }

    /// Announces the stations that moved, and teaches peers their ports.
    fn announce_all(&mut self, stations: &[StationSeen], peers: &[PeerSeen]) {
        let tagged = |vlan: u16| (vlan != 0).then_some(vlan);
        for station in stations {
            let place = station.bucket.map_or(BUCKETS, usize::from);
            if self.moved[place] {
                let frame = announce::reverse_arp(station.hwaddr, tagged(station.vlan));
                self.announcements
                    .push_back(Action::TransmitFrame { frame });
            }
        }
        for peer in peers {
            let bucket = usize::from(peer.bucket);
            let port = self.buckets[bucket].filter(|_| self.teach_all || self.moved[bucket]);
            if let Some((port, hwaddr)) = port.and_then(|port| Some((port, self.address_on(port)?)))
            {
                let vlan = tagged(peer.vlan);
                let frame = match (peer.own, peer.ip) {
                    (IpAddr::V4(own), IpAddr::V4(ip)) => {
                        announce::arp_reply(hwaddr, own, peer.hwaddr, ip, vlan)
                    }
                    (IpAddr::V6(own), IpAddr::V6(ip)) => {
                        let neighbour = (peer.hwaddr, ip);
                        announce::neighbour_advertisement(hwaddr, own, peer.router, neighbour, vlan)
                    }
                    _ => continue,
                };
                self.announcements
                    .push_back(Action::SendFrame { port, frame });
            }
        }
        // An announcement finds its port when it leaves, so of two of one station, when links
        // come and go fast, both tell the truth.
        let most = 2 * (stations.len() + peers.len());
        let surplus = self.announcements.len().saturating_sub(most);
        self.announcements.drain(..surplus);
        if self.repeat_due.is_none() {
            self.moved.fill(false);
            self.teach_all = false;
        }
    }

    fn release(&mut self, now: Instant) {
        self.released = ANNOUNCED_AT_ONCE.min(self.announcements.len());
        let more = self.announcements.len() > self.released;
        self.release_due = more.then(|| now + PAUSE);
    }
}

impl Runner for Slb {
    fn team_changed(&mut self, hwaddr: HwAddr, _up: bool) {
        self.hwaddr = hwaddr;
    }

    fn decide(&mut self, now: Instant, ports: &[Port]) -> TxPolicy {
        let known: Vec<PortId> = ports.iter().map(Port::id).collect();
        let usable: Vec<PortId> = balancer::usable(ports).map(Port::id).collect();
        if known != self.known || usable != self.usable {
            let before = self.buckets.clone();
            self.spread(known, usable);
            self.note_moves(now, &before);
        }
        // Kept while it can be: moving it loses what is under way to the old one.
        let kept = self.designated.filter(|port| self.usable.contains(port));
        let first = || {
            let ports = balancer::usable(ports);
            ports.reduce(
                |best, port| match port.settings().prio > best.settings().prio {
                    true => port,
                    false => best,
                },
            )
        };
        let designated = kept.or_else(|| first().map(Port::id));
        if designated != self.designated {
            self.designated = designated;
            self.announce(now, BUCKETS);
        }
        if self.host != HostTraffic::OnePort {
            self.spread_addresses(ports);
        }
        if let Some(balancer) = &mut self.balancer {
            balancer.start(now);
        }
        if let Some(learning) = &mut self.learning {
            learning.start(now);
        }
        TxPolicy::SourceBalance {
            ports: SourceBalance {
                buckets: self.buckets.clone(),
                previous: self.previous.clone(),
                designated: self.designated,
                hwaddr: self.hwaddr,
                host: (self.host != HostTraffic::OnePort).then(|| HostBalance {
                    addresses: self.addresses.clone(),
                    receive: self.host == HostTraffic::Both,
                }),
            },
            balanced: self.balancer.is_some(),
        }
    }

    fn enables(&self, port: &Port) -> bool {
        port.is_usable()
    }

    fn hwaddr_belongs_elsewhere(&self, port: PortId) -> bool {
        self.designated != Some(port)
    }

    fn designated_port(&self) -> Option<PortId> {
        self.designated
    }

    fn count_buckets(&mut self, now: Instant, ports: &[Port], bytes: &[u64; BUCKETS]) {
        if let Some(balancer) = &mut self.balancer {
            let before = self.buckets.clone();
            balancer.count(bytes);
            balancer.balance(
                &mut self.buckets,
                &balancer::shares(balancer::usable(ports)),
            );
            self.note_moves(now, &before);
        }
    }

    fn control_frames(&self) -> ControlFrames {
        ControlFrames {
            arp: self.host == HostTraffic::Both,
            neighbour_discovery: self.host == HostTraffic::Both,
            ..ControlFrames::default()
        }
    }

    /// Who answers the team was asked by a broadcast, which taught everybody the team's own
    /// address.
    fn frame_received(&mut self, now: Instant, _port: &Port, frame: &[u8]) {
        if frame.starts_with(&self.hwaddr.0) && self.host == HostTraffic::Both {
            self.teach_due.get_or_insert(now + TEACHING_DELAY);
        }
    }

    fn stations(&mut self, now: Instant, stations: &[StationSeen], peers: &[PeerSeen]) {
        if mem::take(&mut self.announcing) {
            self.announce_all(stations, peers);
        }
        let on = |port: &PortId| Some((*port, self.address_on(*port)?));
        let ports: Vec<_> = self.usable.iter().filter_map(on).collect();
        if let Some(learning) = &mut self.learning {
            self.announcements
                .extend(learning.packets(&ports, stations));
        }
        self.release(now);
    }

    fn next_deadline(&self) -> Option<Instant> {
        let balancing = self.balancer.as_ref().and_then(Balancer::next_deadline);
        let learning = self.learning.as_ref().and_then(Learning::next_deadline);
        let own = [
            learning,
            self.previous_until,
            self.release_due,
            self.repeat_due,
            self.teach_due,
        ];
        own.into_iter().flatten().chain(balancing).min()
    }

    fn expire(&mut self, due: Instant, now: Instant) {
        if let Some(balancer) = &mut self.balancer {
            self.counts_due |= balancer.expire(due, now);
        }
        if self.previous_until.take_if(|until| *until <= due).is_some() {
            self.previous.fill(None);
        }
        if self.teach_due.take_if(|own| *own <= due).is_some() {
            self.teach_all = true;
            self.ask_for_stations();
        }
        if let Some(learning) = &mut self.learning {
            self.stations_due |= learning.expire(due, now);
        }
        if self.repeat_due.take_if(|own| *own <= due).is_some() {
            self.repeat(now);
        }
        if self.release_due.take_if(|own| *own <= due).is_some() {
            self.release(now);
        }
    }

    fn poll_action(&mut self) -> Option<Action> {
        if mem::take(&mut self.counts_due) {
            return Some(Action::ReadBucketCounters);
        }
        if mem::take(&mut self.stations_due) {
            return Some(Action::ReadStations);
        }
        self.released = self.released.checked_sub(1)?;
        self.announcements.pop_front()
    }
}
