//! The control interface of a running team: teamd's methods and their transports.
//!
//! [`methods`] is the table that every transport serves, [`protocol`] the text form of requests
//! and replies, [`config_answer`] the form of one answer. [`usock`] serves the unix socket, [`dbus`] the system bus. The daemon implements
//! [`TeamControl`]; nothing here knows what a team is.

mod client;
pub mod config_answer;
pub mod dbus;
pub mod item_path;
pub mod methods;
pub mod protocol;
pub mod usock;

pub use item_path::ItemPath;
pub use methods::{Failure, TeamControl};
pub use usock::UsockServer;
