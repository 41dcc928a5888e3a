//! teamd's control socket: `<run directory>/<device>.sock`, SOCK_SEQPACKET, one packet a message.
//!
//! Owns the listener, its clients and the file. Never waits: each call takes one step for one
//! client and asks the loop to be called again if there is more, so no client holds up the loop
//! for longer than one request takes. A client costs a descriptor, at most one reply that it has
//! not made room for, and what its own socket buffers hold; while a reply waits nothing more is
//! read from it.
//!
//! When descriptors run out or [`MAX_CLIENTS`] are connected, the one idle longest makes room:
//! the daemon needs descriptors for its ports, and an operator must get in.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send, setsockopt, sockopt};
use nix::sys::stat::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};

use super::methods::{Controlled, Failure};
use super::protocol;

/// Clients served at a time.
pub const MAX_CLIENTS: usize = 128;

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
    listener: Socket,
    registry: Registry,
    first: Token,
    clients: BTreeMap<usize, Client>,
    steps: u64,
}

impl UsockServer {
    /// How many tokens a server needs, from its first on.
    pub const TOKENS: usize = 1 + MAX_CLIENTS;

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
        let server = UsockServer {
            path: path.to_owned(),
            listener: socket,
            registry: registry.try_clone()?,
            first,
            clients: BTreeMap::new(),
            steps: 0,
        };
        let listener = server.listener.as_raw_fd();
        registry.register(&mut SourceFd(&listener), first, Interest::READABLE)?;
        Ok(server)
    }

    /// Takes one step for whoever `token` names: accepts a client, or writes a waiting reply, or
    /// serves one request. What remains causes another event.
    pub fn ready(&mut self, token: Token, team: &mut dyn Controlled) {
        match token.0.checked_sub(self.first.0) {
            Some(0) => self.accept(),
            Some(slot) => self.serve(slot, team),
            None => {}
        }
    }

    fn accept(&mut self) {
        match self.listener.accept_raw() {
            Ok((socket, _)) => self.admit(socket),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
            Err(e) => {
                log::warn!("usock: Failed to accept connection: {e}");
                let exhausted = matches!(e.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
                // With no client to close, the connection waits for the next one to come.
                if exhausted && !self.close_idlest() {
                    return;
                }
            }
        }
        let listener = self.listener.as_raw_fd();
        let again =
            self.registry
                .reregister(&mut SourceFd(&listener), self.first, Interest::READABLE);
        if let Err(e) = again {
            log::error!("usock: Failed to watch the socket {:?}: {e}", self.path);
        }
    }

    fn admit(&mut self, socket: Socket) {
        if self.clients.len() >= MAX_CLIENTS {
            self.close_idlest();
        }
        let Some(slot) = (1..=MAX_CLIENTS).find(|slot| !self.clients.contains_key(slot)) else {
            return;
        };
        let watched = socket.set_nonblocking(true).and_then(|()| {
            let fd = socket.as_raw_fd();
            let token = Token(self.first.0 + slot);
            self.registry
                .register(&mut SourceFd(&fd), token, Interest::READABLE)
        });
        if let Err(e) = watched {
            log::warn!("usock: Failed to watch a client: {e}");
            return;
        }
        self.steps += 1;
        let client = Client {
            socket,
            waiting: None,
            last_step: self.steps,
        };
        self.clients.insert(slot, client);
    }

    fn close_idlest(&mut self) -> bool {
        let idlest = self
            .clients
            .iter()
            .min_by_key(|(_, client)| client.last_step);
        match idlest.map(|(slot, _)| *slot) {
            Some(slot) => {
                log::warn!("usock: Too many connections, closing the one idle longest.");
                self.clients.remove(&slot);
                true
            }
            None => false,
        }
    }

    fn serve(&mut self, slot: usize, team: &mut dyn Controlled) {
        let Some(client) = self.clients.get_mut(&slot) else {
            return;
        };
        self.steps += 1;
        client.last_step = self.steps;
        let interest = match client.step(team) {
            Ok(Step::NothingToRead) => return,
            Ok(Step::ReadOn) => Ok(Interest::READABLE),
            Ok(Step::WaitForRoom) => Ok(Interest::WRITABLE),
            Err(e) => Err(io::Error::from(e)),
        };
        let watched = interest.and_then(|interest| {
            let fd = client.socket.as_raw_fd();
            let token = Token(self.first.0 + slot);
            self.registry
                .reregister(&mut SourceFd(&fd), token, interest)
        });
        if let Err(e) = watched {
            log::debug!("usock: Connection closed: {e}");
            self.clients.remove(&slot);
        }
    }
}

impl Drop for UsockServer {
    fn drop(&mut self) {
        self.clients.clear();
        let listener = self.listener.as_raw_fd();
        let _ = self.registry.deregister(&mut SourceFd(&listener));
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

struct Client {
    socket: Socket,
    /// A reply that the socket had no room for.
    waiting: Option<Vec<u8>>,
    /// When it last did something, counted in steps.
    last_step: u64,
}

enum Step {
    NothingToRead,
    ReadOn,
    WaitForRoom,
}

impl Client {
    /// One step; an error ends the connection.
    fn step(&mut self, team: &mut dyn Controlled) -> Result<Step, Errno> {
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
