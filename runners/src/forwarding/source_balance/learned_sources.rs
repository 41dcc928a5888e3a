//! What source balancing remembers of stations, for a data path that has frames moved elsewhere:
//! what the rules are made of, so that another implementation cannot drift away from those in
//! [`Distributor`](crate::Distributor), and what was learned so far, so that one can take
//! the other's place.

use std::time::Duration;

use crate::event::StationSeen;
use crate::forwarding::BUCKETS;
pub use crate::forwarding::source_balance::LISTENER_DISCOVERY;
pub use crate::forwarding::source_balance::stations::{
    CAPACITY, ECHO, HASH_MULTIPLIER, HASH_ROUNDS, HASH_SHIFT, LOCK,
};
use crate::forwarding::source_balance::stations::{SILENCE, Station};
use crate::ident::HwAddr;

/// All of it; times are ages, so that it depends on nobody's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedSources {
    /// Bucket by hash of a station.
    pub assigned: Box<[Option<u8>; BUCKETS]>,
    /// The bucket that is assigned next.
    pub next: u8,
    /// In no order.
    pub stations: Vec<LearnedStation>,
}

/// A station behind the team device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnedStation {
    /// Its address.
    pub hwaddr: HwAddr,
    /// Its VLAN, 0 for none.
    pub vlan: u16,
    /// How long ago a frame of it was sent.
    pub silent: Duration,
    /// How long yet its announcements are not believed when they come in.
    pub locked: Duration,
}

impl LearnedSources {
    /// Those whose frames were sent lately, each with its bucket; none is that of the team's own
    /// address.
    pub fn present(&self, team: HwAddr) -> Vec<StationSeen> {
        let present = self.stations.iter();
        present
            .filter(|station| station.silent < SILENCE)
            .map(|station| StationSeen {
                hwaddr: station.hwaddr,
                vlan: station.vlan,
                bucket: match station.hwaddr == team {
                    true => None,
                    false => self.assigned[place(Station::from(*station))],
                },
            })
            .collect()
    }
}

impl From<LearnedStation> for Station {
    fn from(station: LearnedStation) -> Self {
        Station {
            hwaddr: station.hwaddr,
            vlan: station.vlan,
        }
    }
}

/// Where the bucket of a station is noted.
pub(crate) fn place(station: Station) -> usize {
    (station.hash() >> HASH_SHIFT) as usize % BUCKETS
}
