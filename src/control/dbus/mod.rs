//! teamd's D-Bus service: the methods on the system bus, under a name of the team.
//!
//! `names` has the names, `service` the life of the connection, `dispatch` the replies to
//! calls. The client uses `connection` and `message` too. Standard: libteam 1.32's service. One
//! deviation: a method that does not exist is an error, where teamd reports success.

pub mod connection;
mod dispatch;
mod introspection;
pub mod message;
pub mod names;
mod service;
mod wire;

pub use names::{INTERFACE, PATH, bus_name, error_code, error_name};
pub use service::{BusStart, DbusService, NameError, Step};
