//! Announcements of stations and peers whose bucket moved, so that switch and peers send to the new
//! port, to a station that only receives too.
//!
//! Owns the times of reading stations from the data path, the announcements, and their rate.

use std::collections::VecDeque;
use std::mem;
use std::net::IpAddr;
use std::time::Duration;

use crate::action::Action;
use crate::buckets::BUCKETS;
use crate::event::{PeerSeen, StationSeen};
use crate::ident::{HwAddr, PortId};
use crate::time::Instant;
use crate::wire::announce;

/// Pauses before announcements are repeated: a switch may not forward yet on a link that has just
/// come up.
const REPEATS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];
/// Pause between a reply to the team and the announcement to all peers.
const PEERS_DELAY: Duration = Duration::from_secs(1);
/// Least pause between two announcements to all peers: every reply to the team asks for one, and any
/// host may send replies.
const PEERS_PAUSE: Duration = Duration::from_secs(30);
/// Announcements in one burst; the next burst follows after [`PAUSE`]. 64 frames take 43 µs on a
/// gigabit link.
const BURST: usize = 64;
const PAUSE: Duration = Duration::from_millis(1);

#[derive(Clone, Debug)]
pub(super) struct Announcements {
    /// Moves since the last announcement: each bucket, and last the team's own address.
    moved: Box<[bool; BUCKETS + 1]>,
    /// All peers are to be announced to, not only those of moved buckets.
    all_peers: bool,
    all_peers_due: Option<Instant>,
    /// End of the pause after the last announcement to all peers.
    all_peers_paused_until: Instant,
    /// Stations are to be read from the data path.
    read_due: bool,
    /// The stations that are read next are to be announced.
    wanted: bool,
    repeats: usize,
    repeat_due: Option<Instant>,
    queue: VecDeque<Action>,
    /// Announcements at the head of the queue that may leave now.
    released: usize,
    release_due: Option<Instant>,
}

impl Announcements {
    pub(super) fn new() -> Self {
        Announcements {
            moved: Box::new([false; BUCKETS + 1]),
            all_peers: false,
            all_peers_due: None,
            all_peers_paused_until: Instant::ZERO,
            read_due: false,
            wanted: false,
            repeats: 0,
            repeat_due: None,
            queue: VecDeque::new(),
            released: 0,
            release_due: None,
        }
    }

    /// Announces the stations of moved buckets now, and again after each pause of [`REPEATS`].
    pub(super) fn buckets_moved(&mut self, now: Instant, buckets: &[usize]) {
        for bucket in buckets {
            self.moved[*bucket] = true;
        }
        if !buckets.is_empty() {
            self.repeats = 0;
            self.repeat(now);
        }
    }

    /// Announces the team's own address, which has moved to another port.
    pub(super) fn team_moved(&mut self, now: Instant) {
        self.buckets_moved(now, &[BUCKETS]);
    }

    /// Schedules an announcement to all peers. A host that answers the team was asked by a
    /// broadcast, and all peers learned the team's own address from the broadcast.
    pub(super) fn schedule_all_peers(&mut self, now: Instant) {
        let due = (now + PEERS_DELAY).max(self.all_peers_paused_until);
        self.all_peers_due.get_or_insert(due);
    }

    /// Has the stations read from the data path.
    pub(super) fn read_stations(&mut self) {
        self.read_due = true;
    }

    fn announce(&mut self) {
        self.read_due = true;
        self.wanted = true;
    }

    fn repeat(&mut self, now: Instant) {
        self.announce();
        self.repeat_due = REPEATS.get(self.repeats).map(|pause| now + *pause);
        self.repeats += 1;
    }

    /// Queues the announcements that are wanted, then `others`, and starts to send the queue.
    /// `port_of` returns the port of a bucket with the team's address there.
    pub(super) fn stations_read(
        &mut self,
        now: Instant,
        stations: &[StationSeen],
        peers: &[PeerSeen],
        port_of: impl Fn(u8) -> Option<(PortId, HwAddr)>,
        others: Vec<Action>,
    ) {
        if mem::take(&mut self.wanted) {
            self.queue_stations(stations);
            self.queue_peers(peers, port_of);
            // An announcement finds its port when it leaves, so two of one station, after two
            // moves in a short time, are both right.
            let most = 2 * (stations.len() + peers.len());
            let surplus = self.queue.len().saturating_sub(most);
            self.queue.drain(..surplus);
            if self.repeat_due.is_none() {
                self.moved.fill(false);
                self.all_peers = false;
            }
        }
        self.queue.extend(others);
        self.release(now);
    }

    fn queue_stations(&mut self, stations: &[StationSeen]) {
        for station in stations {
            if self.moved[station.bucket.map_or(BUCKETS, usize::from)] {
                let frame = announce::reverse_arp(station.hwaddr, tag(station.vlan));
                self.queue.push_back(Action::TransmitFrame { frame });
            }
        }
    }

    fn queue_peers(
        &mut self,
        peers: &[PeerSeen],
        port_of: impl Fn(u8) -> Option<(PortId, HwAddr)>,
    ) {
        for peer in peers {
            let wanted = self.all_peers || self.moved[usize::from(peer.bucket)];
            let Some((port, hwaddr)) = port_of(peer.bucket).filter(|_| wanted) else {
                continue;
            };
            let vlan = tag(peer.vlan);
            let frame = match (peer.own, peer.ip) {
                (IpAddr::V4(own), IpAddr::V4(ip)) => {
                    announce::arp_reply(hwaddr, own, peer.hwaddr, ip, vlan)
                }
                (IpAddr::V6(own), IpAddr::V6(ip)) => {
                    let neighbour = (peer.hwaddr, ip);
                    announce::neighbour_advertisement(hwaddr, own, peer.router, neighbour, vlan)
                }
                _ => continue,
            };
            self.queue.push_back(Action::SendFrame { port, frame });
        }
    }

    fn release(&mut self, now: Instant) {
        self.released = BURST.min(self.queue.len());
        let more = self.queue.len() > self.released;
        self.release_due = more.then(|| now + PAUSE);
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let own = [self.all_peers_due, self.repeat_due, self.release_due];
        own.into_iter().flatten().min()
    }

    pub(super) fn expire(&mut self, due: Instant, now: Instant) {
        if self.all_peers_due.take_if(|own| *own <= due).is_some() {
            self.all_peers = true;
            self.all_peers_paused_until = now + PEERS_PAUSE;
            self.announce();
        }
        if self.repeat_due.take_if(|own| *own <= due).is_some() {
            self.repeat(now);
        }
        if self.release_due.take_if(|own| *own <= due).is_some() {
            self.release(now);
        }
    }

    pub(super) fn poll_action(&mut self) -> Option<Action> {
        if mem::take(&mut self.read_due) {
            return Some(Action::ReadStations);
        }
        self.released = self.released.checked_sub(1)?;
        self.queue.pop_front()
    }
}

/// Returns the VLAN id of a tag; `None` for VLAN 0, untagged.
fn tag(vlan: u16) -> Option<u16> {
    (vlan != 0).then_some(vlan)
}
