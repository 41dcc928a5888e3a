//! Generated LACPDUs: what makes no sense changes nothing but its counter, now or later; what
//! does is read, whatever its version and its other TLVs.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use runners::wire::lacpdu::{Lacpdu, PortInfo, StateBits};
use runners::wire::marker::Marker;
use runners::{Event, HwAddr, LacpPortStatus, PortId};

use crate::network::{Pair, fast, millis, seconds};

/// The place of a frame's payload.
const PAYLOAD: usize = 14;
/// Where the lengths of the TLVs of actor, partner and collector stand, and that of the
/// terminator, in the payload.
const LENGTHS: [usize; 3] = [3, 23, 43];
const TERMINATOR_LENGTH: usize = 59;
/// The end of what every LACPDU has.
const FIXED_PART: usize = 58;
const MARKER: u8 = 2;

fn info() -> impl Strategy<Value = PortInfo> {
    let numbers = any::<(u16, [u8; 6], u16, u16, u16, u8)>();
    numbers.prop_map(
        |(system_priority, system, key, port_priority, port, state)| PortInfo {
            system_priority,
            system: HwAddr(system),
            key,
            port_priority,
            port,
            state: StateBits(state),
        },
    )
}

/// Well-formed, from nobody and for nobody that is known.
fn good() -> impl Strategy<Value = Vec<u8>> {
    let pdu = (info(), info(), any::<u16>());
    pdu.prop_map(|(actor, partner, delay)| {
        let mut pdu = Lacpdu::new(actor, partner, None);
        pdu.collector_max_delay = delay;
        pdu.frame(HwAddr::default())
    })
}

/// One of a version above 1, with TLVs that nobody knows behind the fixed part.
fn newer() -> impl Strategy<Value = Vec<u8>> {
    // From 0x80 on stand those of the retry counts.
    let tlvs = vec((4..0x80u8, vec(any::<u8>(), 0..30)), 0..4);
    (good(), 2..=u8::MAX, tlvs).prop_map(|(mut frame, version, tlvs)| {
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

/// Frames of LACP or of the marker protocol that make no sense.
fn malformed() -> impl Strategy<Value = Vec<u8>> {
    let short = (good(), 1..FIXED_PART + 2).prop_map(|(mut frame, length)| {
        frame.truncate(PAYLOAD + length);
        frame
    });
    let wrong_length = (good(), 0..LENGTHS.len(), 1..=u8::MAX).prop_map(|(mut frame, tlv, off)| {
        frame[PAYLOAD + LENGTHS[tlv]] ^= off;
        frame
    });
    let wrong_terminator = (good(), 1..=u8::MAX).prop_map(|(mut frame, length)| {
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
        // Read on behind it, the rest would make sense.
        frame.extend([kind, length, 3, 0, 0, 0]);
        frame
    });
    let no_marker = vec(any::<u8>(), 0..16).prop_map(|rest| {
        let mut frame =
            Lacpdu::new(PortInfo::default(), PortInfo::default(), None).frame(HwAddr::default());
        frame.truncate(PAYLOAD);
        frame.push(MARKER);
        // Too short by a byte at least for its twelve bytes of requester.
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
        no_marker,
    ]
}

/// Between two milliseconds, at which everything else happens: a frame that came when something
/// was due would only bring that forward.
fn carrying() -> Pair {
    let mut pair = Pair::new([fast(), fast()], 1).with_ports(2);
    pair.run(seconds(4) + Duration::from_micros(500));
    assert_eq!(pair.distributing(0), [0, 1]);
    pair
}

fn hear(pair: &mut Pair, port: u32, frame: Vec<u8>) {
    let port = PortId(port);
    pair.tell(0, Event::FrameReceived { port, frame });
}

fn status(pair: &Pair, port: usize) -> LacpPortStatus {
    pair.teams[0].lacp_status(pair.now).expect("lacp").ports[port].clone()
}

/// All that can be seen of both teams, without the counter of what made no sense.
fn seen(pair: &Pair) -> String {
    let mut statuses = pair.teams.each_ref().map(|team| team.lacp_status(pair.now));
    for port in statuses.iter_mut().flatten().flat_map(|all| &mut all.ports) {
        port.counters.malformed = 0;
    }
    let wakes = pair.teams.each_ref().map(|team| team.next_deadline());
    format!(
        "{statuses:?} {wakes:?} {:?} {:?}",
        pair.forwarding, pair.sent
    )
}

/// A partner that changes its mind with each PDU has the team decide as often as one that keeps
/// to the standard's limits could.
#[test]
fn of_a_flood_ten_pdus_a_period_are_heeded() {
    let mut pair = carrying();
    let (before, flaps) = (status(&pair, 0), pair.flaps);
    for n in 0..1000 {
        let mut actor = before.partner;
        let collects = n % 2 == 0;
        actor.state = actor.state.with(StateBits::COLLECTING, collects);
        let frame = Lacpdu::new(actor, before.actor, None).frame(HwAddr::default());
        hear(&mut pair, 0, frame);
        pair.run(millis(1));
    }
    let after = status(&pair, 0);
    let heeded = after.counters.received - before.counters.received;
    assert!((10..=20).contains(&heeded), "{heeded}");
    let ignored = after.counters.ignored - before.counters.ignored;
    assert!(heeded + ignored >= 1000, "{heeded} and {ignored}");
    assert!(pair.flaps - flaps <= heeded, "{}", pair.flaps - flaps);
    pair.run(seconds(2));
    assert_eq!(pair.distributing(0), [0, 1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Beside a pair that hears nothing of the kind, at every step of the way.
    #[test]
    fn what_makes_no_sense_changes_nothing(
        frames in vec((malformed(), 0..2u32, 0..1500u64), 1..20),
    ) {
        let (mut pair, mut quiet) = (carrying(), carrying());
        let mut heard = [0; 2];
        for (frame, port, pause) in frames {
            heard[port as usize] += 1;
            hear(&mut pair, port, frame);
            prop_assert!(seen(&pair) == seen(&quiet), "at once");
            pair.run(millis(pause));
            quiet.run(millis(pause));
            prop_assert!(seen(&pair) == seen(&quiet), "within {pause} ms");
        }
        let counted = [0, 1].map(|port| status(&pair, port).counters.malformed);
        prop_assert_eq!(counted, heard);
    }

    /// A stranger's PDU is counted and believed, and the team finds back to its partner.
    #[test]
    fn what_makes_sense_is_read(frame in prop_oneof![good(), newer()]) {
        let mut pair = carrying();
        let (before, sibling) = (status(&pair, 0), status(&pair, 1).counters);
        let pdu = Lacpdu::parse(&frame[PAYLOAD..]).expect("a PDU");
        hear(&mut pair, 0, frame);
        let after = status(&pair, 0);
        prop_assert_eq!(after.counters.received, before.counters.received + 1);
        prop_assert_eq!(after.counters.malformed, 0);
        prop_assert_eq!(after.state, "current");
        let in_sync = StateBits::SYNCHRONIZATION;
        let heard = PortInfo { state: pdu.actor.state.with(in_sync, false), ..pdu.actor };
        let kept = PortInfo { state: after.partner.state.with(in_sync, false), ..after.partner };
        prop_assert_eq!(kept, heard);
        prop_assert_eq!(status(&pair, 1).counters.received, sibling.received);
        pair.run(seconds(8));
        prop_assert_eq!(pair.distributing(0), [0, 1]);
    }

    /// Neither panic nor livelock, and a count for each frame that was LACP's or the marker
    /// protocol's.
    #[test]
    fn any_bytes_behind_the_header(
        payloads in vec((0..3u8, vec(any::<u8>(), 0..120)), 1..20),
    ) {
        let mut pair = carrying();
        let header = Lacpdu::new(PortInfo::default(), PortInfo::default(), None)
            .frame(HwAddr::default())[..PAYLOAD].to_vec();
        for (subtype, rest) in payloads {
            let before = status(&pair, 0).counters;
            let frame = [&header[..], &[subtype], &rest].concat();
            let counted = |counters: runners::PduCounters| {
                let of_lacp = counters.received + counters.ignored;
                of_lacp + counters.malformed + counters.markers
            };
            // An answer that nobody asked for is no business of anybody's.
            let answer = Marker::parse(&frame[PAYLOAD..]).is_some_and(|marker| marker.response);
            let expected = u64::from(subtype != 0 && !answer);
            hear(&mut pair, 0, frame);
            let after = status(&pair, 0).counters;
            prop_assert_eq!(counted(after) - counted(before), expected);
            pair.run(millis(10));
        }
    }
}
