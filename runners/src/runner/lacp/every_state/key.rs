//! The identity of a [`World`]: everything that determines its future.
//!
//! The identity contains neither the values that no machine reads (counters, logs, churn, the
//! Partner's view of the Actor) nor the limit of received LACPDUs, which
//! [`Ends`](super::world::Ends) resets.

use crate::lacp_machines::transmit::CROSSING_TIME;
use crate::runner::lacp::port::LacpPort;
use crate::time::Instant;
use crate::wire::lacpdu::StateBits;

use super::world::{EndState, FAST_PERIODIC_TIME, InFlight, World};

/// Bits of an LACPDU's Partner_State that the receiver reads (update_NTT, 6.4.9).
const READ_OF_PARTNER: StateBits = StateBits(0x0f);
/// Bits of an LACPDU's Actor_State that the receiver reads: the bits of [`READ_OF_PARTNER`], and
/// Collecting.
const READ_OF_ACTOR: StateBits = StateBits(0x1f);

/// A state as bytes; equal states have equal keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(Box<[u8]>);

impl Key {
    /// Returns the key of a state. The ends are alike, so a state and its mirror image, with the ends
    /// exchanged, have one key.
    pub fn of(world: &World) -> Self {
        let mut order: Vec<Instant> = world.ends.iter().flat_map(timers_of_end).collect();
        order.retain(|end| *end > world.now);
        order.sort_unstable();
        order.dedup();
        Key(bytes(world, [0, 1], &order).min(bytes(world, [1, 0], &order)).into())
    }
}

fn timers_of_end(end: &EndState) -> impl Iterator<Item = Instant> {
    end.ports.values().flat_map(timers).flatten()
}

/// Returns the bytes of a state with the ends in this order. Each timer is its place in `order`.
fn bytes(world: &World, ends: [usize; 2], order: &[Instant]) -> Vec<u8> {
    let rank = |timer: Option<Instant>| {
        let rank = timer.and_then(|end| order.binary_search(&end).ok());
        rank.map_or(0, |rank| rank as u8 + 1)
    };
    let mut bytes = Vec::with_capacity(64);
    bytes.extend([world.flaps, world.exclusions]);
    for end in ends {
        let end = &world.ends[end];
        for port in end.ports.values() {
            push_port(&mut bytes, port);
            bytes.extend(recently_sent(port, world.now));
            bytes.extend(timers(port).map(rank));
        }
        bytes.push(end.selection.selected.is_some().into());
    }
    let in_flight = world.in_flight.iter().map(|frame| {
        let InFlight { end, port, pdu, .. } = frame;
        let (actor, partner) = (pdu.actor.state, pdu.partner.state);
        let read = [actor.only(READ_OF_ACTOR).0, partner.only(READ_OF_PARTNER).0];
        let to = u8::from(*end == ends[1]);
        [to, port.0 as u8, read[0], read[1], pdu.partner.port as u8]
    });
    let mut in_flight: Vec<[u8; 5]> = in_flight.collect();
    in_flight.sort_unstable();
    bytes.extend(in_flight.into_iter().flatten());
    bytes
}

fn push_port(bytes: &mut Vec<u8>, port: &LacpPort) {
    bytes.extend([
        port.receive.state() as u8,
        port.periodic.state() as u8,
        port.mux.state() as u8 | (port.selected as u8) << 4,
        port.lag.is_some().into(),
        port.transmit.ntt.into(),
        port.transmit.wrong_view.is_some().into(),
        port.exclusion.map_or(0, |exclusion| exclusion as u8 + 1),
    ]);
    // In one topology, a port number is 0 without a Partner and else the other end's.
    bytes.extend([port.partner.port as u8, port.partner.state.only(READ_OF_ACTOR).0]);
}

/// Returns the ends of the timers of a port, each in its place.
fn timers(port: &LacpPort) -> [Option<Instant>; 5] {
    [
        port.receive.deadline(),
        port.periodic.deadline(),
        port.mux.deadline(),
        port.mux.link_up_wait,
        port.transmit.deadline(FAST_PERIODIC_TIME),
    ]
}

/// Returns the LACPDUs sent in the last period, and whether the last may still cross the Partner's.
fn recently_sent(port: &LacpPort, now: Instant) -> [u8; 2] {
    let sent = &port.transmit.sent;
    let in_period = sent.iter().filter(|sent| **sent + FAST_PERIODIC_TIME > now);
    let crosses = sent.back().is_some_and(|sent| *sent + CROSSING_TIME > now);
    [in_period.count() as u8, crosses.into()]
}
