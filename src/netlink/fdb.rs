//! Unicast addresses that an interface receives besides its own, such as the addresses of macvlans
//! on the interface in any network namespace (`bridge fdb show dev eth0 self`, `linux/neighbour.h`).

use std::collections::BTreeMap;

use runners::HwAddr;

use super::link::ifinfomsg;
use super::message::{Message, Request, attribute, read_u32};

const NDA_LLADDR: u16 = 2;
/// The entry belongs to the interface, not to its bridge.
const NTF_SELF: u8 = 0x02;
/// Bytes of `struct ndmsg`: family, padding, u32 index, u16 state, flags, type.
const BODY: usize = 12;
const FLAGS: usize = 10;

/// Parses an entry of an interface itself: index and unicast address; `None` for other messages.
pub fn parse(message: &Message<'_>) -> Option<(u32, HwAddr)> {
    let is_own = message.kind == libc::RTM_NEWNEIGH
        && message.payload.first() == Some(&(libc::AF_BRIDGE as u8))
        && message.payload.get(FLAGS)? & NTF_SELF != 0;
    let attributes = message.payload.get(BODY..).filter(|_| is_own)?;
    let hwaddr = HwAddr(attribute(attributes, NDA_LLADDR)?.try_into().ok()?);
    let is_unicast = hwaddr.0[0] & 1 == 0;
    Some((read_u32(message.payload, 4)?, hwaddr)).filter(|_| is_unicast)
}

/// Returns a request for the entries of all interfaces.
pub fn dump() -> Request {
    let mut body = ifinfomsg(0, 0, 0);
    body[0] = libc::AF_BRIDGE as u8;
    Request::new(libc::RTM_GETNEIGH, libc::NLM_F_DUMP as u16, &body)
}

/// Returns at most `limit` unicast addresses of each interface, by interface index, of the answer to
/// [`dump`].
pub fn unicast_addresses<'a>(
    answer: impl Iterator<Item = Message<'a>>,
    limit: usize,
) -> BTreeMap<u32, Vec<HwAddr>> {
    let mut found: BTreeMap<u32, Vec<HwAddr>> = BTreeMap::new();
    for (ifindex, hwaddr) in answer.filter_map(|message| parse(&message)) {
        let addresses = found.entry(ifindex).or_default();
        addresses.extend(Some(hwaddr).filter(|_| addresses.len() < limit));
    }
    found
}
