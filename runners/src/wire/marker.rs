//! Marker PDUs (IEEE 802.1AX-2014, 6.5.3).
//!
//! Subtype, TLV type and length are checked; version, terminator and padding are not.

use crate::ident::HwAddr;
use crate::wire::slow_protocol;

/// Subtype of marker PDUs: the first byte of the payload.
pub const MARKER_SUBTYPE: u8 = 2;

const VERSION: u8 = 1;
const INFORMATION_TLV: u8 = 1;
const RESPONSE_TLV: u8 = 2;
const TLV_LENGTH: u8 = 16;

/// A marker, which asks whether the partner has collected all earlier frames, or the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Whether the PDU is a Marker Response.
    pub response: bool,
    /// Requester_Port, Requester_System and Requester_Transaction_ID. A response returns them
    /// unchanged.
    pub requester: [u8; 12],
}

impl Marker {
    /// Returns the marker of a port of a system.
    pub fn information(port: u16, system: HwAddr, transaction: u32) -> Self {
        let mut requester = [0; 12];
        requester[..2].copy_from_slice(&port.to_be_bytes());
        requester[2..8].copy_from_slice(&system.0);
        requester[8..].copy_from_slice(&transaction.to_be_bytes());
        Marker { response: false, requester }
    }

    /// Returns the transaction of the marker that the PDU responds to, or `None` unless the PDU is
    /// a response to a marker of this port of this system.
    pub fn responds_to(&self, port: u16, system: HwAddr) -> Option<u32> {
        let [.., a, b, c, d] = self.requester;
        let transaction = u32::from_be_bytes([a, b, c, d]);
        let marker = Marker::information(port, system, transaction);
        (self.response && self.requester == marker.requester).then_some(transaction)
    }

    /// Reads the payload of a frame. Returns `None` for a short one, and for another subtype, TLV
    /// type or TLV length.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let &[subtype, _version, tlv, length, requester @ ..] = payload.first_chunk::<16>()?;
        let response = match (subtype, tlv, length) {
            (MARKER_SUBTYPE, INFORMATION_TLV, TLV_LENGTH) => false,
            (MARKER_SUBTYPE, RESPONSE_TLV, TLV_LENGTH) => true,
            _ => return None,
        };
        Some(Marker { response, requester })
    }

    /// Returns the whole frame: 124 bytes without the frame check sequence.
    pub fn frame(&self, source: HwAddr) -> Vec<u8> {
        let tlv = match self.response {
            true => RESPONSE_TLV,
            false => INFORMATION_TLV,
        };
        slow_protocol::frame(source, |frame| {
            frame.extend([MARKER_SUBTYPE, VERSION, tlv, TLV_LENGTH]);
            frame.extend(self.requester);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Ethernet;

    #[test]
    fn a_response_names_the_requester_of_the_marker() {
        let (system, other) = (HwAddr([2, 0, 0, 0, 0, 1]), HwAddr([2, 0, 0, 0, 0, 2]));
        let marker = Marker::information(0x1234, system, 0x0506_0708);
        assert_eq!(marker.responds_to(0x1234, system), None, "a marker");
        let response = Marker { response: true, ..marker };
        assert_eq!(response.requester, [0x12, 0x34, 2, 0, 0, 0, 0, 1, 5, 6, 7, 8]);
        assert_eq!(response.responds_to(0x1234, system), Some(0x0506_0708));
        assert_eq!(response.responds_to(0x1235, system), None);
        assert_eq!(response.responds_to(0x1234, other), None);
    }

    #[test]
    fn parse_reads_a_built_frame_and_nothing_else() {
        for response in [false, true] {
            let marker = Marker { response, requester: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] };
            let frame = marker.frame(HwAddr([2, 0, 0, 0, 0, 9]));
            let payload = Ethernet::parse(&frame).unwrap().payload;
            assert_eq!(Marker::parse(payload), Some(marker));
            for length in 0..16 {
                assert_eq!(Marker::parse(&payload[..length]), None);
            }
            for at in [0, 2, 3] {
                let mut bytes = payload.to_vec();
                bytes[at] = 9;
                assert_eq!(Marker::parse(&bytes), None);
            }
        }
    }
}
