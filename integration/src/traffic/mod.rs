//! Traffic, and what became of it.
//!
//! Each tool has two halves: one that runs inside a namespace as a command of the program
//! `traffic` (the functions called `run_…`), and one in the test that starts it there, stops it
//! by closing its standard input, and reads what it writes.

mod capture;

mod stream;
mod tool;
mod trace;
mod transfer;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

pub use capture::{Capture, run_capture};
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

/// Nanoseconds of the monotonic clock, which all processes of a machine share.
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("read the monotonic clock");
    u64::try_from(Duration::from(now).as_nanos()).expect("less than 584 years since the start")
}

/// The error of a command that was used wrongly.
pub(crate) fn usage(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
