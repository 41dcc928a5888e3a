//! The learned state of source balancing, and the constants of its rules.
//!
//! For a data path that forwards frames itself. The constants keep its rules identical to those of
//! [`Distributor`](crate::Distributor); the learned state lets one data path take over from
//! another.

use crate::buckets::BUCKETS;
use crate::event::StationSeen;
use crate::ident::HwAddr;

pub use super::head::LISTENER_DISCOVERY;
use super::station::Station;
pub use super::station::{HASH_MULTIPLIER, HASH_ROUNDS, HASH_SHIFT, LearnedStation};
use super::stations::SILENCE;
pub use super::stations::{CAPACITY, ECHO, LOCK};

/// The learned state of source balancing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedSources {
    /// Bucket by hash of a station; `None` while no station needed it.
    pub assigned: Box<[Option<u8>; BUCKETS]>,
    /// The bucket that the next new station gets.
    pub next: u8,
    /// Stations behind the team device, in no order.
    pub stations: Vec<LearnedStation>,
}

impl LearnedSources {
    /// Returns the stations that sent a frame in the last 300 s, each with its bucket. A station
    /// with the address `team` has none.
    pub fn present(&self, team: HwAddr) -> Vec<StationSeen> {
        let present = self.stations.iter();
        present
            .filter(|station| station.silent < SILENCE)
            .map(|station| StationSeen {
                hwaddr: station.hwaddr,
                vlan: station.vlan,
                bucket: match station.hwaddr == team {
                    true => None,
                    false => self.assigned[Station::from(*station).slot()],
                },
            })
            .collect()
    }
}
