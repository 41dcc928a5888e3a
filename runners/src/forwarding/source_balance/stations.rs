//! The stations behind the team device: whose frames it sent, and when.
//!
//! Owns a table of fixed size, so that a guest which makes up addresses costs nobody memory: it
//! pushes out what was heard of longest ago, of those few that share a row with it. What is sent
//! is always in the table while it may come back.

use std::time::Duration;

use crate::forwarding::source_balance::learned_sources::LearnedStation;
use crate::ident::HwAddr;
use crate::time::Instant;

/// Rows of the table.
const ROWS: usize = 1024;
/// Stations in a row.
const WAYS: usize = 4;
/// Stations in the table.
pub const CAPACITY: usize = ROWS * WAYS;
/// A frame of a station that was sent can come back for this long. Afterwards the station may
/// have gone elsewhere without a word.
pub const ECHO: Duration = Duration::from_secs(10);
/// After this time of silence nobody needs to learn where a station is: switches forget it
/// sooner.
pub(crate) const SILENCE: Duration = Duration::from_secs(300);
/// Announcements that come back for this long are a station's own (Open vSwitch's figure).
pub const LOCK: Duration = Duration::from_secs(5);
/// The hash of a station is made of its VLAN and its address, a number of 64 bits, by so many
/// rounds of a multiplication and an exclusive-or with the upper half …
pub const HASH_ROUNDS: usize = 2;
/// … by this number.
pub const HASH_MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
/// From this bit of it on is the place of its bucket.
pub const HASH_SHIFT: u32 = 24;

/// A hardware address in a VLAN; 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Station {
    pub(crate) hwaddr: HwAddr,
    pub(crate) vlan: u16,
}

impl Station {
    /// A number that depends on every bit; its upper bits are the best.
    pub(crate) fn hash(self) -> u64 {
        let [a, b, c, d, e, f] = self.hwaddr.0;
        let [g, h] = self.vlan.to_be_bytes();
        // Folded twice, so that addresses which differ in one byte are as far apart as any.
        let mut hash = u64::from_be_bytes([g, h, a, b, c, d, e, f]);
        for _ in 0..HASH_ROUNDS {
            hash = hash.wrapping_mul(HASH_MULTIPLIER);
            hash ^= hash >> 32;
        }
        hash
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    station: Station,
    heard: Instant,
    /// Until then its announcements are not believed when they come in.
    locked: Instant,
}

/// The table.
#[derive(Clone, Debug)]
pub(crate) struct Stations {
    rows: Vec<[Option<Entry>; WAYS]>,
}

impl Stations {
    pub(crate) fn new() -> Self {
        Stations {
            rows: vec![[None; WAYS]; ROWS],
        }
    }

    /// A frame of the station was sent.
    pub(crate) fn sent(&mut self, station: Station, now: Instant) {
        self.entry(station, now).heard = now;
    }

    /// The station, or somebody for it, announced where it is.
    pub(crate) fn announced(&mut self, station: Station, now: Instant) {
        self.entry(station, now).locked = now + LOCK;
    }

    /// Whether a frame of the station that comes in must be one that was sent.
    pub(crate) fn echoes(&self, station: Station, now: Instant) -> bool {
        self.find(station)
            .is_some_and(|entry| now < entry.heard + ECHO || now < entry.locked)
    }

    /// Whether an announcement of the station that comes in must be one that was sent.
    pub(crate) fn is_locked(&self, station: Station, now: Instant) -> bool {
        self.find(station).is_some_and(|entry| now < entry.locked)
    }

    /// The station is elsewhere now.
    pub(crate) fn forget(&mut self, station: Station) {
        for place in &mut self.rows[row(station)] {
            place.take_if(|entry| entry.station == station);
        }
    }

    /// All in the table.
    pub(crate) fn all(&self, now: Instant) -> impl Iterator<Item = LearnedStation> {
        let entries = self.rows.iter().flatten().flatten();
        entries.map(move |entry| LearnedStation {
            hwaddr: entry.station.hwaddr,
            vlan: entry.station.vlan,
            silent: now.saturating_since(entry.heard),
            locked: entry.locked.saturating_since(now),
        })
    }

    /// Remembers one from elsewhere.
    pub(crate) fn remember(&mut self, station: LearnedStation, now: Instant) {
        let entry = self.entry(station.into(), now);
        let silent = u64::try_from(station.silent.as_nanos()).unwrap_or(u64::MAX);
        entry.heard = Instant::from_nanos(now.as_nanos().saturating_sub(silent));
        entry.locked = now + station.locked;
    }

    fn find(&self, station: Station) -> Option<&Entry> {
        let mut entries = self.rows[row(station)].iter().flatten();
        entries.find(|entry| entry.station == station)
    }

    fn entry(&mut self, station: Station, now: Instant) -> &mut Entry {
        let places = &mut self.rows[row(station)];
        let known = places
            .iter()
            .position(|place| place.is_some_and(|entry| entry.station == station));
        // A free place is older than any.
        let oldest = || (0..WAYS).min_by_key(|way| places[*way].map(|entry| entry.heard));
        let place = known.or_else(oldest).unwrap_or(0);
        if known.is_none() {
            places[place] = None;
        }
        places[place].get_or_insert(Entry {
            station,
            heard: now,
            locked: Instant::ZERO,
        })
    }
}

fn row(station: Station) -> usize {
    station.hash() as usize % ROWS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn station(number: u64) -> Station {
        let bytes = number.to_be_bytes();
        Station {
            hwaddr: HwAddr([2, 0, bytes[4], bytes[5], bytes[6], bytes[7]]),
            vlan: 0,
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn present(stations: &Stations, now: Instant) -> usize {
        let all = stations.all(now);
        all.filter(|station| station.silent < SILENCE).count()
    }

    #[test]
    fn a_station_echoes_for_a_while_and_is_present_for_longer() {
        let mut stations = Stations::new();
        stations.sent(station(1), at(100));
        assert!(stations.echoes(station(1), at(109)));
        assert!(!stations.echoes(station(1), at(110)));
        assert!(!stations.echoes(station(2), at(100)));
        let in_a_vlan = Station {
            vlan: 7,
            ..station(1)
        };
        assert!(!stations.echoes(in_a_vlan, at(100)));
        assert_eq!(present(&stations, at(399)), 1);
        assert_eq!(present(&stations, at(400)), 0);
    }

    #[test]
    fn an_announcement_locks_and_does_not_keep_alive() {
        let mut stations = Stations::new();
        stations.sent(station(1), at(0));
        stations.announced(station(1), at(299));
        assert!(stations.is_locked(station(1), at(303)));
        assert!(stations.echoes(station(1), at(303)));
        assert!(!stations.is_locked(station(1), at(304)));
        assert_eq!(present(&stations, at(301)), 0);
        stations.forget(station(1));
        assert!(!stations.is_locked(station(1), at(300)));
    }

    #[test]
    fn made_up_addresses_are_bounded_and_push_out_the_oldest() {
        let mut stations = Stations::new();
        for number in 0..1_000_000 {
            stations.sent(station(number), at(1 + number / 100_000));
            assert!(stations.echoes(station(number), at(10)));
        }
        assert_eq!(present(&stations, at(10)), CAPACITY);
    }
}
