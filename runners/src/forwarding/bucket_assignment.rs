//! Assignment of buckets to ports, with as few moves as evenness needs.
//!
//! Evens out the number of buckets; the [`balancer`](crate::forwarding::balancer) evens out load.

use crate::buckets::BucketTable;
use crate::ident::PortId;

/// Assigns every bucket to one of the `enabled` ports.
///
/// A bucket of a removed port moves to the port with the fewest buckets. A port without a bucket
/// takes buckets from the port with the most, until it has at most one less. An even table stays
/// even: if a port leaves, only its own buckets move; if it returns, only its share. Of equal
/// ports the first one of `enabled` wins.
pub(crate) fn spread(table: &mut BucketTable, enabled: &[PortId]) {
    let mut counts: Vec<usize> = enabled
        .iter()
        .map(|port| table.iter().filter(|bucket| **bucket == Some(*port)).count())
        .collect();
    let added: Vec<usize> = (0..counts.len()).filter(|i| counts[*i] == 0).collect();

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
        added.iter().copied().min_by_key(|i| counts[*i]),
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
        let named = ports.prop_shuffle().prop_map(|ports| ports.into_iter().map(PortId).collect());
        proptest::collection::vec(named, 1..12)
    }

    proptest! {
        #[test]
        fn buckets_stay_even_with_the_fewest_moves(history in histories()) {
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
                    // The buckets of removed ports and the shares of added ports move, no others.
                    prop_assert_eq!(moved(&before, &table), own.max(share));
                }
                last = now;
            }
        }
    }

    #[test]
    fn a_bucket_moves_to_one_of_the_ports_beyond_256() {
        let ports: Vec<PortId> = (0..300).map(PortId).collect();
        let mut table = [None; BUCKETS];
        spread(&mut table, &ports);
        assert_eq!(table.iter().flatten().collect::<BTreeSet<_>>().len(), BUCKETS);
        let before = table;
        spread(&mut table, &ports[1..]);
        assert_eq!(moved(&before, &table), 1);
    }
}
