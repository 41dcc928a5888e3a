//! A captured Ethernet frame and the fields that tests check.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One frame without its VLAN tag: the kernel removes the tag before the capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Time of capture, in nanoseconds of the monotonic clock.
    pub at: u64,
    /// Whether the capturing host sent the frame.
    pub outgoing: bool,
    /// The frame from the destination address on.
    pub bytes: Vec<u8>,
}

impl Frame {
    /// Returns the source address in the format of `ip`; empty if the frame is truncated.
    pub fn source(&self) -> String {
        let octets = self.bytes.get(6..12).unwrap_or_default();
        octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(":")
    }

    /// Returns the EtherType; `None` if the frame is truncated.
    pub fn ether_type(&self) -> Option<u16> {
        let field = self.bytes.get(12..14)?;
        Some(u16::from_be_bytes(field.try_into().ok()?))
    }

    /// Whether the frame is an ARP reply (or gratuitous ARP reply) from `address`.
    pub fn is_arp_reply(&self, address: Ipv4Addr) -> bool {
        self.ether_type() == Some(0x0806)
            && self.bytes.get(20..22) == Some(&[0, 2])
            && self.bytes.get(28..32) == Some(&address.octets())
    }

    /// Whether the frame is a neighbour advertisement for `address`.
    pub fn is_advertisement(&self, address: Ipv6Addr) -> bool {
        self.ether_type() == Some(0x86dd)
            && self.bytes.get(20) == Some(&58)
            && self.bytes.get(54) == Some(&136)
            && self.bytes.get(62..78) == Some(&address.octets())
    }

    /// Whether the frame is an ICMP or ICMPv6 echo reply from `address`.
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
