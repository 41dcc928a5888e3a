//! The peers of the team itself, under the runners tlb and alb: which bucket a peer belongs to, and
//! who was told where we are.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::event::PeerSeen;
use crate::ident::HwAddr;
use crate::wire::{Arp, Ipv4, Ipv6, ethertype, icmpv6_type, protocol};

/// Peers that are remembered; a network of more teaches the rest anew when they ask.
const MOST: usize = 1024;

/// Who was told our address: VLAN, our address, the peer's.
type Key = (u16, IpAddr, IpAddr);

/// Peers that know us by ARP or neighbour discovery, with their hardware address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers {
    told: BTreeMap<Key, HwAddr>,
    /// Whether we route IPv6, as we last said ourselves. Until we have, nobody is told by
    /// IPv6: who takes us for a host only no longer routes by us (RFC 4861 section 7.2.5).
    router: Option<bool>,
}

impl Peers {
    /// The peer at `hwaddr` knows, or is being told, where `own` is.
    pub(crate) fn told(&mut self, vlan: u16, parties: Endpoints, hwaddr: HwAddr) {
        let key = (vlan, parties.sender, parties.target);
        if self.told.len() < MOST || self.told.contains_key(&key) {
            self.told.insert(key, hwaddr);
        }
    }

    /// We said whether we route IPv6.
    pub(crate) fn routes(&mut self, router: bool) {
        self.router = Some(router);
    }

    /// An address of ours is used by somebody else: nobody is to be told of it any more.
    pub(crate) fn lost(&mut self, vlan: u16, own: IpAddr) {
        self.told.retain(|key, _| (key.0, key.1) != (vlan, own));
    }

    /// All that can be told anew.
    pub(crate) fn all(&self) -> impl Iterator<Item = PeerSeen> {
        let tellable = |key: &Key| key.1.is_ipv4() || self.router.is_some();
        let told = self.told.iter().filter(move |(key, _)| tellable(key));
        told.map(|((vlan, own, ip), hwaddr)| PeerSeen {
            vlan: *vlan,
            own: *own,
            ip: *ip,
            hwaddr: *hwaddr,
            router: self.router.unwrap_or(false),
            bucket: bucket_of(*ip),
        })
    }
}

/// The bucket of a peer: its address folded by exclusive or, as bonding does it, so that peers
/// with consecutive addresses are spread evenly.
pub(crate) fn bucket(address: &[u8]) -> u8 {
    address.iter().fold(0, |bucket, byte| bucket ^ byte)
}

/// The same of an address of either family.
pub(crate) fn bucket_of(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(ip) => bucket(&ip.octets()),
        IpAddr::V6(ip) => bucket(&ip.octets()),
    }
}

/// Who tells whom of an address: by ARP, or by neighbour discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoints {
    pub(crate) sender: IpAddr,
    pub(crate) target: IpAddr,
}

/// A message that tells where its sender is, as far as it can be told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressMessage {
    pub(crate) parties: Endpoints,
    /// Where the sender's hardware address stands, from the end of the frame.
    pub(crate) hwaddr_before_end: Option<usize>,
    /// Where the checksum over it stands, from the end of the frame.
    pub(crate) checksum_before_end: Option<usize>,
    /// What a neighbour advertisement says of its sender.
    pub(crate) router: Option<bool>,
}

impl AddressMessage {
    /// Reads the payload of a frame of this ethertype.
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
            parties: Endpoints {
                sender: arp.sender().into(),
                target: arp.target().into(),
            },
            hwaddr_before_end: Some(payload.len() - SENDER),
            checksum_before_end: None,
            router: None,
        })
    }

    /// RFC 4861 sections 4.3 and 4.4; the address is in the first option, where everybody has it.
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
        // The target of the message, which comes last before the options.
        let own = *message.last_chunk::<16>()?;
        let (sender, option, router) = match message[0] {
            icmpv6_type::NEIGHBOUR_SOLICITATION => (*source, 1, None),
            icmpv6_type::NEIGHBOUR_ADVERTISEMENT => (own, 2, Some(message[FLAGS] & ROUTER != 0)),
            _ => return None,
        };
        let tells = upper.payload.get(OPTION..OPTION + 8);
        let tells = tells.is_some_and(|field| field[..2] == [option, 1]);
        let length = upper.payload.len();
        Some(AddressMessage {
            parties: Endpoints {
                sender: Ipv6Addr::from(sender).into(),
                target: Ipv6Addr::from(destination).into(),
            },
            hwaddr_before_end: tells.then(|| length - OPTION - 2),
            checksum_before_end: tells.then(|| length - CHECKSUM),
            router,
        })
    }
}

/// The bucket of whom an IP packet is for. None for what has to come from the address that
/// everybody knows: router discovery and redirects, and all that is not IP.
pub(crate) fn destination_bucket(kind: u16, payload: &[u8]) -> Option<u8> {
    /// Router solicitation to redirect (RFC 4861).
    const NEIGHBOUR_DISCOVERY: std::ops::RangeInclusive<u8> = 133..=137;
    match kind {
        ethertype::IPV4 => Ipv4::parse(payload).map(|ip| bucket(&ip.addresses[4..])),
        ethertype::IPV6 => {
            let ip = Ipv6::parse(payload)?;
            let discovers = ip.upper.is_some_and(|upper| {
                let kind = upper.payload.first();
                upper.protocol == protocol::ICMPV6
                    && kind.is_some_and(|kind| NEIGHBOUR_DISCOVERY.contains(kind))
            });
            (!discovers).then(|| bucket(&ip.addresses[16..]))
        }
        _ => None,
    }
}
