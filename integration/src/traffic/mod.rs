//! Traffic between hosts, with counts of losses and duplicates.
//!
//! Each tool has two halves: a command of the program `traffic` that runs inside a namespace (the
//! `run_…` functions), and a handle in the test that starts the command, stops it by closing its
//! standard input, and reads its report.

mod capture;
mod flood;
mod pcap;
mod stream;
mod tool;
mod trace;
mod transfer;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

pub use capture::{Capture, run_capture};
pub use flood::{Flood, run_flood};
pub use pcap::write_pcap;
pub use stream::{Stream, run_receiver, run_sender};
pub(crate) use tool::{Tool, announce_ready};
pub use trace::{Arrival, Trace};
pub use transfer::{Transfer, Transferred, run_client, run_server};
pub use wire::{Wire, run_wire};

use crate::namespace::Namespace;

/// One end of a flow: a host with an address on an interface.
#[derive(Clone)]
pub struct End {
    /// The host.
    pub host: Namespace,
    /// The interface of multicast.
    pub interface: String,
    /// The address, with a port.
    pub address: SocketAddr,
}

impl End {
    /// Returns the end of a flow at `interface` of a host, with an address such as `10.0.0.1:7000`.
    pub fn new(host: &Namespace, interface: &str, address: &str) -> End {
        End {
            host: host.clone(),
            interface: interface.to_owned(),
            address: address.parse().expect("an address with a port"),
        }
    }
}

/// The rate of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// One packet a millisecond, by tools with real-time priority; a transfer as fast as a debug
    /// build of teamr forwards.
    Full,
    /// A fifth of the full rate, without real-time priority: a guest forwards a few such streams,
    /// also through the relay and duplicated.
    Steady,
    /// A fiftieth of the full rate: the one slow processor of a guest forwards ten such streams.
    /// Real-time priority would block the kernel's own threads there.
    Gentle,
    /// Ten times the full rate: the kernel forwards such a stream, a debug build of the relay does
    /// not.
    Dense,
    /// Without pauses, by tools without real-time priority: more than a debug build of teamr
    /// forwards.
    Flood,
}

impl Pace {
    /// Returns the nanoseconds between two packets of a stream.
    pub(crate) fn interval(self) -> u64 {
        let full = stream::INTERVAL * u64::from(self.factor());
        if self == Pace::Dense { full / 10 } else { full }
    }

    /// Returns the factor for the pauses between two packets, or two pieces of a transfer.
    pub(crate) fn factor(self) -> u32 {
        match self {
            Pace::Full | Pace::Dense => 1,
            Pace::Steady => 5,
            Pace::Gentle => 50,
            Pace::Flood => 0,
        }
    }
}

/// Returns nanoseconds of the monotonic clock, which all processes of a machine share.
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("read the monotonic clock");
    u64::try_from(Duration::from(now).as_nanos()).expect("less than 584 years since the start")
}

/// Returns the error of a wrong command line.
pub(crate) fn usage(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
