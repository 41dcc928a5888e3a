//! What a tunnel carries: IP in IP (RFC 2003, RFC 4213), GRE (RFC 2784, RFC 2890) and VXLAN
//! (RFC 7348).
//!
//! VXLAN is told by its port number, so only the assigned one is known.

use super::ethernet::{Ethernet, ethertype};
use super::ip::{Upper, protocol};

/// The assigned port of VXLAN.
pub const VXLAN_PORT: u16 = 4789;
/// The flags of VXLAN: of the first byte, only "there is a network identifier" is set.
pub const VXLAN_HAS_ID: u8 = 0x08;

/// GRE: four more bytes each for checksum, key and sequence number.
pub const GRE_OPTIONS: u16 = 0xb000;
/// GRE: the version, and the bits that only RFC 1701 knows (routing, strict route, recursion).
pub const GRE_OTHER: u16 = 0x4f07;
/// The protocol of GRE that says "an Ethernet frame" (RFC 1701, Transparent Ethernet Bridging).
pub const GRE_ETHERNET: u16 = 0x6558;

/// A packet inside another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner<'a> {
    /// What it is.
    pub ethertype: u16,
    /// Its bytes, and whatever follows.
    pub payload: &'a [u8],
}

/// The packet that `upper` carries, if that is a tunnel.
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
    let Ethernet {
        ethertype, payload, ..
    } = Ethernet::parse(bytes)?;
    Some(Inner { ethertype, payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(protocol: u8, payload: &[u8]) -> Option<(u16, Vec<u8>)> {
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
    fn each_tunnel_is_opened() {
        let ipv4 = Some((ethertype::IPV4, vec![9]));
        assert_eq!(inside(protocol::IPV4, &[9]), ipv4);
        assert_eq!(inside(protocol::IPV6, &[9]), Some((0x86dd, vec![9])));
        assert_eq!(inside(protocol::GRE, &[0, 0, 8, 0, 9]), ipv4);
        let full = [&[0xb0, 0, 8, 0][..], &[0; 12], &[9]].concat();
        assert_eq!(inside(protocol::GRE, &full), ipv4);
        let bridged = [&[0, 0, 0x65, 0x58][..], &ethernet(0x0800)].concat();
        assert_eq!(inside(protocol::GRE, &bridged), ipv4);
        let vxlan = [
            &[0, 1, 0x12, 0xb5, 0, 0, 0, 0][..],
            &[8, 0, 0, 0, 0, 0, 7, 0],
            &ethernet(0x0800),
        ]
        .concat();
        assert_eq!(inside(protocol::UDP, &vxlan), ipv4);
        for length in 0..vxlan.len() - 1 {
            assert_eq!(inside(protocol::UDP, &vxlan[..length]), None);
        }
    }

    #[test]
    fn what_is_no_tunnel_is_left_alone() {
        assert_eq!(inside(protocol::TCP, &[0; 60]), None);
        // A version of GRE that frames otherwise (PPTP), and source routes.
        assert_eq!(inside(protocol::GRE, &[0x20, 1, 0x88, 0x0b, 0, 0]), None);
        assert_eq!(inside(protocol::GRE, &[0x40, 0, 8, 0, 0, 0, 0, 0]), None);
        let mut vxlan = [0; 40];
        vxlan[2..4].copy_from_slice(&VXLAN_PORT.to_be_bytes());
        assert_eq!(inside(protocol::UDP, &vxlan), None, "no flag");
    }
}
