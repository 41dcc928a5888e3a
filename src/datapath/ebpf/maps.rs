//! The maps of one team: tables that the daemon writes, counters that the daemon reads.

use std::io;

use runners::BUCKETS;
use runners::tx_hash::definition;

use super::layout::{Egress, VOLUME, bytes};
use super::source_maps::SourceMaps;
use crate::sys::bpf::{Map, MapKind, Wakeup};

/// The most ports that a team of programs can have.
pub const MAX_PORTS: usize = 256;

/// Verdict on a port's received frames: they are dropped.
pub const DROP: u32 = 0;
/// They go up to the team device.
pub const COLLECT: u32 = 1;
/// They go up while the port is the egress of bucket 0.
pub const COLLECT_IF_ACTIVE: u32 = 2;

/// Key in [`Maps::counters`] of frames of the team device that had no port …
pub const NO_PORT: u32 = 0;
/// … and of frames of the team itself that came back. The counters of the ports follow.
pub const ECHOES: u32 = 1;

/// A counter of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortCounter {
    /// Frames received and delivered to the team device.
    Received,
    /// Frames received while the port did not collect.
    Refused,
    /// Frames sent.
    Sent,
}

impl PortCounter {
    /// Number of counters of a port.
    pub const COUNT: u32 = 3;

    /// Returns the key in [`Maps::counters`] for the port with this index in the tables.
    pub fn key(self, port_index: u32) -> u32 {
        ECHOES + 1 + Self::COUNT * port_index + self as u32
    }
}

/// The maps of one team.
#[derive(Debug)]
pub struct Maps {
    /// One value: the [`Egress`] of each bucket. Under activebackup bucket 0 has the active port.
    pub egress: Map,
    /// One value: by port index, the verdict on received frames.
    pub verdicts: Map,
    /// One value: how many frames roundrobin has sent.
    pub turn: Map,
    /// Frames and bytes sent, by bucket.
    pub buckets: Map,
    /// Frames and bytes by [`PortCounter::key`], [`NO_PORT`] and [`ECHOES`].
    pub counters: Map,
    /// One value: the tables of the flow hash.
    pub hash: Map,
    /// One value: 1 if the next frame is to write to `wakeup`.
    pub daemon_idle: Map,
    /// Wakes the daemon.
    pub wakeup: Wakeup,
    /// Under source balancing.
    pub source: Option<SourceMaps>,
}

impl Maps {
    /// Creates maps by which no bucket has a port and no port collects.
    ///
    /// # Errors
    /// `EPERM` without CAP_BPF, `ENOSYS` where the kernel has no bpf(2).
    pub fn create() -> io::Result<Maps> {
        let array = |size, name| Map::create(MapKind::Array, size, 1, name);
        let volumes = |entries, name| Map::create(MapKind::PerCpuArray, VOLUME, entries, name);
        // A running daemon may find the maps of an earlier version: the names never change.
        let maps = Maps {
            egress: array(BUCKETS << Egress::SHIFT, "teamr_choice")?,
            verdicts: array(MAX_PORTS * size_of::<u32>(), "teamr_verdicts")?,
            turn: array(size_of::<u64>(), "teamr_turn")?,
            buckets: volumes(BUCKETS as u32, "teamr_buckets")?,
            counters: volumes(PortCounter::Received.key(MAX_PORTS as u32), "teamr_counts")?,
            daemon_idle: array(size_of::<u32>(), "teamr_asleep")?,
            wakeup: Wakeup::create("teamr_bell")?,
            source: None,
            hash: array(definition::KEY_LEN * 256 * size_of::<u32>(), "teamr_hash")?,
        };
        let tables = definition::contributions();
        let words: Vec<u32> = tables.into_iter().flatten().collect();
        maps.hash.write(0, &bytes(&words))?;
        Ok(maps)
    }
}
