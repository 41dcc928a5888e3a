//! LACPDUs (IEEE 802.1AX-2014, 6.4.2.3).
//!
//! Read as the standard asks: version, TLV types and reserved fields are not validated, the
//! lengths are. Behind the fixed part a newer version may have TLVs of its own; those that are
//! not known are skipped. Known beside the standard are the two of version 0xf1, by which SONiC
//! tells how many PDUs may be missed.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use crate::ident::HwAddr;

/// Where slow protocols are sent to (802.3, annex 57A.3).
pub const SLOW_PROTOCOLS_GROUP: HwAddr = HwAddr([0x01, 0x80, 0xc2, 0x00, 0x00, 0x02]);
/// First byte of an LACPDU's payload.
pub const LACP_SUBTYPE: u8 = 1;
/// Version of PDUs with retry counts.
pub const RETRY_COUNT_VERSION: u8 = 0xf1;
/// PDUs in a row that may be missed, where nobody says otherwise (6.4.4).
pub const STANDARD_RETRIES: u8 = 3;

const VERSION: u8 = 1;
const INFO_LENGTH: u8 = 20;
const COLLECTOR_LENGTH: u8 = 16;
const RETRY_LENGTH: u8 = 4;
const ACTOR_TLV: u8 = 1;
const PARTNER_TLV: u8 = 2;
const COLLECTOR_TLV: u8 = 3;
const TERMINATOR_TLV: u8 = 0;
const ACTOR_RETRY_TLV: u8 = 0x80;
const PARTNER_RETRY_TLV: u8 = 0x81;
/// Subtype and version, and the TLVs of actor, partner and collector.
const FIXED_PART: usize = 2 + 2 * INFO_LENGTH as usize + COLLECTOR_LENGTH as usize;
/// Payload as sent.
const PAYLOAD: usize = 110;

/// Actor_State and Partner_State (6.4.2.3 m).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateBits(pub u8);

impl StateBits {
    /// LACP_Activity: sends unasked.
    pub const ACTIVITY: Self = StateBits(0x01);
    /// LACP_Timeout: wants a PDU each second.
    pub const TIMEOUT: Self = StateBits(0x02);
    /// Aggregation: can be one of several; individual without it.
    pub const AGGREGATION: Self = StateBits(0x04);
    /// Synchronization: is in the right aggregator.
    pub const SYNCHRONIZATION: Self = StateBits(0x08);
    /// Collecting: takes frames.
    pub const COLLECTING: Self = StateBits(0x10);
    /// Distributing: sends frames.
    pub const DISTRIBUTING: Self = StateBits(0x20);
    /// Defaulted: believes the administrator of its partner.
    pub const DEFAULTED: Self = StateBits(0x40);
    /// Expired: has missed its partner's PDUs.
    pub const EXPIRED: Self = StateBits(0x80);

    /// All of them with their names, lowest bit first.
    pub const NAMED: [(Self, &'static str); 8] = [
        (Self::ACTIVITY, "activity"),
        (Self::TIMEOUT, "timeout"),
        (Self::AGGREGATION, "aggregation"),
        (Self::SYNCHRONIZATION, "synchronization"),
        (Self::COLLECTING, "collecting"),
        (Self::DISTRIBUTING, "distributing"),
        (Self::DEFAULTED, "defaulted"),
        (Self::EXPIRED, "expired"),
    ];

    /// Whether all of `bits` are set.
    pub fn has(self, bits: Self) -> bool {
        self.0 & bits.0 == bits.0
    }

    /// The same with `bits` set or cleared.
    pub fn with(self, bits: Self, set: bool) -> Self {
        match set {
            true => StateBits(self.0 | bits.0),
            false => StateBits(self.0 & !bits.0),
        }
    }

    /// Only those of `bits`.
    pub fn only(self, bits: Self) -> Self {
        StateBits(self.0 & bits.0)
    }
}

impl BitOr for StateBits {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        StateBits(self.0 | other.0)
    }
}

impl BitOrAssign for StateBits {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl fmt::Debug for StateBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x}", self.0)
    }
}

/// What a PDU tells of one end of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortInfo {
    /// Lower is preferred.
    pub system_priority: u16,
    /// The system's address.
    pub system: HwAddr,
    /// Only equal keys of one system aggregate.
    pub key: u16,
    /// Lower is preferred.
    pub port_priority: u16,
    /// Number of the port within its system.
    pub port: u16,
    /// State.
    pub state: StateBits,
}

impl PortInfo {
    fn parse(bytes: &[u8; 15]) -> Self {
        let [s, t, a, b, c, d, e, f, k, l, p, q, n, o, state] = *bytes;
        PortInfo {
            system_priority: u16::from_be_bytes([s, t]),
            system: HwAddr([a, b, c, d, e, f]),
            key: u16::from_be_bytes([k, l]),
            port_priority: u16::from_be_bytes([p, q]),
            port: u16::from_be_bytes([n, o]),
            state: StateBits(state),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.system_priority.to_be_bytes());
        out.extend(self.system.0);
        out.extend(self.key.to_be_bytes());
        out.extend(self.port_priority.to_be_bytes());
        out.extend(self.port.to_be_bytes());
        out.push(self.state.0);
    }

    /// The same port of the same system with the same key, whatever its state.
    pub fn is_same_port(&self, other: &PortInfo) -> bool {
        let identity = |info: &PortInfo| PortInfo {
            state: StateBits::default(),
            ..*info
        };
        identity(self) == identity(other)
    }
}

/// How many PDUs in a row each end lets the other miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryCounts {
    /// The sender's.
    pub actor: u8,
    /// What the sender knows of the receiver's.
    pub partner: u8,
}

/// One LACPDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lacpdu {
    /// As received; what is sent depends on `retry_counts`.
    pub version: u8,
    /// The sender.
    pub actor: PortInfo,
    /// What the sender knows of the receiver.
    pub partner: PortInfo,
    /// Longest time that the sender's Frame Collector holds a frame, in tens of microseconds.
    pub collector_max_delay: u16,
    /// Those of version 0xf1.
    pub retry_counts: Option<RetryCounts>,
}

impl Lacpdu {
    /// A PDU of version 1, or of 0xf1 if it has retry counts.
    pub fn new(actor: PortInfo, partner: PortInfo, retry_counts: Option<RetryCounts>) -> Self {
        Lacpdu {
            version: match retry_counts {
                Some(_) => RETRY_COUNT_VERSION,
                None => VERSION,
            },
            actor,
            partner,
            collector_max_delay: 0,
            retry_counts,
        }
    }

    /// Reads the payload of a frame; none for another subtype, a wrong length, or an end before
    /// its terminator.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (fixed, rest) = payload.split_first_chunk::<FIXED_PART>()?;
        let lengths = [fixed[3], fixed[23], fixed[43]];
        if fixed[0] != LACP_SUBTYPE || lengths != [INFO_LENGTH, INFO_LENGTH, COLLECTOR_LENGTH] {
            return None;
        }
        let version = fixed[1];
        let retry_counts = match version {
            // 6.4.2.3 r: in version 1 the terminator follows, whatever its type says.
            0 | VERSION => {
                let (terminator, _) = rest.split_first_chunk::<2>()?;
                if terminator[1] != 0 {
                    return None;
                }
                None
            }
            _ => parse_newer(version, rest)?,
        };
        Some(Lacpdu {
            version,
            actor: PortInfo::parse(fixed[4..].first_chunk()?),
            partner: PortInfo::parse(fixed[24..].first_chunk()?),
            collector_max_delay: u16::from_be_bytes(*fixed[44..].first_chunk()?),
            retry_counts,
        })
    }

    /// The whole frame, 124 bytes without its check sequence.
    pub fn frame(&self, source: HwAddr) -> Vec<u8> {
        let mut frame = super::slow_protocol_header(source, PAYLOAD);
        let end = frame.len() + PAYLOAD;
        frame.extend([LACP_SUBTYPE, self.version, ACTOR_TLV, INFO_LENGTH]);
        self.actor.write(&mut frame);
        frame.extend([0, 0, 0, PARTNER_TLV, INFO_LENGTH]);
        self.partner.write(&mut frame);
        frame.extend([0, 0, 0, COLLECTOR_TLV, COLLECTOR_LENGTH]);
        frame.extend(self.collector_max_delay.to_be_bytes());
        frame.extend([0; 12]);
        if let Some(counts) = self.retry_counts {
            frame.extend([ACTOR_RETRY_TLV, RETRY_LENGTH, counts.actor, 0]);
            frame.extend([PARTNER_RETRY_TLV, RETRY_LENGTH, counts.partner, 0]);
        }
        frame.resize(end, 0);
        frame
    }
}

/// The TLVs of a newer version, up to the terminator; none if one ends behind the frame.
fn parse_newer(version: u8, mut rest: &[u8]) -> Option<Option<RetryCounts>> {
    let (mut actor, mut partner) = (None, None);
    loop {
        let (&[kind, length], _) = rest.split_first_chunk::<2>()?;
        if kind == TERMINATOR_TLV {
            break;
        }
        if length < 2 || usize::from(length) > rest.len() {
            return None;
        }
        let (tlv, behind) = rest.split_at(usize::from(length));
        match (kind, length) {
            (ACTOR_RETRY_TLV, RETRY_LENGTH) => actor = Some(tlv[2]),
            (PARTNER_RETRY_TLV, RETRY_LENGTH) => partner = Some(tlv[2]),
            _ => {}
        }
        rest = behind;
    }
    let counts = actor
        .zip(partner)
        .filter(|_| version == RETRY_COUNT_VERSION);
    Some(counts.map(|(actor, partner)| RetryCounts { actor, partner }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::Ethernet;

    fn info(n: u8) -> PortInfo {
        PortInfo {
            system_priority: 0x8000 + u16::from(n),
            system: HwAddr([2, 0, 0, 0, 0, n]),
            key: 0x0102,
            port_priority: 0x00ff,
            port: 0x0304,
            state: StateBits(0x3d),
        }
    }

    fn payload(pdu: &Lacpdu) -> Vec<u8> {
        let frame = pdu.frame(HwAddr([2, 0, 0, 0, 0, 9]));
        Ethernet::parse(&frame).unwrap().payload.to_vec()
    }

    #[test]
    fn bytes_are_where_the_standard_has_them() {
        let frame = Lacpdu::new(info(1), info(2), None).frame(HwAddr([2, 0, 0, 0, 0, 9]));
        assert_eq!(frame.len(), 124);
        assert_eq!(
            frame[..19],
            [
                1, 0x80, 0xc2, 0, 0, 2, 2, 0, 0, 0, 0, 9, 0x88, 9, 1, 1, 1, 20, 0x80
            ]
        );
        assert_eq!(frame[32..38], [0x3d, 0, 0, 0, 2, 20]);
        assert_eq!(frame[52..58], [0x3d, 0, 0, 0, 3, 16]);
        assert_eq!(frame[58..], [0; 66]);
    }

    #[test]
    fn retry_counts_stand_behind_the_collector() {
        let counts = RetryCounts {
            actor: 5,
            partner: 3,
        };
        let pdu = Lacpdu::new(info(1), info(2), Some(counts));
        let frame = pdu.frame(HwAddr::default());
        assert_eq!(frame[15], 0xf1);
        assert_eq!(frame[72..82], [0x80, 4, 5, 0, 0x81, 4, 3, 0, 0, 0]);
        assert_eq!(frame.len(), 124);
        assert_eq!(Lacpdu::parse(&payload(&pdu)), Some(pdu));
    }

    #[test]
    fn version_2_with_tlvs_that_nobody_knows_is_read() {
        let mut bytes = payload(&Lacpdu::new(info(1), info(2), None));
        bytes[1] = 2;
        bytes[58..66].copy_from_slice(&[4, 6, 1, 2, 3, 4, 0, 0]);
        let read = Lacpdu::parse(&bytes).unwrap();
        assert_eq!(
            (read.version, read.actor, read.partner),
            (2, info(1), info(2))
        );
        for length in [0, 1, 53] {
            bytes[59] = length;
            assert_eq!(Lacpdu::parse(&bytes), None, "length {length}");
        }
    }

    #[test]
    fn types_and_reserved_fields_do_not_matter_but_lengths_do() {
        let pdu = Lacpdu::new(info(1), info(2), None);
        let good = payload(&pdu);
        for place in 0..good.len() {
            let mut bytes = good.clone();
            bytes[place] ^= 0x55;
            let read = Lacpdu::parse(&bytes);
            match place {
                0 | 3 | 23 | 43 | 59 => assert_eq!(read, None, "byte {place}"),
                // Another version looks for TLVs; the zeros behind end them at once.
                1 => assert!(read.is_some()),
                2 | 19..23 | 39..43 | 46.. => assert_eq!(read, Some(pdu), "byte {place}"),
                _ => assert_ne!(read, Some(pdu), "byte {place}"),
            }
        }
        for length in 0..60 {
            assert_eq!(Lacpdu::parse(&good[..length]), None, "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..130)) {
            let _ = Lacpdu::parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read(actor in any::<[u8; 15]>(), partner in any::<[u8; 15]>(),
                                   counts in any::<Option<(u8, u8)>>()) {
            let counts = counts.map(|(actor, partner)| RetryCounts { actor, partner });
            let pdu = Lacpdu::new(PortInfo::parse(&actor), PortInfo::parse(&partner), counts);
            prop_assert_eq!(Lacpdu::parse(&payload(&pdu)), Some(pdu));
        }
    }
}
