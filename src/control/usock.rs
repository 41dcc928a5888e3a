//! teamd's control socket: `<run directory>/<device>.sock`, SOCK_SEQPACKET, one packet a message.
//!
//! Owns the file and what passes between a client and the daemon; who is connected is
//! [`clients`](super::clients)' business. A client costs a descriptor, at most one reply that it
//! has not made room for, and what its own socket buffers hold; while a reply waits nothing more
//! is read from it.

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
use super::protocol;

/// Longest request in bytes; longer ones are answered with an error. The settings of a port
/// are a few hundred, and a dump of nested junk is many times as long as what went in.
pub const MAX_REQUEST: usize = 64 << 10;

/// A reply of so many bytes fits any send buffer; if it does not go, the client is given up.
const SURELY_SENT: usize = 1024;

/// As many as teamd queues.
const BACKLOG: i32 = 10;

/// The control socket of one team. The file goes when this is dropped.
pub struct UsockServer {
    path: PathBuf,
    clients: Clients<Peer>,
}

impl UsockServer {
    /// How many tokens a server needs, from its first on.
    pub const TOKENS: usize = Clients::<Peer>::TOKENS;

    /// Listens at `path`, which is replaced if it exists, mode 0700. Events of `first` and the
    /// following [`TOKENS`](Self::TOKENS) belong to [`ready`](Self::ready).
    ///
    /// NetworkManager connects as soon as it sees the file being created and does not try again,
    /// so the socket listens under another name before it is linked to its own.
    pub fn bind(path: &Path, registry: &Registry, first: Token) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET.nonblocking().cloexec(), None)?;
        fchmod(&socket, Mode::S_IRWXU)?;
        let mut nascent = path.as_os_str().to_owned();
        nascent.push(".new");
        let nascent = PathBuf::from(nascent);
        remove_if_present(&nascent)?;
        remove_if_present(path)?;
        socket.bind(&SockAddr::unix(&nascent)?)?;
        let linked = socket
            .listen(BACKLOG)
            .and_then(|()| fs::hard_link(&nascent, path));
        fs::remove_file(&nascent)?;
        linked?;
        let path = path.to_owned();
        let clients = Clients::of(socket, "usock", registry, first)?;
        Ok(UsockServer { path, clients })
    }

    /// Takes one step for whoever `token` names: accepts a client, or writes a waiting reply, or
    /// serves one request. What remains causes another event.
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
    /// A reply that the socket had no room for.
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
    /// The next packet, `None` in place of one that is too long. An empty one ends the
    /// connection, as in teamd; it cannot be told from a closed one.
    fn receive(&self) -> Result<Option<Vec<u8>>, Errno> {
        let fd = self.socket.as_raw_fd();
        // With MSG_TRUNC the kernel gives the packet's own length, whatever the buffer's.
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

    /// A packet must fit the send buffer whole; the kernel doubles what is asked for, so the
    /// reply's own length leaves room for its bookkeeping. Without CAP_NET_ADMIN `wmem_max` caps
    /// the buffer; if that is too little the next send tells.
    fn make_room(&self, length: usize) {
        if setsockopt(&self.socket, sockopt::SndBufForce, &length).is_err() {
            let _ = setsockopt(&self.socket, sockopt::SndBuf, &length);
        }
    }
}
