//! The teamr daemon and its control client; see ARCHITECTURE.md for the map.

pub mod datapath;
pub mod netlink;
pub mod sys;
