//! The control sockets of a team's ports, and who is told by which token.
//!
//! A socket that still has frames after so many in a row rests: a flood on one port must not
//! have the daemon read all day, so the kernel is left to throw away what finds no room.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use runners::{ControlFrames, HwAddr, Instant, PortId};

use crate::datapath::Drained;
use crate::datapath::port_socket::PortSocket;

/// After these a socket rests: far more than any protocol has a neighbour send at once.
const IN_A_ROW: usize = 64;
/// Far shorter than any period of the frames that are heard, far longer than those take.
const REST: Duration = Duration::from_millis(10);

/// The control socket of a port.
#[derive(Debug)]
struct PortEntry {
    port: PortId,
    socket: PortSocket,
    /// Frames since there were none or it rested.
    in_a_row: usize,
}

/// One control socket for each port.
#[derive(Debug)]
pub struct PortSockets {
    registry: Registry,
    tokens: Range<usize>,
    hears: ControlFrames,
    /// By the place of their token.
    sockets: BTreeMap<usize, PortEntry>,
    /// Those that rest, and until when. They are not registered: each frame would tell of itself.
    resting: BTreeMap<usize, Instant>,
}

impl PortSockets {
    /// None yet; news of frames will come under `tokens`.
    pub fn new(registry: Registry, tokens: Range<usize>) -> Self {
        PortSockets {
            registry,
            tokens,
            hears: ControlFrames::default(),
            sockets: BTreeMap::new(),
            resting: BTreeMap::new(),
        }
    }

    /// Opens the socket of a port whose own address is `hwaddr`.
    ///
    /// # Errors
    /// Those of [`PortSocket::open`].
    pub fn open(&mut self, port: PortId, ifindex: u32, hwaddr: HwAddr) -> io::Result<()> {
        let mut free = self.tokens.clone();
        let token = free
            .find(|token| !self.sockets.contains_key(token))
            .ok_or_else(|| io::Error::other("no token is left for another port"))?;
        let mut socket = PortSocket::open(ifindex, hwaddr)?;
        socket.listen(self.hears)?;
        self.register(token, &socket)?;
        let ear = PortEntry {
            port,
            socket,
            in_a_row: 0,
        };
        self.sockets.insert(token, ear);
        Ok(())
    }

    fn register(&self, token: usize, socket: &PortSocket) -> io::Result<()> {
        let fd = socket.as_raw_fd();
        let mut source = SourceFd(&fd);
        let registry = &self.registry;
        registry.register(&mut source, Token(token), Interest::READABLE)
    }

    /// Closes the socket of a port, if it has one. What still waits on it is lost.
    pub fn close(&mut self, port: PortId) {
        let mut registered = Ok(());
        self.sockets.retain(|token, ear| {
            if ear.port == port && self.resting.remove(token).is_none() {
                let fd = ear.socket.as_raw_fd();
                registered = self.registry.deregister(&mut SourceFd(&fd));
            }
            ear.port != port
        });
        if let Err(error) = registered {
            log::debug!("cannot deregister a control socket: {error}");
        }
    }

    /// Hears these frames on every port from now on, also on ports that are opened later.
    ///
    /// # Errors
    /// The last port's that refused.
    pub fn listen(&mut self, wanted: ControlFrames) -> io::Result<()> {
        self.hears = wanted;
        let mut outcome = Ok(());
        for ear in self.sockets.values_mut() {
            if let Err(error) = ear.socket.listen(wanted) {
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
        let ear = self.sockets.values().find(|ear| ear.port == port);
        let ear = ear.ok_or_else(|| io::Error::from_raw_os_error(libc::ENXIO))?;
        ear.socket.send(frame)
    }

    /// Up to `budget` frames of the port that `token` stands for; dry if there are no more for
    /// now.
    ///
    /// # Errors
    /// Those of [`PortSocket::receive`].
    pub fn receive(
        &mut self,
        token: Token,
        budget: usize,
        now: Instant,
        heard: &mut Vec<(PortId, Vec<u8>)>,
    ) -> io::Result<Drained> {
        // An event may outlive its port.
        let Some(ear) = self.sockets.get_mut(&token.0) else {
            return Ok(Drained::Dry);
        };
        for _ in 0..budget {
            match ear.socket.receive()? {
                Some(frame) => heard.push((ear.port, frame)),
                None => {
                    ear.in_a_row = 0;
                    return Ok(Drained::Dry);
                }
            }
        }
        ear.in_a_row += budget;
        if ear.in_a_row < IN_A_ROW {
            return Ok(Drained::More);
        }
        ear.in_a_row = 0;
        let fd = ear.socket.as_raw_fd();
        self.registry.deregister(&mut SourceFd(&fd))?;
        self.resting.insert(token.0, now + REST);
        Ok(Drained::Dry)
    }

    /// When the next rest is over.
    pub fn deadline(&self) -> Option<Instant> {
        self.resting.values().min().copied()
    }

    /// Ends the rests that are over at `now`.
    ///
    /// # Errors
    /// The last socket's that could not be registered again; it goes on resting.
    pub fn wake(&mut self, now: Instant) -> io::Result<()> {
        let mut outcome = Ok(());
        let rests = std::mem::take(&mut self.resting);
        for (token, until) in rests {
            let registered = match self.sockets.get(&token) {
                Some(ear) if until <= now => self.register(token, &ear.socket),
                Some(_) => {
                    self.resting.insert(token, until);
                    continue;
                }
                None => continue,
            };
            if let Err(error) = registered {
                self.resting.insert(token, now + REST);
                outcome = Err(error);
            }
        }
        outcome
    }
}
