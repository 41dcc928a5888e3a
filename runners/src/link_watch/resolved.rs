//! The target or source host of a watch, and when its name must be resolved.
//!
//! The caller resolves names and may take any time. A resolution is requested again while the name
//! is unresolved, and while the watch is down, so that a host with a new address is found.

use std::time::Duration;

use crate::settings::Host;
use crate::time::Instant;

/// Least time between the end of a resolution and the next request.
const PAUSE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(crate) struct Resolved<A> {
    host: Host<A>,
    found: Option<A>,
    is_pending: bool,
    /// Earliest time of the next request.
    not_before: Instant,
}

impl<A: Copy> Resolved<A> {
    pub(crate) fn new(host: &Host<A>) -> Self
    where
        Host<A>: Clone,
    {
        Resolved { host: host.clone(), found: None, is_pending: false, not_before: Instant::ZERO }
    }

    pub(crate) fn name(&self) -> &str {
        &self.host.name
    }

    pub(crate) fn address(&self) -> Option<A> {
        self.host.address.or(self.found)
    }

    /// Returns the name if a resolution is due, and records the request.
    pub(crate) fn request(&mut self, now: Instant, up: bool) -> Option<&str> {
        let wanted = self.host.address.is_none() && (self.found.is_none() || !up);
        if !wanted || self.is_pending || now < self.not_before {
            return None;
        }
        self.is_pending = true;
        Some(&self.host.name)
    }

    /// Records the end of a resolution; `address` is `None` if it failed. Returns whether this is
    /// the host's first address.
    pub(crate) fn resolved(&mut self, now: Instant, name: &str, address: Option<A>) -> bool {
        if !self.is_pending || self.host.name != name {
            return false;
        }
        self.is_pending = false;
        self.not_before = now + PAUSE;
        let is_first = self.found.is_none() && address.is_some();
        self.found = address.or(self.found);
        is_first
    }
}
