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
#![allow(clippy::disallowed_methods, reason = "a test waits for and measures real daemons")]

mod binaries;
mod bus;
mod cable;
pub mod control;
mod daemon;
pub mod drop_in;
pub mod figures;
mod frame;
mod holder;
pub mod kernel;
mod lab;
mod link_changes;
mod links;
mod namespace;
mod network_manager;
mod ping;
mod preload;
mod process;
mod rights;
pub mod scenario;
pub mod soak;
mod switch;
#[cfg(target_arch = "x86_64")]
pub mod system_call;
mod tap_nic;
pub mod tcx;
mod team;
mod team_and_bond;
mod tools;
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
pub use lab::{Lab, Sharing, skip};
pub use link_changes::{LinkChange, LinkChanges, run_change_link};
pub use namespace::Namespace;
pub use network_manager::NetworkManager;
pub use ping::{Ping, run_ping};
pub use preload::Preload;
pub use process::Process;
pub use switch::{Switch, SwitchMoves};
pub use tap_nic::{TapNic, run_tap_nic};
pub use team::{DataPath, RUNNERS, team_config};
pub use team_and_bond::TeamAndBond;
pub use tools::{refuse_command_line, run_tool_if_requested};
pub use topology::{Site, SiteWithTeam};
pub use two_hosts::{HostAndPeer, TwoTeams};
pub use uml::{
    Clock, GuestFailure, boot_system, in_guest, in_virtual_time, in_virtual_time_then,
    in_virtual_time_within, on_chosen_kernel, pause_at_select, try_in_guest, try_in_guest_within,
    twice_in_virtual_time,
};
pub use vlan::{Vlan, run_vlan};
pub use wait::{LIMIT, comes_true, wait_for, wait_until};
