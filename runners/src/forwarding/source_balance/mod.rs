//! Source balancing, frame by frame, for links into one switch without an aggregate on them.
//!
//! Owns the rules that keep such a switch consistent, and the state that the rules learn:
//!
//! - A source address leaves on one link only, or the switch would learn it anew with each frame.
//! - A frame that the switch floods down every link is received from one link only.
//! - A frame of ours that the switch sends back is dropped.
//!
//! The rules are those of Open vSwitch's balance-slb, with two additions. A unicast frame is
//! received from the link of its station, learned or not, so that a flooded one arrives once.
//! Membership reports leave on the designated port with the address of the team device.
//!
//! The runner `slb` assigns ports to buckets.

mod head;
pub mod learned_sources;
mod peers;
pub(crate) mod policy;
mod station;
mod stations;

use crate::buckets::BUCKETS;
use crate::event::{PeerSeen, StationSeen};
use crate::ident::{HwAddr, PortId};
use crate::time::Instant;
use head::Head;
use learned_sources::LearnedSources;
use peers::{AddressMessage, Peers};
use policy::SourceBalance;
use station::Station;
use stations::Stations;

/// The way out for a frame of the team device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Egress {
    /// The port; `None` drops the frame.
    pub(crate) port: Option<PortId>,
    /// Bucket of the source, or of the peer for the team's own traffic.
    pub(crate) bucket: Option<u8>,
    /// Source address to write into the frame, if another one than its own.
    pub(crate) source: Option<HwAddr>,
    /// Offset of a second copy of the source address in the frame.
    pub(crate) sender_at: Option<usize>,
    /// Offset of the Internet checksum over that copy.
    pub(crate) checksum_at: Option<usize>,
}

/// Treatment of a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// Deliver the frame to the team device.
    Taken,
    /// Deliver the frame to the team device with this destination address.
    TakenAs(HwAddr),
    /// Drop the frame: another port receives it, or none.
    NotHere,
    /// Drop the frame: the team sent it.
    Echo,
}

/// The rules of source balancing with their learned state.
#[derive(Clone, Debug)]
pub(crate) struct SourceRules {
    policy: SourceBalance,
    /// Ports that may receive.
    collecting: Vec<PortId>,
    stations: Stations,
    peers: Peers,
    /// Bucket by hash. Buckets are assigned in the order of first use, so the few stations of a
    /// host are spread evenly, where chance would often put all of them on one port.
    assigned: Box<[Option<u8>; BUCKETS]>,
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
            assigned: Box::new([None; BUCKETS]),
            next: 0,
            now: Instant::ZERO,
        }
    }

    /// Replaces the policy; the learned state stays.
    pub(crate) fn apply(&mut self, policy: SourceBalance, collecting: Vec<PortId>) {
        self.policy = policy;
        self.collecting = collecting;
    }

    pub(crate) fn set_time(&mut self, now: Instant) {
        self.now = now;
    }

    /// Returns the way out for a frame of the team device, and learns its source.
    pub(crate) fn select(&mut self, frame: &[u8]) -> Egress {
        let designated = Egress {
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
        if !source.hwaddr.is_multicast() {
            match head.is_announcement() {
                true => self.stations.announced(source, self.now),
                false => self.stations.sent(source, self.now),
            }
        }
        if source.hwaddr == self.policy.hwaddr {
            return match self.policy.host {
                Some(_) => self.select_for_peer(frame, &head, designated),
                None => designated,
            };
        }
        if head.is_membership() {
            // A snooping switch sends the group to the port of the report, so the report must
            // leave on the port that receives multicast, without the station's own address.
            return Egress { source: Some(self.policy.hwaddr), ..designated };
        }
        let bucket = self.assign_bucket(source);
        Egress {
            port: self.policy.buckets[usize::from(bucket)],
            bucket: Some(bucket),
            source: None,
            sender_at: None,
            checksum_at: None,
        }
    }

    /// Returns the way out for a frame of the team itself under tlb and alb.
    fn select_for_peer(&mut self, frame: &[u8], head: &Head<'_>, designated: Egress) -> Egress {
        let message = self.address_message(head);
        if let Some(message) = &message {
            self.learn_receiver(head, message);
        }
        // All stations learn the source of a broadcast: it must be the address that never moves.
        if head.destination.hwaddr.is_multicast() {
            return designated;
        }
        let bucket = match message {
            Some(message) => Some(peers::bucket_of(message.endpoints.target)),
            None => peers::destination_bucket(head.ethertype, head.payload),
        };
        let Some(bucket) = bucket else {
            return designated;
        };
        let port = self.policy.buckets[usize::from(bucket)];
        let mut addresses = self.policy.host.iter().flat_map(|host| &host.addresses);
        let address = addresses.find(|(of, _)| Some(*of) == port);
        Egress {
            port,
            bucket: Some(bucket),
            source: address.filter(|_| port != self.policy.designated).map(|(_, hwaddr)| *hwaddr),
            sender_at: message
                .and_then(|message| message.hwaddr_before_end)
                .map(|before| frame.len() - before),
            checksum_at: message
                .and_then(|message| message.checksum_before_end)
                .map(|before| frame.len() - before),
        }
    }

    /// Returns the address message of a frame; `None` for another frame, and for another runner than
    /// alb.
    fn address_message(&self, head: &Head<'_>) -> Option<AddressMessage> {
        self.policy.host.as_ref().filter(|host| host.receive)?;
        AddressMessage::parse(head.ethertype, head.payload)
    }

    /// Learns a peer from an address message that the team has `sent`, or else received.
    pub(crate) fn learn_peer(&mut self, sent: bool, frame: &[u8]) {
        let Some(head) = Head::parse(frame) else {
            return;
        };
        let Some(message) = self.address_message(&head) else {
            return;
        };
        match sent {
            true => self.learn_receiver(&head, &message),
            false => self.learn_sender(&head, &message),
        }
    }

    /// Learns the peer that a message of the team goes to, or that a group message of the team asks
    /// for.
    fn learn_receiver(&mut self, head: &Head<'_>, message: &AddressMessage) {
        let AddressMessage { endpoints, subject, router, .. } = *message;
        let (vlan, peer) = (head.source.vlan, head.destination.hwaddr);
        if peer.is_multicast() {
            return self.peers.asked(self.now, vlan, endpoints.sender, subject);
        }
        if !endpoints.sender.is_unspecified() {
            self.peers.sent(self.now, vlan, endpoints, peer, &self.policy.buckets);
        }
        if let Some(router) = router {
            self.peers.set_router(router);
        }
    }

    /// Returns the peers that an announcement can be sent to.
    pub(crate) fn peers(&self) -> Vec<PeerSeen> {
        self.peers.seen(self.now).collect()
    }

    /// Returns the port with this address under tlb and alb.
    fn port_of(&self, hwaddr: HwAddr) -> Option<PortId> {
        let host = self.policy.host.as_ref()?;
        let mut addresses = host.addresses.iter();
        let (port, _) = addresses.find(|(_, known)| *known == hwaddr)?;
        Some(*port)
    }

    /// Returns the treatment of a frame that `port` received, and learns from it.
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
        if let Some(message) = self.address_message(&head) {
            self.learn_sender(&head, &message);
        }
        if let Some(own) = self.port_of(head.destination.hwaddr) {
            // A peer may still send to the address of a port that has failed.
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
            self.stations.remove(source);
        }
        match here {
            true => Reception::Taken,
            false => Reception::NotHere,
        }
    }

    /// Returns the present stations, each with its bucket; the team's own address has none.
    pub(crate) fn stations(&self) -> Vec<StationSeen> {
        self.learned_sources().present(self.policy.hwaddr)
    }

    /// Returns the learned state.
    pub(crate) fn learned_sources(&self) -> LearnedSources {
        LearnedSources {
            assigned: self.assigned.clone(),
            next: self.next,
            stations: self.stations.all(self.now).collect(),
        }
    }

    /// Replaces the learned state with that of another data path.
    pub(crate) fn restore_sources(&mut self, learned: LearnedSources) {
        self.assigned = learned.assigned;
        self.next = learned.next;
        self.stations = Stations::new();
        for station in learned.stations {
            self.stations.insert(station, self.now);
        }
    }

    /// Learns a peer from a received address message. A message to the team shows a peer that knows the
    /// team; a message from one of our IP addresses shows that another host claims it.
    fn learn_sender(&mut self, head: &Head<'_>, message: &AddressMessage) {
        let (vlan, endpoints) = (head.source.vlan, message.endpoints);
        self.peers.set_claimed(vlan, endpoints.sender, true);
        if head.destination.hwaddr == self.policy.hwaddr && !endpoints.target.is_unspecified() {
            let (hwaddr, ports) = (head.source.hwaddr, &self.policy.buckets);
            self.peers.answered(self.now, vlan, endpoints, hwaddr, ports);
        }
    }

    /// Whether frames to `destination` are received from `port`.
    fn is_expected(&self, destination: Station, port: PortId) -> bool {
        let unicast =
            !destination.hwaddr.is_multicast() && destination.hwaddr != self.policy.hwaddr;
        // A station without a bucket never sent a frame: the switch floods to it on every link.
        match self.bucket(destination).filter(|_| unicast) {
            None => self.policy.designated == Some(port),
            Some(bucket) => {
                let bucket = usize::from(bucket);
                [&self.policy.buckets, &self.policy.previous]
                    .iter()
                    .any(|table| table[bucket] == Some(port))
            }
        }
    }

    fn bucket(&self, station: Station) -> Option<u8> {
        match station.hwaddr == self.policy.hwaddr {
            true => None,
            false => self.assigned[station.slot()],
        }
    }

    fn assign_bucket(&mut self, station: Station) -> u8 {
        let next = &mut self.next;
        *self.assigned[station.slot()].get_or_insert_with(|| {
            let bucket = *next;
            *next = next.wrapping_add(1);
            bucket
        })
    }
}
