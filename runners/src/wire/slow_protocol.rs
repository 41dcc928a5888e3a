//! Frames of slow protocols (IEEE 802.3, annex 57A): the frame format of LACP and of the marker
//! protocol.

use crate::ident::HwAddr;
use crate::wire::{Ethernet, ethertype};

/// Destination address of slow protocols (57A.3).
pub const SLOW_PROTOCOLS_GROUP: HwAddr = HwAddr([0x01, 0x80, 0xc2, 0x00, 0x00, 0x02]);

/// Length of a frame as sent, without the frame check sequence.
const FRAME_LENGTH: usize = 124;

/// Returns the payload of a slow protocol's frame: one to the group address, without a tag or with
/// a tag that only carries a priority. Returns `None` for other frames.
pub(crate) fn payload(frame: &[u8]) -> Option<&[u8]> {
    let ethernet = Ethernet::parse(frame)?;
    let is_slow_protocol = ethernet.ethertype == ethertype::SLOW_PROTOCOLS
        && ethernet.vlan_ids == 0
        && ethernet.addresses.starts_with(&SLOW_PROTOCOLS_GROUP.0);
    is_slow_protocol.then_some(ethernet.payload)
}

/// Returns a frame with the payload that `write` appends, padded with zeros.
pub(super) fn frame(source: HwAddr, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME_LENGTH);
    frame.extend(SLOW_PROTOCOLS_GROUP.0);
    frame.extend(source.0);
    frame.extend(ethertype::SLOW_PROTOCOLS.to_be_bytes());
    write(&mut frame);
    frame.resize(FRAME_LENGTH, 0);
    frame
}
