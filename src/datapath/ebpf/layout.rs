//! The layout of values in maps, which programs and the daemon share.

use crate::datapath::Volume;
use crate::sys::bpf::Map;

/// Bytes of a pair of counters: frames, then bytes.
pub const VOLUME: usize = 2 * size_of::<u64>();

/// The egress of a port as it lies in a table; that of no port is all zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    /// Interface index, never 0.
    pub ifindex: u32,
    /// Key of the counters of the port's sent frames.
    pub sent: u32,
}

impl Egress {
    /// Bytes of an entry, as a power of two; the key is in the second half.
    pub const SHIFT: i32 = 3;

    /// Returns the bytes of a table.
    pub fn bytes(table: &[Egress]) -> Vec<u8> {
        let words = table.iter().flat_map(|egress| [egress.ifindex, egress.sent]);
        bytes(&words.collect::<Vec<u32>>())
    }
}

/// Returns the bytes of a table of words.
pub fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Reads a pair of counters and sums it over all processors; zero for a key that the map does not
/// have.
pub fn read_volume(map: &Map, key: u32) -> Volume {
    let mut sum = Volume::default();
    for pair in map.read(key).unwrap_or_default().chunks_exact(VOLUME) {
        let (frames, bytes) = pair.split_at(VOLUME / 2);
        sum.frames = sum.frames.wrapping_add(read_u64(frames));
        sum.bytes = sum.bytes.wrapping_add(read_u64(bytes));
    }
    sum
}

/// Reads a number at the beginning of `bytes`; 0 if there are too few.
pub fn read_u64(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}
