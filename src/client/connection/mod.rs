//! A conversation with one team's daemon, over whichever transport it was reached by.
//!
//! One request at a time, each with 5 s for its reply, as libteamdctl has it.

use std::fmt;

use nix::errno::Errno;

pub mod dbus;
pub mod usock;
pub mod zmq;

use crate::control::protocol::{self, Reply};
use dbus::Dbus;
use usock::Usock;
use zmq::Zmq;

/// Milliseconds for a reply.
pub const PATIENCE_MS: u16 = 5000;

/// What carries the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// The control socket.
    Usock,
    /// The system bus.
    Dbus,
    /// A ZeroMQ socket.
    Zmq,
}

/// Why a call gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The daemon refused.
    Refused {
        /// How it told us.
        over: Transport,
        /// For programs. A name with dots is an error of the bus itself.
        code: String,
        /// For people.
        text: String,
    },
    /// The socket failed, or no reply came in time (`ETIMEDOUT`).
    Socket(Errno),
    /// What came is no reply.
    Garbled,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Refused { code, text, .. } => {
                write!(f, "{} ({code})", text.trim_end_matches('.'))
            }
            CallError::Socket(Errno::ETIMEDOUT) => f.write_str("no reply within 5 s"),
            CallError::Socket(errno) => f.write_str(errno.desc()),
            CallError::Garbled => f.write_str("the reply makes no sense"),
        }
    }
}

impl std::error::Error for CallError {}

/// An open connection.
pub enum Connection {
    /// Over the control socket.
    Usock(Usock),
    /// Over the system bus.
    Dbus(Dbus),
    /// Over ZeroMQ.
    Zmq(Zmq),
}

impl Connection {
    /// Calls a method; the text that it returns is empty if it returns none. After a time-out
    /// the connection is of no use any more.
    pub fn call(&self, method: &str, args: &[&str]) -> Result<String, CallError> {
        match self {
            Connection::Usock(usock) => usock.call(method, args),
            Connection::Dbus(dbus) => dbus.call(method, args),
            Connection::Zmq(zmq) => zmq.call(method, args),
        }
    }
}

/// What a reply in the daemon's text form says.
pub(super) fn outcome(over: Transport, reply: &[u8]) -> Result<String, CallError> {
    match protocol::decode_reply(reply) {
        Some(Reply::Success(text)) => Ok(text),
        Some(Reply::Error { code, text }) => Err(CallError::Refused { over, code, text }),
        None => Err(CallError::Garbled),
    }
}
