//! The whole desired state of a data path.
//!
//! Each backend computes its own difference from what it does now: the kernel's team driver
//! turns it into options, the relay feeds it to its [`Distributor`](crate::Distributor).

pub(crate) mod balancer;
pub(crate) mod bucket_assignment;
pub(crate) mod distributor;
pub(crate) mod flow_table;
pub(crate) mod source_balance;
pub use source_balance::learned_sources;

use std::fmt;
use std::num::NonZeroU32;

use crate::forwarding::source_balance::SourceBalance;
use crate::ident::PortId;
use crate::tx_hash::HashFields;

/// Number of hash buckets, as in the kernel's loadbalance mode.
pub const BUCKETS: usize = 256;

/// Which port carries each bucket; none while no port can.
pub type BucketTable = [Option<PortId>; BUCKETS];

/// How frames are to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// How a port is chosen for a frame that leaves.
    pub policy: TxPolicy,
    /// All ports of the team, in the order in which they joined.
    pub ports: Vec<PortForwarding>,
}

/// One port's part in forwarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortForwarding {
    /// Which.
    pub port: PortId,
    /// Frames received here go up to the team device (802.1AX: Collecting).
    pub collecting: bool,
    /// Frames may leave here (802.1AX: Distributing).
    pub distributing: bool,
    /// The port has a link; the policies that skip dead ports look at it.
    pub linked: bool,
    /// `linked` is the word of watches that ask a neighbour: a data path that looks at the
    /// carrier by itself has to be told.
    pub link_from_watch: bool,
}

/// The choice of a port for a frame that leaves, and with it the receive rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxPolicy {
    /// A copy on every enabled and linked port; every enabled port receives.
    Broadcast,
    /// The next enabled and linked port; every enabled port receives.
    RoundRobin {
        /// Frames that leave on a port before it is the next one's turn.
        packets_per_port: NonZeroU32,
    },
    /// Any enabled and linked port by chance; every enabled port receives.
    Random {
        /// Start of the sequence.
        seed: u64,
    },
    /// The active port alone sends and receives.
    ActiveBackup {
        /// Which; none drops everything.
        active: Option<PortId>,
    },
    /// The port of the frame's bucket; every enabled port receives.
    LoadBalance {
        /// The fields that make up a flow.
        fields: HashFields,
        /// Port by bucket.
        buckets: Box<BucketTable>,
        /// The table binds, also a data path that could choose by itself, and bytes are counted
        /// by bucket.
        balanced: bool,
    },
    /// The port of the source's bucket; every station is received from its own port, broadcast
    /// and multicast frames from one.
    SourceBalance {
        /// Who is where.
        ports: SourceBalance,
        /// Buckets are moved by load, so the data path must count bytes by bucket.
        balanced: bool,
    },
}

/// `active 1: 1+^ 2-^`: each port collecting and distributing, only one of the two (`<`, `>`),
/// or neither, and linked or not.
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
    /// Returns the forwarding whose policy names only ports that distribute: buckets, the active
    /// and the designated port are `None` where theirs does not.
    pub fn resolve(&self) -> Forwarding {
        let distributes = |id: &PortId| {
            let mut ports = self.ports.iter();
            ports.any(|port| port.port == *id && port.distributing)
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
            TxPolicy::LoadBalance { buckets, .. } => table(buckets),
            TxPolicy::SourceBalance { ports, .. } => {
                table(&mut ports.buckets);
                table(&mut ports.former);
                ports.designated = ports.designated.filter(distributes);
            }
        }
        resolved
    }

    /// Ports that distribute and have a link, in their order.
    pub fn usable(&self) -> Vec<PortId> {
        let ports = self.ports.iter();
        let usable = ports.filter(|port| port.distributing && port.linked);
        usable.map(|port| port.port).collect()
    }

    /// Ports whose received frames go up to the team device, in their order; the active one
    /// alone under activebackup.
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
