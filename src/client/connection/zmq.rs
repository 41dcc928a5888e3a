//! Calls over ZeroMQ.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::time::Duration;

use nix::errno::Errno;
use socket2::Socket;

use super::call::{CallError, TIMEOUT_MS, Transport, decode_reply};
use crate::control::protocol;
use crate::control::zmq::Endpoint;
use crate::control::zmq::frame::{self, Role, Session};

/// Longest reply in bytes.
const LARGEST: usize = 64 << 20;

/// A connection to a daemon's ZeroMQ socket.
pub struct Zmq {
    socket: Socket,
    session: RefCell<Session>,
}

impl Zmq {
    /// Connects. The first call fails if no daemon serves the endpoint.
    pub fn open(endpoint: &Endpoint) -> io::Result<Self> {
        let socket = endpoint.connect()?;
        let timeout = Duration::from_millis(TIMEOUT_MS.into());
        socket.set_read_timeout(Some(timeout))?;
        socket.set_write_timeout(Some(timeout))?;
        (&socket).write_all(&Session::opening(Role::Req))?;
        let session = RefCell::new(Session::new(LARGEST));
        Ok(Zmq { socket, session })
    }

    /// Calls a method, see [`Connection::call`](super::Connection::call).
    pub fn call(&self, method: &str, args: &[&str]) -> Result<String, CallError> {
        let request = protocol::encode_plain_request(method, args);
        (&self.socket)
            .write_all(&frame::message(&[], &request))
            .map_err(|e| CallError::Socket(errno(&e)))?;
        let mut session = self.session.borrow_mut();
        let mut bytes = vec![0; 64 << 10];
        loop {
            if let Some(reply) = session.next_message().map_err(|_| CallError::Malformed)? {
                return decode_reply(Transport::Zmq, &reply.body);
            }
            match (&self.socket).read(&mut bytes) {
                Ok(0) => return Err(CallError::Socket(Errno::ECONNRESET)),
                Ok(got) => session.take(&bytes[..got]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(CallError::Socket(errno(&e))),
            }
        }
    }
}

/// Returns the error number; a time-out of the socket is a time-out of the call.
fn errno(e: &io::Error) -> Errno {
    match e.kind() {
        io::ErrorKind::WouldBlock => Errno::ETIMEDOUT,
        _ => Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)),
    }
}
