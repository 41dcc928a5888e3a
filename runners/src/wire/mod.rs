//! Frames as bytes: readers for received frames, builders for the frames that the team sends.
//!
//! Reading takes two steps. The first step checks lengths and borrows a view of the bytes; the
//! second step turns the view into values, and returns `None` for bytes without a meaning. No
//! bytes cause a panic: the module denies unchecked indexing.
//!
//! The end of the frame is the only bound. Length fields of IP headers are not compared with it,
//! because segmentation offload leaves them at 0 or far above the length of the frame.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod announce;
mod arp;
mod build;
mod ethernet;
mod ip;
pub mod lacpdu;
pub mod marker;
mod ndisc;
pub mod probe;
pub mod tunnel;

use crate::ident::HwAddr;

pub use arp::Arp;
pub use ethernet::{Ethernet, MAX_TAGS, ethertype};
pub use ip::{Ipv4, Ipv6, MAX_EXTENSIONS, Upper, protocol};
pub use ndisc::{NeighbourAdvertisement, icmpv6_type};
pub use tunnel::{Inner, inner};

/// Returns the Ethernet header of a slow protocol (IEEE 802.3, 57A.3) with capacity for `payload`
/// more bytes.
fn slow_protocol_header(source: HwAddr, payload: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(14 + payload);
    frame.extend(lacpdu::SLOW_PROTOCOLS_GROUP.0);
    frame.extend(source.0);
    frame.extend(ethertype::SLOW_PROTOCOLS.to_be_bytes());
    frame
}
