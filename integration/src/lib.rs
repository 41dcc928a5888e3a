//! teamr tried as a user would, in network namespaces.
//!
//! A [`Lab`] is a table full of machines: [`Namespace`]s that stand for hosts, [`Switch`]es that
//! learn, [`Cable`]s that can be pulled. [`Teamr`] runs the daemon on a host; [`traffic`] says
//! what became of the packets. Everything made here vanishes with its value, and with the
//! process if that is killed.
//!
//! What this machine lacks drivers for runs [`in_guest`], a kernel of its own. There
//! [`scenario`]s, which are data, are played with teamr and with teamd, and [`drop_in`] lays
//! the answers side by side.
//!
//! It owns no claim about teamr: those are in `tests/` and `benches/`. Being for tests, it
//! panics, with the whole output, where a command that has to work does not.
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
