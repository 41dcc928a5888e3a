//! Source balancing, frame by frame: two links into one switch that knows nothing of them.
//!
//! Owns what a switch without an aggregate needs of its host. A source address is always seen on
//! one link, or the switch would learn it anew with each frame. What the switch sends down every
//! link is taken from one, and what comes back of our own is taken from none. The rules are those
//! of Open vSwitch's balance-slb; two are ours: what belongs to a station is expected on that
//! station's link, known or not, so that a flooded unicast frame arrives once; and membership
//! reports leave by the designated port, in the name of the team device.
//!
//! It decides nothing about ports: that is the runner [`slb`](crate::runner::slb).

pub mod learned_sources;
mod peers;
mod stations;

use crate::event::{PeerSeen, StationSeen};
use crate::forwarding::{BUCKETS, BucketTable};
use crate::ident::{HwAddr, PortId};
use crate::time::Instant;
use crate::wire::{Arp, Ethernet, Ipv4, Ipv6, ethertype, protocol};
use learned_sources::{LearnedSources, place};
use peers::{AddressMessage, Endpoints, Peers};
use stations::{Station, Stations};

/// ICMPv6 of listener discovery: query, report, done (RFC 2710), and report of version 2
/// (RFC 3810).
pub const LISTENER_DISCOVERY: [u8; 4] = [130, 131, 132, 143];

/// The ports of [`TxPolicy::SourceBalance`](crate::TxPolicy::SourceBalance).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceBalance {
    /// Port by bucket; a bucket is made of source address and VLAN.
    pub buckets: Box<BucketTable>,
    /// The port that a bucket has just left, where it may still be sent to.
    pub former: Box<BucketTable>,
    /// The one that broadcast and multicast frames are taken from, and that the team's own
    /// address is on.
    pub designated: Option<PortId>,
    /// The team's own address.
    pub hwaddr: HwAddr,
    /// How the team's own traffic is spread, if it is.
    pub host: Option<HostBalance>,
}

/// The team's own traffic on all ports: the runners tlb and alb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostBalance {
    /// An address for each port, usable or not, no two of them alike. On the designated port the
    /// team goes by its own, and is known by this one too.
    pub addresses: Vec<(PortId, HwAddr)>,
    /// Peers are told the address of their port, by ARP and neighbour discovery, so that they answer there.
    pub receive: bool,
}

/// Where a frame leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaving {
    pub(crate) port: Option<PortId>,
    pub(crate) bucket: Option<u8>,
    /// The source address that it leaves with, if not its own.
    pub(crate) source: Option<HwAddr>,
    /// Where the source address stands once more in the frame.
    pub(crate) sender_at: Option<usize>,
    /// Where the Internet checksum over that place stands.
    pub(crate) checksum_at: Option<usize>,
}

/// What becomes of a frame that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// It goes up to the team device.
    Taken,
    /// It goes up to the team device with this destination address in place of its own.
    TakenAs(HwAddr),
    /// It is for another port to take, or for nobody.
    NotHere,
    /// It is one of our own that came back.
    Echo,
}

/// The rules, with what they remember.
#[derive(Clone, Debug)]
pub(crate) struct SourceRules {
    policy: SourceBalance,
    /// Ports that may receive.
    collecting: Vec<PortId>,
    stations: Stations,
    peers: Peers,
    /// Bucket by hash. Buckets are dealt out in the order in which they are first needed: the
    /// few stations of a host are spread evenly that way, where chance would often put all of
    /// them on one port.
    dealt: Box<[Option<u8>; BUCKETS]>,
    next: u8,
    now: Instant,
}

impl SourceRules {
    pub(crate) fn new(policy: SourceBalance, collecting: Vec<PortId>) -> Self {
        SourceRules {
            policy,
            collecting,
            stations: Stations::new(),
            peers: Peers::default(),
            dealt: Box::new([None; BUCKETS]),
            next: 0,
            now: Instant::ZERO,
        }
    }

    /// Goes by this policy from now on, with all that is remembered.
    pub(crate) fn apply(&mut self, policy: SourceBalance, collecting: Vec<PortId>) {
        self.policy = policy;
        self.collecting = collecting;
    }

    pub(crate) fn set_time(&mut self, now: Instant) {
        self.now = now;
    }

    /// The port for a frame of the team device.
    pub(crate) fn leave(&mut self, frame: &[u8]) -> Leaving {
        let designated = Leaving {
            port: self.policy.designated,
            bucket: None,
            source: None,
            sender_at: None,
            checksum_at: None,
        };
        let Some(head) = Head::parse(frame) else {
            return designated;
        };
        let source = head.source;
        if !is_group(source.hwaddr) {
            match head.is_announcement() {
                true => self.stations.announced(source, self.now),
                false => self.stations.sent(source, self.now),
            }
        }
        if source.hwaddr == self.policy.hwaddr {
            return match self.policy.host {
                Some(_) => self.leave_to_peer(frame, &head, designated),
                None => designated,
            };
        }
        if head.is_membership() {
            // A switch that snoops sends the group to the port of the report, so it must be the
            // one that takes multicast. The station's own address must not show up there.
            return Leaving {
                source: Some(self.policy.hwaddr),
                ..designated
            };
        }
        let bucket = self.deal(source);
        Leaving {
            port: self.policy.buckets[usize::from(bucket)],
            bucket: Some(bucket),
            source: None,
            sender_at: None,
            checksum_at: None,
        }
    }

    /// The port for a frame of the team's own, where those are spread.
    fn leave_to_peer(&mut self, frame: &[u8], head: &Head<'_>, designated: Leaving) -> Leaving {
        let Some(host) = self.policy.host.as_ref() else {
            return designated;
        };
        // What goes to all teaches all, and must teach the address that is always right.
        if is_group(head.destination.hwaddr) {
            return designated;
        }
        let telling = AddressMessage::parse(head.ethertype, head.payload).filter(|_| host.receive);
        let bucket = match telling {
            Some(telling) => {
                let parties = telling.parties;
                if !parties.sender.is_unspecified() {
                    let (vlan, peer) = (head.source.vlan, head.destination.hwaddr);
                    self.peers.told(vlan, parties, peer);
                }
                if let Some(router) = telling.router {
                    self.peers.routes(router);
                }
                Some(peers::bucket_of(parties.target))
            }
            None => peers::destination_bucket(head.ethertype, head.payload),
        };
        let Some(bucket) = bucket else {
            return designated;
        };
        let port = self.policy.buckets[usize::from(bucket)];
        let address = host.addresses.iter().find(|(of, _)| Some(*of) == port);
        Leaving {
            port,
            bucket: Some(bucket),
            source: address
                .filter(|_| port != self.policy.designated)
                .map(|(_, hwaddr)| *hwaddr),
            sender_at: telling
                .and_then(|telling| telling.hwaddr_before_end)
                .map(|before| frame.len() - before),
            checksum_at: telling
                .and_then(|telling| telling.checksum_before_end)
                .map(|before| frame.len() - before),
        }
    }

    /// Peers that were told where we are, for those who have to tell them anew.
    pub(crate) fn peers(&self) -> Vec<PeerSeen> {
        self.peers.all().collect()
    }

    /// The port that has this address.
    fn port_of(&self, hwaddr: HwAddr) -> Option<PortId> {
        let host = self.policy.host.as_ref()?;
        let mut addresses = host.addresses.iter();
        let (port, _) = addresses.find(|(_, known)| *known == hwaddr)?;
        Some(*port)
    }

    /// What becomes of a frame that came in on `port`.
    pub(crate) fn receive(&mut self, port: PortId, frame: &[u8]) -> Reception {
        if !self.collecting.contains(&port) {
            return Reception::NotHere;
        }
        let Some(head) = Head::parse(frame) else {
            return Reception::NotHere;
        };
        let source = head.source;
        if source.hwaddr == self.policy.hwaddr || self.port_of(source.hwaddr).is_some() {
            return Reception::Echo;
        }
        self.learn_peer(&head);
        if let Some(own) = self.port_of(head.destination.hwaddr) {
            // Peers may not have heard yet that the port is gone.
            let expected = match self.collecting.contains(&own) {
                true => Some(own),
                false => self.policy.designated,
            };
            return match expected == Some(port) {
                true => Reception::TakenAs(self.policy.hwaddr),
                false => Reception::NotHere,
            };
        }
        let here = self.is_expected(head.destination, port);
        if self.stations.echoes(source, self.now) {
            let moved = here && head.is_announcement();
            if !moved || self.stations.is_locked(source, self.now) {
                return Reception::Echo;
            }
            self.stations.forget(source);
        }
        match here {
            true => Reception::Taken,
            false => Reception::NotHere,
        }
    }

    /// Those whose frames were sent lately, each with its bucket; none is the team's own.
    pub(crate) fn stations(&self) -> Vec<StationSeen> {
        self.memory().present(self.policy.hwaddr)
    }

    /// All that is remembered of stations.
    pub(crate) fn memory(&self) -> LearnedSources {
        LearnedSources {
            dealt: self.dealt.clone(),
            next: self.next,
            stations: self.stations.all(self.now).collect(),
        }
    }

    /// Goes on from what somebody else remembers of stations.
    pub(crate) fn remember(&mut self, memory: LearnedSources) {
        self.dealt = memory.dealt;
        self.next = memory.next;
        self.stations = Stations::new();
        for station in memory.stations {
            self.stations.remember(station, self.now);
        }
    }

    /// An answer to the team tells who knows it now; the same address in the hands of somebody
    /// else, that it is ours no more.
    fn learn_peer(&mut self, head: &Head<'_>) {
        let receives = self.policy.host.as_ref().is_some_and(|host| host.receive);
        let telling = AddressMessage::parse(head.ethertype, head.payload).filter(|_| receives);
        if let Some(AddressMessage { parties, .. }) = telling {
            let vlan = head.source.vlan;
            self.peers.lost(vlan, parties.sender);
            if head.destination.hwaddr == self.policy.hwaddr && !parties.target.is_unspecified() {
                let of_us = Endpoints {
                    sender: parties.target,
                    target: parties.sender,
                };
                self.peers.told(vlan, of_us, head.source.hwaddr);
            }
        }
    }

    /// Whether what is sent to `destination` is taken from `port`.
    fn is_expected(&self, destination: Station, port: PortId) -> bool {
        let unicast = !is_group(destination.hwaddr) && destination.hwaddr != self.policy.hwaddr;
        // An address that never spoke has no bucket: the switch sends to it down every link.
        match self.bucket(destination).filter(|_| unicast) {
            None => self.policy.designated == Some(port),
            Some(bucket) => {
                let bucket = usize::from(bucket);
                [&self.policy.buckets, &self.policy.former]
                    .iter()
                    .any(|table| table[bucket] == Some(port))
            }
        }
    }

    fn bucket(&self, station: Station) -> Option<u8> {
        match station.hwaddr == self.policy.hwaddr {
            true => None,
            false => self.dealt[place(station)],
        }
    }

    fn deal(&mut self, station: Station) -> u8 {
        let next = &mut self.next;
        *self.dealt[place(station)].get_or_insert_with(|| {
            let bucket = *next;
            *next = next.wrapping_add(1);
            bucket
        })
    }
}

fn is_group(hwaddr: HwAddr) -> bool {
    hwaddr.0[0] & 1 != 0
}

/// Who speaks to whom, and about what.
struct Head<'a> {
    destination: Station,
    source: Station,
    ethertype: u16,
    payload: &'a [u8],
}

impl<'a> Head<'a> {
    fn parse(frame: &'a [u8]) -> Option<Self> {
        let ethernet = Ethernet::parse(frame)?;
        let (destination, source) = ethernet.addresses.split_first_chunk::<6>()?;
        // The outermost tag: the network that the switch learns the address in.
        let vlan = (ethernet.vlan_ids >> 48) as u16;
        let station = |hwaddr| Station {
            hwaddr: HwAddr(hwaddr),
            vlan,
        };
        Some(Head {
            destination: station(*destination),
            source: station(*source.first_chunk()?),
            ethertype: ethernet.ethertype,
            payload: ethernet.payload,
        })
    }

    /// It tells everybody where its sender is: a gratuitous ARP, or a reverse ARP such as
    /// hypervisors send for a guest that has come to them.
    fn is_announcement(&self) -> bool {
        if self.destination.hwaddr != HwAddr([0xff; 6]) {
            return false;
        }
        match self.ethertype {
            ethertype::RARP => true,
            ethertype::ARP => Arp::parse(self.payload)
                .is_some_and(|arp| arp.sender() == arp.target() || arp.operation == Arp::REPLY),
            _ => false,
        }
    }

    /// IGMP, or multicast listener discovery: what a switch snoops.
    fn is_membership(&self) -> bool {
        if !is_group(self.destination.hwaddr) {
            return false;
        }
        let upper = match self.ethertype {
            ethertype::IPV4 => Ipv4::parse(self.payload).and_then(|ip| ip.upper),
            ethertype::IPV6 => Ipv6::parse(self.payload).and_then(|ip| ip.upper),
            _ => None,
        };
        upper.is_some_and(|upper| match (self.ethertype, upper.protocol) {
            (ethertype::IPV4, protocol::IGMP) => true,
            (ethertype::IPV6, protocol::ICMPV6) => {
                let kind = upper.payload.first();
                kind.is_some_and(|kind| LISTENER_DISCOVERY.contains(kind))
            }
            _ => false,
        })
    }
}
