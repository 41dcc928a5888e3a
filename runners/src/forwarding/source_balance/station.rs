//! The identity of a station and the hash that finds its bucket.

use std::time::Duration;

use crate::buckets::BUCKETS;
use crate::ident::HwAddr;

/// Rounds of the hash. A round multiplies by [`HASH_MULTIPLIER`] and folds the upper half of the
/// product into the lower one by exclusive-or.
pub const HASH_ROUNDS: usize = 2;
/// Multiplier of the hash.
pub const HASH_MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
/// Lowest bit of the hash that counts for the bucket.
pub const HASH_SHIFT: u32 = 24;

/// A hardware address in a VLAN; VLAN 0 stands for untagged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Station {
    pub(crate) hwaddr: HwAddr,
    pub(crate) vlan: u16,
}

impl Station {
    /// Returns a hash of VLAN and address; its upper bits are the most even ones.
    pub(crate) fn hash(self) -> u64 {
        let [a, b, c, d, e, f] = self.hwaddr.0;
        let [g, h] = self.vlan.to_be_bytes();
        // Two rounds, so that addresses which differ in one byte are as far apart as any.
        let mut hash = u64::from_be_bytes([g, h, a, b, c, d, e, f]);
        for _ in 0..HASH_ROUNDS {
            hash = hash.wrapping_mul(HASH_MULTIPLIER);
            hash ^= hash >> 32;
        }
        hash
    }

    /// Returns the index of the station in the table that assigns buckets.
    pub(crate) fn slot(self) -> usize {
        (self.hash() >> HASH_SHIFT) as usize % BUCKETS
    }
}

/// A station behind the team device, as one data path hands it to another. Times are relative to
/// now, so they depend on no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnedStation {
    /// Hardware address of the station.
    pub hwaddr: HwAddr,
    /// VLAN of the station; 0 if untagged.
    pub vlan: u16,
    /// Time since the last frame of the station was sent.
    pub silent: Duration,
    /// Remaining time in which received announcements of the station count as echoes.
    pub locked: Duration,
}

impl From<LearnedStation> for Station {
    fn from(station: LearnedStation) -> Self {
        Station { hwaddr: station.hwaddr, vlan: station.vlan }
    }
}
