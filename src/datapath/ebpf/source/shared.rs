//! What programs of source balancing share with each other and with the daemon.

use std::io;
use std::time::Duration;

use runners::learned_sources::{CAPACITY, LearnedSources, StationMemory};
use runners::{BUCKETS, HwAddr};

use crate::datapath::ebpf::maps::{self, Egress};
use crate::sys::bpf::{Map, MapKind, Table};
use crate::sys::clock;

const DEALT_NAME: &str = "teamr_dealt";
const STATIONS_NAME: &str = "teamr_stations";

/// A station: its address, and its VLAN in this machine's order.
const KEY: usize = 8;
/// When it was last heard, and until when its announcements are not believed, in nanoseconds.
const VALUE: usize = 16;
/// Places in the value of [`SourceMaps::policy`].
pub(super) const DESIGNATED: i32 = 8;
pub(super) const FORMER: i16 = 16;
const POLICY: usize = 16 + BUCKETS * 4;
/// Place in the value of [`SourceMaps::dealt`] of the count of buckets dealt.
pub(super) const COUNT: usize = BUCKETS * 4;

/// The policy as programs need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The team's own address.
    pub hwaddr: HwAddr,
    /// The designated port.
    pub designated: Egress,
    /// By bucket, the interface index of the port that it has just left, 0 for none.
    pub former: Vec<u32>,
}

/// What source balancing shares among programs and with the daemon.
#[derive(Debug)]
pub struct SourceMaps {
    /// One value: the team's address, the designated port, the former port of each bucket.
    pub(super) policy: Map,
    /// One value: by the hash of a station one more than its bucket, 0 for none yet; then how
    /// many were dealt.
    pub(super) dealt: Map,
    /// Who is behind the team device.
    pub(super) stations: Table,
}

impl SourceMaps {
    /// New ones, but for those that programs with the maps `left` remember stations in.
    ///
    /// # Errors
    /// `EPERM` without CAP_BPF.
    pub fn create(left: &[u32]) -> io::Result<SourceMaps> {
        let dealt = left.iter().find_map(|id| Map::by_id(*id, DEALT_NAME).ok());
        let stations = left
            .iter()
            .find_map(|id| Table::by_id(*id, STATIONS_NAME).ok());
        let (dealt, stations) = match (dealt, stations) {
            (Some(dealt), Some(stations)) => (dealt, stations),
            _ => (
                Map::create(MapKind::Array, COUNT + 8, 1, DEALT_NAME)?,
                Table::create(KEY, VALUE, CAPACITY as u32, STATIONS_NAME)?,
            ),
        };
        Ok(SourceMaps {
            policy: Map::create(MapKind::Array, POLICY, 1, "teamr_policy")?,
            dealt,
            stations,
        })
    }

    /// Has frames treated like this from now on.
    ///
    /// # Errors
    /// Those of bpf(2).
    pub fn write(&self, policy: &Policy) -> io::Result<()> {
        let mut value = [&policy.hwaddr.0[..], &[0; 2]].concat();
        value.extend(Egress::bytes(&[policy.designated]));
        value.extend(maps::bytes(&policy.former));
        value.resize(POLICY, 0);
        self.policy.write(0, &value)
    }

    /// What the programs remember.
    ///
    /// # Errors
    /// Those of bpf(2).
    pub fn memory(&self) -> io::Result<LearnedSources> {
        let dealt = self.dealt.read(0)?;
        let (buckets, count) = dealt.split_at(COUNT.min(dealt.len()));
        let mut memory = LearnedSources {
            dealt: Box::new([None; BUCKETS]),
            next: number(count) as u8,
            stations: Vec::new(),
        };
        for (bucket, value) in memory.dealt.iter_mut().zip(buckets.chunks_exact(4)) {
            let value = value.first_chunk().map_or(0, |it| u32::from_ne_bytes(*it));
            *bucket = value.checked_sub(1).map(|bucket| bucket as u8);
        }
        let now = nanoseconds(clock::monotonic());
        for (key, value) in self.stations.read()? {
            let (Some(hwaddr), Some(vlan)) = (key.first_chunk(), key.last_chunk()) else {
                continue;
            };
            let (heard, locked) = value.split_at(8.min(value.len()));
            memory.stations.push(StationMemory {
                hwaddr: HwAddr(*hwaddr),
                vlan: u16::from_ne_bytes(*vlan),
                silent: Duration::from_nanos(now.saturating_sub(number(heard))),
                locked: Duration::from_nanos(number(locked).saturating_sub(now)),
            });
        }
        Ok(memory)
    }

    /// Has the programs go on from what somebody else remembers.
    ///
    /// # Errors
    /// Those of bpf(2).
    pub fn remember(&self, memory: &LearnedSources) -> io::Result<()> {
        let buckets = memory.dealt.iter();
        let buckets = buckets.map(|bucket| bucket.map_or(0, |bucket| u32::from(bucket) + 1));
        let mut dealt = maps::bytes(&buckets.collect::<Vec<u32>>());
        dealt.extend(u64::from(memory.next).to_ne_bytes());
        self.dealt.write(0, &dealt)?;
        let now = nanoseconds(clock::monotonic());
        for station in &memory.stations {
            let key = [&station.hwaddr.0[..], &station.vlan.to_ne_bytes()].concat();
            let heard = now.saturating_sub(nanoseconds(station.silent));
            let locked = match station.locked {
                Duration::ZERO => 0,
                locked => now.saturating_add(nanoseconds(locked)),
            };
            let value = [heard.to_ne_bytes(), locked.to_ne_bytes()].concat();
            self.stations.write(&key, &value)?;
        }
        Ok(())
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

/// As programs count time.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
