//! The stations behind the team device, and when each of them last sent a frame.
//!
//! The table has a fixed size, so a guest that invents addresses cannot exhaust memory: a new
//! station replaces the one of its row that has been silent the longest. A station stays in the
//! table at least while its frames may come back.

use std::time::Duration;

use super::station::{LearnedStation, Station};
use crate::time::Instant;

/// Rows of the table.
const ROWS: usize = 1024;
/// Stations in a row.
const WAYS: usize = 4;
/// Stations in the table.
pub const CAPACITY: usize = ROWS * WAYS;
/// Time in which a received frame of a station counts as an echo of a sent one. Afterwards the
/// station may have moved to another host without an announcement.
pub const ECHO: Duration = Duration::from_secs(10);
/// Time after which a silent station needs no announcement: switches forget it sooner.
pub(super) const SILENCE: Duration = Duration::from_secs(300);
/// Time in which a received announcement counts as an echo of a sent one (Open vSwitch's value).
pub const LOCK: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
struct Entry {
    station: Station,
    /// When the station's last frame was sent.
    last_sent: Instant,
    /// End of the time in which received announcements count as echoes.
    locked_until: Instant,
}

/// A table of stations.
#[derive(Clone, Debug)]
pub(crate) struct Stations {
    rows: Vec<[Option<Entry>; WAYS]>,
}

impl Stations {
    pub(crate) fn new() -> Self {
        Stations { rows: vec![[None; WAYS]; ROWS] }
    }

    /// Records that a frame of the station was sent.
    pub(crate) fn sent(&mut self, station: Station, now: Instant) {
        self.entry(station, now).last_sent = now;
    }

    /// Records that an announcement of the station was sent.
    pub(crate) fn announced(&mut self, station: Station, now: Instant) {
        self.entry(station, now).locked_until = now + LOCK;
    }

    /// Whether a received frame of the station is an echo of a sent one.
    pub(crate) fn echoes(&self, station: Station, now: Instant) -> bool {
        self.find(station)
            .is_some_and(|entry| now < entry.last_sent + ECHO || now < entry.locked_until)
    }

    /// Whether a received announcement of the station is an echo of a sent one.
    pub(crate) fn is_locked(&self, station: Station, now: Instant) -> bool {
        self.find(station).is_some_and(|entry| now < entry.locked_until)
    }

    /// Removes the station, which has moved to another host.
    pub(crate) fn remove(&mut self, station: Station) {
        for way in &mut self.rows[row(station)] {
            way.take_if(|entry| entry.station == station);
        }
    }

    /// Returns all stations, with their times relative to `now`.
    pub(crate) fn all(&self, now: Instant) -> impl Iterator<Item = LearnedStation> {
        let entries = self.rows.iter().flatten().flatten();
        entries.map(move |entry| LearnedStation {
            hwaddr: entry.station.hwaddr,
            vlan: entry.station.vlan,
            silent: now.saturating_since(entry.last_sent),
            locked: entry.locked_until.saturating_since(now),
        })
    }

    /// Inserts a station that another data path learned.
    pub(crate) fn insert(&mut self, station: LearnedStation, now: Instant) {
        let entry = self.entry(station.into(), now);
        let silent = u64::try_from(station.silent.as_nanos()).unwrap_or(u64::MAX);
        entry.last_sent = Instant::from_nanos(now.as_nanos().saturating_sub(silent));
        entry.locked_until = now + station.locked;
    }

    fn find(&self, station: Station) -> Option<&Entry> {
        let mut entries = self.rows[row(station)].iter().flatten();
        entries.find(|entry| entry.station == station)
    }

    fn entry(&mut self, station: Station, now: Instant) -> &mut Entry {
        let ways = &mut self.rows[row(station)];
        let known = ways.iter().position(|way| way.is_some_and(|entry| entry.station == station));
        // `None`, a free way, orders before any time.
        let oldest = || (0..WAYS).min_by_key(|way| ways[*way].map(|entry| entry.last_sent));
        let way = known.or_else(oldest).unwrap_or(0);
        if known.is_none() {
            ways[way] = None;
        }
        ways[way].get_or_insert(Entry { station, last_sent: now, locked_until: Instant::ZERO })
    }
}

fn row(station: Station) -> usize {
    station.hash() as usize % ROWS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::HwAddr;

    fn station(number: u64) -> Station {
        let bytes = number.to_be_bytes();
        Station { hwaddr: HwAddr([2, 0, bytes[4], bytes[5], bytes[6], bytes[7]]), vlan: 0 }
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn present(stations: &Stations, now: Instant) -> usize {
        let all = stations.all(now);
        all.filter(|station| station.silent < SILENCE).count()
    }

    #[test]
    fn a_station_echoes_for_10_s_and_is_present_for_300_s() {
        let mut stations = Stations::new();
        stations.sent(station(1), at(100));
        assert!(stations.echoes(station(1), at(109)));
        assert!(!stations.echoes(station(1), at(110)));
        assert!(!stations.echoes(station(2), at(100)));
        let in_a_vlan = Station { vlan: 7, ..station(1) };
        assert!(!stations.echoes(in_a_vlan, at(100)));
        assert_eq!(present(&stations, at(399)), 1);
        assert_eq!(present(&stations, at(400)), 0);
    }

    #[test]
    fn an_announcement_locks_for_5_s_and_does_not_prolong_presence() {
        let mut stations = Stations::new();
        stations.sent(station(1), at(0));
        stations.announced(station(1), at(299));
        assert!(stations.is_locked(station(1), at(303)));
        assert!(stations.echoes(station(1), at(303)));
        assert!(!stations.is_locked(station(1), at(304)));
        assert_eq!(present(&stations, at(301)), 0);
        stations.remove(station(1));
        assert!(!stations.is_locked(station(1), at(300)));
    }

    #[test]
    fn invented_addresses_replace_the_longest_silent_stations() {
        let mut stations = Stations::new();
        for number in 0..1_000_000 {
            stations.sent(station(number), at(1 + number / 100_000));
            assert!(stations.echoes(station(number), at(10)));
        }
        assert_eq!(present(&stations, at(10)), CAPACITY);
    }
}
