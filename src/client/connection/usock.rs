//! Calls over the control socket.
//!
//! A reply that comes after a time-out would be read as the reply to the next request, so a
//! time-out ends the use of a connection.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send, setsockopt, sockopt};
use socket2::{Domain, SockAddr, Socket, Type};

use super::call::{CallError, TIMEOUT_MS, Transport, decode_reply};
use crate::control::protocol;

/// A connection to a control socket.
pub struct Usock(Socket);

impl Usock {
    /// Connects to the socket at `path`. Fails with `ETIMEDOUT` if the queue of the socket stays full,
    /// because the daemon hangs or is stopped.
    pub fn open(path: &Path) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET.cloexec(), None)?;
        // The queues of a daemon that hangs fill up: connecting and sending need a time limit too.
        socket.set_write_timeout(Some(Duration::from_millis(TIMEOUT_MS.into())))?;
        match socket.connect(&SockAddr::unix(path)?) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(Errno::ETIMEDOUT.into()),
            connected => connected.map(|()| Usock(socket)),
        }
    }

    /// Returns whether a daemon listens at `path`: true for a daemon that hangs, and for a socket that
    /// this user may not connect to.
    pub fn is_served(path: &Path) -> bool {
        let connect = || {
            let kind = Type::SEQPACKET.cloexec().nonblocking();
            Socket::new(Domain::UNIX, kind, None)?.connect(&SockAddr::unix(path)?)
        };
        match connect() {
            Ok(()) => true,
            Err(e) => {
                matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::PermissionDenied)
            }
        }
    }

    /// Requests a method. Several requests may precede the first [`reply`](Self::reply).
    pub fn request(&self, method: &str, args: &[&str]) -> Result<(), CallError> {
        let request = protocol::encode_request(method, args);
        self.send_whole(&request).map_err(CallError::Socket)
    }

    /// Waits for the reply to the earliest request that has none.
    pub fn reply(&self) -> Result<String, CallError> {
        let packet = self.receive().map_err(CallError::Socket)?;
        decode_reply(Transport::Usock, &packet)
    }

    fn send(&self, request: &[u8]) -> Result<usize, Errno> {
        match send(self.0.as_raw_fd(), request, MsgFlags::MSG_NOSIGNAL) {
            Err(Errno::EAGAIN) => Err(Errno::ETIMEDOUT),
            sent => sent,
        }
    }

    /// Sends a request of any length.
    fn send_whole(&self, request: &[u8]) -> Result<(), Errno> {
        match self.send(request) {
            Err(Errno::EMSGSIZE) => {
                let length = request.len();
                if setsockopt(&self.0, sockopt::SndBufForce, &length).is_err() {
                    setsockopt(&self.0, sockopt::SndBuf, &length)?;
                }
                self.send(request).map(drop)
            }
            sent => sent.map(drop),
        }
    }

    fn receive(&self) -> Result<Vec<u8>, Errno> {
        let fd = self.0.as_raw_fd();
        let mut waiting = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        if poll(&mut waiting, PollTimeout::from(TIMEOUT_MS))? == 0 {
            return Err(Errno::ETIMEDOUT);
        }
        // With MSG_TRUNC the kernel returns the length of the packet, not of the buffer.
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
