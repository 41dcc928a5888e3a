//! The Frame Distributor and the receive rule of the Frame Collector (802.1AX): a [`Forwarding`]
//! applied frame by frame, for a data path that forwards frames itself.
//!
//! Owns the choice of ports and the state between frames. Sends nothing and decides nothing about
//! the team.

use std::mem;
use std::num::NonZeroU32;

use crate::event::{PeerSeen, StationSeen};
use crate::forwarding::source_balance::learned_sources::LearnedSources;
use crate::forwarding::source_balance::policy::SourceBalance;
use crate::forwarding::source_balance::{Reception, SourceRules};
use crate::forwarding::{BucketTable, Forwarding, TxPolicy};
use crate::ident::{HwAddr, PortId};
use crate::random::SplitMix64;
use crate::time::Instant;
use crate::tx_hash::{HashFields, Selector};

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
#[derive(Clone, Debug, Default)]
pub struct Distributor {
    choice: Choice,
    /// Ports whose received frames reach the team device; a team is small enough for a scan.
    collecting: Vec<PortId>,
}

/// The way out for a frame of the team device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// A policy with its usable ports, for a data path whose choice is made by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled<'a> {
    /// A copy on each port.
    All(&'a [PortId]),
    /// The next port in turn.
    InTurn {
        /// Ports in turn.
        ports: &'a [PortId],
        /// Frames sent on a port in a row.
        packets_per_port: NonZeroU32,
    },
    /// A random port.
    ByChance(&'a [PortId]),
    /// Always this port; `None` drops every frame.
    One(Option<PortId>),
    /// The port of the frame's bucket.
    ByBucket {
        /// Header fields that identify a flow.
        fields: HashFields,
        /// Port by bucket.
        buckets: &'a BucketTable,
    },
    /// Source balancing, by the rules of [`select`](Distributor::select) and
    /// [`receive`](Distributor::receive).
    BySource(&'a SourceBalance),
}

/// A policy with its usable ports and its state between frames.
#[derive(Clone, Debug)]
enum Choice {
    All(Vec<PortId>),
    InTurn {
        ports: Vec<PortId>,
        /// Index of the port for the next frame, or the length of the list.
        cursor: usize,
        /// Frames sent on that port in this turn.
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
        /// The port of the last selected frame, so that a selection can borrow it.
        port: Option<PortId>,
    },
}

impl Default for Choice {
    fn default() -> Self {
        Choice::One(None)
    }
}

impl Distributor {
    /// Creates a distributor that drops every frame.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the forwarding. Under an unchanged policy the turn, the random sequence and the
    /// learned sources continue, and the hash tables are kept.
    ///
    /// No frame leaves on a port that is not distributing, whatever the policy names.
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
                    _ => SplitMix64::new(*seed),
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

    /// Chooses the ports for a frame of the team device: a whole Ethernet frame, VLAN tags inside.
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
                let egress = rules.select(frame);
                *port = egress.port;
                return Selection {
                    ports: port.as_slice(),
                    bucket: egress.bucket,
                    source: egress.source,
                    sender_at: egress.sender_at,
                    checksum_at: egress.checksum_at,
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

    /// Sets the time for the frames that follow, under the policy that learns from frames.
    pub fn set_time(&mut self, now: Instant) {
        if let Choice::BySource { rules, .. } = &mut self.choice {
            rules.set_time(now);
        }
    }

    /// Returns the treatment of a frame that a port received.
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

    /// Returns the peers for [`Event::Stations`](crate::Event::Stations); none under other policies.
    pub fn peers(&self) -> Vec<PeerSeen> {
        match &self.choice {
            Choice::BySource { rules, .. } => rules.peers(),
            _ => Vec::new(),
        }
    }

    /// Returns the stations for [`Event::Stations`](crate::Event::Stations); none under other policies.
    pub fn stations(&self) -> Vec<StationSeen> {
        match &self.choice {
            Choice::BySource { rules, .. } => rules.stations(),
            _ => Vec::new(),
        }
    }

    /// Returns the learned state of source balancing at the time last set; `None` under other policies.
    pub fn learned_sources(&self) -> Option<LearnedSources> {
        match &self.choice {
            Choice::BySource { rules, .. } => Some(rules.learned_sources()),
            _ => None,
        }
    }

    /// Replaces the learned state of source balancing; no effect under other policies.
    pub fn restore_sources(&mut self, learned: LearnedSources) {
        if let Choice::BySource { rules, .. } = &mut self.choice {
            rules.restore_sources(learned);
        }
    }

    /// Returns the policy with its usable ports.
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

    /// Whether frames received on a port reach the team device.
    #[inline]
    pub fn collects(&self, port: PortId) -> bool {
        self.collecting.contains(&port)
    }
}

/// Returns the port at `place` as a slice; empty without one.
fn one(ports: &[PortId], place: usize) -> &[PortId] {
    ports.get(place).map_or(&[], std::slice::from_ref)
}
