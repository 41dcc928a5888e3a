//! The clients of one listening socket.
//!
//! Owns the listener and the connections; a [`Client`] owns requests and replies. Never waits:
//! each call takes one step for one client, and a client with more to do causes another event. So
//! a client delays the loop by one request at most.
//!
//! When descriptors run out or [`MAX_CLIENTS`] are connected, the client that was idle longest is
//! closed: the daemon needs descriptors for its ports, and an operator needs a connection.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use socket2::Socket;

use super::methods::TeamControl;

/// Largest number of clients at a time.
pub const MAX_CLIENTS: usize = 128;

/// The event that a client waits for after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes; the last read found none.
    NothingToRead,
    /// Bytes.
    ReadOn,
    /// Room in the send buffer, where there may be some already.
    WaitForRoom,
}

/// One connection.
pub trait Client {
    /// Starts to serve an accepted connection.
    fn new(socket: Socket) -> Self;
    /// The connection.
    fn socket(&self) -> &Socket;
    /// Takes one step. An error closes the connection.
    fn step(&mut self, team: &mut dyn TeamControl) -> Result<Step, Errno>;
}

/// The clients of a listening socket.
pub struct Clients<C> {
    /// Name of the transport in log messages.
    name: &'static str,
    listener: Socket,
    registry: Registry,
    first: Token,
    clients: BTreeMap<usize, Member<C>>,
    steps: u64,
}

struct Member<C> {
    client: C,
    /// Number of the client's last step.
    last_step: u64,
}

impl<C: Client> Clients<C> {
    /// Number of tokens of the clients.
    pub const TOKENS: usize = 1 + MAX_CLIENTS;

    /// Serves a listening socket. Events of [`TOKENS`](Self::TOKENS) tokens from `first` on are
    /// for [`ready`](Self::ready).
    pub fn of(
        listener: Socket,
        name: &'static str,
        registry: &Registry,
        first: Token,
    ) -> io::Result<Self> {
        let registry = registry.try_clone()?;
        let fd = listener.as_raw_fd();
        registry.register(&mut SourceFd(&fd), first, Interest::READABLE)?;
        Ok(Clients {
            name,
            listener,
            registry,
            first,
            clients: BTreeMap::new(),
            steps: 0,
        })
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

    fn accept(&mut self) {
        match self.listener.accept_raw() {
            Ok((socket, _)) => self.admit(socket),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
            Err(e) => {
                log::warn!("{}: Failed to accept connection: {e}", self.name);
                let exhausted = matches!(e.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
                // Without a client to close, the connection waits for the next event.
                if exhausted && !self.close_idle_longest() {
                    return;
                }
            }
        }
        let listener = self.listener.as_raw_fd();
        let again =
            self.registry
                .reregister(&mut SourceFd(&listener), self.first, Interest::READABLE);
        if let Err(e) = again {
            log::error!("{}: Failed to watch the socket: {e}", self.name);
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
            let fd = socket.as_raw_fd();
            let token = Token(self.first.0 + slot);
            self.registry
                .register(&mut SourceFd(&fd), token, Interest::READABLE)
        });
        if let Err(e) = watched {
            log::warn!("{}: Failed to watch a client: {e}", self.name);
            return;
        }
        self.steps += 1;
        let member = Member {
            client: C::new(socket),
            last_step: self.steps,
        };
        self.clients.insert(slot, member);
    }

    /// Closes the client that was idle longest; returns false without a client.
    fn close_idle_longest(&mut self) -> bool {
        let idle_longest = self
            .clients
            .iter()
            .min_by_key(|(_, member)| member.last_step);
        match idle_longest.map(|(slot, _)| *slot) {
            Some(slot) => {
                log::warn!(
                    "{}: Too many connections, closing the one idle longest.",
                    self.name
                );
                self.clients.remove(&slot);
                true
            }
            None => false,
        }
    }

    fn serve(&mut self, slot: usize, team: &mut dyn TeamControl) {
        let Some(member) = self.clients.get_mut(&slot) else {
            return;
        };
        self.steps += 1;
        member.last_step = self.steps;
        let interest = match member.client.step(team) {
            Ok(Step::NothingToRead) => return,
            Ok(Step::ReadOn) => Ok(Interest::READABLE),
            Ok(Step::WaitForRoom) => Ok(Interest::WRITABLE),
            Err(e) => Err(io::Error::from(e)),
        };
        let watched = interest.and_then(|interest| {
            let fd = member.client.socket().as_raw_fd();
            let token = Token(self.first.0 + slot);
            self.registry
                .reregister(&mut SourceFd(&fd), token, interest)
        });
        if let Err(e) = watched {
            log::debug!("{}: Connection closed: {e}", self.name);
            self.clients.remove(&slot);
        }
    }
}

impl<C> Drop for Clients<C> {
    fn drop(&mut self) {
        let listener = self.listener.as_raw_fd();
        let _ = self.registry.deregister(&mut SourceFd(&listener));
    }
}
