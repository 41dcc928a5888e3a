//! What the programs of one team share with the daemon: two tables that it writes, counters
//! that it reads, and the turn.

use std::io;

use runners::BUCKETS;
use runners::tx_hash::definition;

use super::source::SourceMaps;
use crate::sys::bpf::{Map, MapKind, Wakeup};

/// The most ports that a team of programs can have.
pub const SLOTS: usize = 256;

/// A port's verdict: its frames are for nobody.
pub const DROP: u32 = 0;
/// They go up to the team device.
pub const COLLECT: u32 = 1;
/// They go up while the port is the chosen one of bucket 0.
pub const COLLECT_IF_CHOSEN: u32 = 2;

/// Two counters, as a program lays them out: frames and bytes.
pub type Pair = [u64; 2];
const PAIR: usize = size_of::<Pair>();

/// Key in [`Maps::counts`] of what the team device sent and no port was there for …
pub const NO_PORT: u32 = 0;
/// … and of what was our own and came back. Those of the ports follow.
pub const ECHOES: u32 = 1;
/// What is counted of a port, by its place after the key of its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Taken to the team device.
    Taken,
    /// Come in, and not to be taken there.
    Refused,
    /// Sent.
    Sent,
}

impl Of {
    /// How many there are.
    pub const EACH: u32 = 3;

    /// The key for the port with a slot.
    pub fn slot(self, slot: u32) -> u32 {
        ECHOES + 1 + Self::EACH * slot + self as u32
    }
}

/// The way out of a port, as the tables have it; that of no port is all zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    /// Interface index, never 0.
    pub ifindex: u32,
    /// Place in the tables.
    pub slot: u32,
}

impl Egress {
    /// Bytes in a table, as a power of two; the slot is in the second half.
    pub const SHIFT: i32 = 3;

    /// As the kernel takes it.
    pub fn bytes(exits: &[Egress]) -> Vec<u8> {
        let words = exits.iter().flat_map(|exit| [exit.ifindex, exit.slot]);
        bytes(&words.collect::<Vec<u32>>())
    }
}

/// The maps of one team.
#[derive(Debug)]
pub struct Maps {
    /// One value: for each bucket, the [`Egress`] of its port. Without buckets the first entry is the
    /// only port.
    pub choice: Map,
    /// One value: for each slot, what becomes of the frames of its port.
    pub verdicts: Map,
    /// One value: how many turns were taken.
    pub turn: Map,
    /// Frames and bytes sent, by bucket.
    pub buckets: Map,
    /// Pairs of counters.
    pub counts: Map,
    /// One value: the tables of the flow hash.
    pub hash: Map,
    /// One value: 1 if the daemon wants to hear of the next frame.
    pub daemon_idle: Map,
    /// By this.
    pub wakeup: Wakeup,
    /// Under source balancing.
    pub source: Option<SourceMaps>,
}

impl Maps {
    /// New ones: no port is chosen, none collects.
    ///
    /// # Errors
    /// `EPERM` without CAP_BPF, `ENOSYS` where the kernel has no bpf(2).
    pub fn create() -> io::Result<Maps> {
        let array = |size, name| Map::create(MapKind::Array, size, 1, name);
        let counters = |entries, name| Map::create(MapKind::PerCpuArray, PAIR, entries, name);
        let maps = Maps {
            choice: array(BUCKETS << Egress::SHIFT, "teamr_choice")?,
            verdicts: array(SLOTS * size_of::<u32>(), "teamr_verdicts")?,
            turn: array(size_of::<u64>(), "teamr_turn")?,
            buckets: counters(BUCKETS as u32, "teamr_buckets")?,
            counts: counters(Of::Taken.slot(SLOTS as u32), "teamr_counts")?,
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

/// A table as the kernel takes it.
pub fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// The sums over all processors of a pair of counters.
pub fn read_pair(map: &Map, key: u32) -> io::Result<Pair> {
    let mut sum = [0; 2];
    for pair in map.read(key)?.chunks_exact(PAIR) {
        for (sum, counter) in sum.iter_mut().zip(pair.chunks_exact(8)) {
            let counter = counter
                .first_chunk()
                .map_or(0, |it| u64::from_ne_bytes(*it));
            *sum = u64::wrapping_add(*sum, counter);
        }
    }
    Ok(sum)
}
