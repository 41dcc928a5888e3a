//! teamd's control socket: `<run directory>/<device>.sock`, SOCK_SEQPACKET, one message in a
//! packet.
//!
//! Owns the file, the requests and the replies; [`clients`](super::clients) owns the connections. A
//! client costs a descriptor, its socket buffers, and at most one reply that waits for room:
//! while a reply waits, the client's next request is not read.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use mio::{Registry, Token};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send, setsockopt, sockopt};
use nix::sys::stat::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};

use super::clients::{Client, Clients, Step};
use super::methods::{Failure, TeamControl};
use super::protocol::{self, MAX_REQUEST};

/// Bytes of a reply that fits any send buffer. A client that does not take such a reply is closed.
const SURELY_SENT: usize = 1024;

/// Length of the listen queue, as in teamd.
const BACKLOG: i32 = 10;

/// The control socket of one team. Dropping it removes the file.
pub struct UsockServer {
    path: PathBuf,
    clients: Clients<Peer>,
}

impl UsockServer {
    /// Number of tokens of a server.
    pub const TOKENS: usize = Clients::<Peer>::TOKENS;

    /// Listens at `path` with mode 0700; an existing file is replaced. Events of
    /// [`TOKENS`](Self::TOKENS) tokens from `first` on are for [`ready`](Self::ready).
    ///
    /// NetworkManager connects when the file appears and does not try again, so the socket listens
    /// under another name before the file with its own name is made.
    pub fn bind(path: &Path, registry: &Registry, first: Token) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET.nonblocking().cloexec(), None)?;
        fchmod(&socket, Mode::S_IRWXU)?;
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        let temporary = PathBuf::from(temporary);
        remove_if_present(&temporary)?;
        remove_if_present(path)?;
        socket.bind(&SockAddr::unix(&temporary)?)?;
        let linked = socket
            .listen(BACKLOG)
            .and_then(|()| fs::hard_link(&temporary, path));
        fs::remove_file(&temporary)?;
        linked?;
        let path = path.to_owned();
        let clients = Clients::of(socket, "usock", registry, first)?;
        Ok(UsockServer { path, clients })
    }

    /// Takes one step for the listener or the client of a token: accepts a client, or sends a
    /// waiting reply, or serves one request. A client with more to do causes another event.
    pub fn ready(&mut self, token: Token, team: &mut dyn TeamControl) {
        self.clients.ready(token, team);
    }
}

impl Drop for UsockServer {
    fn drop(&mut self) {
        if let Err(e) = remove_if_present(&self.path) {
            log::warn!("usock: Failed to remove socket file: {e}");
        }
    }
}

fn remove_if_present(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// A client of the socket.
struct Peer {
    socket: Socket,
    /// A reply that waits for room in the send buffer.
    waiting: Option<Vec<u8>>,
}

impl Client for Peer {
    fn new(socket: Socket) -> Self {
        Peer {
            socket,
            waiting: None,
        }
    }

    fn socket(&self) -> &Socket {
        &self.socket
    }

    fn step(&mut self, team: &mut dyn TeamControl) -> Result<Step, Errno> {
        if let Some(reply) = self.waiting.take() {
            return self.reply(reply);
        }
        match self.receive() {
            Ok(Some(packet)) => match protocol::answer(&packet, team) {
                Some(reply) => self.reply(reply),
                None => Ok(Step::ReadOn),
            },
            Ok(None) => self.reply(protocol::encode_reply(&Err(Failure::RequestTooLong))),
            Err(Errno::EAGAIN) => Ok(Step::NothingToRead),
            Err(Errno::EINTR) => Ok(Step::ReadOn),
            Err(e) => Err(e),
        }
    }
}

impl Peer {
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

    fn reply(&mut self, reply: Vec<u8>) -> Result<Step, Errno> {
        let mut sent = self.send(&reply);
        if sent == Err(Errno::EMSGSIZE) {
            self.make_room(reply.len());
            sent = self.send(&reply);
        }
        match sent {
            Ok(_) => Ok(Step::ReadOn),
            Err(Errno::EAGAIN | Errno::EINTR) => {
                self.waiting = Some(reply);
                Ok(Step::WaitForRoom)
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

    /// Enlarges the send buffer for a reply of `length` bytes, which must fit whole. The kernel
    /// doubles the value, which leaves room for its bookkeeping. Without CAP_NET_ADMIN `wmem_max`
    /// limits the buffer, and the next send may fail.
    fn make_room(&self, length: usize) {
        if setsockopt(&self.socket, sockopt::SndBufForce, &length).is_err() {
            let _ = setsockopt(&self.socket, sockopt::SndBuf, &length);
        }
    }
}
