//! Link watches: the state of a port's link.
//!
//! Each kind of watch has a module that defines when the watch goes up and down: [`ethtool`],
//! [`arp_ping`], [`nsna_ping`], [`probe`], [`tipc`], [`errors`]; the sessions of the watch bfd run beside the
//! team ([`crate::bfd`]), and the team itself runs those of the watch lacp. [`LinkWatch`] is one watch
//! of any kind, [`LinkWatches`] combines the watches of one port. The runner decides about ports that
//! are up or down.

mod arp_ping;
mod context;
mod errors;
mod ethtool;
mod group;
mod nsna_ping;
mod ping_timer;
mod probe;
mod resolved;
mod tipc;
mod watch;

pub(crate) use arp_ping::is_sent_by;
pub(crate) use context::{TeamContext, WatchContext};
pub(crate) use group::LinkWatches;
pub use probe::ProbeStatus;
pub use watch::{LinkWatch, PingStatus, WatchProblem};
pub(crate) use watch::{WatchAction, WatchActions};
