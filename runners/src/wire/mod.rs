//! Frames as bytes: length-checked views for reading, builders for what the daemon announces
//! and asks.
//!
//! A view hands out what is there and `None` for what is not; no bytes make it panic. Length
//! fields inside a header are not held against the length of the frame: segmentation offload
//! leaves them at 0 or far above it, so the frame's own end is the only bound.

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

/// The header of a slow protocol's frame, with room for `payload` bytes behind it.
fn slow_protocol_header(source: HwAddr, payload: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(14 + payload);
    frame.extend(lacpdu::SLOW_PROTOCOLS_GROUP.0);
    frame.extend(source.0);
    frame.extend(ethertype::SLOW_PROTOCOLS.to_be_bytes());
    frame
}
