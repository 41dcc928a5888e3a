//! The outcome of a stream of numbered packets, computed from the recorded times.

use std::collections::BTreeMap;
use std::time::Duration;

/// One received packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Number of the packet, from 0 in the order of sending.
    pub number: u64,
    /// Time of arrival, in nanoseconds of the monotonic clock.
    pub at: u64,
}

/// Times of sending and of arrival of each copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Time of sending by number, in nanoseconds of the monotonic clock.
    pub sent: Vec<u64>,
    /// Arrivals in order.
    pub arrivals: Vec<Arrival>,
}

impl Trace {
    /// Returns the numbers of the packets without any copy received.
    pub fn lost(&self) -> Vec<u64> {
        let copies = self.copies();
        (0..).take(self.sent.len()).filter(|number| !copies.contains_key(number)).collect()
    }

    /// Returns the numbers of lost packets that were sent before `from` or after `until`.
    pub fn lost_outside(&self, from: u64, until: u64) -> Vec<u64> {
        let mut lost = self.lost();
        lost.retain(|&number| !(from..=until).contains(&self.sent_at(number)));
        lost
    }

    /// Returns the number of copies beyond the first of each packet.
    pub fn duplicated(&self) -> usize {
        self.arrivals.len() - self.copies().len()
    }

    /// Returns the largest number of copies of one packet.
    pub fn most_copies(&self) -> usize {
        self.copies().into_values().max().unwrap_or(0)
    }

    /// Returns the number of packets received after a packet that was sent later.
    pub fn reordered(&self) -> usize {
        let mut highest = None;
        let mut late = 0;
        for arrival in &self.arrivals {
            match highest {
                Some(number) if arrival.number < number => late += 1,
                _ => highest = Some(arrival.number),
            }
        }
        late
    }

    /// Returns the longest time between two arrivals.
    pub fn longest_silence(&self) -> Duration {
        let pauses = self.arrivals.windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].at));
        Duration::from_nanos(pauses.max().unwrap_or(0))
    }

    /// Returns the longest run of lost packets: their number, and the time from the sending of the
    /// first to the sending of the next received packet. A delayed receiver does not lengthen this
    /// time, unlike the silence.
    pub fn longest_outage(&self) -> (usize, Duration) {
        let mut longest = (0, Duration::ZERO);
        let mut run: Option<(u64, usize)> = None;
        let copies = self.copies();
        for (number, &at) in (0..).zip(&self.sent) {
            if !copies.contains_key(&number) {
                run = Some(run.map_or((at, 1), |(start, length)| (start, length + 1)));
            } else if let Some((start, length)) = run.take() {
                let duration = Duration::from_nanos(at.saturating_sub(start));
                longest = longest.max((length, duration));
            }
        }
        if let (Some((start, length)), Some(&end)) = (run, self.sent.last()) {
            longest = longest.max((length, Duration::from_nanos(end.saturating_sub(start))));
        }
        longest
    }

    /// Returns the time from `moment` to the sending of a packet; zero if sent before.
    pub fn sent_after(&self, number: u64, moment: u64) -> Duration {
        Duration::from_nanos(self.sent_at(number).saturating_sub(moment))
    }

    /// Whether each packet arrived exactly once.
    pub fn is_exact(&self) -> bool {
        !self.sent.is_empty() && self.lost().is_empty() && self.duplicated() == 0
    }

    fn copies(&self) -> BTreeMap<u64, usize> {
        let mut copies = BTreeMap::new();
        for arrival in &self.arrivals {
            *copies.entry(arrival.number).or_default() += 1;
        }
        copies
    }

    fn sent_at(&self, number: u64) -> u64 {
        usize::try_from(number).ok().and_then(|index| self.sent.get(index)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Returns packets sent at 0, 1, 2, … ms; `arrivals` are numbers, each received half a
    /// millisecond after sending.
    fn trace(sent: u64, arrivals: &[u64]) -> Trace {
        Trace {
            sent: (0..sent).map(|number| number * MS).collect(),
            arrivals: arrivals
                .iter()
                .map(|&number| Arrival { number, at: number * MS + MS / 2 })
                .collect(),
        }
    }

    #[test]
    fn a_complete_stream_is_exact() {
        let trace = trace(4, &[0, 1, 2, 3]);
        assert!(trace.is_exact());
        assert_eq!(trace.reordered(), 0);
        assert_eq!(trace.longest_silence(), Duration::from_millis(1));
        assert_eq!(trace.longest_outage(), (0, Duration::ZERO));
    }

    #[test]
    fn an_empty_stream_is_not_exact() {
        assert!(!Trace::default().is_exact());
    }

    #[test]
    fn losses_have_numbers_and_times() {
        let trace = trace(8, &[0, 1, 5, 7]);
        assert!(!trace.is_exact());
        assert_eq!(trace.lost(), [2, 3, 4, 6]);
        assert_eq!(trace.longest_silence(), Duration::from_millis(4));
        assert_eq!(trace.longest_outage(), (3, Duration::from_millis(3)));
        assert_eq!(trace.lost_outside(2 * MS, 4 * MS), [6]);
        assert_eq!(trace.lost_outside(3 * MS, 6 * MS), [2]);
    }

    #[test]
    fn a_loss_at_the_end_counts() {
        assert_eq!(trace(4, &[0, 1]).longest_outage(), (2, Duration::from_millis(1)));
    }

    #[test]
    fn duplicates_and_reordered_packets_count_separately() {
        let trace = trace(4, &[0, 2, 1, 1, 3, 3, 3]);
        assert!(trace.lost().is_empty());
        assert_eq!(trace.duplicated(), 3);
        assert_eq!(trace.most_copies(), 3);
        assert_eq!(trace.reordered(), 2);
    }
}
