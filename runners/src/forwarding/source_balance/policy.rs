//! The part of a forwarding that belongs to source balancing: data, no rules.

use crate::buckets::BucketTable;
use crate::ident::{HwAddr, PortId};

/// The ports of [`TxPolicy::SourceBalance`](crate::TxPolicy::SourceBalance).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceBalance {
    /// Port by bucket; a station's hardware address and VLAN determine its bucket.
    pub buckets: Box<BucketTable>,
    /// Port that a bucket has left within the last seconds, where frames may still arrive.
    pub previous: Box<BucketTable>,
    /// The one port that broadcast and multicast frames are received from, and that carries the
    /// team's own address.
    pub designated: Option<PortId>,
    /// Hardware address of the team device.
    pub hwaddr: HwAddr,
    /// Distribution of the team's own traffic; `None` keeps it on the designated port.
    pub host: Option<HostBalance>,
}

/// Distribution of the team's own traffic over all ports: the runners tlb and alb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostBalance {
    /// A distinct address for each port, usable or not. On the designated port the team sends
    /// from its own address and receives for both.
    pub addresses: Vec<(PortId, HwAddr)>,
    /// Whether ARP and neighbour discovery announce to each peer the address of its port, so that
    /// the peer answers there.
    pub receive: bool,
}
