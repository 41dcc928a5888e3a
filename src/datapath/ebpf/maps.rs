//! The maps of one team that only the programs on its ports use: tables that the daemon writes,
//! counters that the daemon reads. `shared` has the maps that the programs of several teams use.

use std::io;

use super::layout::VOLUME;
use super::source_maps::SourceMaps;
use crate::sys::bpf::{Map, MapKind};

/// The most ports that a team of programs can have.
pub const MAX_PORTS: usize = 256;

/// The decision on a port's received frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are dropped.
    Drop,
    /// They go up to the team device.
    Collect,
    /// They go up while the port is the egress of bucket 0.
    CollectIfActive,
}

impl Verdict {
    /// Returns the word in [`Maps::verdicts`]. A program obeys only words of its own attachment,
    /// never 0: an interface that moves to another namespace takes its program along, and another
    /// port gets its index in the tables.
    pub fn word(self, attachment: u32) -> u32 {
        attachment << 2 | self as u32
    }
}

/// The word for an index without a port.
pub const UNUSED: u32 = 0;

/// Key in [`Maps::counters`] of frames of the team itself that came back. The counters of the ports
/// follow.
pub const ECHOES: u32 = 0;

/// A counter of the frames that a port receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortCounter {
    /// Frames received and delivered to the team device.
    Received,
    /// Frames received while the port did not collect.
    Refused,
}

impl PortCounter {
    /// All counters of a port.
    pub const ALL: [PortCounter; 2] = [PortCounter::Received, PortCounter::Refused];

    /// Returns the key in [`Maps::counters`] for the port with this index in the tables.
    pub fn key(self, port_index: u32) -> u32 {
        ECHOES + 1 + Self::ALL.len() as u32 * port_index + self as u32
    }
}

/// The maps of one team.
#[derive(Debug)]
pub struct Maps {
    /// One value: by port index, the [`Verdict::word`] on received frames.
    pub verdicts: Map,
    /// Frames and bytes by [`PortCounter::key`] and [`ECHOES`].
    pub counters: Map,
    /// Under source balancing.
    pub source: Option<SourceMaps>,
}

impl Maps {
    /// Creates maps by which no port collects.
    ///
    /// # Errors
    /// `EPERM` without CAP_BPF, `ENOSYS` where the kernel has no bpf(2).
    pub fn create() -> io::Result<Maps> {
        // A running daemon may find the maps of an earlier version: the names never change.
        let (verdicts, counters) = (MAX_PORTS * size_of::<u32>(), PortCounter::Received);
        let counters = counters.key(MAX_PORTS as u32);
        Ok(Maps {
            verdicts: Map::create(MapKind::Array, verdicts, 1, "teamr_verdicts")?,
            counters: Map::create(MapKind::PerCpuArray, VOLUME, counters, "teamr_counts")?,
            source: None,
        })
    }
}
