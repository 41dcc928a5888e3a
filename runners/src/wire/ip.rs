//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers, up to the ports of the transport protocol.
//!
//! No fragment has an upper layer here, not even the first: a flow hash must treat all fragments
//! of a datagram alike, and only the first fragment carries ports.

/// Protocol numbers, also those of IPv6 extension headers.
pub mod protocol {
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// IGMP.
    pub const IGMP: u8 = 2;
    /// IPv4 in IP (RFC 2003).
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 in IP (RFC 4213).
    pub const IPV6: u8 = 41;
    /// IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// GRE (RFC 2784).
    pub const GRE: u8 = 47;
    /// Authentication header.
    pub const AUTHENTICATION: u8 = 51;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// IPv6 destination options.
    pub const DESTINATION_OPTIONS: u8 = 60;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

/// Number of IPv6 extension headers skipped. A packet with more has no upper layer.
pub const MAX_EXTENSIONS: usize = 8;

/// The upper layer of an unfragmented datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upper<'a> {
    /// Protocol number.
    pub protocol: u8,
    /// Bytes from the upper layer's header on.
    pub payload: &'a [u8],
}

impl<'a> Upper<'a> {
    /// Returns the source and destination port of TCP, UDP or SCTP.
    #[inline]
    pub fn ports(&self) -> Option<&'a [u8; 4]> {
        match self.protocol {
            protocol::TCP | protocol::UDP | protocol::SCTP => self.payload.first_chunk(),
            _ => None,
        }
    }
}

/// A view of an IPv4 datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4<'a> {
    /// Source address, then destination address.
    pub addresses: &'a [u8; 8],
    /// `None` in a fragment, and if the options run past the end.
    pub upper: Option<Upper<'a>>,
}

impl<'a> Ipv4<'a> {
    /// Reads the payload of a frame. Returns `None` without a whole IPv4 header.
    #[inline]
    pub fn parse(packet: &'a [u8]) -> Option<Self> {
        let header = packet.first_chunk::<20>()?;
        let length = usize::from(header[0] & 0x0f) * 4;
        if header[0] >> 4 != 4 || length < header.len() {
            return None;
        }
        // "More fragments" or an offset, without "don't fragment".
        let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
        let payload = if fragment { None } else { packet.get(length..) };
        Some(Ipv4 {
            addresses: header.last_chunk()?,
            upper: payload.map(|payload| Upper { protocol: header[9], payload }),
        })
    }
}

/// A view of an IPv6 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6<'a> {
    /// Source address, then destination address.
    pub addresses: &'a [u8; 32],
    /// `None` in a fragment, with more than [`MAX_EXTENSIONS`] extension headers, and if one runs
    /// past the end.
    pub upper: Option<Upper<'a>>,
}

impl<'a> Ipv6<'a> {
    /// Reads the payload of a frame. Returns `None` without a whole IPv6 header.
    #[inline]
    pub fn parse(packet: &'a [u8]) -> Option<Self> {
        let (header, payload) = packet.split_first_chunk::<40>()?;
        if header[0] >> 4 != 6 {
            return None;
        }
        Some(Ipv6 { addresses: header.last_chunk()?, upper: skip_extensions(header[6], payload) })
    }
}

/// Skips extension headers (RFC 8200 section 4; AH: RFC 4302 section 2.2).
#[inline]
fn skip_extensions(mut protocol: u8, mut payload: &[u8]) -> Option<Upper<'_>> {
    for _ in 0..=MAX_EXTENSIONS {
        let length = match protocol {
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS => {
                (usize::from(*payload.get(1)?) + 1) * 8
            }
            protocol::AUTHENTICATION => (usize::from(*payload.get(1)?) + 2) * 4,
            protocol::FRAGMENT => {
                let offset_and_more = u16::from_be_bytes([*payload.get(2)?, *payload.get(3)?]);
                // Offset 0 without "more fragments" is a whole packet (RFC 6946).
                if offset_and_more & 0xfff9 != 0 {
                    return None;
                }
                8
            }
            _ => return Some(Upper { protocol, payload }),
        };
        protocol = *payload.first()?;
        payload = payload.get(length..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 40];
        packet[0] = 0x60;
        packet[6] = next;
        packet.extend(payload);
        packet
    }

    #[test]
    fn parse_skips_ipv4_options() {
        let mut packet = vec![0; 28];
        (packet[0], packet[9]) = (0x46, protocol::UDP);
        packet[24..].copy_from_slice(&[1, 2, 3, 4]);
        let upper = Ipv4::parse(&packet).unwrap().upper.unwrap();
        assert_eq!(upper.ports(), Some(&[1, 2, 3, 4]));
        packet[0] = 0x48; // The options end at byte 32, past the end.
        assert_eq!(Ipv4::parse(&packet).unwrap().upper, None);
        packet[0] = 0x44;
        assert_eq!(Ipv4::parse(&packet), None);
        packet[0] = 0x65;
        assert_eq!(Ipv4::parse(&packet), None);
    }

    #[test]
    fn parse_skips_each_ipv6_extension_by_its_own_length() {
        let chain = [
            &[protocol::ROUTING, 0, 0, 0, 0, 0, 0, 0][..], // hop-by-hop, 8 bytes
            &[protocol::DESTINATION_OPTIONS, 1],           // routing, 16 bytes
            &[0; 14],
            &[protocol::AUTHENTICATION, 0, 0, 0, 0, 0, 0, 0], // destination options, 8
            &[protocol::FRAGMENT, 4],                         // AH, 24 bytes
            &[0; 22],
            &[protocol::TCP, 0, 0, 0, 9, 9, 9, 9], // fragment header of a whole packet
            &[1, 2, 3, 4],
        ]
        .concat();
        let packet = ipv6(protocol::HOP_BY_HOP, &chain);
        let upper = Ipv6::parse(&packet).unwrap().upper.unwrap();
        assert_eq!(upper.protocol, protocol::TCP);
        assert_eq!(upper.payload, [1, 2, 3, 4]);
        for length in 40..packet.len() - 4 {
            assert_eq!(Ipv6::parse(&packet[..length]).unwrap().upper, None);
        }
    }

    #[test]
    fn a_fragment_has_no_upper_layer() {
        for offset_and_more in [1u16, 8, 0xfff8] {
            let [high, low] = offset_and_more.to_be_bytes();
            let header = [protocol::UDP, 0, high, low, 0, 0, 0, 1, 1, 2, 3, 4];
            let packet = ipv6(protocol::FRAGMENT, &header);
            assert_eq!(Ipv6::parse(&packet).unwrap().upper, None);
        }
    }

    #[test]
    fn parse_skips_a_bounded_number_of_extensions() {
        let one = [protocol::DESTINATION_OPTIONS, 0, 0, 0, 0, 0, 0, 0];
        let chain = |count: usize| {
            let mut bytes = one.repeat(count);
            bytes[(count - 1) * 8] = protocol::TCP;
            bytes.extend([1, 2, 3, 4]);
            ipv6(protocol::DESTINATION_OPTIONS, &bytes)
        };
        assert!(Ipv6::parse(&chain(MAX_EXTENSIONS)).unwrap().upper.is_some());
        assert!(Ipv6::parse(&chain(MAX_EXTENSIONS + 1)).unwrap().upper.is_none());
    }
}
