//! The clients of one listening socket.
//!
//! Owns the listener and who is connected. Never waits: each call takes one step for one client
//! and asks the loop to be called again if there is more, so no client holds up the loop for
//! longer than one request takes. What a client says and hears is its [`Client`]'s business.
//!
//! When descriptors run out or [`MAX_CLIENTS`] are connected, the one idle longest makes room:
//! the daemon needs descriptors for its ports, and an operator must get in.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use socket2::Socket;

use super::methods::TeamControl;

/// Clients served at a time.
pub const MAX_CLIENTS: usize = 128;

/// What a client is waited for after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes, of which none were there.
    NothingToRead,
    /// Bytes.
    ReadOn,
    /// Room to write; there may be some already.
    WaitForRoom,
}

/// One connection.
pub trait Client {
    /// Takes over a connection that has just been accepted.
    fn new(socket: Socket) -> Self;
    /// The connection.
    fn socket(&self) -> &Socket;
    /// One step; an error ends the connection.
    fn step(&mut self, team: &mut dyn TeamControl) -> Result<Step, Errno>;
}

/// The clients of a listening socket.
pub struct Clients<C> {
    /// For messages.
    name: &'static str,
    listener: Socket,
    registry: Registry,
    first: Token,
    clients: BTreeMap<usize, Member<C>>,
    steps: u64,
}

struct Member<C> {
    client: C,
    /// When it last did something, counted in steps.
    last_step: u64,
}

impl<C: Client> Clients<C> {
    /// How many tokens they need, from their first on.
    pub const TOKENS: usize = 1 + MAX_CLIENTS;

    /// Serves a socket that listens already. Events of `first` and the following
    /// [`TOKENS`](Self::TOKENS) belong to [`ready`](Self::ready).
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

    /// Takes one step for whoever `token` names. What remains causes another event.
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
            log::error!("{}: Failed to watch the socket: {e}", self.name);
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

    fn close_idlest(&mut self) -> bool {
        let idlest = self
            .clients
            .iter()
            .min_by_key(|(_, member)| member.last_step);
        match idlest.map(|(slot, _)| *slot) {
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
