//! Counters of interfaces over rtnetlink (`linux/if_link.h`, `RTM_GETSTATS`).

use std::collections::BTreeMap;
use std::io;

use runners::ReceiveCounters;

use super::message::{Message, Request, attribute, read_u32, read_u64};
use super::socket::RouteSocket;

/// Bytes of `struct if_stats_msg`: u8 family, 3 bytes of padding, u32 index, u32 mask of attributes.
const BODY: usize = 12;
/// Attribute with a `struct rtnl_link_stats64`, an array of u64.
const IFLA_STATS_LINK_64: u16 = 1;

/// Places in `struct rtnl_link_stats64`.
const RX_PACKETS: usize = 0;
const TX_PACKETS: usize = 1;
const RX_BYTES: usize = 2;
const TX_BYTES: usize = 3;
const RX_ERRORS: usize = 4;
const RX_LENGTH_ERRORS: usize = 10;
const RX_OVER_ERRORS: usize = 11;
const RX_CRC_ERRORS: usize = 12;
const RX_FRAME_ERRORS: usize = 13;
const RX_FIFO_ERRORS: usize = 14;
const RX_MISSED_ERRORS: usize = 15;

/// The traffic of an interface since it exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames received.
    pub rx_frames: u64,
    /// Frames sent.
    pub tx_frames: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
}

/// Reads the counters of received frames of all interfaces, by interface index.
///
/// # Errors
/// `EOPNOTSUPP` before Linux 4.7.
pub fn receive_counters(route: &mut RouteSocket) -> io::Result<BTreeMap<u32, ReceiveCounters>> {
    read_all(route, parse_received)
}

/// Reads the traffic of all interfaces, by interface index.
///
/// # Errors
/// `EOPNOTSUPP` before Linux 4.7.
pub fn traffic(route: &mut RouteSocket) -> io::Result<BTreeMap<u32, Traffic>> {
    read_all(route, parse_traffic)
}

/// Reads the counters of all interfaces with `parse`, which gets a `struct rtnl_link_stats64`.
fn read_all<T>(
    route: &mut RouteSocket,
    parse: fn(&[u8]) -> Option<T>,
) -> io::Result<BTreeMap<u32, T>> {
    let mut body = [0; BODY];
    body[8..].copy_from_slice(&(1_u32 << (IFLA_STATS_LINK_64 - 1)).to_ne_bytes());
    let mut counters = BTreeMap::new();
    let request = Request::new(libc::RTM_GETSTATS, libc::NLM_F_DUMP as u16, &body);
    route.query(request, &mut |message| {
        let (ifindex, stats) = counters_in(&message).unzip();
        counters.extend(ifindex.zip(stats.and_then(parse)));
    })?;
    Ok(counters)
}

/// Returns the index of an interface and its `struct rtnl_link_stats64`; `None` for messages of other
/// kinds.
fn counters_in<'a>(message: &Message<'a>) -> Option<(u32, &'a [u8])> {
    if message.kind != libc::RTM_NEWSTATS {
        return None;
    }
    let stats = attribute(message.payload.get(BODY..)?, IFLA_STATS_LINK_64)?;
    Some((read_u32(message.payload, 4)?, stats))
}

/// Parses the traffic of an interface.
fn parse_traffic(stats: &[u8]) -> Option<Traffic> {
    let at = |place: usize| read_u64(stats, 8 * place);
    Some(Traffic {
        rx_frames: at(RX_PACKETS)?,
        tx_frames: at(TX_PACKETS)?,
        rx_bytes: at(RX_BYTES)?,
        tx_bytes: at(TX_BYTES)?,
    })
}

/// Parses the counters of the received frames of an interface.
fn parse_received(stats: &[u8]) -> Option<ReceiveCounters> {
    let at = |place: usize| read_u64(stats, 8 * place);
    // Some drivers count what a full queue or another MTU costs as errors, too.
    let other = [RX_LENGTH_ERRORS, RX_OVER_ERRORS, RX_FIFO_ERRORS, RX_MISSED_ERRORS];
    let other = other.into_iter().filter_map(at).fold(0, u64::saturating_add);
    let damaged = at(RX_CRC_ERRORS)?.saturating_add(at(RX_FRAME_ERRORS)?);
    let corrupted = damaged.max(at(RX_ERRORS)?.saturating_sub(other));
    Some(ReceiveCounters { good: at(RX_PACKETS)?, corrupted })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(values: &[(usize, u64)]) -> Option<ReceiveCounters> {
        let mut stats = [0_u64; 24];
        values.iter().for_each(|(place, value)| stats[*place] = *value);
        let stats = stats.map(u64::to_ne_bytes).concat();
        let mut body = [0; BODY];
        body[4] = 7;
        let request = Request::new(libc::RTM_NEWSTATS, 0, &body).attribute(1, &stats);
        let bytes = request.finish(1, false).unwrap();
        let message = super::super::message::Messages(&bytes).next().unwrap();
        let (ifindex, stats) = counters_in(&message)?;
        assert_eq!(u32::from_ne_bytes([7, 0, 0, 0]), ifindex);
        let traffic = parse_traffic(stats)?;
        let expected = [RX_PACKETS, TX_PACKETS, RX_BYTES, TX_BYTES].map(|place| {
            values.iter().find(|(other, _)| *other == place).map_or(0, |(_, value)| *value)
        });
        let Traffic { rx_frames, tx_frames, rx_bytes, tx_bytes } = traffic;
        assert_eq!([rx_frames, tx_frames, rx_bytes, tx_bytes], expected);
        parse_received(stats)
    }

    #[test]
    fn lost_frames_of_a_full_queue_are_not_corrupted() {
        let corrupted = |values: &[(usize, u64)]| counters(values).map(|found| found.corrupted);
        assert_eq!(corrupted(&[(RX_ERRORS, 9)]), Some(9));
        assert_eq!(
            corrupted(&[(RX_ERRORS, 9), (RX_MISSED_ERRORS, 7), (RX_FIFO_ERRORS, 2)]),
            Some(0)
        );
        assert_eq!(corrupted(&[(RX_ERRORS, 9), (RX_CRC_ERRORS, 5), (RX_OVER_ERRORS, 4)]), Some(5));
        assert_eq!(corrupted(&[(RX_CRC_ERRORS, 5), (RX_FRAME_ERRORS, 1)]), Some(6));
        assert_eq!(corrupted(&[(RX_MISSED_ERRORS, u64::MAX), (RX_FIFO_ERRORS, 1)]), Some(0));
        let traffic = [(RX_PACKETS, 3), (TX_PACKETS, 4), (RX_BYTES, 500), (TX_BYTES, 600)];
        assert_eq!(counters(&traffic).map(|found| found.good), Some(3));
    }

    #[test]
    fn every_interface_has_counters() {
        let mut route = RouteSocket::open().unwrap();
        let loopback = super::super::link::find(&mut route, "lo").unwrap();
        assert!(receive_counters(&mut route).unwrap().contains_key(&loopback.ifindex));
        assert!(traffic(&mut route).unwrap().contains_key(&loopback.ifindex));
    }
}
