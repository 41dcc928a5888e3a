//! The Frame Distributor and the Frame Collector's rule: a [`Forwarding`] carried out frame by
//! frame, for a data path that moves frames itself.
//!
//! Owns the choice of ports, and what the choice must remember between frames. It decides
//! nothing about teams, and sends nothing.

use std::mem;
use std::num::NonZeroU32;

use crate::event::{PeerSeen, StationSeen};
use crate::forwarding::source_balance::learned_sources::LearnedSources;
use crate::forwarding::source_balance::policy::SourceBalance;
use crate::forwarding::source_balance::{Reception, SourceRules};
use crate::forwarding::{BucketTable, Forwarding, TxPolicy};
use crate::ident::{HwAddr, PortId};
use crate::time::Instant;
use crate::tx_hash::{HashFields, Selector};

/// Chooses the ports of each frame. Everything that configuration can settle is settled in
/// [`apply`](Distributor::apply); a choice allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Distributor {
    choice: Choice,
    /// Ports whose received frames go up; teams are small, so a scan beats a tree.
    collecting: Vec<PortId>,
}

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// A policy with the ports that it may use, for a data path that has the choice made elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled<'a> {
    /// A copy on each.
    All(&'a [PortId]),
    /// One after the other.
    InTurn {
        /// These.
        ports: &'a [PortId],
        /// So many frames in a row on each.
        packets_per_port: NonZeroU32,
    },
    /// Any.
    ByChance(&'a [PortId]),
    /// Always this one.
    One(Option<PortId>),
    /// The one of the frame's bucket.
    ByBucket {
        /// What makes up a flow.
        fields: HashFields,
        /// Port by bucket.
        buckets: &'a BucketTable,
    },
    /// By what is remembered of stations, as [`select`](Distributor::select) and
    /// [`receive`](Distributor::receive) do it.
    BySource(&'a SourceBalance),
}

/// A policy with the ports that it may use.
#[derive(Clone, Debug)]
enum Choice {
    All(Vec<PortId>),
    InTurn {
        ports: Vec<PortId>,
        /// The place of the next frame's port, or just past the end.
        cursor: usize,
        /// Frames that have left on it in this turn.
        sent: u32,
        packets_per_port: NonZeroU32,
    },
    ByChance {
        ports: Vec<PortId>,
        seed: u64,
        random: SplitMix64,
    },
    One(Option<PortId>),
    ByBucket {
        selector: Selector,
        buckets: Box<BucketTable>,
    },
    BySource {
        rules: Box<SourceRules>,
        /// The port of the frame under way.
        port: Option<PortId>,
    },
}

impl Default for Choice {
    fn default() -> Self {
        Choice::One(None)
    }
}

impl Distributor {
    /// One that drops every frame, until told otherwise.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forwards like this from now on. Under an unchanged policy the turn, the random sequence
    /// and the tables of the hash go on from where they were.
    ///
    /// Nothing leaves on a port that is not distributing, whatever the policy says of it.
    pub fn apply(&mut self, forwarding: &Forwarding) {
        let distributing = || forwarding.ports.iter().filter(|port| port.distributing);
        let distributes = |id: &PortId| distributing().any(|port| port.port == *id);
        let usable = || {
            distributing()
                .filter(|port| port.linked)
                .map(|port| port.port)
                .collect()
        };

        let previous = mem::take(&mut self.choice);
        self.choice = match &forwarding.policy {
            TxPolicy::Broadcast => Choice::All(usable()),
            TxPolicy::RoundRobin { packets_per_port } => {
                let (cursor, sent) = match previous {
                    Choice::InTurn { cursor, sent, .. } => (cursor, sent),
                    _ => (0, 0),
                };
                Choice::InTurn {
                    ports: usable(),
                    cursor,
                    sent,
                    packets_per_port: *packets_per_port,
                }
            }
            TxPolicy::Random { seed } => Choice::ByChance {
                ports: usable(),
                seed: *seed,
                random: match previous {
                    Choice::ByChance {
                        seed: old, random, ..
                    } if old == *seed => random,
                    _ => SplitMix64(*seed),
                },
            },
            TxPolicy::ActiveBackup { active } => Choice::One(active.filter(distributes)),
            TxPolicy::LoadBalance {
                fields, buckets, ..
            } => Choice::ByBucket {
                selector: match previous {
                    Choice::ByBucket { selector, .. } if selector.fields() == *fields => selector,
                    _ => Selector::new(*fields),
                },
                buckets: Box::new(buckets.map(|port| port.filter(distributes))),
            },
            TxPolicy::SourceBalance { ports, .. } => {
                let usable =
                    |table: &BucketTable| Box::new(table.map(|port| port.filter(distributes)));
                let policy = SourceBalance {
                    buckets: usable(&ports.buckets),
                    previous: usable(&ports.previous),
                    designated: ports.designated.filter(distributes),
                    hwaddr: ports.hwaddr,
                    host: ports.host.clone(),
                };
                let collecting = forwarding.ports.iter().filter(|port| port.collecting);
                let collecting = collecting.map(|port| port.port).collect();
                let rules = match previous {
                    Choice::BySource { mut rules, .. } => {
                        rules.apply(policy, collecting);
                        rules
                    }
                    _ => Box::new(SourceRules::new(policy, collecting)),
                };
                Choice::BySource { rules, port: None }
            }
        };

        self.collecting = match &self.choice {
            Choice::One(active) => active.iter().copied().collect(),
            _ => forwarding
                .ports
                .iter()
                .filter(|port| port.collecting)
                .map(|port| port.port)
                .collect(),
        };
    }

    /// The ports for a frame of the team device: a whole Ethernet frame, VLAN tags inside.
    #[inline]
    pub fn select(&mut self, frame: &[u8]) -> Selection<'_> {
        let ports = match &mut self.choice {
            Choice::ByBucket { selector, buckets } => {
                let bucket = selector.bucket(frame);
                return Selection {
                    ports: buckets[usize::from(bucket)].as_slice(),
                    bucket: Some(bucket),
                    source: None,
                    sender_at: None,
                    checksum_at: None,
                };
            }
            Choice::BySource { rules, port } => {
                let leaving = rules.select(frame);
                *port = leaving.port;
                return Selection {
                    ports: port.as_slice(),
                    bucket: leaving.bucket,
                    source: leaving.source,
                    sender_at: leaving.sender_at,
                    checksum_at: leaving.checksum_at,
                };
            }
            Choice::One(port) => port.as_slice(),
            Choice::All(ports) => ports,
            Choice::InTurn {
                ports,
                cursor,
                sent,
                packets_per_port,
            } => {
                let turn = if *cursor < ports.len() { *cursor } else { 0 };
                *sent += 1;
                let ends = *sent >= packets_per_port.get();
                *cursor = turn + usize::from(ends);
                *sent *= u32::from(!ends);
                one(ports, turn)
            }
            Choice::ByChance { ports, random, .. } => {
                let place = random.below(ports.len());
                one(ports, place)
            }
        };
        Selection {
            ports,
            bucket: None,
            source: None,
            sender_at: None,
            checksum_at: None,
        }
    }

    /// The time of what follows, for what is remembered of frames.
    pub fn set_time(&mut self, now: Instant) {
        if let Choice::BySource { rules, .. } = &mut self.choice {
            rules.set_time(now);
        }
    }

    /// What becomes of a frame that came in on this port.
    #[inline]
    pub fn receive(&mut self, port: PortId, frame: &[u8]) -> Reception {
        if let Choice::BySource { rules, .. } = &mut self.choice {
            return rules.receive(port, frame);
        }
        match self.collects(port) {
            true => Reception::Taken,
            false => Reception::NotHere,
        }
    }

    /// Peers that know the team itself, under the policy that needs to know.
    pub fn peers(&self) -> Vec<PeerSeen> {
        match &self.choice {
            Choice::BySource { rules, .. } => rules.peers(),
            _ => Vec::new(),
        }
    }

    /// Whose frames were sent lately, under the policy that needs to know.
    pub fn stations(&self) -> Vec<StationSeen> {
        match &self.choice {
            Choice::BySource { rules, .. } => rules.stations(),
            _ => Vec::new(),
        }
    }

    /// What is remembered of stations, under the policy that remembers; as of the time last set.
    pub fn learned_sources(&self) -> Option<LearnedSources> {
        match &self.choice {
            Choice::BySource { rules, .. } => Some(rules.learned_sources()),
            _ => None,
        }
    }

    /// Goes on from what somebody else remembers of stations, under the policy that remembers.
    pub fn restore_sources(&mut self, memory: LearnedSources) {
        if let Choice::BySource { rules, .. } = &mut self.choice {
            rules.restore_sources(memory);
        }
    }

    /// What is to be carried out.
    pub fn settled(&self) -> Settled<'_> {
        match &self.choice {
            Choice::All(ports) => Settled::All(ports),
            Choice::InTurn {
                ports,
                packets_per_port,
                ..
            } => Settled::InTurn {
                ports,
                packets_per_port: *packets_per_port,
            },
            Choice::ByChance { ports, .. } => Settled::ByChance(ports),
            Choice::One(port) => Settled::One(*port),
            Choice::ByBucket { selector, buckets } => Settled::ByBucket {
                fields: selector.fields(),
                buckets,
            },
            Choice::BySource { rules, .. } => Settled::BySource(rules.policy()),
        }
    }

    /// Whether frames received on this port go up to the team device.
    #[inline]
    pub fn collects(&self, port: PortId) -> bool {
        self.collecting.contains(&port)
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
