//! Tests teamr as a user runs it, in network namespaces.
//!
//! A [`Lab`] makes hosts ([`Namespace`]), learning switches ([`Switch`]) and cables ([`Cable`])
//! that a test can pull. [`Teamr`] runs the daemon on a host; [`traffic`] sends packets and counts
//! losses and duplicates. Every host, process and link ends when its value is dropped, and also
//! when the test process is killed.
//!
//! [`in_guest`] boots a kernel of its own for drivers that the machine lacks. In a guest teamr and
//! teamd run the same [`scenario`]s, and [`drop_in`] compares their answers.
//!
//! The assertions about teamr are in `tests/` and `benches/`. A function here panics with the whole
//! output of a command that fails.
#![allow(
    clippy::disallowed_methods,
    reason = "a test waits for and measures real daemons"
)]

mod binaries;
mod bus;
mod cable;
pub mod control;
mod daemon;
pub mod drop_in;
mod frame;
mod holder;
mod lab;
mod link_changes;
mod links;
mod namespace;
mod network_manager;
mod ping;
mod process;
mod rights;
pub mod scenario;
mod switch;
mod tap_nic;
mod team;
mod team_and_bond;
mod topology;
pub mod traffic;
mod two_hosts;
mod uml;
mod vlan;
mod wait;

pub use binaries::{PROGRAMS, Progress, binary, build_programs, programs, repository};
pub use bus::Bus;
pub use cable::{Cable, CableKind};
pub use daemon::{Teamr, teamr_command};
pub use frame::Frame;
pub use holder::run_holder_if_requested;
pub use lab::{Lab, Sharing, skip};
pub use link_changes::{LinkChange, LinkChanges, run_change_link};
pub use namespace::Namespace;
pub use network_manager::NetworkManager;
pub use ping::{Ping, run_ping};
pub use process::Process;
pub use switch::{Switch, SwitchMoves};
pub use tap_nic::{TapNic, run_tap_nic};
pub use team::{DataPath, RUNNERS, team_config};
pub use team_and_bond::TeamAndBond;
pub use topology::{Site, SiteWithTeam};
pub use two_hosts::{HostAndPeer, TwoTeams};
pub use uml::{GuestFailure, in_guest, try_in_guest};
pub use vlan::{Vlan, run_vlan};
pub use wait::{LIMIT, comes_true, wait_for, wait_until};
