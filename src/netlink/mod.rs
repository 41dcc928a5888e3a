//! Netlink: links, addresses and traffic-control filters over rtnetlink, the team driver's
//! family over generic netlink.
//!
//! `message` reads and writes bytes; `bpf`, `link`, `link_state`, `link_stats`, `namespace`, `address`,
//! `tc`, `genl` and `team` encode and decode messages; `socket`, `sock_diag` and `team_device` send and
//! receive them. Nothing here decides. No bytes cause a panic: the module denies unchecked indexing.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod address;
pub mod bond;
pub mod bpf;
pub mod fdb;
pub mod genl;
pub mod link;
pub mod link_state;
pub mod link_stats;
pub mod message;
pub mod namespace;
pub mod sock_diag;
pub mod socket;
pub mod tc;
pub mod team;
pub mod team_device;

pub use socket::{
    BUFFER_VARIABLE, Dump, EventSocket, GenericSocket, Progress, Received, RouteSocket,
};
pub use team_device::TeamDevice;
