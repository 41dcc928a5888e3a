//! The peers of the team's own traffic, for the runners tlb and alb: the bucket of each peer, and
//! the peers with an address of the team in their neighbour table.
//!
//! Standards: RFC 826 (ARP), RFC 4861 (neighbour discovery).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::event::PeerSeen;
use crate::ident::HwAddr;
use crate::wire::{Arp, Ipv4, Ipv6, ethertype, icmpv6_type, protocol};

/// Most entries in the table. A peer beyond it gets the address of its port with the next answer.
const CAPACITY: usize = 1024;

/// VLAN, IP address of the team, IP address of the peer.
type Key = (u16, IpAddr, IpAddr);

/// Peers that learned an address of the team by ARP or neighbour discovery.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers {
    /// Hardware address of each peer.
    known: BTreeMap<Key, HwAddr>,
    /// Router flag of the team's last advertisement. IPv6 peers get no announcement before it is
    /// known: a peer that sees the flag cleared stops routing by us (RFC 4861 section 7.2.5).
    router: Option<bool>,
}

impl Peers {
    /// Adds a peer at `hwaddr` that learns the address of `endpoints.sender`, one of ours.
    pub(crate) fn insert(&mut self, vlan: u16, endpoints: Endpoints, hwaddr: HwAddr) {
        let key = (vlan, endpoints.sender, endpoints.target);
        if self.known.len() < CAPACITY || self.known.contains_key(&key) {
            self.known.insert(key, hwaddr);
        }
    }

    /// Sets the router flag of the team's advertisements.
    pub(crate) fn set_router(&mut self, router: bool) {
        self.router = Some(router);
    }

    /// Removes the peers of an address that another host uses now.
    pub(crate) fn remove_address(&mut self, vlan: u16, own: IpAddr) {
        self.known.retain(|key, _| (key.0, key.1) != (vlan, own));
    }

    /// Returns the peers that an announcement can be sent to.
    pub(crate) fn seen(&self) -> impl Iterator<Item = PeerSeen> {
        let is_complete = |key: &Key| key.1.is_ipv4() || self.router.is_some();
        let known = self.known.iter().filter(move |(key, _)| is_complete(key));
        known.map(|((vlan, own, ip), hwaddr)| PeerSeen {
            vlan: *vlan,
            own: *own,
            ip: *ip,
            hwaddr: *hwaddr,
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
            endpoints: Endpoints {
                sender: arp.sender().into(),
                target: arp.target().into(),
            },
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
        let upper = ip
            .upper
            .filter(|upper| upper.protocol == protocol::ICMPV6)?;
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
