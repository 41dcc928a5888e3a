//! When a team probes by itself: a second after links came up, and seldom.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::ident::PortId;
use crate::time::Instant;

/// Pause after a link came up: time for other links, and for a switch to forward.
const LINK_DELAY: Duration = Duration::from_secs(1);
/// Pause before the second round: a switch with spanning tree may wait twice 15 s (IEEE 802.1D-2004,
/// table 17-1) before it forwards on a link that came up.
pub(crate) const SPANNING_TREE: Duration = Duration::from_secs(35);
/// Least pause between two rounds, however often links go down and up.
const PAUSE: Duration = Duration::from_secs(10);

/// Times of the probe rounds of one team: two rounds after a link came up, the second one only if the
/// first proved nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProbeTimes {
    linked: BTreeSet<PortId>,
    due: Option<Instant>,
    /// The next round is the first one after a link came up.
    first: bool,
    last: Option<Instant>,
}

impl ProbeTimes {
    /// Sets the ports with a link that the probes are about.
    pub(crate) fn set_linked(&mut self, now: Instant, linked: BTreeSet<PortId>) {
        if linked.len() < 2 {
            self.due = None;
        } else if !linked.is_subset(&self.linked) {
            let earliest = self.last.map_or(now, |last| last + PAUSE);
            self.due = Some(earliest.max(now + LINK_DELAY));
            self.first = true;
        }
        self.linked = linked;
    }

    /// Returns the ports with a link that the probes are about.
    pub(crate) fn linked(&self) -> &BTreeSet<PortId> {
        &self.linked
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Returns whether to start a round at the deadline `due`; `proven` if a probe of the last round
    /// crossed.
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
