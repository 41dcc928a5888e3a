//! The control interface of a running team: teamd's methods and their transports.
//!
//! [`methods`] is the table that every transport serves, [`protocol`] the text form of requests
//! and replies. [`usock`] serves the unix socket, [`dbus`] the system bus, [`zmq`] ZeroMQ. The
//! daemon implements [`TeamControl`]; nothing here knows what a team is.

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
