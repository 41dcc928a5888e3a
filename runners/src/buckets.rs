//! The bucket table: 256 hash buckets, each assigned to a port.

use crate::ident::PortId;

/// Number of hash buckets, as in the kernel's loadbalance mode.
pub const BUCKETS: usize = 256;

/// Port by bucket; `None` while no port can carry the bucket.
pub type BucketTable = [Option<PortId>; BUCKETS];
