//! Probes of the link watches: ARP requests (RFC 826) and neighbour solicitations (RFC 4861), as
//! whole Ethernet frames without padding.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::ident::HwAddr;
use crate::wire::build::{BROADCAST, ethernet, group_hwaddr, icmpv6};
use crate::wire::{Arp, ethertype, icmpv6_type};

/// Returns a broadcast ARP request for `target`. As in teamd's requests, the target's unknown
/// hardware address is all ones. A `source` of 0.0.0.0 makes the request an ARP probe (RFC 5227),
/// which changes no neighbour's cache. `vlan` is the id in a tag without priority.
pub fn arp_request(
    hwaddr: HwAddr,
    source: Ipv4Addr,
    target: Ipv4Addr,
    vlan: Option<u16>,
) -> Vec<u8> {
    let mut frame = ethernet(BROADCAST, hwaddr, vlan, ethertype::ARP);
    frame.extend(Arp::ETHERNET_IPV4);
    frame.extend(Arp::REQUEST.to_be_bytes());
    frame.extend(hwaddr.0);
    frame.extend(source.octets());
    frame.extend(BROADCAST.0);
    frame.extend(target.octets());
    frame
}

/// Returns a neighbour solicitation (RFC 4861 section 4.3) for `target`, sent to the target's
/// solicited-node group, with the sender's hardware address as an option.
pub fn neighbour_solicitation(hwaddr: HwAddr, source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    const SOURCE_LINK_LAYER_ADDRESS: [u8; 2] = [1, 1];
    let mut message = vec![icmpv6_type::NEIGHBOUR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend(target.octets());
    message.extend(SOURCE_LINK_LAYER_ADDRESS);
    message.extend(hwaddr.0);
    // RFC 4291 section 2.7.1.
    let mut group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0];
    group[13..].copy_from_slice(&target.octets()[13..]);
    let group = Ipv6Addr::from(group);
    let to = (group_hwaddr(group), group);
    icmpv6(hwaddr, source, to, None, 255, &[], message)
}
