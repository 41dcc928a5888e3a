//! IP addresses of interfaces: announced after a change of port, and used as the sources of link
//! watches.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::message::{Attributes, Message, Request, read_u32};
use super::socket::RouteSocket;

/// Bytes of `struct ifaddrmsg`: family, prefix length, flags, scope, u32 index.
const BODY: usize = 8;
/// Flags of an address whose duplicate address detection has not ended, or has failed.
const UNUSABLE: u32 = libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED;

/// An address and its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceAddress {
    /// Interface index.
    pub ifindex: u32,
    /// The address.
    pub address: IpAddr,
    /// Duplicate address detection has not ended, or has failed: nothing may be sent from it.
    pub tentative: bool,
    /// Length of the prefix in bits.
    pub prefix_len: u8,
    /// Not link-local, and without a lifetime (`IFA_F_PERMANENT`).
    pub is_lasting: bool,
}

impl InterfaceAddress {
    /// Parses an address; `None` for other messages.
    pub fn parse(message: &Message<'_>) -> Option<InterfaceAddress> {
        if message.kind != libc::RTM_NEWADDR {
            return None;
        }
        let mut address = None;
        for (kind, value) in Attributes(message.payload.get(BODY..)?) {
            // On a point-to-point interface IFA_ADDRESS is that of the peer, IFA_LOCAL our own.
            if kind == libc::IFA_LOCAL || (kind == libc::IFA_ADDRESS && address.is_none()) {
                address = ip(value).or(address);
            }
        }
        let &[_, prefix_len, flags, scope] = message.payload.first_chunk()?;
        let flags = u32::from(flags);
        Some(InterfaceAddress {
            ifindex: read_u32(message.payload, 4)?,
            address: address?,
            tentative: flags & UNUSABLE != 0,
            prefix_len,
            is_lasting: flags & libc::IFA_F_PERMANENT != 0 && scope < libc::RT_SCOPE_LINK,
        })
    }
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(value).ok().map(|octets| Ipv6Addr::from(octets).into())
}

/// Returns the index of the interface whose addresses have changed; `None` for other messages.
pub fn changed(message: &Message<'_>) -> Option<u32> {
    let is_change = [libc::RTM_NEWADDR, libc::RTM_DELADDR].contains(&message.kind);
    read_u32(message.payload, 4).filter(|_| is_change)
}

/// Returns a usable link-local IPv6 address of each interface that has one, by index.
pub fn link_locals(route: &mut RouteSocket) -> io::Result<BTreeMap<u32, Ipv6Addr>> {
    let mut found = BTreeMap::new();
    for held in all(route)? {
        if let IpAddr::V6(address) = held.address {
            if address.is_unicast_link_local() && !held.tentative {
                found.entry(held.ifindex).or_insert(address);
            }
        }
    }
    Ok(found)
}

/// Returns a request for all addresses of all interfaces.
pub fn dump() -> Request {
    Request::new(libc::RTM_GETADDR, libc::NLM_F_DUMP as u16, &[0; BODY])
}

/// Reads all addresses of all interfaces.
pub fn all(route: &mut RouteSocket) -> io::Result<Vec<InterfaceAddress>> {
    let mut found = Vec::new();
    route.query(dump(), &mut |message| found.extend(InterfaceAddress::parse(&message)))?;
    Ok(distinct(found.into_iter()))
}

/// Returns the addresses without those that a dump has listed before.
pub fn distinct(found: impl Iterator<Item = InterfaceAddress>) -> Vec<InterfaceAddress> {
    let mut known = BTreeSet::new();
    found.filter(|found| known.insert(*found)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::message::Messages;
    use super::*;

    #[test]
    fn an_address_is_the_local_one_and_tentative_under_detection() {
        for (flags, tentative) in [(0, false), (0x80, false), (0xc0, true), (0x88, true)] {
            let mut body = [0; BODY];
            body[2] = flags;
            body[4..].copy_from_slice(&5u32.to_ne_bytes());
            let bytes = Request::new(libc::RTM_NEWADDR, 0, &body)
                .attribute(libc::IFA_ADDRESS, &[192, 0, 2, 2])
                .attribute(libc::IFA_LOCAL, &[192, 0, 2, 1])
                .finish(0, false)
                .unwrap();
            let message = Messages(&bytes).next().unwrap();
            let found = InterfaceAddress::parse(&message).unwrap();
            assert_eq!(found.ifindex, 5);
            assert_eq!(found.address, IpAddr::from([192, 0, 2, 1]));
            assert_eq!(found.tentative, tentative, "{flags:#x}");
            assert_eq!(changed(&message), Some(5));
        }
        let bytes = Request::new(libc::RTM_NEWADDR, 0, &[0; BODY])
            .attribute(libc::IFA_ADDRESS, &Ipv6Addr::LOCALHOST.octets())
            .finish(0, false)
            .unwrap();
        let found = InterfaceAddress::parse(&Messages(&bytes).next().unwrap()).unwrap();
        assert_eq!(found.address, Ipv6Addr::LOCALHOST);
    }
}
