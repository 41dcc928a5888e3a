//! The peers of the team's own traffic, for the runners tlb and alb: the bucket of each peer, and
//! the peers with an address of the team in their neighbour table.
//!
//! Standards: RFC 826 (ARP), RFC 4861 (neighbour discovery).

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::buckets::BucketTable;
use crate::event::PeerSeen;
use crate::ident::{HwAddr, PortId};
use crate::time::Instant;
use crate::wire::{Arp, Ipv4, Ipv6, ethertype, icmpv6_type, protocol};

/// Most entries in each table. A new peer replaces a peer that the team has not asked, if there is
/// one: a peer of the hardware address with the most peers; among several such, a peer of the port
/// with the most peers; among these, the peer with the oldest address message. Only a new peer that
/// the team has asked replaces another asked peer, by the same rules. Any host that asks the team
/// becomes a peer, under any number of addresses.
const CAPACITY: usize = 1024;
/// How long a peer stays known after the last address message to the peer.
const MAX_AGE: Duration = Duration::from_secs(600);
/// How long the team waits for the answer to a request.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// VLAN, IP address of the team, IP address of the peer.
type Key = (u16, IpAddr, IpAddr);

/// A peer that learned an address of the team.
#[derive(Clone, Copy, Debug)]
struct Peer {
    hwaddr: HwAddr,
    /// Time of the last address message to the peer.
    last_sent: Instant,
    /// The team asked for the peer's address by broadcast or multicast, and the peer answered.
    was_asked: bool,
    /// Another host has announced the team's IP address as its own, and the team has sent no address
    /// message from the IP address since.
    is_claimed: bool,
}

/// Peers that learned an address of the team by ARP or neighbour discovery.
///
/// Only the team's own messages create entries: a peer that the team has sent an address message to,
/// or that answers a request of the team. No forged message makes the team announce an address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers {
    known: BTreeMap<Key, Peer>,
    /// The times of the team's last requests by broadcast or multicast.
    asked: BTreeMap<Key, Instant>,
    /// Router flag of the team's last advertisement. IPv6 peers get no announcement before it is
    /// known: a peer that sees the flag cleared stops routing by us (RFC 4861 section 7.2.5).
    router: Option<bool>,
}

impl Peers {
    /// Records a message to a peer at `hwaddr`, which tells the peer the address of
    /// `endpoints.sender`.
    pub(crate) fn sent(
        &mut self,
        now: Instant,
        vlan: u16,
        endpoints: Endpoints,
        hwaddr: HwAddr,
        ports: &BucketTable,
    ) {
        let key = (vlan, endpoints.sender, endpoints.target);
        self.set_claimed(vlan, endpoints.sender, false);
        let was_asked = self.known.get(&key).is_some_and(|known| known.was_asked);
        self.insert(key, Peer { hwaddr, last_sent: now, was_asked, is_claimed: false }, ports);
    }

    fn insert(&mut self, key: Key, peer: Peer, ports: &BucketTable) {
        if self.known.len() >= CAPACITY && !self.known.contains_key(&key) {
            match self.replaceable(ports) {
                Some((replaced, was_asked)) if peer.was_asked || !was_asked => {
                    self.known.remove(&replaced);
                }
                _ => return,
            }
        }
        self.known.insert(key, peer);
    }

    /// Returns the peer that a new peer replaces, and whether the team asked for the peer's address.
    fn replaceable(&self, ports: &BucketTable) -> Option<(Key, bool)> {
        let port_of = |key: &Key| ports[usize::from(bucket_of(key.2))];
        let mut by_hwaddr: BTreeMap<HwAddr, usize> = BTreeMap::new();
        let mut by_port: BTreeMap<Option<PortId>, usize> = BTreeMap::new();
        for (key, peer) in &self.known {
            *by_hwaddr.entry(peer.hwaddr).or_default() += 1;
            *by_port.entry(port_of(key)).or_default() += 1;
        }
        let replaced = self.known.iter().min_by_key(|(key, peer)| {
            let most = (by_hwaddr.get(&peer.hwaddr), by_port.get(&port_of(key)));
            (peer.was_asked, Reverse(most), peer.last_sent)
        });
        replaced.map(|(key, peer)| (*key, peer.was_asked))
    }

    /// Records a request by broadcast or multicast for the hardware address of `wanted`.
    pub(crate) fn asked(&mut self, now: Instant, vlan: u16, own: IpAddr, wanted: IpAddr) {
        let key = (vlan, own, wanted);
        self.set_claimed(vlan, own, false);
        self.asked.retain(|_, asked| *asked + ANSWER_TIME > now);
        if self.asked.len() < CAPACITY || self.asked.contains_key(&key) {
            self.asked.insert(key, now);
        }
    }

    /// Records a message of `endpoints.sender` at `hwaddr` to an address of the team, if the message
    /// may answer a request.
    pub(crate) fn answered(
        &mut self,
        now: Instant,
        vlan: u16,
        endpoints: Endpoints,
        hwaddr: HwAddr,
        ports: &BucketTable,
    ) {
        let key = (vlan, endpoints.target, endpoints.sender);
        if self.asked.remove(&key).is_some_and(|asked| asked + ANSWER_TIME > now) {
            let peer = Peer { hwaddr, last_sent: now, was_asked: true, is_claimed: false };
            self.insert(key, peer, ports);
        }
    }

    /// Sets the router flag of the team's advertisements.
    pub(crate) fn set_router(&mut self, router: bool) {
        self.router = Some(router);
    }

    /// Sets whether another host announces the team's address `own` as its own. Announcements of the
    /// team pause for a claimed address, since they would take the address back. A team that still
    /// uses the address soon sends a message from the address, so a forged announcement has no
    /// effect for long.
    pub(crate) fn set_claimed(&mut self, vlan: u16, own: IpAddr, is_claimed: bool) {
        let of_address = self.known.iter_mut().filter(|(key, _)| (key.0, key.1) == (vlan, own));
        of_address.for_each(|(_, peer)| peer.is_claimed = is_claimed);
    }

    /// Returns the peers that an announcement can be sent to.
    pub(crate) fn seen(&self, now: Instant) -> impl Iterator<Item = PeerSeen> {
        let is_complete = |key: &Key| key.1.is_ipv4() || self.router.is_some();
        let is_present = move |peer: &Peer| peer.last_sent + MAX_AGE > now;
        let known = self.known.iter();
        let known = known
            .filter(move |(key, peer)| is_complete(key) && is_present(peer) && !peer.is_claimed);
        known.map(|((vlan, own, ip), peer)| PeerSeen {
            vlan: *vlan,
            own: *own,
            ip: *ip,
            hwaddr: peer.hwaddr,
            router: self.router.unwrap_or(false),
            bucket: bucket_of(*ip),
        })
    }
}

/// Folds an IP address into a bucket by exclusive-or, as bonding does, so that peers with
/// consecutive addresses are spread evenly.
fn bucket(address: &[u8]) -> u8 {
    address.iter().fold(0, |bucket, byte| bucket ^ byte)
}

/// Returns the bucket of a peer.
pub(crate) fn bucket_of(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(ip) => bucket(&ip.octets()),
        IpAddr::V6(ip) => bucket(&ip.octets()),
    }
}

/// Sender and target address of an ARP or neighbour discovery message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoints {
    pub(crate) sender: IpAddr,
    pub(crate) target: IpAddr,
}

/// A message that announces the hardware address of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressMessage {
    pub(crate) endpoints: Endpoints,
    /// The address whose hardware address the message asks for or announces.
    pub(crate) subject: IpAddr,
    /// Distance of the announced hardware address from the end of the frame.
    pub(crate) hwaddr_before_end: Option<usize>,
    /// Distance of the checksum over that address from the end of the frame.
    pub(crate) checksum_before_end: Option<usize>,
    /// Router flag of a neighbour advertisement.
    pub(crate) router: Option<bool>,
}

impl AddressMessage {
    /// Reads the payload of a frame; `None` if the payload is no such message.
    pub(crate) fn parse(kind: u16, payload: &[u8]) -> Option<Self> {
        match kind {
            ethertype::ARP => Self::of_arp(payload),
            ethertype::IPV6 => Self::of_neighbour(payload),
            _ => None,
        }
    }

    fn of_arp(payload: &[u8]) -> Option<Self> {
        const SENDER: usize = 8;
        let arp = Arp::parse(payload)?;
        Some(AddressMessage {
            endpoints: Endpoints { sender: arp.sender().into(), target: arp.target().into() },
            subject: arp.target().into(),
            hwaddr_before_end: Some(payload.len() - SENDER),
            checksum_before_end: None,
            router: None,
        })
    }

    /// RFC 4861 sections 4.3 and 4.4. Only the first option is read: all known stacks put the
    /// link-layer address there.
    fn of_neighbour(payload: &[u8]) -> Option<Self> {
        const CHECKSUM: usize = 2;
        const FLAGS: usize = 4;
        const ROUTER: u8 = 0x80;
        const OPTION: usize = 24;
        let ip = Ipv6::parse(payload)?;
        let upper = ip.upper.filter(|upper| upper.protocol == protocol::ICMPV6)?;
        let message = upper.payload.first_chunk::<OPTION>()?;
        let (source, destination) = ip.addresses.split_first_chunk::<16>()?;
        let destination: [u8; 16] = *destination.first_chunk()?;
        // The target of the message is the last field before the options.
        let own = *message.last_chunk::<16>()?;
        let (sender, option, router) = match message[0] {
            icmpv6_type::NEIGHBOUR_SOLICITATION => (*source, 1, None),
            icmpv6_type::NEIGHBOUR_ADVERTISEMENT => (own, 2, Some(message[FLAGS] & ROUTER != 0)),
            _ => return None,
        };
        let option_head = upper.payload.get(OPTION..OPTION + 8);
        let announces = option_head.is_some_and(|field| field[..2] == [option, 1]);
        let length = upper.payload.len();
        Some(AddressMessage {
            endpoints: Endpoints {
                sender: Ipv6Addr::from(sender).into(),
                target: Ipv6Addr::from(destination).into(),
            },
            subject: Ipv6Addr::from(own).into(),
            hwaddr_before_end: announces.then(|| length - OPTION - 2),
            checksum_before_end: announces.then(|| length - CHECKSUM),
            router,
        })
    }
}

/// Returns the bucket of the destination of an IP packet. `None` for frames that must leave with
/// the team's own address: neighbour and router discovery, redirects, and all that is not IP.
pub(crate) fn destination_bucket(kind: u16, payload: &[u8]) -> Option<u8> {
    /// Router solicitation to redirect (RFC 4861).
    const NEIGHBOUR_DISCOVERY: std::ops::RangeInclusive<u8> = 133..=137;
    match kind {
        ethertype::IPV4 => Ipv4::parse(payload).map(|ip| bucket(&ip.addresses[4..])),
        ethertype::IPV6 => {
            let ip = Ipv6::parse(payload)?;
            let is_discovery = ip.upper.is_some_and(|upper| {
                let kind = upper.payload.first();
                upper.protocol == protocol::ICMPV6
                    && kind.is_some_and(|kind| NEIGHBOUR_DISCOVERY.contains(kind))
            });
            (!is_discovery).then(|| bucket(&ip.addresses[16..]))
        }
        _ => None,
    }
}
