//! Arbitrary LACPDUs and marker PDUs: a malformed one changes only its counter, now and later; a
//! well-formed one is processed with any version and any unknown TLVs.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use runners::HwAddr;
use runners::wire::lacpdu::{Lacpdu, PortInfo, StateBits};
use runners::wire::marker::Marker;

use crate::network::{Pair, fast, millis, seconds};

/// Offset of the payload in a frame.
const PAYLOAD: usize = 14;
/// Offsets of the TLV lengths of actor, partner and collector in the payload.
const LENGTHS: [usize; 3] = [3, 23, 43];
/// Offset of the terminator's length in the payload.
const TERMINATOR_LENGTH: usize = 59;
/// End of the TLVs of actor, partner and collector in the payload.
const FIXED_PART: usize = 58;
const MARKER_SUBTYPE: u8 = 2;

fn info() -> impl Strategy<Value = PortInfo> {
    let numbers = any::<(u16, [u8; 6], u16, u16, u16, u8)>();
    numbers.prop_map(|(system_priority, system, key, port_priority, port, state)| PortInfo {
        system_priority,
        system: HwAddr(system),
        key,
        port_priority,
        port,
        state: StateBits(state),
    })
}

/// Well-formed LACPDUs between unknown systems.
fn well_formed() -> impl Strategy<Value = Vec<u8>> {
    let pdu = (info(), info(), any::<u16>());
    pdu.prop_map(|(actor, partner, delay)| {
        let mut pdu = Lacpdu::new(actor, partner, None);
        pdu.collector_max_delay = delay;
        pdu.frame(HwAddr::default())
    })
}

/// LACPDUs of a version above 1, with unknown TLVs.
fn newer() -> impl Strategy<Value = Vec<u8>> {
    // Types from 0x80 on are those of the retry counts.
    let tlvs = vec((4..0x80u8, vec(any::<u8>(), 0..30)), 0..4);
    (well_formed(), 2..=u8::MAX, tlvs).prop_map(|(mut frame, version, tlvs)| {
        frame[PAYLOAD + 1] = version;
        frame.truncate(PAYLOAD + FIXED_PART);
        for (kind, value) in tlvs {
            frame.extend([kind, value.len() as u8 + 2]);
            frame.extend(value);
        }
        frame.extend([0; 2]);
        frame
    })
}

/// Malformed LACPDUs and marker PDUs.
fn malformed() -> impl Strategy<Value = Vec<u8>> {
    let short = (well_formed(), 1..FIXED_PART + 2).prop_map(|(mut frame, length)| {
        frame.truncate(PAYLOAD + length);
        frame
    });
    let wrong_length =
        (well_formed(), 0..LENGTHS.len(), 1..=u8::MAX).prop_map(|(mut frame, tlv, off)| {
            frame[PAYLOAD + LENGTHS[tlv]] ^= off;
            frame
        });
    let wrong_terminator = (well_formed(), 1..=u8::MAX).prop_map(|(mut frame, length)| {
        frame[PAYLOAD + TERMINATOR_LENGTH] = length;
        frame
    });
    let without_end = newer().prop_map(|mut frame| {
        frame.truncate(frame.len() - 2);
        frame
    });
    let tlv_beyond_the_end = (newer(), 4..0x80u8).prop_map(|(mut frame, kind)| {
        frame.truncate(PAYLOAD + FIXED_PART);
        frame.extend([kind, 9, 0, 0]);
        frame
    });
    let tlv_without_length = (newer(), 4..0x80u8, 0..2u8).prop_map(|(mut frame, kind, length)| {
        frame.truncate(PAYLOAD + FIXED_PART);
        // The bytes behind this TLV are well-formed.
        frame.extend([kind, length, 3, 0, 0, 0]);
        frame
    });
    let short_marker = vec(any::<u8>(), 0..16).prop_map(|rest| {
        let mut frame =
            Lacpdu::new(PortInfo::default(), PortInfo::default(), None).frame(HwAddr::default());
        frame.truncate(PAYLOAD);
        frame.push(MARKER_SUBTYPE);
        // At least one byte is missing.
        frame.extend(rest.iter().take(14));
        frame
    });
    prop_oneof![
        short,
        wrong_length,
        wrong_terminator,
        without_end,
        tlv_beyond_the_end,
        tlv_without_length,
        short_marker,
    ]
}

/// Returns a pair that distributes on two ports. Its time lies between two milliseconds, so that no
/// deadline coincides with an arbitrary PDU.
fn distributing_pair() -> Pair {
    let mut pair = Pair::new([fast(), fast()], 1).with_ports(2);
    pair.run(seconds(4) + Duration::from_micros(500));
    assert_eq!(pair.distributing(0), [0, 1]);
    pair
}

/// Returns the visible state of both teams, without the counters of malformed PDUs.
fn visible_state(pair: &Pair) -> String {
    let mut statuses = pair.teams.each_ref().map(|team| team.lacp_status(pair.now));
    for port in statuses.iter_mut().flatten().flat_map(|all| &mut all.ports) {
        port.counters.malformed = 0;
    }
    let deadlines = pair.teams.each_ref().map(|team| team.next_deadline());
    format!("{statuses:?} {deadlines:?} {:?} {:?}", pair.forwarding, pair.sent)
}

/// Each LACPDU of the flood changes Collecting.
#[test]
fn a_port_processes_ten_pdus_of_a_flood_in_a_period() {
    let mut pair = distributing_pair();
    let (before, flaps) = (pair.status((0, 0)), pair.flaps);
    for n in 0..1000 {
        let mut actor = before.partner;
        let collects = n % 2 == 0;
        actor.state = actor.state.with(StateBits::COLLECTING, collects);
        let frame = Lacpdu::new(actor, before.actor, None).frame(HwAddr::default());
        pair.receive((0, 0), frame);
        pair.run(millis(1));
    }
    let after = pair.status((0, 0));
    let processed = after.counters.received - before.counters.received;
    assert!((10..=20).contains(&processed), "{processed}");
    let ignored = after.counters.ignored - before.counters.ignored;
    assert!(processed + ignored >= 1000, "{processed} and {ignored}");
    assert!(pair.flaps - flaps <= processed, "{}", pair.flaps - flaps);
    pair.run(seconds(2));
    assert_eq!(pair.distributing(0), [0, 1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Compares the pair with one that receives no such PDU, after each PDU and each pause.
    #[test]
    fn malformed_pdus_change_only_their_counter(
        frames in vec((malformed(), 0..2u32, 0..1500u64), 1..20),
    ) {
        let (mut pair, mut reference) = (distributing_pair(), distributing_pair());
        let mut received = [0; 2];
        for (frame, port, pause) in frames {
            received[port as usize] += 1;
            pair.receive((0, port), frame);
            prop_assert!(visible_state(&pair) == visible_state(&reference), "after the PDU");
            pair.run(millis(pause));
            reference.run(millis(pause));
            prop_assert!(visible_state(&pair) == visible_state(&reference), "after {pause} ms");
        }
        let counted = [0, 1].map(|port| pair.status((0, port)).counters.malformed);
        prop_assert_eq!(counted, received);
    }

    /// An LACPDU of an unknown system replaces the partner, until the partner's next LACPDU.
    #[test]
    fn well_formed_pdus_are_recorded(frame in prop_oneof![well_formed(), newer()]) {
        let mut pair = distributing_pair();
        let (before, sibling) = (pair.status((0, 0)), pair.status((0, 1)).counters);
        let pdu = Lacpdu::parse(&frame[PAYLOAD..]).expect("a PDU");
        pair.receive((0, 0), frame);
        let after = pair.status((0, 0));
        prop_assert_eq!(after.counters.received, before.counters.received + 1);
        prop_assert_eq!(after.counters.malformed, 0);
        prop_assert_eq!(after.state, "current");
        let in_sync = StateBits::SYNCHRONIZATION;
        let sent = PortInfo { state: pdu.actor.state.with(in_sync, false), ..pdu.actor };
        let recorded = PortInfo { state: after.partner.state.with(in_sync, false), ..after.partner };
        prop_assert_eq!(recorded, sent);
        prop_assert_eq!(pair.status((0, 1)).counters.received, sibling.received);
        pair.run(seconds(8));
        prop_assert_eq!(pair.distributing(0), [0, 1]);
    }

    /// No bytes cause a panic or a livelock.
    #[test]
    fn each_pdu_with_arbitrary_bytes_counts_once(
        payloads in vec((0..3u8, vec(any::<u8>(), 0..120)), 1..20),
    ) {
        let mut pair = distributing_pair();
        let header = Lacpdu::new(PortInfo::default(), PortInfo::default(), None)
            .frame(HwAddr::default())[..PAYLOAD].to_vec();
        for (subtype, rest) in payloads {
            let before = pair.status((0, 0)).counters;
            let frame = [&header[..], &[subtype], &rest].concat();
            let counted = |counters: runners::PduCounters| {
                let of_lacp = counters.received + counters.ignored;
                of_lacp + counters.malformed + counters.markers
            };
            // A response without a marker is not counted.
            let is_response = Marker::parse(&frame[PAYLOAD..]).is_some_and(|marker| marker.response);
            let expected = u64::from(subtype != 0 && !is_response);
            pair.receive((0, 0), frame);
            let after = pair.status((0, 0)).counters;
            prop_assert_eq!(counted(after) - counted(before), expected);
            pair.run(millis(10));
        }
    }
}
