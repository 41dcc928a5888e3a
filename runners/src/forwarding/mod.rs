//! Forwarding: the whole desired state of a data path.
//!
//! Each backend computes the difference from its present state: the kernel's team driver turns
//! a forwarding into options, the relay applies it to a [`Distributor`](crate::Distributor).

pub(crate) mod balancer;
pub(crate) mod bucket_assignment;
pub(crate) mod distributor;
pub(crate) mod source_balance;
pub use source_balance::learned_sources;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

pub(crate) use crate::buckets::{BUCKETS, BucketTable};
use crate::forwarding::source_balance::policy::SourceBalance;
use crate::ident::PortId;
use crate::tx_hash::HashFields;

/// The desired state of a data path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// Choice of the port for a frame of the team device.
    pub policy: TxPolicy,
    /// All ports of the team, in the order in which they joined.
    pub ports: Vec<PortForwarding>,
}

/// The part of one port in a forwarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortForwarding {
    /// The port.
    pub port: PortId,
    /// Frames received on the port reach the team device (802.1AX: Collecting).
    pub collecting: bool,
    /// Frames may leave on the port (802.1AX: Distributing).
    pub distributing: bool,
    /// The port has a link. Broadcast, round-robin and random skip a port without one.
    pub linked: bool,
    /// `linked` comes from link watches that ask a neighbour, so a data path must not replace it by
    /// the carrier.
    pub link_from_watch: bool,
}

/// Choice of the port for a frame of the team device, and the receive rule that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxPolicy {
    /// A copy on every enabled and linked port; every enabled port receives.
    Broadcast,
    /// The next enabled and linked port; every enabled port receives.
    RoundRobin {
        /// Frames sent on a port in a row.
        packets_per_port: NonZeroU32,
    },
    /// A random enabled and linked port; every enabled port receives.
    Random {
        /// Seed of the random sequence.
        seed: u64,
    },
    /// The active port alone sends and receives.
    ActiveBackup {
        /// The active port; `None` drops every frame.
        active: Option<PortId>,
    },
    /// The port of the frame's bucket; every enabled port receives.
    LoadBalance {
        /// Header fields that identify a flow.
        fields: HashFields,
        /// Port by bucket.
        buckets: Arc<BucketTable>,
        /// The data path must follow the table, even if it can hash by itself, and count bytes by
        /// bucket.
        balanced: bool,
        /// A copy of each frame that resolves an address (ARP, neighbour discovery) leaves on every
        /// enabled and linked port.
        neighbours: bool,
    },
    /// The port of the source's bucket. Unicast frames are received from the port of the
    /// destination's bucket, broadcast and multicast frames from the designated port.
    SourceBalance {
        /// Ports of buckets and addresses.
        ports: SourceBalance,
        /// The data path must count bytes by bucket.
        balanced: bool,
    },
}

/// Writes `active 1: 1+^ 2-_`: each port collecting and distributing (`+`), only collecting (`<`),
/// only distributing (`>`) or neither (`-`), then linked (`^`) or not (`_`).
impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.policy {
            TxPolicy::Broadcast => f.write_str("broadcast")?,
            TxPolicy::RoundRobin { .. } => f.write_str("roundrobin")?,
            TxPolicy::Random { seed } => write!(f, "random {seed}")?,
            TxPolicy::ActiveBackup { active: None } => f.write_str("active none")?,
            TxPolicy::ActiveBackup { active: Some(port) } => write!(f, "active {port}")?,
            TxPolicy::LoadBalance { buckets, .. } => {
                f.write_str("shares")?;
                self.write_shares(f, buckets)?;
            }
            TxPolicy::SourceBalance { ports, .. } => {
                f.write_str("stations")?;
                self.write_shares(f, &ports.buckets)?;
                match ports.designated {
                    Some(port) => write!(f, ", broadcast {port}")?,
                    None => f.write_str(", broadcast none")?,
                }
            }
        }
        f.write_str(":")?;
        for entry in &self.ports {
            let part = match (entry.collecting, entry.distributing) {
                (true, true) => '+',
                (true, false) => '<',
                (false, true) => '>',
                (false, false) => '-',
            };
            let link = if entry.linked { '^' } else { '_' };
            write!(f, " {}{part}{link}", entry.port)?;
        }
        Ok(())
    }
}

impl TxPolicy {
    /// Whether the load of each bucket is measured.
    pub fn is_balanced(&self) -> bool {
        matches!(
            self,
            TxPolicy::LoadBalance { balanced: true, .. }
                | TxPolicy::SourceBalance { balanced: true, .. }
        )
    }
}

impl Forwarding {
    /// Returns a copy whose policy names distributing ports only: a bucket, the active port or the
    /// designated port becomes `None` if its port is not distributing, and the former port of a
    /// bucket if that port is not collecting.
    pub fn resolve(&self) -> Forwarding {
        let distributes = |id: &PortId| {
            let mut ports = self.ports.iter();
            ports.any(|port| port.port == *id && port.distributing)
        };
        let collects = |id: &PortId| {
            let mut ports = self.ports.iter();
            ports.any(|port| port.port == *id && port.collecting)
        };
        let table = |table: &mut BucketTable| {
            for port in table {
                *port = port.filter(distributes);
            }
        };
        let mut resolved = self.clone();
        match &mut resolved.policy {
            TxPolicy::Broadcast | TxPolicy::RoundRobin { .. } | TxPolicy::Random { .. } => {}
            TxPolicy::ActiveBackup { active } => *active = active.filter(distributes),
            TxPolicy::LoadBalance { buckets, .. } => {
                if buckets.iter().flatten().any(|port| !distributes(port)) {
                    table(Arc::make_mut(buckets));
                }
            }
            TxPolicy::SourceBalance { ports, .. } => {
                table(&mut ports.buckets);
                for port in ports.previous.iter_mut() {
                    *port = port.filter(collects);
                }
                ports.designated = ports.designated.filter(distributes);
            }
        }
        resolved
    }

    /// Returns the distributing ports with a link, in their order.
    pub fn usable(&self) -> Vec<PortId> {
        let ports = self.ports.iter();
        let usable = ports.filter(|port| port.distributing && port.linked);
        usable.map(|port| port.port).collect()
    }

    /// Returns the ports whose received frames reach the team device, in their order; under
    /// activebackup the active port alone.
    pub fn collecting(&self) -> Vec<PortId> {
        if let TxPolicy::ActiveBackup { active } = &self.policy {
            return active.iter().copied().collect();
        }
        let collecting = self.ports.iter().filter(|port| port.collecting);
        collecting.map(|port| port.port).collect()
    }

    fn write_shares(&self, f: &mut fmt::Formatter<'_>, buckets: &BucketTable) -> fmt::Result {
        for (place, entry) in self.ports.iter().enumerate() {
            let share = buckets.iter().filter(|b| **b == Some(entry.port)).count();
            write!(f, "{}{share}", if place == 0 { ' ' } else { '/' })?;
        }
        Ok(())
    }
}
