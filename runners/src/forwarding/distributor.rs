//! The Frame Distributor and the Frame Collector's rule: a [`Forwarding`] carried out frame by
//! frame, for a data path that moves frames itself.
//!
//! Owns the choice of ports, and what the choice must remember between frames. It decides
//! nothing about teams, and sends nothing.

use std::mem;
use std::num::NonZeroU32;

use crate::event::{PeerSeen, StationSeen};
use crate::forwarding::source_balance::learned_sources::LearnedSources;
use crate::forwarding::source_balance::{Reception, SourceRules};
use crate::forwarding::{Forwarding, TxPolicy};
use crate::ident::{HwAddr, PortId};
use crate::time::Instant;
use crate::tx_hash::Selector;

/// Chooses the ports of each frame. Everything that configuration can settle is settled in
/// [`apply`](Distributor::apply); a choice allocates nothing.
#[derive(Clone, Debug)]
pub struct Distributor {
    /// [Resolved](Forwarding::resolve).
    forwarding: Forwarding,
    /// Ports that distribute and have a link.
    usable: Vec<PortId>,
    /// Ports whose received frames go up; teams are small, so a scan beats a tree.
    collecting: Vec<PortId>,
    turn: Turn,
    random: SplitMix64,
    /// Under loadbalance; built for its fields.
    selector: Option<Selector>,
    /// Under source balancing.
    sources: Option<Box<SourceRules>>,
    /// Source balancing: the port of the frame under way.
    port: Option<PortId>,
}

/// Whose turn it is under roundrobin.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    /// The place of the next frame's port, or just past the end.
    cursor: usize,
    /// Frames that have left on it in this turn.
    sent: u32,
}

/// Where a frame goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection<'a> {
    /// A copy leaves on each of these; none drops the frame.
    pub ports: &'a [PortId],
    /// The frame's bucket, under the policy that has buckets.
    pub bucket: Option<u8>,
    /// The source address that the frame has to leave with, if not its own.
    pub source: Option<HwAddr>,
    /// Where the source address stands once more in the frame.
    pub sender_at: Option<usize>,
    /// Where the Internet checksum over that place stands.
    pub checksum_at: Option<usize>,
}

impl Default for Distributor {
    fn default() -> Self {
        Self::new()
    }
}

impl Distributor {
    /// Returns a distributor that drops every frame until a forwarding is applied.
    pub fn new() -> Self {
        Distributor {
            forwarding: Forwarding {
                policy: TxPolicy::ActiveBackup { active: None },
                ports: Vec::new(),
            },
            usable: Vec::new(),
            collecting: Vec::new(),
            turn: Turn::default(),
            random: SplitMix64(0),
            selector: None,
            sources: None,
            port: None,
        }
    }

    /// Forwards like this from now on. Under an unchanged policy the turn, the random sequence
    /// and the tables of the hash go on from where they were.
    ///
    /// Nothing leaves on a port that is not distributing, whatever the policy says of it.
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
            TxPolicy::Random { seed } if *policy != previous => self.random = SplitMix64(*seed),
            TxPolicy::LoadBalance { fields, .. } => {
                self.selector = self.selector.take().filter(|it| it.fields() == *fields);
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

    /// The forwarding that is carried out, [resolved](Forwarding::resolve).
    pub fn forwarding(&self) -> &Forwarding {
        &self.forwarding
    }

    /// The ports for a frame of the team device: a whole Ethernet frame, VLAN tags inside.
    #[inline]
    pub fn select(&mut self, frame: &[u8]) -> Selection<'_> {
        let ports = match &self.forwarding.policy {
            TxPolicy::LoadBalance { buckets, .. } => {
                let bucket = self
                    .selector
                    .as_ref()
                    .map(|selector| selector.bucket(frame));
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
                let leaving = rules.leave(frame);
                self.port = leaving.port;
                return Selection {
                    ports: self.port.as_slice(),
                    bucket: leaving.bucket,
                    source: leaving.source,
                    sender_at: leaving.sender_at,
                    checksum_at: leaving.checksum_at,
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
        Selection {
            ports,
            ..Selection::default()
        }
    }

    /// The time of what follows, for what is remembered of frames.
    pub fn set_time(&mut self, now: Instant) {
        if let Some(rules) = &mut self.sources {
            rules.set_time(now);
        }
    }

    /// What becomes of a frame that came in on this port.
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

    /// Peers that know the team itself, under the policy that needs to know.
    pub fn peers(&self) -> Vec<PeerSeen> {
        self.sources
            .as_ref()
            .map_or(Vec::new(), |rules| rules.peers())
    }

    /// Whose frames were sent lately, under the policy that needs to know.
    pub fn stations(&self) -> Vec<StationSeen> {
        self.sources
            .as_ref()
            .map_or(Vec::new(), |rules| rules.stations())
    }

    /// What is remembered of stations, under the policy that remembers; as of the time last set.
    pub fn memory(&self) -> Option<LearnedSources> {
        self.sources.as_ref().map(|rules| rules.memory())
    }

    /// Goes on from what somebody else remembers of stations, under the policy that remembers.
    pub fn remember(&mut self, memory: LearnedSources) {
        if let Some(rules) = &mut self.sources {
            rules.remember(memory);
        }
    }

    /// Whether frames received on this port go up to the team device.
    #[inline]
    pub fn collects(&self, port: PortId) -> bool {
        self.collecting.contains(&port)
    }
}

impl Turn {
    /// The place, among `ports` ports, of the one that the next frame leaves on.
    fn take(&mut self, ports: usize, packets_per_port: NonZeroU32) -> usize {
        let place = if self.cursor < ports { self.cursor } else { 0 };
        self.sent += 1;
        let ends = self.sent >= packets_per_port.get();
        self.cursor = place + usize::from(ends);
        self.sent *= u32::from(!ends);
        place
    }
}

/// The port at `place`, as a slice; empty if there is none.
fn one(ports: &[PortId], place: usize) -> &[PortId] {
    ports.get(place).map_or(&[], std::slice::from_ref)
}

/// SplitMix64 (Steele, Lea, Flood 2014): any seed will do, also 0. Not for secrets.
#[derive(Clone, Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    /// A number below `bound`, 0 if `bound` is; uneven by less than `bound` in 2⁶⁴.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((u128::from(z) * bound as u128) >> 64) as usize
    }
}
