//! A conversation with one team's daemon over its control socket.
//!
//! One request at a time, each with 5 s for its reply, as libteamdctl has it. After a time-out
//! the connection is of no use any more: the late reply would be taken for the next one's.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send, setsockopt, sockopt};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::control::protocol::{self, Reply};

/// Milliseconds for a reply.
const PATIENCE_MS: u16 = 5000;

/// Why a call gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The daemon refused.
    Refused {
        /// For programs.
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
            CallError::Refused { code, text } => {
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
pub struct Connection(Socket);

impl Connection {
    /// Connects to the socket at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET.cloexec(), None)?;
        // A daemon that hangs lets its queues fill: neither connecting nor sending may wait on.
        socket.set_write_timeout(Some(Duration::from_millis(PATIENCE_MS.into())))?;
        socket.connect(&SockAddr::unix(path)?)?;
        Ok(Connection(socket))
    }

    /// Calls a method; the text that it returns is empty if it returns none.
    pub fn call(&self, method: &str, args: &[&str]) -> Result<String, CallError> {
        self.exchange(&protocol::encode_request(method, args))
            .map_err(CallError::Socket)
            .and_then(|packet| match protocol::decode_reply(&packet) {
                Some(Reply::Success(text)) => Ok(text),
                Some(Reply::Error { code, text }) => Err(CallError::Refused { code, text }),
                None => Err(CallError::Garbled),
            })
    }

    fn send(&self, request: &[u8]) -> Result<usize, Errno> {
        match send(self.0.as_raw_fd(), request, MsgFlags::MSG_NOSIGNAL) {
            Err(Errno::EAGAIN) => Err(Errno::ETIMEDOUT),
            sent => sent,
        }
    }

    fn exchange(&self, request: &[u8]) -> Result<Vec<u8>, Errno> {
        let fd = self.0.as_raw_fd();
        match self.send(request) {
            Err(Errno::EMSGSIZE) => {
                let length = request.len();
                if setsockopt(&self.0, sockopt::SndBufForce, &length).is_err() {
                    setsockopt(&self.0, sockopt::SndBuf, &length)?;
                }
                self.send(request)?;
            }
            sent => {
                sent?;
            }
        }
        let mut waiting = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        if poll(&mut waiting, PollTimeout::from(PATIENCE_MS))? == 0 {
            return Err(Errno::ETIMEDOUT);
        }
        // With MSG_TRUNC the kernel gives the packet's own length, whatever the buffer's.
        let length = recv(fd, &mut [], MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC)?;
        if length == 0 {
            return Err(Errno::ECONNRESET);
        }
        let mut packet = vec![0; length];
        let got = recv(fd, &mut packet, MsgFlags::empty())?;
        packet.truncate(got);
        Ok(packet)
    }
}
