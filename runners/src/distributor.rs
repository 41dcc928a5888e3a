//! The Frame Distributor and the Frame Collector's rule: a [`Forwarding`] carried out frame by
//! frame, for a data path that moves frames itself.
//!
//! Owns the choice of ports, and what the choice must remember between frames. It decides
//! nothing about teams, and sends nothing.

use std::mem;

use crate::forwarding::{BucketTable, Forwarding, TxPolicy};
use crate::ident::PortId;
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
}

/// A policy with the ports that it may use, for a data path that has the choice made elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled<'a> {
    /// A copy on each.
    All(&'a [PortId]),
    /// One after the other.
    InTurn(&'a [PortId]),
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
}

/// A policy with the ports that it may use.
#[derive(Clone, Debug)]
enum Choice {
    All(Vec<PortId>),
    /// The cursor is the place of the next port, or just past the end.
    InTurn {
        ports: Vec<PortId>,
        cursor: usize,
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
            TxPolicy::RoundRobin => Choice::InTurn {
                ports: usable(),
                cursor: match previous {
                    Choice::InTurn { cursor, .. } => cursor,
                    _ => 0,
                },
            },
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
        };

        self.collecting = match &self.choice {
            Choice::One(active) => active.iter().copied().collect(),
            // A frame on a port whose link we take for down shows that the partner has found it
            // up before us. loadbalance disables such a port, and would lose the frame.
            Choice::ByBucket { .. } => forwarding
                .ports
                .iter()
                .filter(|port| port.collecting || !port.linked)
                .map(|port| port.port)
                .collect(),
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
                };
            }
            Choice::One(port) => port.as_slice(),
            Choice::All(ports) => ports,
            Choice::InTurn { ports, cursor } => {
                let turn = if *cursor < ports.len() { *cursor } else { 0 };
                *cursor = turn + 1;
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
        }
    }

    /// What is to be carried out.
    pub fn settled(&self) -> Settled<'_> {
        match &self.choice {
            Choice::All(ports) => Settled::All(ports),
            Choice::InTurn { ports, .. } => Settled::InTurn(ports),
            Choice::ByChance { ports, .. } => Settled::ByChance(ports),
            Choice::One(port) => Settled::One(*port),
            Choice::ByBucket { selector, buckets } => Settled::ByBucket {
                fields: selector.fields(),
                buckets,
            },
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
