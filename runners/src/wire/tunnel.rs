//! Packets inside tunnels: IP in IP (RFC 2003, RFC 4213), GRE (RFC 2784, RFC 2890) and VXLAN
//! (RFC 7348).
//!
//! Only the UDP port identifies VXLAN, so only the assigned port is recognised.

use super::ethernet::{Ethernet, ethertype};
use super::ip::{Upper, protocol};

/// Assigned UDP port of VXLAN.
pub const VXLAN_PORT: u16 = 4789;
/// First byte of a VXLAN header: a network identifier is present, and no other flag is set.
pub const VXLAN_HAS_ID: u8 = 0x08;

/// GRE flags for checksum, key and sequence number, which add 4 bytes each.
pub const GRE_OPTIONS: u16 = 0xb000;
/// GRE version, and the flags of RFC 1701 alone (routing, strict route, recursion).
pub const GRE_OTHER: u16 = 0x4f07;
/// GRE protocol type of Ethernet frames (RFC 1701, Transparent Ethernet Bridging).
pub const GRE_ETHERNET: u16 = 0x6558;

/// The packet inside a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner<'a> {
    /// Ethertype of the packet.
    pub ethertype: u16,
    /// Bytes of the packet, and padding.
    pub payload: &'a [u8],
}

/// Returns the packet inside `upper`, or `None` if `upper` is not a known tunnel.
pub fn inner<'a>(upper: &Upper<'a>) -> Option<Inner<'a>> {
    let packet = |ethertype, payload| Some(Inner { ethertype, payload });
    match upper.protocol {
        protocol::IPV4 => packet(ethertype::IPV4, upper.payload),
        protocol::IPV6 => packet(ethertype::IPV6, upper.payload),
        protocol::GRE => gre(upper.payload),
        protocol::UDP => vxlan(upper.payload),
        _ => None,
    }
}

fn gre(bytes: &[u8]) -> Option<Inner<'_>> {
    let (&[flags_high, flags_low, high, low], _) = bytes.split_first_chunk::<4>()?;
    let flags = u16::from_be_bytes([flags_high, flags_low]);
    if flags & GRE_OTHER != 0 {
        return None;
    }
    let options = (flags & GRE_OPTIONS).count_ones() as usize;
    let payload = bytes.get(4 + 4 * options..)?;
    match u16::from_be_bytes([high, low]) {
        GRE_ETHERNET => frame(payload),
        ethertype => Some(Inner { ethertype, payload }),
    }
}

fn vxlan(datagram: &[u8]) -> Option<Inner<'_>> {
    let (&[_, _, high, low, _, _, _, _], rest) = datagram.split_first_chunk::<8>()?;
    let (&[flags, _, _, _, _, _, _, _], bytes) = rest.split_first_chunk::<8>()?;
    if u16::from_be_bytes([high, low]) != VXLAN_PORT || flags != VXLAN_HAS_ID {
        return None;
    }
    frame(bytes)
}

fn frame(bytes: &[u8]) -> Option<Inner<'_>> {
    let Ethernet { ethertype, payload, .. } = Ethernet::parse(bytes)?;
    Some(Inner { ethertype, payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inner_of(protocol: u8, payload: &[u8]) -> Option<(u16, Vec<u8>)> {
        let inner = inner(&Upper { protocol, payload })?;
        Some((inner.ethertype, inner.payload.to_vec()))
    }

    fn ethernet(ethertype: u16) -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend(ethertype.to_be_bytes());
        frame.push(9);
        frame
    }

    #[test]
    fn inner_reads_each_tunnel() {
        let ipv4 = Some((ethertype::IPV4, vec![9]));
        assert_eq!(inner_of(protocol::IPV4, &[9]), ipv4);
        assert_eq!(inner_of(protocol::IPV6, &[9]), Some((0x86dd, vec![9])));
        assert_eq!(inner_of(protocol::GRE, &[0, 0, 8, 0, 9]), ipv4);
        let full = [&[0xb0, 0, 8, 0][..], &[0; 12], &[9]].concat();
        assert_eq!(inner_of(protocol::GRE, &full), ipv4);
        let bridged = [&[0, 0, 0x65, 0x58][..], &ethernet(0x0800)].concat();
        assert_eq!(inner_of(protocol::GRE, &bridged), ipv4);
        let vxlan =
            [&[0, 1, 0x12, 0xb5, 0, 0, 0, 0][..], &[8, 0, 0, 0, 0, 0, 7, 0], &ethernet(0x0800)]
                .concat();
        assert_eq!(inner_of(protocol::UDP, &vxlan), ipv4);
        for length in 0..vxlan.len() - 1 {
            assert_eq!(inner_of(protocol::UDP, &vxlan[..length]), None);
        }
    }

    #[test]
    fn inner_ignores_other_protocols_and_other_versions() {
        assert_eq!(inner_of(protocol::TCP, &[0; 60]), None);
        // GRE version 1 (PPTP), and source routing.
        assert_eq!(inner_of(protocol::GRE, &[0x20, 1, 0x88, 0x0b, 0, 0]), None);
        assert_eq!(inner_of(protocol::GRE, &[0x40, 0, 8, 0, 0, 0, 0, 0]), None);
        let mut vxlan = [0; 40];
        vxlan[2..4].copy_from_slice(&VXLAN_PORT.to_be_bytes());
        assert_eq!(inner_of(protocol::UDP, &vxlan), None, "no flag");
    }
}
