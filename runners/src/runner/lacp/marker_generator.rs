//! Moves of flows from link to link that keep their order: the Marker Generator and Receiver
//! (802.1AX-2014, 6.2.4 and 6.5.1). It is optional, and the standard draws no figure:
//!
//! ```text
//! IDLE ---- buckets are to leave the link --> WAITING (their frames cease, a marker follows
//!                                                      the last of them)
//! WAITING - the response, or marker_timeout --> IDLE (they go on on their new link)
//! WAITING - the link no longer distributes --> IDLE
//! ```
//!
//! Frames of a flow must not be sent on while they wait: those behind the marker would be
//! overtaken as well. The response says that the partner has collected all before it; where none
//! comes, they have had the time. Flows of a link that is lost move at once (6.2.4 d).
//!
//! Owns which link each bucket is really on. Which it should be on is the
//! [`FlowTable`](crate::forwarding::flow_table)'s business, what a marker looks like [`wire`](crate::wire)'s.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::forwarding::{BUCKETS, BucketTable};
use crate::ident::PortId;
use crate::time::Instant;

/// A link that may not send a marker now is asked again after this time.
const PAUSE: Duration = Duration::from_millis(100);

/// A state of the machine of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Generator {
    Idle,
    Waiting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    /// Flows are to leave the link.
    Move,
    /// The response to the marker that was sent last.
    Response,
    /// `marker_timeout` has passed.
    Timeout,
    /// It does not distribute any more.
    Lost,
}

impl Generator {
    /// The state that is entered; none to stay.
    fn next(self, input: Input) -> Option<Generator> {
        match (self, input) {
            (Generator::Idle, Input::Move) => Some(Generator::Waiting),
            (Generator::Idle, Input::Response | Input::Timeout | Input::Lost) => None,
            // What else is to leave has its own marker, once this one is done.
            (Generator::Waiting, Input::Move) => None,
            (Generator::Waiting, Input::Response | Input::Timeout | Input::Lost) => {
                Some(Generator::Idle)
            }
        }
    }
}

/// One link.
#[derive(Clone, Debug)]
struct Link {
    generator: Generator,
    transaction: u32,
    /// When the response is not waited for any longer.
    until: Instant,
    unanswered: u64,
}

impl Link {
    fn handle(&mut self, input: Input) -> bool {
        let entered = self.generator.next(input);
        self.generator = entered.unwrap_or(self.generator);
        entered.is_some()
    }
}

/// A marker that has to be sent now, after what was forwarded before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) port: PortId,
    pub(super) transaction: u32,
}

#[derive(Debug)]
pub(super) struct Conversations {
    timeout: Duration,
    /// The link on which the last frame of each bucket was sent.
    on: Box<BucketTable>,
    /// Buckets whose frames have ceased.
    held: BTreeSet<usize>,
    links: BTreeMap<PortId, Link>,
    transaction: u32,
    /// When a link that may not send a marker is asked again.
    again: Option<Instant>,
}

impl Conversations {
    pub(super) fn new(timeout: Duration) -> Self {
        Conversations {
            timeout,
            on: Box::new([None; BUCKETS]),
            held: BTreeSet::new(),
            links: BTreeMap::new(),
            transaction: 0,
            again: None,
        }
    }

    /// Brings `table`, which says where each bucket should be, down to where it may be now: a
    /// bucket that is held is on no link. `may_ask` whether a link may send a marker; it then
    /// has to.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        distributing: &[PortId],
        table: &mut BucketTable,
        mut may_ask: impl FnMut(PortId) -> bool,
    ) -> Vec<Question> {
        for (port, link) in &mut self.links {
            if !distributing.contains(port) {
                link.handle(Input::Lost);
            } else if link.until <= now {
                link.unanswered += u64::from(link.handle(Input::Timeout));
            }
        }
        self.links.retain(|port, _| distributing.contains(port));
        self.release(table);
        let mut leaving: BTreeMap<PortId, Vec<usize>> = BTreeMap::new();
        for (bucket, wanted) in table.iter().enumerate() {
            match self.on[bucket].filter(|on| distributing.contains(on)) {
                Some(on) if *wanted != Some(on) => leaving.entry(on).or_default().push(bucket),
                Some(_) => {}
                None => self.on[bucket] = *wanted,
            }
        }
        self.again = None;
        let mut questions = Vec::new();
        for (port, buckets) in leaving {
            let waits = |link: &Link| link.generator == Generator::Waiting;
            if self.links.get(&port).is_some_and(waits) {
                continue;
            }
            if !may_ask(port) {
                self.again = Some(now + PAUSE);
                continue;
            }
            self.transaction = self.transaction.wrapping_add(1);
            let transaction = self.transaction;
            let link = self.links.entry(port).or_insert(Link {
                generator: Generator::Idle,
                transaction,
                until: now,
                unanswered: 0,
            });
            (link.transaction, link.until) = (transaction, now + self.timeout);
            link.handle(Input::Move);
            self.held.extend(buckets);
            questions.push(Question { port, transaction });
        }
        for (bucket, entry) in table.iter_mut().enumerate() {
            *entry = self.on[bucket].filter(|_| !self.held.contains(&bucket));
        }
        questions
    }

    /// Held buckets whose wait is over go to the link that they should be on, as do those that
    /// are to stay where they were.
    fn release(&mut self, table: &BucketTable) {
        let links = &self.links;
        let waits = |port: &PortId| {
            let link = links.get(port);
            link.is_some_and(|link| link.generator == Generator::Waiting)
        };
        let on = &mut self.on;
        self.held.retain(|bucket| {
            let is_held = table[*bucket] != on[*bucket] && on[*bucket].is_some_and(|on| waits(&on));
            if !is_held {
                on[*bucket] = table[*bucket];
            }
            is_held
        });
    }

    /// A response to one of our markers came in on a link. Whether it was waited for.
    pub(super) fn answered(&mut self, port: PortId, transaction: u32) -> bool {
        let link = self.links.get_mut(&port);
        let link = link.filter(|link| link.transaction == transaction);
        link.is_some_and(|link| link.handle(Input::Response))
    }

    /// Markers of a link that nobody answered in time, since it began to distribute.
    pub(super) fn unanswered(&self, port: PortId) -> u64 {
        self.links.get(&port).map_or(0, |link| link.unanswered)
    }

    /// When the wait for a link's response ends; none if it waits for none.
    pub(super) fn waits_until(&self, port: PortId) -> Option<Instant> {
        let link = self.links.get(&port)?;
        (link.generator == Generator::Waiting).then_some(link.until)
    }

    /// When [`settle`](Self::settle) has to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waits = self.links.keys().filter_map(|port| self.waits_until(*port));
        waits.chain(self.again).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(100);
    const A: PortId = PortId(1);
    const B: PortId = PortId(2);

    #[test]
    fn every_state_and_input() {
        use Generator::{Idle, Waiting};
        use Input::{Lost, Move, Response, Timeout};
        let table = [
            (Idle, Move, Some(Waiting)),
            (Idle, Response, None),
            (Idle, Timeout, None),
            (Idle, Lost, None),
            (Waiting, Move, None),
            (Waiting, Response, Some(Idle)),
            (Waiting, Timeout, Some(Idle)),
            (Waiting, Lost, Some(Idle)),
        ];
        for (state, input, expected) in table {
            assert_eq!(state.next(input), expected, "{state:?} {input:?}");
        }
    }

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    /// A table with all buckets on `A` but the first `moved`.
    fn table(moved: usize) -> BucketTable {
        let mut table = [Some(A); BUCKETS];
        table[..moved].fill(Some(B));
        table
    }

    fn begun() -> Conversations {
        let mut conversations = Conversations::new(TIMEOUT);
        let mut first = table(0);
        let asked = conversations.settle(at(0), &[A, B], &mut first, |_| true);
        assert_eq!((asked, first), (vec![], table(0)), "nobody was elsewhere");
        conversations
    }

    fn held(moved: usize) -> BucketTable {
        let mut held = table(0);
        held[..moved].fill(None);
        held
    }

    #[test]
    fn buckets_are_held_until_the_response() {
        let mut conversations = begun();
        let mut now = table(8);
        let asked = conversations.settle(at(1), &[A, B], &mut now, |_| true);
        let question = Question {
            port: A,
            transaction: 1,
        };
        assert_eq!((asked, now), (vec![question], held(8)));
        assert_eq!(conversations.deadline(), Some(at(101)));
        assert!(!conversations.answered(A, 7), "another transaction");
        assert!(!conversations.answered(B, 1), "another link");
        let mut now = table(8);
        assert_eq!(conversations.settle(at(2), &[A, B], &mut now, |_| true), []);
        assert_eq!(now, held(8));
        assert!(conversations.answered(A, 1));
        assert!(!conversations.answered(A, 1), "a copy");
        let mut now = table(8);
        assert_eq!(conversations.settle(at(3), &[A, B], &mut now, |_| true), []);
        assert_eq!(now, table(8));
        assert_eq!(conversations.deadline(), None);
        assert_eq!(conversations.unanswered(A), 0);
    }

    #[test]
    fn without_a_response_they_move_in_time() {
        let mut conversations = begun();
        let _ = conversations.settle(at(1), &[A, B], &mut table(8), |_| true);
        let mut now = table(8);
        let _ = conversations.settle(at(101), &[A, B], &mut now, |_| true);
        assert_eq!((now, conversations.unanswered(A)), (table(8), 1));
        assert!(!conversations.answered(A, 1), "too late");
    }

    #[test]
    fn what_leaves_meanwhile_stays_for_the_next_marker() {
        let mut conversations = begun();
        let _ = conversations.settle(at(1), &[A, B], &mut table(8), |_| true);
        let mut now = table(16);
        assert_eq!(conversations.settle(at(2), &[A, B], &mut now, |_| true), []);
        assert_eq!(now, held(8));
        assert!(conversations.answered(A, 1));
        let mut now = table(16);
        let asked = conversations.settle(at(3), &[A, B], &mut now, |_| true);
        assert_eq!(asked[0].transaction, 2);
        let mut expected = table(8);
        expected[8..16].fill(None);
        assert_eq!(now, expected);
    }

    #[test]
    fn a_lost_link_holds_nothing() {
        let mut conversations = begun();
        let _ = conversations.settle(at(1), &[A, B], &mut table(8), |_| true);
        let mut now = table(BUCKETS);
        assert_eq!(conversations.settle(at(2), &[B], &mut now, |_| true), []);
        assert_eq!(now, table(BUCKETS));
        assert_eq!(conversations.deadline(), None);
        let mut now = [None; BUCKETS];
        assert_eq!(conversations.settle(at(3), &[], &mut now, |_| true), []);
        assert_eq!(now, [None; BUCKETS]);
    }

    #[test]
    fn buckets_that_are_to_stay_after_all_go_on_at_once() {
        let mut conversations = begun();
        let _ = conversations.settle(at(1), &[A, B], &mut table(8), |_| true);
        let mut now = table(4);
        let _ = conversations.settle(at(2), &[A, B], &mut now, |_| true);
        assert_eq!(now, held(4));
    }

    #[test]
    fn a_link_that_may_not_ask_keeps_its_buckets_for_now() {
        let mut conversations = begun();
        let mut now = table(8);
        assert_eq!(
            conversations.settle(at(1), &[A, B], &mut now, |_| false),
            []
        );
        assert_eq!(now, table(0));
        assert_eq!(conversations.deadline(), Some(at(101)));
    }
}
