//! teamd's control socket: `<run directory>/<device>.sock`, SOCK_SEQPACKET, one message in a
//! packet.
//!
//! Owns the file, the listener and the connections. Never waits: each call takes one step for one
//! client, so a client delays the loop by one request at most.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::stat::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};

use super::client::Client;
use super::methods::TeamControl;
use crate::files;

/// Largest number of clients at a time.
pub const MAX_CLIENTS: usize = 128;

/// Length of the listen queue, as in teamd.
const BACKLOG: i32 = 10;

/// The control socket of one team. Dropping it removes the file.
pub struct UsockServer {
    path: PathBuf,
    listener: Socket,
    registry: Rc<Registry>,
    first: Token,
    clients: BTreeMap<usize, Client>,
    steps: u64,
}

impl UsockServer {
    /// Number of tokens of a server.
    pub const TOKENS: usize = 1 + MAX_CLIENTS;

    /// Listens at `path` with mode 0700; an existing file is replaced. Events of
    /// [`TOKENS`](Self::TOKENS) tokens from `first` on are for [`ready`](Self::ready).
    ///
    /// NetworkManager connects when the file appears and does not try again, so the socket listens
    /// under another name before the file with its own name is made.
    pub fn bind(path: &Path, registry: &Rc<Registry>, first: Token) -> io::Result<Self> {
        let listener = Socket::new(Domain::UNIX, Type::SEQPACKET.nonblocking().cloexec(), None)?;
        fchmod(&listener, Mode::S_IRWXU)?;
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        let temporary = PathBuf::from(temporary);
        files::remove(&temporary)?;
        files::remove(path)?;
        listener.bind(&SockAddr::unix(&temporary)?)?;
        let linked = listener.listen(BACKLOG).and_then(|()| fs::hard_link(&temporary, path));
        fs::remove_file(&temporary)?;
        linked?;
        let registry = Rc::clone(registry);
        registry.register(&mut SourceFd(&listener.as_raw_fd()), first, Interest::READABLE)?;
        let path = path.to_owned();
        Ok(UsockServer { path, listener, registry, first, clients: BTreeMap::new(), steps: 0 })
    }

    /// Takes one step for the listener or the client of a token. A client with more to do causes
    /// another event.
    pub fn ready(&mut self, token: Token, team: &mut dyn TeamControl) {
        match token.0.checked_sub(self.first.0) {
            Some(0) => self.accept(),
            Some(slot) => self.serve(slot, team),
            None => {}
        }
    }

    /// Accepts a connection. Without a free descriptor or slot, closes the client that was idle
    /// longest: the daemon needs descriptors for its ports, and an operator needs a connection.
    fn accept(&mut self) {
        match self.listener.accept_raw() {
            Ok((socket, _)) => self.admit(socket),
            // The next event follows at once if there is a connection after all.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => {
                log::warn!("usock: Failed to accept connection: {e}");
                let exhausted = matches!(e.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
                // Without a client to close, the connection waits for the next event.
                if exhausted && !self.close_idle_longest() {
                    return;
                }
            }
        }
        let fd = self.listener.as_raw_fd();
        let again = self.registry.reregister(&mut SourceFd(&fd), self.first, Interest::READABLE);
        if let Err(e) = again {
            log::error!("usock: Failed to watch the socket: {e}");
        }
    }

    fn admit(&mut self, socket: Socket) {
        if self.clients.len() >= MAX_CLIENTS {
            self.close_idle_longest();
        }
        let Some(slot) = (1..=MAX_CLIENTS).find(|slot| !self.clients.contains_key(slot)) else {
            return;
        };
        let watched = socket.set_nonblocking(true).and_then(|()| {
            let token = Token(self.first.0 + slot);
            self.registry.register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::READABLE)
        });
        if let Err(e) = watched {
            log::warn!("usock: Failed to watch a client: {e}");
            return;
        }
        self.steps += 1;
        self.clients.insert(slot, Client::new(socket, self.steps));
    }

    /// Closes the client that was idle longest; returns false without a client.
    fn close_idle_longest(&mut self) -> bool {
        let idle_longest = self.clients.iter().min_by_key(|(_, client)| client.last_step);
        let Some((&slot, _)) = idle_longest else {
            return false;
        };
        log::warn!("usock: Too many connections, closing the one idle longest.");
        self.clients.remove(&slot);
        true
    }

    fn serve(&mut self, slot: usize, team: &mut dyn TeamControl) {
        let Some(client) = self.clients.get_mut(&slot) else {
            return;
        };
        self.steps += 1;
        client.last_step = self.steps;
        let watched = match client.step(team) {
            Ok(interest) => {
                let fd = client.socket.as_raw_fd();
                let token = Token(self.first.0 + slot);
                self.registry.reregister(&mut SourceFd(&fd), token, interest)
            }
            Err(e) => Err(e.into()),
        };
        if let Err(e) = watched {
            log::debug!("usock: Connection closed: {e}");
            self.clients.remove(&slot);
        }
    }
}

impl Drop for UsockServer {
    fn drop(&mut self) {
        let _ = self.registry.deregister(&mut SourceFd(&self.listener.as_raw_fd()));
        if let Err(e) = files::remove(&self.path) {
            log::warn!("usock: Failed to remove socket file: {e}");
        }
    }
}
