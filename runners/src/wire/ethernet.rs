//! The Ethernet header and the VLAN tags behind it (IEEE 802.3, 802.1Q).

/// Ethertypes.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// Reverse ARP.
    pub const RARP: u16 = 0x8035;
    /// A customer VLAN tag.
    pub const VLAN: u16 = 0x8100;
    /// A service VLAN tag (802.1ad).
    pub const SERVICE_VLAN: u16 = 0x88a8;
    /// Local experimental EtherType 1 (IEEE 802, clause 9.2.3).
    pub const LOCAL_EXPERIMENTAL: u16 = 0x88b5;
    /// Ethernet configuration testing protocol.
    pub const LOOPBACK: u16 = 0x9000;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// Slow protocols: LACP and markers (IEEE 802.3, annex 57A).
    pub const SLOW_PROTOCOLS: u16 = 0x8809;
}

/// Number of VLAN tags read. A frame with more tags appears to have a VLAN tag as its ethertype.
pub const MAX_TAGS: usize = 4;

/// A view of a frame: header, tags and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ethernet<'a> {
    /// Destination address, then source address.
    pub addresses: &'a [u8; 12],
    /// VLAN ids without priority bits, 16 bits each, the outermost in the highest bits. The id is
    /// 0 without a tag and in a tag that only carries a priority.
    pub vlan_ids: u64,
    /// Ethertype behind the tags.
    pub ethertype: u16,
    /// Bytes behind the ethertype, padding included.
    pub payload: &'a [u8],
}

impl<'a> Ethernet<'a> {
    /// Reads a frame. Returns `None` if it is too short for an ethertype.
    #[inline]
    pub fn parse(frame: &'a [u8]) -> Option<Self> {
        let (addresses, rest) = frame.split_first_chunk::<12>()?;
        let (first, mut payload) = rest.split_first_chunk::<2>()?;
        let mut ethertype = u16::from_be_bytes(*first);
        let mut vlan_ids = 0;
        for depth in 0..MAX_TAGS {
            if !matches!(ethertype, ethertype::VLAN | ethertype::SERVICE_VLAN) {
                break;
            }
            let Some((&[tci_high, tci_low, high, low], rest)) = payload.split_first_chunk::<4>()
            else {
                break;
            };
            let id = u16::from_be_bytes([tci_high & 0x0f, tci_low]);
            vlan_ids |= u64::from(id) << (48 - 16 * depth);
            ethertype = u16::from_be_bytes([high, low]);
            payload = rest;
        }
        Some(Ethernet { addresses, vlan_ids, ethertype, payload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(tags: &[(u16, u16)]) -> Vec<u8> {
        let mut frame = vec![0xff; 12];
        for (tpid, tci) in tags {
            frame.extend(tpid.to_be_bytes());
            frame.extend(tci.to_be_bytes());
        }
        frame.extend(ethertype::ARP.to_be_bytes());
        frame.push(7);
        frame
    }

    #[test]
    fn parse_removes_tags_from_the_outermost_inwards() {
        let frame = tagged(&[(0x88a8, 0xf123), (0x8100, 0x0042)]);
        let eth = Ethernet::parse(&frame).unwrap();
        assert_eq!(eth.vlan_ids, 0x0123_0042_0000_0000);
        assert_eq!(eth.ethertype, ethertype::ARP);
        assert_eq!(eth.payload, [7]);
    }

    #[test]
    fn parse_leaves_a_fifth_tag() {
        let frame = tagged(&[(0x8100, 1), (0x8100, 2), (0x8100, 3), (0x8100, 4), (0x8100, 5)]);
        let eth = Ethernet::parse(&frame).unwrap();
        assert_eq!(eth.vlan_ids, 0x0001_0002_0003_0004);
        assert_eq!(eth.ethertype, ethertype::VLAN);
    }

    #[test]
    fn parse_leaves_a_truncated_tag() {
        let frame = tagged(&[(0x8100, 1)]);
        let eth = Ethernet::parse(&frame[..17]).unwrap();
        assert_eq!((eth.ethertype, eth.vlan_ids), (ethertype::VLAN, 0));
        assert_eq!(Ethernet::parse(&frame[..13]), None);
    }
}
