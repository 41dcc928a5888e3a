//! A connection to one team's daemon, over one of its transports.
//!
//! One call at a time, each with a time limit of 5 s.

pub mod call;
pub mod dbus;
pub mod usock;

use call::CallError;
use dbus::Dbus;
use usock::Usock;

/// An open connection.
pub enum Connection {
    /// Over the control socket.
    Usock(Usock),
    /// Over the system bus.
    Dbus(Dbus),
}

impl Connection {
    /// Calls a method. Returns the method's text, which is empty for a method without one. The
    /// connection cannot be used after a time-out.
    pub fn call(&self, method: &str, args: &[&str]) -> Result<String, CallError> {
        match self {
            Connection::Usock(usock) => usock.call(method, args),
            Connection::Dbus(dbus) => dbus.call(method, args),
        }
    }
}
