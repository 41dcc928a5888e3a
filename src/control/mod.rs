//! How a running team is asked and told: the methods of teamd, and what carries them.
//!
//! [`methods`] is the one table that every transport serves; [`protocol`] is the text form that
//! the unix socket uses; [`usock`] is that socket, [`dbus`] the system bus. Nothing here knows what a team is: the daemon
//! stands behind [`TeamControl`].

pub mod clients;
pub mod dbus;
pub mod item_path;
pub mod methods;
pub mod protocol;
pub mod usock;
pub mod zmq;

pub use item_path::ItemPath;
pub use methods::{Failure, TeamControl};
pub use usock::UsockServer;
