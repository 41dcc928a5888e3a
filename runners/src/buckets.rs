//! The spread of buckets over ports, with as few moves as evenness needs.
//!
//! Evenness is counted in buckets; load is the [`balancer`](crate::balancer)'s business.

use crate::forwarding::BucketTable;
use crate::ident::PortId;

/// Gives every bucket one of the `enabled` ports.
///
/// Buckets of ports that are gone go to whichever port has fewest. A port without a bucket is
/// new and takes from whichever has most, until it is at most one behind. So a table that was
/// even stays even: when a port leaves only its own buckets move, and when it comes back only
/// its share. Ties go to the port named first.
pub(crate) fn spread(table: &mut BucketTable, enabled: &[PortId]) {
    let mut counts: Vec<usize> = enabled
        .iter()
        .map(|port| {
            table
                .iter()
                .filter(|bucket| **bucket == Some(*port))
                .count()
        })
        .collect();
    let fresh: Vec<usize> = (0..counts.len()).filter(|i| counts[*i] == 0).collect();

    for bucket in table.iter_mut() {
        if bucket.is_some_and(|port| enabled.contains(&port)) {
            continue;
        }
        *bucket = (0..counts.len()).min_by_key(|i| counts[*i]).map(|to| {
            counts[to] += 1;
            enabled[to]
        });
    }

    while let (Some(to), Some(from)) = (
        fresh.iter().copied().min_by_key(|i| counts[*i]),
        (0..counts.len()).rev().max_by_key(|i| counts[*i]),
    ) {
        if counts[from] <= counts[to] + 1 {
            break;
        }
        let donor = Some(enabled[from]);
        if let Some(bucket) = table.iter_mut().rev().find(|bucket| **bucket == donor) {
            *bucket = Some(enabled[to]);
        }
        counts[from] -= 1;
        counts[to] += 1;
    }
}
