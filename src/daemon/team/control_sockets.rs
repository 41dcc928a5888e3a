//! The control sockets of a team's ports, and who is told by which token.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use runners::{ControlFrames, HwAddr, PortId};

use crate::datapath::Drained;
use crate::datapath::control_socket::ControlSocket;

/// One control socket for each port.
#[derive(Debug)]
pub struct ControlSockets {
    registry: Registry,
    tokens: Range<usize>,
    hears: ControlFrames,
    /// By the place of their token.
    sockets: BTreeMap<usize, (PortId, ControlSocket)>,
}

impl ControlSockets {
    /// None yet; news of frames will come under `tokens`.
    pub fn new(registry: Registry, tokens: Range<usize>) -> Self {
        ControlSockets {
            registry,
            tokens,
            hears: ControlFrames::default(),
            sockets: BTreeMap::new(),
        }
    }

    /// Opens the socket of a port whose own address is `hwaddr`.
    ///
    /// # Errors
    /// Those of [`ControlSocket::open`].
    pub fn open(&mut self, port: PortId, ifindex: u32, hwaddr: HwAddr) -> io::Result<()> {
        let mut free = self.tokens.clone();
        let token = free
            .find(|token| !self.sockets.contains_key(token))
            .ok_or_else(|| io::Error::other("no token is left for another port"))?;
        let mut socket = ControlSocket::open(ifindex, hwaddr)?;
        socket.listen(self.hears)?;
        self.registry.register(
            &mut SourceFd(&socket.as_raw_fd()),
            Token(token),
            Interest::READABLE,
        )?;
        self.sockets.insert(token, (port, socket));
        Ok(())
    }

    /// Closes the socket of a port, if it has one. What still waits on it is lost.
    pub fn close(&mut self, port: PortId) {
        let mut registered = Ok(());
        self.sockets.retain(|_, (id, socket)| {
            if *id == port {
                registered = self.registry.deregister(&mut SourceFd(&socket.as_raw_fd()));
            }
            *id != port
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
        for (_, socket) in self.sockets.values_mut() {
            if let Err(error) = socket.listen(wanted) {
                outcome = Err(error);
            }
        }
        outcome
    }

    /// Sends a frame on a port.
    ///
    /// # Errors
    /// `ENXIO` for a port without a socket, and those of [`ControlSocket::send`].
    pub fn send(&self, port: PortId, frame: &[u8]) -> io::Result<()> {
        let socket = self.sockets.values().find(|(id, _)| *id == port);
        let (_, socket) = socket.ok_or_else(|| io::Error::from_raw_os_error(libc::ENXIO))?;
        socket.send(frame)
    }

    /// Up to `budget` frames of the port that `token` stands for.
    ///
    /// # Errors
    /// Those of [`ControlSocket::receive`].
    pub fn receive(
        &self,
        token: Token,
        budget: usize,
        heard: &mut Vec<(PortId, Vec<u8>)>,
    ) -> io::Result<Drained> {
        // An event may outlive its port.
        let Some((port, socket)) = self.sockets.get(&token.0) else {
            return Ok(Drained::Dry);
        };
        for _ in 0..budget {
            match socket.receive()? {
                Some(frame) => heard.push((*port, frame)),
                None => return Ok(Drained::Dry),
            }
        }
        Ok(Drained::More)
    }
}
