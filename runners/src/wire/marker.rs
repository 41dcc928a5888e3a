//! Marker PDUs (IEEE 802.1AX-2014, 6.5.3).

use crate::ident::HwAddr;

/// First byte of a marker PDU's payload.
pub const MARKER_SUBTYPE: u8 = 2;

const VERSION: u8 = 1;
const INFORMATION_TLV: u8 = 1;
const RESPONSE_TLV: u8 = 2;
const LENGTH: u8 = 16;
/// Payload as sent.
const PAYLOAD: usize = 110;

/// A question whether all frames before it were collected, or the answer to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// An answer.
    pub response: bool,
    /// Port number, system and transaction of whoever asked; goes back as it came.
    pub requester: [u8; 12],
}

impl Marker {
    /// The question of a port, by its number, of a system.
    pub fn question(port: u16, system: HwAddr, transaction: u32) -> Self {
        let mut requester = [0; 12];
        requester[..2].copy_from_slice(&port.to_be_bytes());
        requester[2..8].copy_from_slice(&system.0);
        requester[8..].copy_from_slice(&transaction.to_be_bytes());
        Marker {
            response: false,
            requester,
        }
    }

    /// The transaction that this frame answers, if that was the question of this port of this
    /// system.
    pub fn answers(&self, port: u16, system: HwAddr) -> Option<u32> {
        let [.., a, b, c, d] = self.requester;
        let transaction = u32::from_be_bytes([a, b, c, d]);
        let question = Marker::question(port, system, transaction);
        (self.response && self.requester == question.requester).then_some(transaction)
    }

    /// Reads the payload of a frame; none for another subtype, TLV or length.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let &[subtype, _version, kind, length, ref rest @ ..] = payload else {
            return None;
        };
        let response = match kind {
            INFORMATION_TLV => false,
            RESPONSE_TLV => true,
            _ => return None,
        };
        let requester = *rest.first_chunk()?;
        (subtype == MARKER_SUBTYPE && length == LENGTH).then_some(Marker {
            response,
            requester,
        })
    }

    /// The whole frame, 124 bytes without its check sequence.
    pub fn frame(&self, source: HwAddr) -> Vec<u8> {
        let mut frame = super::slow_protocol_header(source, PAYLOAD);
        let end = frame.len() + PAYLOAD;
        let kind = match self.response {
            true => RESPONSE_TLV,
            false => INFORMATION_TLV,
        };
        frame.extend([MARKER_SUBTYPE, VERSION, kind, LENGTH]);
        frame.extend(self.requester);
        frame.resize(end, 0);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Ethernet;

    #[test]
    fn an_answer_tells_whose_question_it_was() {
        let (system, other) = (HwAddr([2, 0, 0, 0, 0, 1]), HwAddr([2, 0, 0, 0, 0, 2]));
        let question = Marker::question(0x1234, system, 0x0506_0708);
        assert_eq!(question.answers(0x1234, system), None, "a question");
        let answer = Marker {
            response: true,
            ..question
        };
        assert_eq!(answer.requester, [0x12, 0x34, 2, 0, 0, 0, 0, 1, 5, 6, 7, 8]);
        assert_eq!(answer.answers(0x1234, system), Some(0x0506_0708));
        assert_eq!(answer.answers(0x1235, system), None);
        assert_eq!(answer.answers(0x1234, other), None);
    }

    #[test]
    fn comes_back_as_it_went() {
        for response in [false, true] {
            let marker = Marker {
                response,
                requester: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
            };
            let frame = marker.frame(HwAddr([2, 0, 0, 0, 0, 9]));
            let payload = Ethernet::parse(&frame).unwrap().payload;
            assert_eq!(Marker::parse(payload), Some(marker));
            for length in 0..16 {
                assert_eq!(Marker::parse(&payload[..length]), None);
            }
            for place in [0, 2, 3] {
                let mut bytes = payload.to_vec();
                bytes[place] = 9;
                assert_eq!(Marker::parse(&bytes), None);
            }
        }
    }
}
