//! ARP for IPv4 over Ethernet (RFC 826).

use std::net::Ipv4Addr;

use crate::ident::HwAddr;

/// An ARP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// [`REQUEST`](Arp::REQUEST), [`REPLY`](Arp::REPLY) or another.
    pub operation: u16,
    /// Who sent it.
    pub sender_hwaddr: HwAddr,
    /// The sender's IPv4 address, then the target's.
    pub addresses: [u8; 8],
}

impl Arp {
    /// Who has this address?
    pub const REQUEST: u16 = 1;
    /// I have.
    pub const REPLY: u16 = 2;

    /// Hardware Ethernet, protocol IPv4, addresses of 6 and 4 bytes.
    pub const ETHERNET_IPV4: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];

    /// Reads the payload of a frame; none if it is short or not about IPv4 over Ethernet.
    #[inline]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let arp = payload.first_chunk::<28>()?;
        if arp[..6] != Self::ETHERNET_IPV4 {
            return None;
        }
        let mut addresses = [0; 8];
        addresses[..4].copy_from_slice(&arp[14..18]);
        addresses[4..].copy_from_slice(&arp[24..28]);
        let [a, b, c, d, e, f] = [arp[8], arp[9], arp[10], arp[11], arp[12], arp[13]];
        Some(Arp {
            operation: u16::from_be_bytes([arp[6], arp[7]]),
            sender_hwaddr: HwAddr([a, b, c, d, e, f]),
            addresses,
        })
    }

    /// The sender's IPv4 address.
    pub fn sender(&self) -> Ipv4Addr {
        let [a, b, c, d, ..] = self.addresses;
        Ipv4Addr::new(a, b, c, d)
    }

    /// The IPv4 address asked for, or answered to.
    pub fn target(&self) -> Ipv4Addr {
        let [.., a, b, c, d] = self.addresses;
        Ipv4Addr::new(a, b, c, d)
    }
}
