//! tipc: up while the port's bearer has a TIPC link.
//!
//! All links of a host lead into one cluster, so one link suffices. TIPC itself supervises links.

use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub(crate) struct Tipc {
    bearer: String,
    /// The kernel has no TIPC.
    pub(super) is_missing: bool,
}

impl Tipc {
    /// Creates a watch; `bearer` is the interface part of the bearer, such as `eth1`.
    pub(crate) fn new(bearer: &str) -> Self {
        Tipc { bearer: bearer.to_owned(), is_missing: false }
    }

    /// Returns the new state of the watch; `linked` is `None` without TIPC.
    pub(crate) fn bearers_changed(&mut self, linked: Option<&BTreeSet<String>>) -> bool {
        self.is_missing = linked.is_none();
        linked.is_some_and(|linked| linked.contains(&self.bearer))
    }
}
