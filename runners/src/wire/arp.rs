//! ARP for IPv4 over Ethernet (RFC 826).

use std::net::Ipv4Addr;

use crate::ident::HwAddr;

/// An ARP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// [`REQUEST`](Arp::REQUEST), [`REPLY`](Arp::REPLY) or another.
    pub operation: u16,
    /// Hardware address of the sender.
    pub sender_hwaddr: HwAddr,
    /// IPv4 address of the sender, then of the target.
    pub addresses: [u8; 8],
}

impl Arp {
    /// Asks for the hardware address of the target.
    pub const REQUEST: u16 = 1;
    /// Answers a request.
    pub const REPLY: u16 = 2;

    /// Hardware type Ethernet, protocol type IPv4, addresses of 6 and 4 bytes.
    pub const ETHERNET_IPV4: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];

    /// Reads the payload of a frame. Returns `None` for a short one, and for other hardware or
    /// protocol types.
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

    /// Returns the IPv4 address of the sender.
    pub fn sender(&self) -> Ipv4Addr {
        let [a, b, c, d, ..] = self.addresses;
        Ipv4Addr::new(a, b, c, d)
    }

    /// Returns the IPv4 address of the target.
    pub fn target(&self) -> Ipv4Addr {
        let [.., a, b, c, d] = self.addresses;
        Ipv4Addr::new(a, b, c, d)
    }
}
