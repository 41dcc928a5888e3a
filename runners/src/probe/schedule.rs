//! When a team probes by itself: some time after links came up, and never often.
//!
//! What a probe is and what was heard of it is for [`probe`](crate::probe).

use std::collections::BTreeSet;
use std::time::Duration;

use crate::ident::PortId;
use crate::time::Instant;

/// After the last link came up: time for the others, and for a switch to forward.
const SETTLED: Duration = Duration::from_secs(1);
/// The pause before the second round: a switch with spanning tree may wait twice 15 s (IEEE
/// 802.1D-2004, table 17-1) before it forwards on a link that came up.
const SPANNING_TREE: Duration = Duration::from_secs(35);
/// From one round to the next, however often links come and go.
const PAUSE: Duration = Duration::from_secs(10);

/// The rounds of one team: two for links that came up, the second only if the first proved
/// nothing.
#[derive(Debug, Default)]
pub(crate) struct ProbeTimes {
    linked: BTreeSet<PortId>,
    due: Option<Instant>,
    /// The next round is the first one after a link came up.
    first: bool,
    last: Option<Instant>,
}

impl ProbeTimes {
    /// These ports have links and carry.
    pub(crate) fn linked(&mut self, now: Instant, linked: BTreeSet<PortId>) {
        if linked.len() < 2 {
            self.due = None;
        } else if !linked.is_subset(&self.linked) {
            let earliest = self.last.map_or(now, |last| last + PAUSE);
            self.due = Some(earliest.max(now + SETTLED));
            self.first = true;
        }
        self.linked = linked;
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Whether a round has to begin; `proven` if the last one found what it looked for.
    pub(crate) fn expire(&mut self, due: Instant, now: Instant, proven: bool) -> bool {
        if self.due.take_if(|own| *own <= due).is_none() {
            return false;
        }
        let first = std::mem::take(&mut self.first);
        if first {
            self.due = Some(now + SPANNING_TREE);
        } else if proven {
            return false;
        }
        self.last = Some(now);
        true
    }
}
