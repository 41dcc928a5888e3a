//! Frames by which hosts learn the hardware address of an IP address: ARP (RFC 826), and neighbour
//! solicitations and advertisements (RFC 4861).

use crate::wire::{Ethernet, ethertype, icmpv6_type, protocol};

/// Returns whether a frame, with or without VLAN tags, is an ARP message, or a neighbour
/// solicitation or advertisement without IPv6 extension headers.
#[inline]
pub fn is_address_resolution(frame: &[u8]) -> bool {
    const NEXT_HEADER: usize = 6;
    const TYPE: usize = 40;
    let Some(Ethernet { ethertype, payload, .. }) = Ethernet::parse(frame) else {
        return false;
    };
    match ethertype {
        ethertype::ARP => true,
        ethertype::IPV6 => {
            payload.first().is_some_and(|first| first >> 4 == 6)
                && payload.get(NEXT_HEADER) == Some(&protocol::ICMPV6)
                && matches!(
                    payload.get(TYPE),
                    Some(
                        &icmpv6_type::NEIGHBOUR_SOLICITATION
                            | &icmpv6_type::NEIGHBOUR_ADVERTISEMENT
                    )
                )
        }
        _ => false,
    }
}
