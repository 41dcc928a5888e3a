//! The library of the three programs: the daemon teamr, its client teamrctl, and teamrnl.
//! ARCHITECTURE.md describes the modules.

pub mod args;
pub mod bond;
pub mod client;
pub mod control;
pub mod daemon;
pub mod datapath;
pub mod doctor;
pub mod errno;
pub mod files;
pub mod migration;
pub mod netlink;
pub mod process;
pub mod recording;
pub mod snmp;
pub mod state;
pub mod sys;
pub mod teamnl;
pub mod text;
