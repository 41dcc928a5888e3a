//! The fields of a frame that source balancing looks at.

use super::station::Station;
use crate::ident::HwAddr;
use crate::wire::{Arp, Ethernet, Ipv4, Ipv6, ethertype, protocol};

/// ICMPv6 types of listener discovery: query, report, done (RFC 2710), and report of version 2
/// (RFC 3810).
pub const LISTENER_DISCOVERY: [u8; 4] = [130, 131, 132, 143];

/// Destination, source and payload of a frame.
pub(super) struct Head<'a> {
    pub(super) destination: Station,
    pub(super) source: Station,
    pub(super) ethertype: u16,
    pub(super) payload: &'a [u8],
}

impl<'a> Head<'a> {
    /// Reads a whole Ethernet frame; `None` if the frame is too short.
    pub(super) fn parse(frame: &'a [u8]) -> Option<Self> {
        let ethernet = Ethernet::parse(frame)?;
        let (destination, source) = ethernet.addresses.split_first_chunk::<6>()?;
        // A switch learns an address in the VLAN of the outermost tag.
        let vlan = (ethernet.vlan_ids >> 48) as u16;
        let station = |hwaddr| Station { hwaddr: HwAddr(hwaddr), vlan };
        Some(Head {
            destination: station(*destination),
            source: station(*source.first_chunk()?),
            ethertype: ethernet.ethertype,
            payload: ethernet.payload,
        })
    }

    /// Whether the frame announces its sender to all stations: a gratuitous ARP, or a reverse ARP
    /// such as hypervisors send for a guest that has migrated to them.
    pub(super) fn is_announcement(&self) -> bool {
        if self.destination.hwaddr != HwAddr::BROADCAST {
            return false;
        }
        match self.ethertype {
            ethertype::RARP => true,
            ethertype::ARP => Arp::parse(self.payload)
                .is_some_and(|arp| arp.sender() == arp.target() || arp.operation == Arp::REPLY),
            _ => false,
        }
    }

    /// Whether the frame is one that switches snoop: IGMP or multicast listener discovery.
    pub(super) fn is_membership(&self) -> bool {
        if !self.destination.hwaddr.is_multicast() {
            return false;
        }
        let upper = match self.ethertype {
            ethertype::IPV4 => Ipv4::parse(self.payload).and_then(|ip| ip.upper),
            ethertype::IPV6 => Ipv6::parse(self.payload).and_then(|ip| ip.upper),
            _ => None,
        };
        upper.is_some_and(|upper| match (self.ethertype, upper.protocol) {
            (ethertype::IPV4, protocol::IGMP) => true,
            (ethertype::IPV6, protocol::ICMPV6) => {
                let kind = upper.payload.first();
                kind.is_some_and(|kind| LISTENER_DISCOVERY.contains(kind))
            }
            _ => false,
        })
    }
}
