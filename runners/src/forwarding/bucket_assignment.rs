//! The spread of buckets over ports, with as few moves as evenness needs.
//!
//! Evenness is counted in buckets; load is the [`balancer`](crate::forwarding::balancer)'s business.

use crate::buckets::BucketTable;
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::buckets::BUCKETS;

    fn count(table: &BucketTable, port: PortId) -> usize {
        table.iter().filter(|owner| **owner == Some(port)).count()
    }

    fn moved(before: &BucketTable, after: &BucketTable) -> usize {
        before.iter().zip(after).filter(|(b, a)| b != a).count()
    }

    /// Sets of enabled ports one after the other, in any order of naming.
    fn histories() -> impl Strategy<Value = Vec<Vec<PortId>>> {
        let ports = proptest::sample::subsequence((0..9).collect::<Vec<u32>>(), 0..9);
        let named = ports
            .prop_shuffle()
            .prop_map(|ports| ports.into_iter().map(PortId).collect());
        proptest::collection::vec(named, 1..12)
    }

    proptest! {
        #[test]
        fn even_with_the_fewest_moves(history in histories()) {
            let mut table = [None; BUCKETS];
            let mut last = BTreeSet::new();
            for enabled in history {
                let before = table;
                spread(&mut table, &enabled);

                let counts: Vec<usize> = enabled.iter().map(|port| count(&table, *port)).collect();
                let total = if enabled.is_empty() { 0 } else { BUCKETS };
                prop_assert_eq!(counts.iter().sum::<usize>(), total);
                let most = counts.iter().max().copied().unwrap_or(0);
                let fewest = counts.iter().min().copied().unwrap_or(0);
                prop_assert!(most - fewest <= 1, "{:?}", counts);

                let now: BTreeSet<PortId> = enabled.iter().copied().collect();
                let own: usize = last.difference(&now).map(|port| count(&before, *port)).sum();
                let share: usize = now.difference(&last).map(|port| count(&table, *port)).sum();
                if !last.is_empty() && !now.is_empty() {
                    // What left must move, what came must be given its share; no more.
                    prop_assert_eq!(moved(&before, &table), own.max(share));
                }
                last = now;
            }
        }
    }

    #[test]
    fn more_ports_than_buckets_leaves_some_without() {
        let ports: Vec<PortId> = (0..300).map(PortId).collect();
        let mut table = [None; BUCKETS];
        spread(&mut table, &ports);
        assert_eq!(
            table.iter().flatten().collect::<BTreeSet<_>>().len(),
            BUCKETS
        );
        let before = table;
        spread(&mut table, &ports[1..]);
        assert_eq!(moved(&before, &table), 1);
    }
}
