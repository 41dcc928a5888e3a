//! tipc: up while a TIPC link goes over the port's bearer.
//!
//! Who has a link and how that is noticed is TIPC's affair; all links of a host are in one
//! cluster, so one suffices.

use std::collections::BTreeSet;

#[derive(Debug)]
pub(crate) struct Tipc {
    bearer: String,
    /// The last news was that nobody can tell.
    pub(crate) is_missing: bool,
}

impl Tipc {
    /// `bearer` is its interface part, such as `eth1`.
    pub(crate) fn new(bearer: &str) -> Self {
        Tipc {
            bearer: bearer.to_owned(),
            is_missing: false,
        }
    }

    /// The verdict when these bearers have a link, or nobody can tell.
    pub(crate) fn bearers_changed(&mut self, linked: Option<&BTreeSet<String>>) -> bool {
        self.is_missing = linked.is_none();
        linked.is_some_and(|linked| linked.contains(&self.bearer))
    }
}
