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
mod ndisc;
pub mod probe;
mod tunnel;

pub use arp::Arp;
pub use ethernet::{Ethernet, MAX_TAGS, ethertype};
pub use ip::{Ipv4, Ipv6, MAX_EXTENSIONS, Upper, protocol};
pub use ndisc::{NeighbourAdvertisement, icmpv6_type};
pub use tunnel::{Inner, inner};
