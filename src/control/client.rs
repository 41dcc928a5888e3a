//! One connection to the control socket: a packet in, a reply out.
//!
//! Costs a descriptor, the socket buffers, and at most one reply that waits for room: while a reply
//! waits, the client's next request is not read.

use std::os::fd::AsRawFd;

use mio::Interest;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send, setsockopt, sockopt};
use socket2::Socket;

use super::methods::{Failure, TeamControl};
use super::protocol::{self, MAX_REQUEST};

/// Bytes of a reply that fits any send buffer. A client that does not take such a reply is closed.
const SURELY_SENT: usize = 1024;

/// A client of the socket.
pub(super) struct Client {
    pub socket: Socket,
    /// Number of the server's step that served this client last.
    pub last_step: u64,
    /// A reply that waits for room in the send buffer.
    waiting: Option<Vec<u8>>,
}

impl Client {
    pub fn new(socket: Socket, last_step: u64) -> Self {
        Client { socket, last_step, waiting: None }
    }

    /// Sends the waiting reply, or serves one request. Returns the event to wait for, which may be
    /// pending. An error closes the connection.
    pub fn step(&mut self, team: &mut dyn TeamControl) -> Result<Interest, Errno> {
        if let Some(reply) = self.waiting.take() {
            return self.reply(reply);
        }
        match self.receive() {
            Ok(Some(packet)) => match protocol::answer(&packet, team) {
                Some(reply) => self.reply(reply),
                None => Ok(Interest::READABLE),
            },
            Ok(None) => self.reply(protocol::encode_reply(&Err(Failure::RequestTooLong))),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(Interest::READABLE),
            Err(e) => Err(e),
        }
    }

    /// Receives the next packet; `None` for a packet that is too long. An empty packet, which looks
    /// like a closed connection, is `ESHUTDOWN`, as in teamd.
    fn receive(&self) -> Result<Option<Vec<u8>>, Errno> {
        let fd = self.socket.as_raw_fd();
        // With MSG_TRUNC the kernel returns the length of the packet, not of the buffer.
        let length = recv(fd, &mut [], MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC)?;
        if length == 0 {
            return Err(Errno::ESHUTDOWN);
        }
        if length > MAX_REQUEST {
            recv(fd, &mut [], MsgFlags::empty())?;
            return Ok(None);
        }
        let mut packet = vec![0; length];
        let got = recv(fd, &mut packet, MsgFlags::empty())?;
        packet.truncate(got);
        Ok(Some(packet))
    }

    fn reply(&mut self, reply: Vec<u8>) -> Result<Interest, Errno> {
        let mut sent = self.send(&reply);
        if sent == Err(Errno::EMSGSIZE) {
            self.make_room(reply.len());
            sent = self.send(&reply);
        }
        match sent {
            Ok(_) => Ok(Interest::READABLE),
            Err(Errno::EAGAIN | Errno::EINTR) => {
                self.waiting = Some(reply);
                Ok(Interest::WRITABLE)
            }
            Err(e @ (Errno::EMSGSIZE | Errno::ENOBUFS)) if reply.len() > SURELY_SENT => {
                log::warn!("Usock send failed: {e} ({} bytes)", reply.len());
                self.reply(protocol::encode_reply(&Err(Failure::ReplyTooLong)))
            }
            Err(e) => Err(e),
        }
    }

    fn send(&self, reply: &[u8]) -> Result<usize, Errno> {
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        send(self.socket.as_raw_fd(), reply, flags)
    }

    /// Enlarges the send buffer for a reply of `length` bytes, which must fit whole. Without
    /// CAP_NET_ADMIN `wmem_max` limits the buffer, and the next send may fail.
    fn make_room(&self, length: usize) {
        if setsockopt(&self.socket, sockopt::SndBufForce, &length).is_err() {
            let _ = setsockopt(&self.socket, sockopt::SndBuf, &length);
        }
    }
}
