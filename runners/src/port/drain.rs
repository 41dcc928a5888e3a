//! Drain of one port at the user's request: the port stops sending at once, and stops receiving later.

use crate::exclusion::Exclusion;
use crate::time::Instant;

/// Progress of a drain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Drain {
    /// The user does not drain the port.
    #[default]
    Off,
    /// The port sends nothing. The port still receives until the given time, so that the partner can
    /// learn of the drain and frames in flight can arrive.
    Draining { until: Instant },
    /// The drain is complete.
    Drained,
}

impl Drain {
    pub(crate) fn exclusion(self) -> Option<Exclusion> {
        match self {
            Drain::Off => None,
            Drain::Draining { .. } => Some(Exclusion::Draining),
            Drain::Drained => Some(Exclusion::Drained),
        }
    }

    pub(crate) fn next_deadline(self) -> Option<Instant> {
        match self {
            Drain::Draining { until } => Some(until),
            Drain::Off | Drain::Drained => None,
        }
    }

    pub(crate) fn expire(&mut self, due: Instant) {
        if self.next_deadline().is_some_and(|end| end <= due) {
            *self = Drain::Drained;
        }
    }

    /// Completes a drain in progress at `end` at the latest.
    pub(crate) fn complete_by(&mut self, end: Instant) {
        if let Drain::Draining { until } = self {
            *until = end.min(*until);
        }
    }
}
