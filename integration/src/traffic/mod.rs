//! Traffic, and what became of it.
//!
//! Each tool has two halves: one that runs inside a namespace as a command of the program
//! `traffic` (the functions called `run_…`), and one in the test that starts it there, stops it
//! by closing its standard input, and reads what it writes.

mod capture;
mod flood;
mod stream;
mod tool;
mod trace;
mod transfer;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

pub use capture::{Capture, run_capture};
pub use flood::{Flood, run_flood};
pub use stream::{Stream, run_receiver, run_sender};
pub(crate) use tool::{Tool, announce_ready};
pub use trace::{Arrival, Trace};
pub use transfer::{Transfer, Transferred, run_client, run_server};

use crate::namespace::Namespace;

/// One end of a flow: a host with an address on an interface.
#[derive(Clone)]
pub struct End {
    /// The host.
    pub host: Namespace,
    /// The interface, which matters to multicast.
    pub interface: String,
    /// The address, with a port.
    pub address: SocketAddr,
}

/// How much traffic flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// A packet a millisecond, by tools that have precedence; a transfer as fast as a debug
    /// build of teamr keeps up with.
    Full,
    /// A fifth of it, without precedence: what a guest carries of a few, also by the relay and
    /// in two copies.
    Steady,
    /// A fiftieth of it: what the one slow processor of a guest carries ten of at a time. There
    /// precedence would keep the kernel's own threads from moving the frames.
    Gentle,
    /// Without a pause, by tools without precedence: more than a debug build of teamr moves.
    Flood,
}

impl Pace {
    /// What the pauses between two packets, or two pieces of a transfer, are multiplied by.
    pub(crate) fn factor(self) -> u32 {
        match self {
            Pace::Full => 1,
            Pace::Steady => 5,
            Pace::Gentle => 50,
            Pace::Flood => 0,
        }
    }
}

/// Nanoseconds of the monotonic clock, which all processes of a machine share.
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("read the monotonic clock");
    u64::try_from(Duration::from(now).as_nanos()).expect("less than 584 years since the start")
}

/// The error of a command that was used wrongly.
pub(crate) fn usage(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
