//! Frames as bytes: readers for received frames, builders for the frames that the team sends.
//!
//! Reading takes two steps. The first step checks lengths and borrows a view of the bytes; the
//! second step turns the view into values, and returns `None` for bytes without a meaning. No
//! bytes cause a panic: the module denies unchecked indexing.
//!
//! The end of the frame is the only bound. Length fields of IP headers are not compared with it,
//! because segmentation offload leaves them at 0 or far above the length of the frame.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod address_resolution;
pub mod announce;
mod arp;
pub mod bfd;
mod build;
pub mod checksum;
mod ethernet;
mod ip;
pub mod lacpdu;
pub mod marker;
mod ndisc;
pub mod path_probe;
pub mod probe;
pub(crate) mod slow_protocol;
pub mod tunnel;

pub use address_resolution::is_address_resolution;
pub use arp::Arp;
pub use ethernet::{Ethernet, MAX_TAGS, ethertype};
pub use ip::{Ipv4, Ipv6, MAX_EXTENSIONS, Upper, protocol};
pub use ndisc::{NeighbourAdvertisement, icmpv6_type};
pub use slow_protocol::SLOW_PROTOCOLS_GROUP;
pub use tunnel::{Inner, inner};
