//! A connection to one team's daemon, over one of its transports.
//!
//! Each call has a time limit of 5 s. Over the control socket a client may request several methods before
//! it reads the first reply.

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
        self.request(method, args)?;
        self.reply(method, args)
    }

    /// Requests a method whose [`reply`](Self::reply) is read later.
    pub fn request(&self, method: &str, args: &[&str]) -> Result<(), CallError> {
        match self {
            Connection::Usock(usock) => usock.request(method, args),
            // The bus carries one call at a time, which waits for its reply.
            Connection::Dbus(_) => Ok(()),
        }
    }

    /// Waits for the reply to the earliest [request](Self::request) without one, which was this call.
    pub fn reply(&self, method: &str, args: &[&str]) -> Result<String, CallError> {
        match self {
            Connection::Usock(usock) => usock.reply(),
            Connection::Dbus(dbus) => dbus.call(method, args),
        }
    }
}
