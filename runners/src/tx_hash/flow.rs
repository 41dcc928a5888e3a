//! The flow of a frame, and the key that the hash is computed over.

use crate::tx_hash::HashFields;
use crate::wire::{Arp, Ethernet, Inner, Ipv4, Ipv6, Upper, ethertype, inner, protocol};

/// Layout of the key. Each field has its own place, which is 0 if the frame lacks the field or
/// `tx_hash` does not name it.
///
/// | bytes | content | name |
/// |---|---|---|
/// | 0..12 | destination and source hardware address | `eth`; 6..12 alone: `srcmac` |
/// | 12..20 | VLAN ids, outermost first, two bytes each | `vlan` |
/// | 20..28 | IPv4 source and destination; of ARP, sender and target | `ipv4` |
/// | 28..32 | IPv6 source and destination, folded with `IPV6_WEIGHTS` | `ipv6` |
/// | 32..36 | source and destination port | `tcp`, `udp`, `sctp` |
///
/// With `encap`, the bytes from 20 on belong to the innermost readable packet; hardware addresses and
/// VLAN ids always belong to the frame.
pub mod place {
    #![expect(missing_docs, reason = "the table defines them")]
    use std::ops::Range;

    pub const ETH: Range<usize> = 0..12;
    pub const SRC_MAC: Range<usize> = 6..12;
    pub const VLAN: Range<usize> = 12..20;
    pub const IPV4: Range<usize> = 20..28;
    pub const IPV6: Range<usize> = 28..32;
    pub const PORTS: Range<usize> = 32..36;
}

/// Length of the key in bytes.
pub const KEY_LEN: usize = place::PORTS.end;

/// Weights of the words of IPv6 source and destination: odd numbers of 31 bits, otherwise arbitrary.
pub const IPV6_WEIGHTS: [u32; 8] = [
    0x463a_04c7,
    0x53ed_45a9,
    0x467b_8831,
    0x6c54_96d3,
    0x68c3_70fb,
    0x6a4a_5759,
    0x67dc_9215,
    0x7be4_f159,
];
/// Low bits of the sum that are dropped. A single bit of a word changes one of the 32 bits above.
pub const IPV6_SHIFT: u32 = 16;

/// Folds an IPv6 source and destination into one word: the weighted sum, modulo 2⁶⁴, of their eight
/// little-endian words, without its lowest and highest 16 bits.
///
/// CRC would need a look-up for each of the 32 bytes, more than for all other fields together; the
/// sum needs a multiplication for every four bytes.
#[inline(always)]
pub(super) fn fold_ipv6(addresses: &[u8; 32]) -> [u8; 4] {
    let words = addresses.chunks_exact(4).zip(IPV6_WEIGHTS);
    let sum = words.fold(0u64, |sum, (word, weight)| {
        let word = word.first_chunk().copied().map_or(0, u32::from_le_bytes);
        sum.wrapping_add(u64::from(word) * u64::from(weight))
    });
    ((sum >> IPV6_SHIFT) as u32).to_le_bytes()
}

/// Most nested tunnels that are entered.
pub const MAX_TUNNELS: usize = 4;

/// Returns the field of `tx_hash` that names the ports of a protocol.
pub(super) fn ports_field(protocol: u8) -> Option<HashFields> {
    match protocol {
        protocol::TCP => Some(HashFields::TCP),
        protocol::UDP => Some(HashFields::UDP),
        protocol::SCTP => Some(HashFields::SCTP),
        _ => None,
    }
}

/// Network addresses, source first.
pub(super) enum Addresses<'a> {
    None,
    Ipv4([u8; 8]),
    Ipv6(&'a [u8; 32]),
}

/// The header fields of a frame that can identify a flow.
pub(super) struct Flow<'a> {
    pub eth: &'a [u8; 12],
    pub vlan_ids: u64,
    pub addresses: Addresses<'a>,
    /// Protocol, then source and destination port.
    pub ports: Option<(u8, &'a [u8; 4])>,
}

impl<'a> Flow<'a> {
    /// Reads a frame; `None` if the frame is shorter than an Ethernet header.
    #[inline(always)]
    pub fn parse(frame: &'a [u8]) -> Option<Self> {
        let frame = Ethernet::parse(frame)?;
        let (addresses, upper) = network(frame.ethertype, frame.payload);
        Some(Flow {
            eth: frame.addresses,
            vlan_ids: frame.vlan_ids,
            addresses,
            ports: upper.and_then(|upper| Some((upper.protocol, upper.ports()?))),
        })
    }

    /// Like [`parse`](Self::parse), with the addresses and ports of the innermost packet.
    pub fn parse_inner(frame: &'a [u8]) -> Option<Self> {
        let frame = Ethernet::parse(frame)?;
        let (mut addresses, mut upper) = network(frame.ethertype, frame.payload);
        for _ in 0..MAX_TUNNELS {
            let Some(Inner { ethertype, payload }) = upper.as_ref().and_then(inner) else {
                break;
            };
            // A tunnel without an IP packet inside keeps its own addresses.
            match network(ethertype, payload) {
                (Addresses::None, _) => break,
                found => (addresses, upper) = found,
            }
        }
        Some(Flow {
            eth: frame.addresses,
            vlan_ids: frame.vlan_ids,
            addresses,
            ports: upper.and_then(|upper| Some((upper.protocol, upper.ports()?))),
        })
    }

    /// Returns the key for these fields.
    pub fn key(&self, fields: HashFields) -> [u8; KEY_LEN] {
        let mut key = [0; KEY_LEN];
        if fields.contains(HashFields::ETH) {
            key[place::ETH].copy_from_slice(self.eth);
        } else if fields.contains(HashFields::SRC_MAC) {
            key[place::SRC_MAC].copy_from_slice(&self.eth[place::SRC_MAC]);
        }
        if fields.contains(HashFields::VLAN) {
            key[place::VLAN].copy_from_slice(&self.vlan_ids.to_be_bytes());
        }
        match &self.addresses {
            Addresses::Ipv4(addresses) if fields.contains(HashFields::IPV4) => {
                key[place::IPV4].copy_from_slice(addresses);
            }
            Addresses::Ipv6(addresses) if fields.contains(HashFields::IPV6) => {
                key[place::IPV6].copy_from_slice(&fold_ipv6(addresses));
            }
            _ => {}
        }
        if let Some((protocol, ports)) = self.ports {
            if ports_field(protocol).is_some_and(|field| fields.contains(field)) {
                key[place::PORTS].copy_from_slice(ports);
            }
        }
        key
    }
}

#[inline(always)]
fn network(ethertype: u16, payload: &[u8]) -> (Addresses<'_>, Option<Upper<'_>>) {
    let found = match ethertype {
        ethertype::IPV4 => {
            Ipv4::parse(payload).map(|ip| (Addresses::Ipv4(*ip.addresses), ip.upper))
        }
        ethertype::IPV6 => Ipv6::parse(payload).map(|ip| (Addresses::Ipv6(ip.addresses), ip.upper)),
        ethertype::ARP => Arp::parse(payload).map(|arp| (Addresses::Ipv4(arp.addresses), None)),
        _ => None,
    };
    found.unwrap_or((Addresses::None, None))
}
