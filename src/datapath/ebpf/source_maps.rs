//! The maps of source balancing: the policy, which the daemon writes, and the learned sources,
//! which the programs write. A later daemon keeps the learned sources, so that no source address
//! changes its port.

use std::io;
use std::time::Duration;

use runners::learned_sources::{CAPACITY, LearnedSources, LearnedStation};
use runners::{BUCKETS, BucketTable, HwAddr, PortId, SourceBalance};

use super::host_maps::HostMaps;
use super::layout::{Egress, bytes, read_u64};
use super::maps::MAX_PORTS;
use super::shared::port_index;
use crate::sys::bpf::{Map, MapKind, Table};
use crate::sys::clock;

const ASSIGNED_NAME: &str = "teamr_dealt";
const SOURCES_NAME: &str = "teamr_stations";

/// Bytes of a source's key: its address, and its VLAN in this machine's byte order.
const KEY: usize = 8;
/// Bytes of a source's value: when the source last sent, and until when its announcements are not
/// believed, in nanoseconds.
const VALUE: usize = 16;
/// Offsets in the value of [`SourceMaps::policy`].
pub const DESIGNATED: i32 = 8;
/// See [`DESIGNATED`].
pub const FORMER: i16 = 16;
/// Offset in the value of [`SourceMaps::policy`] of the hardware addresses of the ports, by the index of
/// the port: an address and two bytes, which are 0 if the team's own frames keep the team's address on
/// the port.
pub const ADDRESSES: usize = 16 + BUCKETS * 4;
const ADDRESS: usize = 8;
const POLICY: usize = ADDRESSES + MAX_PORTS * ADDRESS;
/// Offset in the value of [`SourceMaps::assigned`] of the number of buckets assigned so far.
pub const COUNT: usize = BUCKETS * 4;

/// The maps of source balancing.
#[derive(Debug)]
pub struct SourceMaps {
    /// One value: the team's address, the designated port, the former port of each bucket, the
    /// address of each port.
    pub policy: Map,
    /// One value: by the hash of a source one more than its bucket, 0 for none yet; then the
    /// number of buckets assigned so far.
    pub assigned: Map,
    /// Source addresses behind the team device.
    pub sources: Table,
    /// Maps of the team's own traffic; `None` under slb.
    pub host: Option<HostMaps>,
}

/// Returns the value of [`SourceMaps::policy`]; `egress` is that of a port.
pub fn policy_value(policy: &SourceBalance, egress: impl Fn(Option<PortId>) -> Egress) -> Vec<u8> {
    let ifindices = |table: &BucketTable| table.map(|port| egress(port).ifindex);
    let mut value = [&policy.hwaddr.0[..], &[0; 2]].concat();
    value.extend(Egress::bytes(&[egress(policy.designated)]));
    value.extend(bytes(&ifindices(&policy.previous)));
    let addresses = policy.host.iter().flat_map(|host| &host.addresses);
    value.resize(POLICY, 0);
    for (port, hwaddr) in addresses.filter(|(port, _)| Some(*port) != policy.designated) {
        let egress = egress(Some(*port));
        let at = ADDRESSES + port_index(egress) * ADDRESS;
        if let Some(entry) = value.get_mut(at..at + ADDRESS).filter(|_| egress.ifindex != 0) {
            entry.copy_from_slice(&[&hwaddr.0[..], &[1, 1]].concat());
        }
    }
    value
}

impl SourceMaps {
    /// Creates maps. The learned sources are kept if `previous`, the ids of maps of a previous
    /// daemon's program, has them.
    ///
    /// # Errors
    /// `EPERM` without CAP_BPF.
    pub fn create(previous: &[u32]) -> io::Result<SourceMaps> {
        let mut ids = previous.iter();
        let assigned = ids.find_map(|id| Map::by_id(*id, ASSIGNED_NAME).ok());
        let mut ids = previous.iter();
        let sources = ids.find_map(|id| Table::by_id(*id, SOURCES_NAME).ok());
        let (assigned, sources) = match (assigned, sources) {
            (Some(assigned), Some(sources)) => (assigned, sources),
            _ => (
                Map::create(MapKind::Array, COUNT + 8, 1, ASSIGNED_NAME)?,
                Table::create(KEY, VALUE, CAPACITY as u32, SOURCES_NAME)?,
            ),
        };
        Ok(SourceMaps {
            policy: Map::create(MapKind::Array, POLICY, 1, "teamr_policy")?,
            assigned,
            sources,
            host: None,
        })
    }

    /// Reads the learned sources; fails as bpf(2) does.
    pub fn read(&self) -> io::Result<LearnedSources> {
        let assigned = self.assigned.read(0)?;
        let (buckets, count) = assigned.split_at(COUNT.min(assigned.len()));
        let mut learned = LearnedSources {
            assigned: Box::new([None; BUCKETS]),
            next: read_u64(count) as u8,
            stations: Vec::new(),
        };
        for (bucket, value) in learned.assigned.iter_mut().zip(buckets.chunks_exact(4)) {
            let value = value.first_chunk().map_or(0, |it| u32::from_ne_bytes(*it));
            *bucket = value.checked_sub(1).map(|bucket| bucket as u8);
        }
        let now = nanoseconds(clock::monotonic());
        for (key, value) in self.sources.read()? {
            let (Some(hwaddr), Some(vlan)) = (key.first_chunk(), key.last_chunk()) else {
                continue;
            };
            let (sent, locked) = value.split_at(8.min(value.len()));
            learned.stations.push(LearnedStation {
                hwaddr: HwAddr(*hwaddr),
                vlan: u16::from_ne_bytes(*vlan),
                silent: Duration::from_nanos(now.saturating_sub(read_u64(sent))),
                locked: Duration::from_nanos(read_u64(locked).saturating_sub(now)),
            });
        }
        Ok(learned)
    }

    /// Writes sources that another backend has learned; fails as bpf(2) does.
    pub fn write(&self, learned: &LearnedSources) -> io::Result<()> {
        let buckets = learned.assigned.iter();
        let buckets = buckets.map(|bucket| bucket.map_or(0, |bucket| u32::from(bucket) + 1));
        let mut assigned = bytes(&buckets.collect::<Vec<u32>>());
        assigned.extend(u64::from(learned.next).to_ne_bytes());
        self.assigned.write(0, &assigned)?;
        let now = nanoseconds(clock::monotonic());
        for source in &learned.stations {
            let key = [&source.hwaddr.0[..], &source.vlan.to_ne_bytes()].concat();
            let sent = now.saturating_sub(nanoseconds(source.silent));
            let locked = match source.locked {
                Duration::ZERO => 0,
                locked => now.saturating_add(nanoseconds(locked)),
            };
            let value = [sent.to_ne_bytes(), locked.to_ne_bytes()].concat();
            self.sources.write(&key, &value)?;
        }
        Ok(())
    }
}

/// Returns a time as programs count it.
pub fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
