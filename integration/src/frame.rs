//! A captured Ethernet frame, as far as the tests ask about it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One frame, without its VLAN tag: the kernel takes that off before a capture sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// When it was seen, in nanoseconds of the monotonic clock.
    pub at: u64,
    /// Sent by the capturing host, not received.
    pub outgoing: bool,
    /// From the destination address on.
    pub bytes: Vec<u8>,
}

impl Frame {
    /// Source address as `ip` writes it; empty if the frame is cut short.
    pub fn source(&self) -> String {
        let octets = self.bytes.get(6..12).unwrap_or_default();
        octets
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect::<Vec<_>>()
            .join(":")
    }

    /// The EtherType; none if the frame is cut short.
    pub fn ether_type(&self) -> Option<u16> {
        let field = self.bytes.get(12..14)?;
        Some(u16::from_be_bytes(field.try_into().ok()?))
    }

    /// An ARP reply (or gratuitous ARP reply) that says where `address` is.
    pub fn is_arp_reply(&self, address: Ipv4Addr) -> bool {
        self.ether_type() == Some(0x0806)
            && self.bytes.get(20..22) == Some(&[0, 2])
            && self.bytes.get(28..32) == Some(&address.octets())
    }

    /// A neighbour advertisement that says where `address` is.
    pub fn is_advertisement(&self, address: Ipv6Addr) -> bool {
        self.ether_type() == Some(0x86dd)
            && self.bytes.get(20) == Some(&58)
            && self.bytes.get(54) == Some(&136)
            && self.bytes.get(62..78) == Some(&address.octets())
    }

    /// An ICMP or ICMPv6 echo reply from `address`.
    pub fn is_echo_reply(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => {
                self.ether_type() == Some(0x0800)
                    && self.bytes.get(23) == Some(&1)
                    && self.bytes.get(26..30) == Some(&address.octets())
                    && self.bytes.get(34) == Some(&0)
            }
            IpAddr::V6(address) => {
                self.ether_type() == Some(0x86dd)
                    && self.bytes.get(20) == Some(&58)
                    && self.bytes.get(22..38) == Some(&address.octets())
                    && self.bytes.get(54) == Some(&129)
            }
        }
    }
}
