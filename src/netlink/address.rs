//! IP addresses of interfaces, which the peers are told of after a change of port, and which
//! link watches ask from.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::message::{Attributes, Message, Request, read_u32};
use super::socket::RouteSocket;

/// Bytes of `struct ifaddrmsg`: family, prefix length, flags, scope, u32 index.
const BODY: usize = 8;
/// Place of the flags in it.
const FLAGS: usize = 2;
/// Duplicate address detection goes on, or has found one.
const UNUSABLE: u32 = libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED;

/// An address and the interface that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// Interface index.
    pub ifindex: u32,
    /// The address.
    pub address: IpAddr,
    /// Nothing may be sent from it: it is not known yet to be the only one, or known not to be.
    pub tentative: bool,
    /// Length of its prefix in bits.
    pub prefix_len: u8,
    /// Neither link-local nor given for a time only (`IFA_F_PERMANENT`).
    pub is_lasting: bool,
}

impl InterfaceAddress {
    /// The address that `message` tells of; none if it tells of none.
    pub fn parse(message: &Message<'_>) -> Option<InterfaceAddress> {
        if message.kind != libc::RTM_NEWADDR {
            return None;
        }
        let mut address = None;
        for (kind, value) in Attributes(message.payload.get(BODY..)?) {
            // On a point-to-point interface IFA_ADDRESS is the peer, IFA_LOCAL ourselves.
            if kind == libc::IFA_LOCAL || (kind == libc::IFA_ADDRESS && address.is_none()) {
                address = ip(value).or(address);
            }
        }
        Some(InterfaceAddress {
            ifindex: read_u32(message.payload, 4)?,
            address: address?,
            tentative: u32::from(*message.payload.get(FLAGS)?) & UNUSABLE != 0,
            prefix_len: *message.payload.get(1)?,
            is_lasting: {
                let (flags, scope) = (*message.payload.get(2)?, *message.payload.get(3)?);
                u32::from(flags) & libc::IFA_F_PERMANENT != 0 && scope < libc::RT_SCOPE_LINK
            },
        })
    }
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(value)
        .ok()
        .map(|octets| Ipv6Addr::from(octets).into())
}

/// The interface whose addresses have changed, if `message` is news of that.
pub fn changed(message: &Message<'_>) -> Option<u32> {
    let is_news = [libc::RTM_NEWADDR, libc::RTM_DELADDR].contains(&message.kind);
    read_u32(message.payload, 4).filter(|_| is_news)
}

/// A link-local IPv6 address of each interface that has one to send from, by index.
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

/// All addresses of all interfaces.
pub fn all(route: &mut RouteSocket) -> io::Result<Vec<InterfaceAddress>> {
    let mut addresses = Vec::new();
    let request = Request::new(libc::RTM_GETADDR, libc::NLM_F_DUMP as u16, &[0; BODY]);
    route.query(request, &mut |message| {
        addresses
            .extend(InterfaceAddress::parse(&message).filter(|found| !addresses.contains(found)));
    })?;
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_wins_over_the_peer_of_a_point_to_point_link() {
        let mut request = vec![0; BODY];
        request[4..8].copy_from_slice(&5u32.to_ne_bytes());
        let bytes = Request::new(libc::RTM_NEWADDR, 0, &request)
            .attribute(libc::IFA_ADDRESS, &[192, 0, 2, 2])
            .attribute(libc::IFA_LOCAL, &[192, 0, 2, 1])
            .finish(0, false);
        let message = super::super::message::Messages(&bytes).next().unwrap();
        let found = InterfaceAddress::parse(&message).unwrap();
        assert_eq!(found.ifindex, 5);
        assert_eq!(found.address, IpAddr::from([192, 0, 2, 1]));
        assert!(!found.tentative);
        assert_eq!(changed(&message), Some(5));
    }

    #[test]
    fn an_address_under_detection_is_tentative() {
        for (flags, tentative) in [(0x80, false), (0xc0, true), (0x88, true)] {
            let mut request = vec![0; BODY];
            request[FLAGS] = flags;
            let bytes = Request::new(libc::RTM_NEWADDR, 0, &request)
                .attribute(libc::IFA_ADDRESS, &Ipv6Addr::LOCALHOST.octets())
                .finish(0, false);
            let message = super::super::message::Messages(&bytes).next().unwrap();
            let found = InterfaceAddress::parse(&message).unwrap();
            assert_eq!(found.tentative, tentative, "{flags:#x}");
        }
    }
}
