//! Links, addresses and traffic-control filters over rtnetlink.
//!
//! `message` reads and writes bytes, `link`, `address` and `tc` know what they mean, `socket`
//! moves them. Nothing here knows of teams.

pub mod address;
pub mod link;
pub mod message;
pub mod socket;
pub mod tc;

pub use socket::{EventSocket, Received, RouteSocket};
