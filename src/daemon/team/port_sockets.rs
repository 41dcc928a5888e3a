//! The control sockets of a team's ports, and their tokens.
//!
//! A socket pauses when it still has frames after [`IN_A_ROW`]: during a flood on one port the
//! daemon must have time for the others, and the kernel drops what finds no room in the buffer.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use runners::{ControlFrames, HwAddr, Instant, PortId};

use crate::datapath::port_socket::PortSocket;
use crate::datapath::{Drained, closing};
use crate::errno::repeat;

/// Frames after which a socket pauses; a neighbour sends far fewer at once in any protocol.
const IN_A_ROW: usize = 64;
/// Far shorter than the period of any control frame, far longer than reading one takes.
const PAUSE: Duration = Duration::from_millis(10);

/// The control socket of a port.
#[derive(Debug)]
struct PortEntry {
    port: PortId,
    socket: PortSocket,
    /// Frames since the socket was empty or paused.
    in_a_row: usize,
}

/// One control socket for each port.
#[derive(Debug)]
pub struct PortSockets {
    registry: Rc<Registry>,
    tokens: Range<usize>,
    accepted: ControlFrames,
    /// By token.
    sockets: BTreeMap<usize, PortEntry>,
    /// End of the pause by token. A paused socket is not registered, or each frame would wake the
    /// loop.
    paused: BTreeMap<usize, Instant>,
}

impl PortSockets {
    /// Returns no sockets yet; their events will come under `tokens`.
    pub fn new(registry: Rc<Registry>, tokens: Range<usize>) -> Self {
        PortSockets {
            registry,
            tokens,
            accepted: ControlFrames::default(),
            sockets: BTreeMap::new(),
            paused: BTreeMap::new(),
        }
    }

    /// Opens the socket of a port whose own address is `hwaddr`.
    ///
    /// # Errors
    /// Errors of [`PortSocket::open`].
    pub fn open(&mut self, port: PortId, ifindex: u32, hwaddr: HwAddr) -> io::Result<()> {
        let mut free = self.tokens.clone();
        let token = free
            .find(|token| !self.sockets.contains_key(token))
            .ok_or_else(|| io::Error::other("no token is left for another port"))?;
        let mut socket = PortSocket::open(ifindex, hwaddr)?;
        socket.listen(self.accepted)?;
        self.register(token, &socket)?;
        let entry = PortEntry { port, socket, in_a_row: 0 };
        self.sockets.insert(token, entry);
        Ok(())
    }

    fn register(&self, token: usize, socket: &PortSocket) -> io::Result<()> {
        let fd = socket.as_raw_fd();
        self.registry.register(&mut SourceFd(&fd), Token(token), Interest::READABLE)
    }

    /// Closes the socket of a port, if there is one, and drops the frames in it.
    pub fn close(&mut self, port: PortId) {
        let token = self.sockets.iter().find(|(_, entry)| entry.port == port);
        let token = token.map(|(token, _)| *token);
        if let Some((token, entry)) = token.and_then(|token| self.sockets.remove_entry(&token)) {
            self.close_entry(token, entry);
        }
    }

    /// Closes the sockets of all ports, as [`close`](Self::close) does.
    pub fn close_all(&mut self) {
        while let Some((token, entry)) = self.sockets.pop_first() {
            self.close_entry(token, entry);
        }
    }

    fn close_entry(&mut self, token: usize, mut entry: PortEntry) {
        if self.paused.remove(&token).is_none() {
            let fd = entry.socket.as_raw_fd();
            if let Err(error) = self.registry.deregister(&mut SourceFd(&fd)) {
                log::debug!("cannot deregister a control socket: {error}");
            }
        }
        // Now, because the port may be set down next.
        entry.socket.leave();
        closing::close(entry);
    }

    /// Receives these frames on every port, also on ports that are opened later.
    ///
    /// # Errors
    /// The error of the last socket that failed.
    pub fn listen(&mut self, frames: ControlFrames) -> io::Result<()> {
        self.accepted = frames;
        let mut outcome = Ok(());
        for entry in self.sockets.values_mut() {
            if let Err(error) = entry.socket.listen(frames) {
                outcome = Err(error);
            }
        }
        outcome
    }

    /// Sends a frame on a port.
    ///
    /// # Errors
    /// `ENXIO` for a port without a socket, and those of [`PortSocket::send`].
    pub fn send(&self, port: PortId, frame: &[u8]) -> io::Result<()> {
        let entry = self.sockets.values().find(|entry| entry.port == port);
        let entry = entry.ok_or_else(|| io::Error::from_raw_os_error(libc::ENXIO))?;
        entry.socket.send(frame)
    }

    /// Adds up to `budget` frames of the port that has `token` to `frames`; returns whether there
    /// are more.
    ///
    /// # Errors
    /// Errors of [`PortSocket::receive`].
    pub fn receive(
        &mut self,
        token: Token,
        budget: usize,
        now: Instant,
        frames: &mut Vec<(PortId, Vec<u8>)>,
    ) -> io::Result<Drained> {
        // An event may outlive its port.
        let Some(entry) = self.sockets.get_mut(&token.0) else {
            return Ok(Drained::Empty);
        };
        for _ in 0..budget {
            match repeat(|| entry.socket.receive())? {
                Some(frame) => frames.push((entry.port, frame)),
                None => {
                    entry.in_a_row = 0;
                    return Ok(Drained::Empty);
                }
            }
        }
        entry.in_a_row += budget;
        if entry.in_a_row < IN_A_ROW {
            return Ok(Drained::More);
        }
        entry.in_a_row = 0;
        let fd = entry.socket.as_raw_fd();
        self.registry.deregister(&mut SourceFd(&fd))?;
        self.paused.insert(token.0, now + PAUSE);
        Ok(Drained::Empty)
    }

    /// Returns the end of the next pause.
    pub fn deadline(&self) -> Option<Instant> {
        self.paused.values().min().copied()
    }

    /// Ends the pauses that are over at `now`.
    ///
    /// # Errors
    /// The error of the last socket that could not be registered again; its pause goes on.
    pub fn resume(&mut self, now: Instant) -> io::Result<()> {
        let mut outcome = Ok(());
        let over = self.paused.iter().filter(|(_, until)| **until <= now);
        for token in over.map(|(token, _)| *token).collect::<Vec<usize>>() {
            let entry = self.sockets.get(&token);
            match entry.map_or(Ok(()), |entry| self.register(token, &entry.socket)) {
                Ok(()) => drop(self.paused.remove(&token)),
                Err(error) => {
                    self.paused.insert(token, now + PAUSE);
                    outcome = Err(error);
                }
            }
        }
        outcome
    }
}

impl Drop for PortSockets {
    fn drop(&mut self) {
        self.close_all();
    }
}
