//! The peers of the team itself, under the runners tlb and alb: which bucket a peer belongs to, and
//! who was told where we are.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::ident::HwAddr;
use crate::wire::{Arp, ethertype, protocol};
use crate::wire::{Ipv4, Ipv6};

/// Peers that are remembered; a network of more teaches the rest anew when they ask.
const MOST: usize = 1024;

/// Who was told our address: VLAN, our address, the peer's.
type Key = (u16, Ipv4Addr, Ipv4Addr);

/// Peers that know us by ARP, with their hardware address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers(BTreeMap<Key, HwAddr>);

impl Peers {
    /// The peer at `hwaddr` knows, or is being told, where `own` is.
    pub(crate) fn told(&mut self, vlan: u16, own: Ipv4Addr, peer: Ipv4Addr, hwaddr: HwAddr) {
        let key = (vlan, own, peer);
        if self.0.len() < MOST || self.0.contains_key(&key) {
            self.0.insert(key, hwaddr);
        }
    }

    /// An address of ours is used by somebody else: nobody is to be told of it any more.
    pub(crate) fn lost(&mut self, vlan: u16, own: Ipv4Addr) {
        self.0.retain(|key, _| (key.0, key.1) != (vlan, own));
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Key, HwAddr)> {
        self.0.iter().map(|(key, hwaddr)| (key, *hwaddr))
    }
}

/// The bucket of a peer: its address folded by exclusive or, as bonding does it, so that peers
/// with consecutive addresses are spread evenly.
pub(crate) fn bucket(address: &[u8]) -> u8 {
    address.iter().fold(0, |bucket, byte| bucket ^ byte)
}

/// An ARP message of IPv4 over Ethernet, by its parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parties {
    pub(crate) sender: Ipv4Addr,
    pub(crate) target: Ipv4Addr,
}

impl Parties {
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let [a, b, c, d, e, f, g, h] = Arp::parse(payload)?.addresses;
        Some(Parties {
            sender: Ipv4Addr::new(a, b, c, d),
            target: Ipv4Addr::new(e, f, g, h),
        })
    }
}

/// The bucket of whom an IP packet is for. None for what has to come from the address that
/// neighbours know: neighbour discovery, and all that is not IP.
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
