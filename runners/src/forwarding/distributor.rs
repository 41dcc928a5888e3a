//! The Frame Distributor and the receive rule of the Frame Collector (802.1AX): a [`Forwarding`]
//! applied frame by frame, for a data path that forwards frames itself.
//!
//! Owns the choice of ports and the state between frames. Sends nothing and decides nothing about
//! the team.

use std::mem;
use std::num::NonZeroU32;

use crate::event::{PeerSeen, StationSeen};
use crate::forwarding::source_balance::learned_sources::LearnedSources;
use crate::forwarding::source_balance::{Reception, SourceRules};
use crate::forwarding::{Forwarding, TxPolicy};
use crate::ident::{HwAddr, PortId};
use crate::random::SplitMix64;
use crate::time::Instant;
use crate::tx_hash::Selector;
use crate::wire::is_address_resolution;

/// Chooses the ports of each frame. [`apply`](Distributor::apply) prepares the choice, so that
/// [`select`](Distributor::select) allocates nothing.
///
/// ```
/// use runners::{Distributor, Forwarding, PortForwarding, PortId, TxPolicy};
///
/// let port = |number, linked| PortForwarding {
///     port: PortId(number),
///     collecting: true,
///     distributing: true,
///     linked,
///     link_from_watch: false,
/// };
/// let mut distributor = Distributor::new();
/// distributor.apply(&Forwarding {
///     policy: TxPolicy::Broadcast,
///     ports: vec![port(1, true), port(2, false), port(3, true)],
/// });
/// let frame = [0; 60];
/// assert_eq!(distributor.select(&frame).ports, [PortId(1), PortId(3)]);
/// assert!(distributor.collects(PortId(2)));
/// ```
#[derive(Clone, Debug)]
pub struct Distributor {
    /// The forwarding in force, [resolved](Forwarding::resolve).
    forwarding: Forwarding,
    /// Ports that distribute and have a link.
    usable: Vec<PortId>,
    /// Ports whose received frames reach the team device; a team is small enough for a scan.
    collecting: Vec<PortId>,
    turn: Turn,
    random: SplitMix64,
    /// The flow hash of loadbalance.
    selector: Option<Selector>,
    /// The rules of source balancing.
    sources: Option<Box<SourceRules>>,
    /// The port of the last selected frame, so that a selection can borrow it.
    port: Option<PortId>,
}

/// The state of roundrobin between frames.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    /// Index of the port for the next frame, or the number of ports.
    cursor: usize,
    /// Frames sent on that port in this turn.
    sent: u32,
}

/// The way out for a frame of the team device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection<'a> {
    /// Ports that send a copy; no port drops the frame.
    pub ports: &'a [PortId],
    /// Bucket of the frame, under a policy with buckets.
    pub bucket: Option<u8>,
    /// Source address to write into the frame, if another one than its own.
    pub source: Option<HwAddr>,
    /// Offset of a second copy of the source address in the frame.
    pub sender_at: Option<usize>,
    /// Offset of the Internet checksum over that copy.
    pub checksum_at: Option<usize>,
}

impl Default for Distributor {
    fn default() -> Self {
        Self::new()
    }
}

impl Distributor {
    /// Creates a distributor that drops every frame until a forwarding is applied.
    pub fn new() -> Self {
        Distributor {
            forwarding: Forwarding {
                policy: TxPolicy::ActiveBackup { active: None },
                ports: Vec::new(),
            },
            usable: Vec::new(),
            collecting: Vec::new(),
            turn: Turn::default(),
            random: SplitMix64::new(0),
            selector: None,
            sources: None,
            port: None,
        }
    }

    /// Replaces the forwarding. Under an unchanged policy the turn, the random sequence and the
    /// learned sources continue, and the hash tables are kept.
    ///
    /// No frame leaves on a port that is not distributing, whatever the policy names.
    pub fn apply(&mut self, forwarding: &Forwarding) {
        let previous = mem::replace(&mut self.forwarding, forwarding.resolve()).policy;
        self.usable = self.forwarding.usable();
        self.collecting = self.forwarding.collecting();
        let policy = &self.forwarding.policy;
        if mem::discriminant(policy) != mem::discriminant(&previous) {
            self.turn = Turn::default();
            self.selector = None;
            self.sources = None;
        }
        match policy {
            TxPolicy::Random { seed } if *policy != previous => {
                self.random = SplitMix64::new(*seed)
            }
            TxPolicy::LoadBalance { fields, .. } => {
                self.selector = self.selector.take().filter(|known| known.fields() == *fields);
                self.selector.get_or_insert_with(|| Selector::new(*fields));
            }
            TxPolicy::SourceBalance { ports, .. } => {
                let collecting = self.collecting.clone();
                match &mut self.sources {
                    Some(rules) => rules.apply(ports.clone(), collecting),
                    none => *none = Some(Box::new(SourceRules::new(ports.clone(), collecting))),
                }
            }
            _ => {}
        }
    }

    /// Returns the forwarding in force, [resolved](Forwarding::resolve).
    pub fn forwarding(&self) -> &Forwarding {
        &self.forwarding
    }

    /// Chooses the ports for a frame of the team device: a whole Ethernet frame, VLAN tags inside.
    #[inline]
    pub fn select(&mut self, frame: &[u8]) -> Selection<'_> {
        let ports = match &self.forwarding.policy {
            TxPolicy::LoadBalance { neighbours: true, .. } if is_address_resolution(frame) => {
                &self.usable
            }
            TxPolicy::LoadBalance { buckets, .. } => {
                let bucket = self.selector.as_ref().map(|selector| selector.bucket(frame));
                return Selection {
                    ports: bucket.map_or(&[], |bucket| buckets[usize::from(bucket)].as_slice()),
                    bucket,
                    source: None,
                    sender_at: None,
                    checksum_at: None,
                };
            }
            TxPolicy::SourceBalance { .. } => {
                let Some(rules) = &mut self.sources else {
                    return Selection::default();
                };
                let egress = rules.select(frame);
                self.port = egress.port;
                return Selection {
                    ports: self.port.as_slice(),
                    bucket: egress.bucket,
                    source: egress.source,
                    sender_at: egress.sender_at,
                    checksum_at: egress.checksum_at,
                };
            }
            TxPolicy::ActiveBackup { active } => active.as_slice(),
            TxPolicy::Broadcast => &self.usable,
            TxPolicy::RoundRobin { packets_per_port } => {
                let place = self.turn.take(self.usable.len(), *packets_per_port);
                one(&self.usable, place)
            }
            TxPolicy::Random { .. } => one(&self.usable, self.random.below(self.usable.len())),
        };
        Selection { ports, ..Selection::default() }
    }

    /// Sets the time for the frames that follow, under the policy that learns from frames.
    pub fn set_time(&mut self, now: Instant) {
        if let Some(rules) = &mut self.sources {
            rules.set_time(now);
        }
    }

    /// Returns the treatment of a frame that a port received.
    #[inline]
    pub fn receive(&mut self, port: PortId, frame: &[u8]) -> Reception {
        if let Some(rules) = &mut self.sources {
            return rules.receive(port, frame);
        }
        match self.collects(port) {
            true => Reception::Taken,
            false => Reception::NotHere,
        }
    }

    /// Learns a peer from an address message (ARP, neighbour discovery) that the team has `sent`, or
    /// else received. A data path calls this method if its frames do not pass through
    /// [`select`](Self::select) and [`receive`](Self::receive).
    pub fn learn_peer(&mut self, sent: bool, frame: &[u8]) {
        if let Some(rules) = &mut self.sources {
            rules.learn_peer(sent, frame);
        }
    }

    /// Returns the peers for [`Event::Stations`](crate::Event::Stations); none without source
    /// balancing.
    pub fn peers(&self) -> Vec<PeerSeen> {
        self.sources.as_ref().map_or(Vec::new(), |rules| rules.peers())
    }

    /// Returns the stations for [`Event::Stations`](crate::Event::Stations); none without source
    /// balancing.
    pub fn stations(&self) -> Vec<StationSeen> {
        self.sources.as_ref().map_or(Vec::new(), |rules| rules.stations())
    }

    /// Returns the learned state of source balancing at the time last set; `None` under other
    /// policies.
    pub fn learned_sources(&self) -> Option<LearnedSources> {
        self.sources.as_ref().map(|rules| rules.learned_sources())
    }

    /// Replaces the learned state of source balancing; no effect under other policies.
    pub fn restore_sources(&mut self, learned: LearnedSources) {
        if let Some(rules) = &mut self.sources {
            rules.restore_sources(learned);
        }
    }

    /// Returns whether frames received on a port reach the team device.
    #[inline]
    pub fn collects(&self, port: PortId) -> bool {
        self.collecting.contains(&port)
    }
}

impl Turn {
    /// Returns the index, below `ports`, of the port for the next frame.
    fn take(&mut self, ports: usize, packets_per_port: NonZeroU32) -> usize {
        let place = if self.cursor < ports { self.cursor } else { 0 };
        self.sent += 1;
        let ends = self.sent >= packets_per_port.get();
        self.cursor = place + usize::from(ends);
        self.sent *= u32::from(!ends);
        place
    }
}

/// Returns the port at `place` as a slice, or an empty slice.
fn one(ports: &[PortId], place: usize) -> &[PortId] {
    ports.get(place).map_or(&[], std::slice::from_ref)
}
