//! The Marker Generator/Receiver (IEEE 802.1AX-2014, 6.2.4 and 6.5): moves flows between links
//! without reordering. The function is optional, and the standard draws no diagram:
//!
//! ```text
//! +--------+  buckets must leave the link: hold them, send a marker   +-----------+
//! |  IDLE  |--------------------------------------------------------->|  WAITING  |
//! |        |<---------------------------------------------------------|           |
//! +--------+  response, or marker_timeout: release them to their      +-----------+
//!             new link; or the link no longer distributes
//! ```
//!
//! A held bucket has no link: its frames are dropped, because frames behind the marker would be
//! overtaken as well. The response shows that the Partner has collected all earlier frames. Without
//! a response, `marker_timeout` gives the Partner the time to do so. Flows of a lost link move at
//! once, as 6.2.4 permits.
//!
//! Owns the link that each bucket uses now, and the machine of each link. The
//! [`FlowTable`](crate::runner::flow_table) decides which link a bucket should use;
//! [`wire`](crate::wire) builds the markers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::forwarding::{BUCKETS, BucketTable};
use crate::ident::PortId;
use crate::time::Instant;

/// Delay before another attempt on a link whose limit permits no marker now.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// State of the machine of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GeneratorState {
    /// No marker is outstanding.
    Idle,
    /// The response to a marker is outstanding.
    Waiting,
}

/// Event of the machine of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GeneratorEvent {
    /// A marker leaves behind the frames of buckets that must leave the link.
    MarkerSent,
    /// The response to the last marker has arrived.
    ResponseReceived,
    /// `marker_timeout` has passed since the last marker.
    TimerExpired,
    /// The link no longer distributes.
    LinkLost,
}

impl GeneratorState {
    /// Returns the state to enter, or `None` to stay.
    fn next(self, event: GeneratorEvent) -> Option<GeneratorState> {
        use GeneratorEvent::{LinkLost, MarkerSent, ResponseReceived, TimerExpired};
        use GeneratorState::{Idle, Waiting};
        match (self, event) {
            (Idle, MarkerSent) => Some(Waiting),
            (Idle, ResponseReceived | TimerExpired | LinkLost) => None,
            // Buckets that must leave later get the next marker.
            (Waiting, MarkerSent) => None,
            (Waiting, ResponseReceived | TimerExpired | LinkLost) => Some(Idle),
        }
    }
}

/// The machine of one link.
#[derive(Clone, Debug)]
struct LinkGenerator {
    state: GeneratorState,
    /// Requester_Transaction_ID of the last marker.
    transaction: u32,
    /// When `marker_timeout` has passed since the last marker.
    marker_timer: Instant,
    /// Number of markers without a response.
    unanswered: u64,
}

impl LinkGenerator {
    /// Handles an event. Returns whether the state has changed.
    fn handle(&mut self, event: GeneratorEvent) -> bool {
        let entered = self.state.next(event);
        self.state = entered.unwrap_or(self.state);
        entered.is_some()
    }

    fn is_waiting(&self) -> bool {
        self.state == GeneratorState::Waiting
    }
}

/// A marker that must leave now, behind the frames forwarded so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MarkerRequest {
    pub(super) port: PortId,
    pub(super) transaction: u32,
}

/// The Marker Generators of all links of a team.
#[derive(Clone, Debug)]
pub(super) struct MarkerGenerator {
    /// `marker_timeout`.
    timeout: Duration,
    /// Link that sent the last frame of each bucket.
    current: Box<BucketTable>,
    held: BTreeSet<usize>,
    links: BTreeMap<PortId, LinkGenerator>,
    last_transaction: u32,
    /// When to try again on links whose limit permitted no marker.
    retry_at: Option<Instant>,
}

impl MarkerGenerator {
    pub(super) fn new(timeout: Duration) -> Self {
        MarkerGenerator {
            timeout,
            current: Box::new([None; BUCKETS]),
            held: BTreeSet::new(),
            links: BTreeMap::new(),
            last_transaction: 0,
            retry_at: None,
        }
    }

    /// Changes `table` from the link that each bucket should use to the link that it may use now;
    /// a held bucket has none. Returns the markers to send. `may_send` returns whether the limit
    /// of a link permits a marker, and counts it.
    pub(super) fn run(
        &mut self,
        now: Instant,
        distributing: &[PortId],
        table: &mut BucketTable,
        may_send: impl FnMut(PortId) -> bool,
    ) -> Vec<MarkerRequest> {
        self.run_timers(now, distributing);
        self.release(table);
        let leaving = self.assign(distributing, table);
        let markers = self.hold(now, leaving, may_send);
        for (bucket, (entry, current)) in table.iter_mut().zip(self.current.iter()).enumerate() {
            *entry = current.filter(|_| !self.held.contains(&bucket));
        }
        markers
    }

    /// Handles expired timers and lost links.
    fn run_timers(&mut self, now: Instant, distributing: &[PortId]) {
        for (port, link) in &mut self.links {
            if !distributing.contains(port) {
                link.handle(GeneratorEvent::LinkLost);
            } else if link.marker_timer <= now {
                link.unanswered += u64::from(link.handle(GeneratorEvent::TimerExpired));
            }
        }
        self.links.retain(|port, _| distributing.contains(port));
    }

    /// Assigns buckets without a distributing link to the link of `table`. Returns the buckets that
    /// must leave each link.
    fn assign(
        &mut self,
        distributing: &[PortId],
        table: &BucketTable,
    ) -> BTreeMap<PortId, Vec<usize>> {
        let mut leaving: BTreeMap<PortId, Vec<usize>> = BTreeMap::new();
        for (bucket, (wanted, current)) in table.iter().zip(self.current.iter_mut()).enumerate() {
            match current.filter(|port| distributing.contains(port)) {
                Some(port) if *wanted != Some(port) => {
                    leaving.entry(port).or_default().push(bucket);
                }
                Some(_) => {}
                None => *current = *wanted,
            }
        }
        leaving
    }

    /// Holds the buckets that must leave links without an outstanding marker. Returns a marker for
    /// each of these links.
    fn hold(
        &mut self,
        now: Instant,
        leaving: BTreeMap<PortId, Vec<usize>>,
        mut may_send: impl FnMut(PortId) -> bool,
    ) -> Vec<MarkerRequest> {
        self.retry_at = None;
        let mut markers = Vec::new();
        for (port, buckets) in leaving {
            if self.links.get(&port).is_some_and(LinkGenerator::is_waiting) {
                continue;
            }
            if !may_send(port) {
                self.retry_at = Some(now + RETRY_DELAY);
                continue;
            }
            self.last_transaction = self.last_transaction.wrapping_add(1);
            let transaction = self.last_transaction;
            let link = self.links.entry(port).or_insert(LinkGenerator {
                state: GeneratorState::Idle,
                transaction,
                marker_timer: now,
                unanswered: 0,
            });
            (link.transaction, link.marker_timer) = (transaction, now + self.timeout);
            link.handle(GeneratorEvent::MarkerSent);
            self.held.extend(buckets);
            markers.push(MarkerRequest { port, transaction });
        }
        markers
    }

    /// Releases held buckets to the link of `table` if their link no longer waits for a response,
    /// or if they need not move any more.
    fn release(&mut self, table: &BucketTable) {
        let (links, current) = (&self.links, &mut self.current);
        self.held.retain(|bucket| {
            let (wanted, current) = (table[*bucket], &mut current[*bucket]);
            let link = current.and_then(|port| links.get(&port));
            let is_held = wanted != *current && link.is_some_and(LinkGenerator::is_waiting);
            if !is_held {
                *current = wanted;
            }
            is_held
        });
    }

    /// Handles the response to a marker. Returns whether the response was outstanding.
    pub(super) fn response_received(&mut self, port: PortId, transaction: u32) -> bool {
        let link = self.links.get_mut(&port);
        let link = link.filter(|link| link.transaction == transaction);
        link.is_some_and(|link| link.handle(GeneratorEvent::ResponseReceived))
    }

    /// Returns the number of markers without a response since the link began to distribute.
    pub(super) fn unanswered(&self, port: PortId) -> u64 {
        self.links.get(&port).map_or(0, |link| link.unanswered)
    }

    /// Returns when the wait for the response on a link ends, or `None` if no marker is
    /// outstanding.
    pub(super) fn waits_until(&self, port: PortId) -> Option<Instant> {
        let link = self.links.get(&port).filter(|link| link.is_waiting())?;
        Some(link.marker_timer)
    }

    /// Returns when [`run`](Self::run) must be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waits = self.links.keys().filter_map(|port| self.waits_until(*port));
        waits.chain(self.retry_at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(100);
    const A: PortId = PortId(1);
    const B: PortId = PortId(2);

    #[test]
    fn every_state_handles_every_event() {
        use GeneratorEvent::{LinkLost, MarkerSent, ResponseReceived, TimerExpired};
        use GeneratorState::{Idle, Waiting};
        let table = [
            (Idle, MarkerSent, Some(Waiting)),
            (Idle, ResponseReceived, None),
            (Idle, TimerExpired, None),
            (Idle, LinkLost, None),
            (Waiting, MarkerSent, None),
            (Waiting, ResponseReceived, Some(Idle)),
            (Waiting, TimerExpired, Some(Idle)),
            (Waiting, LinkLost, Some(Idle)),
        ];
        for (state, event, expected) in table {
            assert_eq!(state.next(event), expected, "{state:?} {event:?}");
        }
    }

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    /// Returns a table with the first `moved` buckets on `B` and all others on `A`.
    fn table(moved: usize) -> BucketTable {
        let mut table = [Some(A); BUCKETS];
        table[..moved].fill(Some(B));
        table
    }

    /// Returns a generator with all buckets on `A`.
    fn all_on_a() -> MarkerGenerator {
        let mut generator = MarkerGenerator::new(TIMEOUT);
        let mut first = table(0);
        let markers = generator.run(at(0), &[A, B], &mut first, |_| true);
        assert_eq!((markers, first), (vec![], table(0)), "no bucket moves");
        generator
    }

    /// Returns a table with the first `moved` buckets held and all others on `A`.
    fn held(moved: usize) -> BucketTable {
        let mut held = table(0);
        held[..moved].fill(None);
        held
    }

    #[test]
    fn moving_buckets_are_held_until_the_response() {
        let mut generator = all_on_a();
        let mut now = table(8);
        let markers = generator.run(at(1), &[A, B], &mut now, |_| true);
        let marker = MarkerRequest { port: A, transaction: 1 };
        assert_eq!((markers, now), (vec![marker], held(8)));
        assert_eq!(generator.deadline(), Some(at(101)));
        assert!(!generator.response_received(A, 7), "another transaction");
        assert!(!generator.response_received(B, 1), "another link");
        let mut now = table(8);
        assert_eq!(generator.run(at(2), &[A, B], &mut now, |_| true), []);
        assert_eq!(now, held(8));
        assert!(generator.response_received(A, 1));
        assert!(!generator.response_received(A, 1), "a copy");
        let mut now = table(8);
        assert_eq!(generator.run(at(3), &[A, B], &mut now, |_| true), []);
        assert_eq!(now, table(8));
        assert_eq!(generator.deadline(), None);
        assert_eq!(generator.unanswered(A), 0);
    }

    #[test]
    fn held_buckets_move_after_the_timeout() {
        let mut generator = all_on_a();
        let _ = generator.run(at(1), &[A, B], &mut table(8), |_| true);
        let mut now = table(8);
        let _ = generator.run(at(101), &[A, B], &mut now, |_| true);
        assert_eq!((now, generator.unanswered(A)), (table(8), 1));
        assert!(!generator.response_received(A, 1), "too late");
    }

    #[test]
    fn buckets_that_move_during_a_wait_get_the_next_marker() {
        let mut generator = all_on_a();
        let _ = generator.run(at(1), &[A, B], &mut table(8), |_| true);
        let mut now = table(16);
        assert_eq!(generator.run(at(2), &[A, B], &mut now, |_| true), []);
        assert_eq!(now, held(8));
        assert!(generator.response_received(A, 1));
        let mut now = table(16);
        let markers = generator.run(at(3), &[A, B], &mut now, |_| true);
        assert_eq!(markers[0].transaction, 2);
        let mut expected = table(8);
        expected[8..16].fill(None);
        assert_eq!(now, expected);
    }

    #[test]
    fn a_lost_link_holds_no_bucket() {
        let mut generator = all_on_a();
        let _ = generator.run(at(1), &[A, B], &mut table(8), |_| true);
        let mut now = table(BUCKETS);
        assert_eq!(generator.run(at(2), &[B], &mut now, |_| true), []);
        assert_eq!(now, table(BUCKETS));
        assert_eq!(generator.deadline(), None);
        let mut now = [None; BUCKETS];
        assert_eq!(generator.run(at(3), &[], &mut now, |_| true), []);
        assert_eq!(now, [None; BUCKETS]);
    }

    #[test]
    fn held_buckets_that_need_not_move_are_released_at_once() {
        let mut generator = all_on_a();
        let _ = generator.run(at(1), &[A, B], &mut table(8), |_| true);
        let mut now = table(4);
        let _ = generator.run(at(2), &[A, B], &mut now, |_| true);
        assert_eq!(now, held(4));
    }

    #[test]
    fn a_link_at_its_limit_keeps_its_buckets_and_tries_again() {
        let mut generator = all_on_a();
        let mut now = table(8);
        assert_eq!(generator.run(at(1), &[A, B], &mut now, |_| false), []);
        assert_eq!(now, table(0));
        assert_eq!(generator.deadline(), Some(at(101)));
    }
}
