//! The outcome of a call, whatever transport carries it.

use std::fmt;

use nix::errno::Errno;

use crate::control::protocol::{self, Reply};

/// Time limit of a call in milliseconds, as in libteamdctl.
pub const TIMEOUT_MS: u16 = 5000;

/// A transport of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// The control socket.
    Usock,
    /// The system bus.
    Dbus,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The daemon replied with an error.
    Refused {
        /// The transport of the reply.
        over: Transport,
        /// Code for programs. A code with dots is an error of the bus itself.
        code: String,
        /// Text for people.
        text: String,
    },
    /// The socket failed, or no reply came within the time limit (`ETIMEDOUT`).
    Socket(Errno),
    /// The bytes received are no reply.
    Malformed,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Refused { code, text, .. } => {
                write!(f, "{} ({code})", text.trim_end_matches('.'))
            }
            CallError::Socket(Errno::ETIMEDOUT) => f.write_str("no reply within 5 s"),
            CallError::Socket(errno) => f.write_str(errno.desc()),
            CallError::Malformed => f.write_str("the reply makes no sense"),
        }
    }
}

impl std::error::Error for CallError {}

/// Decodes a reply of the control socket.
pub(super) fn decode_reply(over: Transport, reply: &[u8]) -> Result<String, CallError> {
    match protocol::decode_reply(reply) {
        Some(Reply::Success(text)) => Ok(text),
        Some(Reply::Error { code, text }) => Err(CallError::Refused { over, code, text }),
        None => Err(CallError::Malformed),
    }
}
