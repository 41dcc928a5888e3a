//! The relay of frames by the daemon itself: between the team device and a packet socket on each
//! port. Segments of 64 KiB pass whole and checksums unfinished, in both directions; one frame is
//! under way at a time, in one buffer.
//!
//! Owns the sockets of the ports, the choice of a port for each frame, and the counters. A lost
//! frame is counted and never an error. The relay knows the forwarding also while it is stopped.

mod port;

use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use runners::wire::ethertype;
use runners::{
    BUCKETS, Distributor, Forwarding, PeerSeen, PortId, Reception, StationSeen, is_probe,
};

use super::device::Device;
use super::frame_buffer::FrameBuffer;
use super::{Counters, Drained, closing};
use port::Port;

/// Offsets of the addresses in a frame.
const DESTINATION: usize = 0;
const SOURCE: usize = 6;

/// Most frames that are read from each port before the forwarding changes; more are queued only
/// in a flood.
const QUEUED_FRAMES: usize = 1024;

/// The relay of one team. The first of its tokens stands for the team device, the others for
/// ports.
#[derive(Debug)]
pub struct Relay {
    registry: Registry,
    tokens: Range<usize>,
    buffer: FrameBuffer,
    distributor: Distributor,
    /// The place of a port is that of its token.
    ports: Vec<Option<Port>>,
    /// Whether bytes are counted by bucket.
    balanced: bool,
    bucket_bytes: Box<[u64; BUCKETS]>,
    tx_no_port: u64,
    rx_inactive: u64,
    rx_echoes: u64,
    rx_dropped: u64,
}

/// Whether a frame is LACP, a marker or a probe of ours, which the port socket receives.
fn is_for_port_socket(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&ethertype::SLOW_PROTOCOLS.to_be_bytes()) || is_probe(frame)
}

impl Relay {
    /// Creates a relay that is stopped and forwards nothing yet.
    pub fn new(registry: Registry, tokens: Range<usize>) -> Self {
        Relay {
            registry,
            tokens,
            buffer: FrameBuffer::new(),
            distributor: Distributor::new(),
            ports: Vec::new(),
            balanced: false,
            bucket_bytes: Box::new([0; BUCKETS]),
            tx_no_port: 0,
            rx_inactive: 0,
            rx_echoes: 0,
            rx_dropped: 0,
        }
    }

    /// Where the sources of the team are registered.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The choice of ports, and what it remembers.
    pub fn distributor(&mut self) -> &mut Distributor {
        &mut self.distributor
    }

    /// Source addresses that the team device has sent from lately, under source balancing.
    pub fn stations(&self) -> Vec<StationSeen> {
        self.distributor.stations()
    }

    /// Peers that learned the team's address by ARP.
    pub fn peers(&self) -> Vec<PeerSeen> {
        self.distributor.peers()
    }

    /// The forwarding that is applied, [resolved](Forwarding::resolve).
    pub fn forwarding(&self) -> &Forwarding {
        self.distributor.forwarding()
    }

    /// Starts to receive on the device and on these ports.
    ///
    /// # Errors
    /// Those of opening the sockets; the relay is then stopped.
    pub fn start(
        &mut self,
        device: &mut Device,
        ports: impl IntoIterator<Item = (PortId, u32)>,
    ) -> io::Result<()> {
        device.start_receiving(&self.registry, Token(self.tokens.start))?;
        let mut ports = ports.into_iter();
        let started = ports.try_for_each(|(port, ifindex)| self.attach(port, ifindex));
        if started.is_err() {
            self.stop(device);
        }
        started
    }

    /// Stops receiving and closes the sockets.
    pub fn stop(&mut self, device: &mut Device) {
        device.stop_receiving(&self.registry);
        for port in std::mem::take(&mut self.ports).into_iter().flatten() {
            self.close(port);
        }
    }

    /// Starts to receive on a port.
    ///
    /// # Errors
    /// Those of opening the socket.
    pub fn attach(&mut self, id: PortId, ifindex: u32) -> io::Result<()> {
        let free = self.ports.iter().position(Option::is_none);
        let place = free.unwrap_or(self.ports.len());
        let token = self.tokens.start + 1 + place;
        if token >= self.tokens.end {
            return Err(io::Error::other("no token is left for another port"));
        }
        let port = Port::open(id, ifindex)?;
        let fd = port.socket.as_raw_fd();
        self.registry
            .register(&mut SourceFd(&fd), Token(token), Interest::READABLE)?;
        if free.is_none() {
            self.ports.push(None);
        }
        self.ports[place] = Some(port);
        Ok(())
    }

    /// Stops receiving on a port, if it is one.
    pub fn detach(&mut self, port: PortId) {
        let mut ports = self.ports.iter_mut();
        if let Some(port) = ports.find_map(|place| place.take_if(|it| it.id == port)) {
            self.close(port);
        }
    }

    fn close(&self, port: Port) {
        let fd = port.socket.as_raw_fd();
        if let Err(error) = self.registry.deregister(&mut SourceFd(&fd)) {
            log::debug!("cannot deregister a port: {error}");
        }
        closing::close(port);
    }

    /// Forwards like this from now on.
    ///
    /// The former forwarding decides on frames that were received before the change: frames on a
    /// port that starts to collect have already come by the active port, and frames on a port that
    /// stops collecting have come by no other.
    pub fn apply(&mut self, device: &Device, forwarding: &Forwarding) {
        for place in 0..self.ports.len() {
            self.receive(device, place, QUEUED_FRAMES);
        }
        self.distributor.apply(forwarding);
        self.balanced = forwarding.policy.is_balanced();
    }

    /// Moves up to `budget` frames from the source that `token` names; an event may outlive its
    /// port.
    ///
    /// # Errors
    /// `EBADFD` or `EIO` once the device is gone.
    pub fn poll(&mut self, device: &Device, token: Token, budget: usize) -> io::Result<Drained> {
        match token.0.checked_sub(self.tokens.start) {
            None => Ok(Drained::Empty),
            Some(0) => self.transmit(device, budget),
            Some(place) => Ok(self.receive(device, place - 1, budget)),
        }
    }

    /// Moves the frames that are queued on the ports and the device.
    ///
    /// # Errors
    /// As of [`poll`](Self::poll).
    pub fn forward_queued(&mut self, device: &Device) -> io::Result<()> {
        for place in 0..self.ports.len() {
            self.receive(device, place, QUEUED_FRAMES);
        }
        self.transmit(device, QUEUED_FRAMES).map(drop)
    }

    /// Drops the frames that are queued on the ports and the device, uncounted.
    pub fn discard_queued(&mut self, device: &Device) {
        let buffer = &mut self.buffer;
        let mut discard = |read: &dyn Fn(&mut FrameBuffer) -> bool| {
            // A source that goes on sending faster than this is not waited for.
            (0..QUEUED_FRAMES)
                .take_while(|_| read(buffer))
                .for_each(drop);
        };
        for port in self.ports.iter().flatten() {
            discard(&|buffer| port.socket.receive(buffer).is_ok());
        }
        discard(&|buffer| device.read(buffer).is_ok());
    }

    /// Sends up to `budget` frames of the team device on the ports chosen for them.
    fn transmit(&mut self, device: &Device, budget: usize) -> io::Result<Drained> {
        for _ in 0..budget {
            let mut message = match device.read(&mut self.buffer) {
                Ok(Some(message)) => message,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Drained::Empty);
                }
                Err(error) if is_device_gone(&error) => return Err(error),
                // A frame that no header could describe.
                Ok(None) | Err(_) => {
                    self.tx_no_port += 1;
                    continue;
                }
            };
            let selection = self.distributor.select(message.frame());
            if let Some(bucket) = selection.bucket.filter(|_| self.balanced) {
                self.bucket_bytes[usize::from(bucket)] += message.frame().len() as u64;
            }
            if selection.ports.is_empty() {
                self.tx_no_port += 1;
            }
            if let Some(source) = selection.source {
                let (sender_at, checksum_at) = (selection.sender_at, selection.checksum_at);
                let (place, own) = (message.place(), message.source());
                if let Some(at) = sender_at {
                    self.buffer.write_hwaddr(place, at, source);
                }
                if let Some(at) = checksum_at {
                    self.buffer.correct_checksum(place, at, own, source);
                }
                let Some(rewritten) = self.buffer.write_hwaddr(place, SOURCE, source) else {
                    continue;
                };
                message = rewritten;
            }
            for port in self.ports.iter_mut().flatten() {
                if selection.ports.contains(&port.id) {
                    port.forward(message);
                }
            }
        }
        Ok(Drained::More)
    }

    /// Delivers up to `budget` frames of the port at a place to the team device.
    fn receive(&mut self, device: &Device, place: usize, budget: usize) -> Drained {
        let Some(Some(port)) = self.ports.get_mut(place) else {
            return Drained::Empty;
        };
        for _ in 0..budget {
            let message = match port.socket.receive(&mut self.buffer) {
                Ok(Some(message)) => message,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Drained::Empty,
                // The frame is cut short, or no header describes it; the next one may be well.
                Ok(None) | Err(_) => {
                    self.rx_dropped += 1;
                    continue;
                }
            };
            if is_for_port_socket(message.frame()) {
                continue;
            }
            let length = message.frame().len();
            let delivered = match self.distributor.receive(port.id, message.frame()) {
                Reception::Taken => device.write(message),
                Reception::TakenAs(hwaddr) => {
                    let place = message.place();
                    let rewritten = self.buffer.write_hwaddr(place, DESTINATION, hwaddr);
                    let Some(message) = rewritten else { continue };
                    device.write(message)
                }
                Reception::NotHere => {
                    self.rx_inactive += 1;
                    continue;
                }
                Reception::Echo => {
                    self.rx_echoes += 1;
                    continue;
                }
            };
            match delivered {
                Ok(()) => port.traffic.received.add(length),
                Err(_) => self.rx_dropped += 1,
            }
        }
        Drained::More
    }

    /// What was counted so far; of ports since they were attached.
    pub fn counters(&self) -> Counters {
        let ports = || self.ports.iter().flatten();
        Counters {
            traffic: ports().map(|port| (port.id, port.traffic)).collect(),
            tx_dropped: ports().map(|port| (port.id, port.tx_dropped)).collect(),
            tx_no_port: self.tx_no_port,
            rx_missed: ports().map(|port| (port.id, port.rx_missed())).collect(),
            rx_inactive: self.rx_inactive,
            rx_echoes: self.rx_echoes,
            rx_dropped: self.rx_dropped,
            resyncs: 0,
        }
    }

    /// Bytes sent in each bucket while the policy was balanced.
    pub fn bucket_bytes(&self) -> Box<[u64; BUCKETS]> {
        self.bucket_bytes.clone()
    }
}

/// Whether an error of the team device means that the device is gone.
fn is_device_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EBADFD | libc::EIO))
}
