//! The teamr daemon and its control client; see ARCHITECTURE.md for the map.

pub mod bond;
pub mod cli;
pub mod client;
pub mod control;
pub mod daemon;
pub mod datapath;
pub mod doctor;
pub mod errno;
pub mod files;
pub mod netlink;
pub mod recording;
pub mod sys;
pub mod teamnl;
