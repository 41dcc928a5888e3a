//! LACPDUs (IEEE 802.1AX-2014, 6.4.2.3).
//!
//! As the standard asks, a receiver checks the TLV lengths, but neither version, TLV types nor
//! reserved fields. A version above 1 may append TLVs to the fixed part; unknown ones are skipped.
//! Version 0xf1 is SONiC's: two TLVs with the number of LACPDUs that a partner may miss.
//!
//! A private `View` checks the lengths, [`Lacpdu`] holds the values.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use crate::ident::HwAddr;
use crate::wire::slow_protocol;

/// Subtype of LACPDUs: the first byte of the payload.
pub const LACP_SUBTYPE: u8 = 1;
/// Version of LACPDUs with retry counts.
pub const RETRY_COUNT_VERSION: u8 = 0xf1;
/// Number of LACPDUs in a row that a partner may miss, as in the standard: `current_while_timer`
/// runs for three periods (6.4.4).
pub const STANDARD_RETRIES: u8 = 3;

const VERSION: u8 = 1;
/// Length of a port's information, in bytes.
const INFO_VALUE: usize = 15;
const INFO_LENGTH: u8 = 20;
const COLLECTOR_LENGTH: u8 = 16;
const RETRY_LENGTH: u8 = 4;
const ACTOR_TLV: u8 = 1;
const PARTNER_TLV: u8 = 2;
const COLLECTOR_TLV: u8 = 3;
const TERMINATOR_TLV: u8 = 0;
const ACTOR_RETRY_TLV: u8 = 0x80;
const PARTNER_RETRY_TLV: u8 = 0x81;
/// Length of subtype, version and the TLVs of actor, partner and collector, in bytes.
const FIXED_PART: usize = 2 + 2 * INFO_LENGTH as usize + COLLECTOR_LENGTH as usize;

/// Actor_State and Partner_State (6.4.2.3 m).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateBits(pub u8);

impl StateBits {
    /// LACP_Activity: Active LACP.
    pub const ACTIVITY: Self = StateBits(0x01);
    /// LACP_Timeout: Short Timeout, a request for one LACPDU each Fast_Periodic_Time.
    pub const TIMEOUT: Self = StateBits(0x02);
    /// Aggregation: the link is aggregatable; without the bit, it is individual.
    pub const AGGREGATION: Self = StateBits(0x04);
    /// Synchronization: the port is attached to the right aggregator.
    pub const SYNCHRONIZATION: Self = StateBits(0x08);
    /// Collecting: the port accepts frames.
    pub const COLLECTING: Self = StateBits(0x10);
    /// Distributing: the port sends frames.
    pub const DISTRIBUTING: Self = StateBits(0x20);
    /// Defaulted: the partner's information is administrative, not received.
    pub const DEFAULTED: Self = StateBits(0x40);
    /// Expired: the Receive machine is in the EXPIRED state.
    pub const EXPIRED: Self = StateBits(0x80);

    /// All bits with their names, the lowest bit first.
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

    /// Returns whether all of `bits` are set.
    pub fn has(self, bits: Self) -> bool {
        self.0 & bits.0 == bits.0
    }

    /// Returns the state with `bits` set or cleared.
    pub fn with(self, bits: Self, set: bool) -> Self {
        match set {
            true => StateBits(self.0 | bits.0),
            false => StateBits(self.0 & !bits.0),
        }
    }

    /// Returns the state without bits other than `bits`.
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

/// The information about one end of a link: Actor or Partner of an LACPDU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortInfo {
    /// Priority of the system; lower values are preferred.
    pub system_priority: u16,
    /// Address of the system.
    pub system: HwAddr,
    /// Operational key; ports of one system aggregate only with equal keys.
    pub key: u16,
    /// Priority of the port; lower values are preferred.
    pub port_priority: u16,
    /// Number of the port within its system.
    pub port: u16,
    /// State bits.
    pub state: StateBits,
}

impl PortInfo {
    fn parse(bytes: &[u8; INFO_VALUE]) -> Self {
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

    /// Returns whether `other` is the same port of the same system with the same key and
    /// priorities, in any state.
    pub fn is_same_port(&self, other: &PortInfo) -> bool {
        let identity = |info: &PortInfo| PortInfo { state: StateBits::default(), ..*info };
        identity(self) == identity(other)
    }
}

/// Number of LACPDUs in a row that each end lets the other miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryCounts {
    /// Retry count of the sender.
    pub actor: u8,
    /// Retry count of the receiver as the sender knows it.
    pub partner: u8,
}

/// An LACPDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lacpdu {
    /// Version number.
    pub version: u8,
    /// Information about the sender.
    pub actor: PortInfo,
    /// Information about the receiver as the sender knows it.
    pub partner: PortInfo,
    /// CollectorMaxDelay: the longest time that the sender's Frame Collector keeps a frame, in tens
    /// of microseconds.
    pub collector_max_delay: u16,
    /// Retry counts of version 0xf1.
    pub retry_counts: Option<RetryCounts>,
}

impl Lacpdu {
    /// Creates an LACPDU of version 1, or of version 0xf1 with retry counts.
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

    /// Reads the payload of a frame. Returns `None` for another subtype, for a wrong length, and if
    /// the frame ends before the terminator.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let view = View::new(payload)?;
        Some(Lacpdu {
            version: view.version(),
            actor: PortInfo::parse(view.actor()?),
            partner: PortInfo::parse(view.partner()?),
            collector_max_delay: view.collector_max_delay(),
            retry_counts: view.retry_counts()?,
        })
    }

    /// Returns the whole frame: 124 bytes without the frame check sequence.
    pub fn frame(&self, source: HwAddr) -> Vec<u8> {
        slow_protocol::frame(source, |frame| {
            frame.extend([LACP_SUBTYPE, self.version, ACTOR_TLV, INFO_LENGTH]);
            self.actor.write(frame);
            frame.extend([0, 0, 0, PARTNER_TLV, INFO_LENGTH]);
            self.partner.write(frame);
            frame.extend([0, 0, 0, COLLECTOR_TLV, COLLECTOR_LENGTH]);
            frame.extend(self.collector_max_delay.to_be_bytes());
            frame.extend([0; 12]);
            if let Some(counts) = self.retry_counts {
                frame.extend([ACTOR_RETRY_TLV, RETRY_LENGTH, counts.actor, 0]);
                frame.extend([PARTNER_RETRY_TLV, RETRY_LENGTH, counts.partner, 0]);
            }
        })
    }
}

/// An LACPDU with checked lengths: subtype, version and the TLVs of actor, partner and collector
/// are present.
struct View<'a> {
    fixed: &'a [u8; FIXED_PART],
    /// Bytes behind the fixed part.
    rest: &'a [u8],
}

impl<'a> View<'a> {
    fn new(payload: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = payload.split_first_chunk()?;
        let view = View { fixed, rest };
        let lengths = [fixed[3], fixed[23], fixed[43]];
        let is_sound = lengths == [INFO_LENGTH, INFO_LENGTH, COLLECTOR_LENGTH];
        (fixed[0] == LACP_SUBTYPE && is_sound).then_some(view)
    }

    fn version(&self) -> u8 {
        self.fixed[1]
    }

    fn actor(&self) -> Option<&'a [u8; INFO_VALUE]> {
        self.fixed[4..].first_chunk()
    }

    fn partner(&self) -> Option<&'a [u8; INFO_VALUE]> {
        self.fixed[24..].first_chunk()
    }

    fn collector_max_delay(&self) -> u16 {
        u16::from_be_bytes([self.fixed[44], self.fixed[45]])
    }

    /// Checks the bytes behind the fixed part and returns the retry counts in them. Returns `None`
    /// if a TLV runs past the end of the frame, or the terminator is missing.
    fn retry_counts(&self) -> Option<Option<RetryCounts>> {
        let counts = match self.version() {
            // In version 1 the terminator follows; its type is not checked (6.4.2.3 r).
            0 | VERSION => (self.rest.get(1) == Some(&0)).then_some(None)?,
            _ => self.read_tlvs()?,
        };
        Some(counts.filter(|_| self.version() == RETRY_COUNT_VERSION))
    }

    /// Reads the TLVs of a version above 1, up to the terminator.
    fn read_tlvs(&self) -> Option<Option<RetryCounts>> {
        let (mut actor, mut partner) = (None, None);
        let mut rest = self.rest;
        loop {
            let &[kind, length, ..] = rest else {
                return None;
            };
            if kind == TERMINATOR_TLV {
                break;
            }
            let (tlv, behind) = rest.split_at_checked(usize::from(length))?;
            match (kind, tlv.get(2..)?) {
                (ACTOR_RETRY_TLV, &[count, _]) => actor = Some(count),
                (PARTNER_RETRY_TLV, &[count, _]) => partner = Some(count),
                _ => {}
            }
            rest = behind;
        }
        let counts = actor.zip(partner);
        Some(counts.map(|(actor, partner)| RetryCounts { actor, partner }))
    }
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
    fn frame_puts_each_field_at_the_offset_of_the_standard() {
        let frame = Lacpdu::new(info(1), info(2), None).frame(HwAddr([2, 0, 0, 0, 0, 9]));
        assert_eq!(frame.len(), 124);
        assert_eq!(
            frame[..19],
            [1, 0x80, 0xc2, 0, 0, 2, 2, 0, 0, 0, 0, 9, 0x88, 9, 1, 1, 1, 20, 0x80]
        );
        assert_eq!(frame[32..38], [0x3d, 0, 0, 0, 2, 20]);
        assert_eq!(frame[52..58], [0x3d, 0, 0, 0, 3, 16]);
        assert_eq!(frame[58..], [0; 66]);
    }

    #[test]
    fn frame_puts_retry_counts_behind_the_collector() {
        let counts = RetryCounts { actor: 5, partner: 3 };
        let pdu = Lacpdu::new(info(1), info(2), Some(counts));
        let frame = pdu.frame(HwAddr::default());
        assert_eq!(frame[15], 0xf1);
        assert_eq!(frame[72..82], [0x80, 4, 5, 0, 0x81, 4, 3, 0, 0, 0]);
        assert_eq!(frame.len(), 124);
        assert_eq!(Lacpdu::parse(&payload(&pdu)), Some(pdu));
    }

    #[test]
    fn parse_skips_unknown_tlvs_of_version_2() {
        let mut bytes = payload(&Lacpdu::new(info(1), info(2), None));
        bytes[1] = 2;
        bytes[58..66].copy_from_slice(&[4, 6, 1, 2, 3, 4, 0, 0]);
        let read = Lacpdu::parse(&bytes).unwrap();
        assert_eq!((read.version, read.actor, read.partner), (2, info(1), info(2)));
        for length in [0, 1, 53] {
            bytes[59] = length;
            assert_eq!(Lacpdu::parse(&bytes), None, "length {length}");
        }
    }

    #[test]
    fn parse_checks_lengths_but_neither_types_nor_reserved_fields() {
        let pdu = Lacpdu::new(info(1), info(2), None);
        let good = payload(&pdu);
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 0x55;
            let read = Lacpdu::parse(&bytes);
            match at {
                0 | 3 | 23 | 43 | 59 => assert_eq!(read, None, "byte {at}"),
                // Another version may have more TLVs; the zeros are the terminator.
                1 => assert!(read.is_some()),
                2 | 19..23 | 39..43 | 46.. => assert_eq!(read, Some(pdu), "byte {at}"),
                _ => assert_ne!(read, Some(pdu), "byte {at}"),
            }
        }
        for length in 0..60 {
            assert_eq!(Lacpdu::parse(&good[..length]), None, "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn parse_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..130)) {
            let _ = Lacpdu::parse(&bytes);
        }

        #[test]
        fn parse_reads_each_built_frame(actor in any::<[u8; 15]>(), partner in any::<[u8; 15]>(),
                                   counts in any::<Option<(u8, u8)>>()) {
            let counts = counts.map(|(actor, partner)| RetryCounts { actor, partner });
            let pdu = Lacpdu::new(PortInfo::parse(&actor), PortInfo::parse(&partner), counts);
            prop_assert_eq!(Lacpdu::parse(&payload(&pdu)), Some(pdu));
        }
    }
}
