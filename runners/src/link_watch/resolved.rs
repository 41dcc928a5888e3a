//! A host that a watch asks, or in whose name it asks: when its name has to be resolved.
//!
//! Resolving is the caller's work and may take any time; the watch goes on meanwhile. A name is
//! asked for again while it is not known, and while the link is down, so that a host that moved
//! is found.

use std::time::Duration;

use crate::settings::Host;
use crate::time::Instant;

/// Between an answer and the next question.
const PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Resolved<A> {
    host: Host<A>,
    found: Option<A>,
    under_way: bool,
    /// Not before this.
    again: Instant,
}

impl<A: Copy> Resolved<A> {
    pub(crate) fn new(host: &Host<A>) -> Self
    where
        Host<A>: Clone,
    {
        Resolved {
            host: host.clone(),
            found: None,
            under_way: false,
            again: Instant::ZERO,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.host.name
    }

    pub(crate) fn address(&self) -> Option<A> {
        self.host.address.or(self.found)
    }

    /// The name, if now is the time to have it resolved; it is under way then.
    pub(crate) fn question(&mut self, now: Instant, up: bool) -> Option<&str> {
        let wanted = self.host.address.is_none() && (self.found.is_none() || !up);
        if !wanted || self.under_way || now < self.again {
            return None;
        }
        self.under_way = true;
        Some(&self.host.name)
    }

    /// `name` has this address, or none that could be found. Whether an address is known only
    /// since now.
    pub(crate) fn answer(&mut self, now: Instant, name: &str, address: Option<A>) -> bool {
        if !self.under_way || self.host.name != name {
            return false;
        }
        self.under_way = false;
        self.again = now + PAUSE;
        let is_first = self.found.is_none() && address.is_some();
        self.found = address.or(self.found);
        is_first
    }
}
