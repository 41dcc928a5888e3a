//! Netlink: links, addresses and traffic-control filters over rtnetlink, the team driver's
//! family over generic netlink.
//!
//! `message` reads and writes bytes; `bpf`, `link`, `address`, `tc`, `genl` and `team` encode and
//! decode messages; `socket` and `team_device` send and receive them. Nothing here decides.

pub mod address;
pub mod bpf;
pub mod genl;
pub mod link;
pub mod message;
pub mod socket;
pub mod tc;
pub mod team;
pub mod team_device;

pub use socket::{BUFFER_VARIABLE, EventSocket, GenericSocket, Received, RouteSocket};
pub use team_device::TeamDevice;
