//! `tx_hash`: the header fields that identify a flow, and the hash bucket of a flow.
//!
//! [`Selector`] computes buckets; [`definition`] publishes the constants for other implementations.

pub mod definition;
mod flow;
mod selector;

use std::ops::BitOr;

pub use selector::Selector;

/// A set of header fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HashFields(u16);

impl HashFields {
    /// The empty set: every frame has the same bucket.
    pub const NONE: HashFields = HashFields(0);
    /// Both hardware addresses.
    pub const ETH: HashFields = HashFields(1);
    /// VLAN ids.
    pub const VLAN: HashFields = HashFields(1 << 1);
    /// IPv4 addresses.
    pub const IPV4: HashFields = HashFields(1 << 2);
    /// IPv6 addresses.
    pub const IPV6: HashFields = HashFields(1 << 3);
    /// TCP ports.
    pub const TCP: HashFields = HashFields(1 << 4);
    /// UDP ports.
    pub const UDP: HashFields = HashFields(1 << 5);
    /// SCTP ports.
    pub const SCTP: HashFields = HashFields(1 << 6);
    /// The source hardware address alone.
    pub const SRC_MAC: HashFields = HashFields(1 << 7);
    /// Not a field: IP addresses and ports are those of the innermost packet of tunnels.
    pub const ENCAP: HashFields = HashFields(1 << 8);
    /// Not a field: the kernel's hash of the sender's socket is the hash of the frame, where a data
    /// path knows the socket. The kernel draws another hash after a timeout of TCP.
    pub const SOCKET: HashFields = HashFields(1 << 9);

    /// Returns the set that a word of the configuration names (`eth`, `l3`, …); `None` if unknown.
    pub fn from_name(name: &str) -> Option<HashFields> {
        Some(match name {
            "eth" => Self::ETH,
            "srcmac" => Self::SRC_MAC,
            "vlan" => Self::VLAN,
            "ipv4" => Self::IPV4,
            "ipv6" => Self::IPV6,
            "ip" | "l3" => Self::IPV4 | Self::IPV6,
            "tcp" => Self::TCP,
            "udp" => Self::UDP,
            "sctp" => Self::SCTP,
            "encap" => Self::ENCAP,
            "socket" => Self::SOCKET,
            "l4" => Self::TCP | Self::UDP | Self::SCTP,
            _ => return None,
        })
    }

    /// Whether any field of `other` is in this set.
    pub const fn intersects(self, other: HashFields) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all fields of `other` are in this set.
    pub const fn contains(self, other: HashFields) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for HashFields {
    type Output = HashFields;

    fn bitor(self, other: HashFields) -> HashFields {
        HashFields(self.0 | other.0)
    }
}
