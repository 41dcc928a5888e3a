//! ARP for IPv4 over Ethernet (RFC 826).

/// An ARP message, request or reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// The sender's IPv4 address, then the target's.
    pub addresses: [u8; 8],
}

impl Arp {
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
        Some(Arp { addresses })
    }
}
