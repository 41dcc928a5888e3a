//! Frames on their way: from the team device to the ports, and back.
//!
//! Owns the counting of what gets lost. A lost frame is never an error.

use std::io;

use runners::wire::ethertype;
use runners::{BUCKETS, Distributor, Reception, is_probe};

use super::port::Port;
use crate::datapath::Drained;
use crate::datapath::device::Device;
use crate::datapath::frame_buffer::FrameBuffer;

/// Places of the addresses in a frame.
const DESTINATION: usize = 0;
const SOURCE: usize = 6;

/// What the frames of both directions share.
#[derive(Debug)]
pub struct Relay {
    pub(super) buffer: FrameBuffer,
    pub(super) distributor: Distributor,
    /// Whether bytes are counted by bucket.
    pub(super) balanced: bool,
    pub(super) bucket_bytes: Box<[u64; BUCKETS]>,
    pub(super) tx_no_port: u64,
    pub(super) rx_inactive: u64,
    pub(super) rx_echoes: u64,
    pub(super) rx_dropped: u64,
}

/// LACP, markers and our own probes belong to the port, and the daemon hears them by itself.
fn is_the_ports_own(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&ethertype::SLOW_PROTOCOLS.to_be_bytes()) || is_probe(frame)
}

impl Relay {
    /// One that forwards nothing yet.
    pub fn new() -> Self {
        Relay {
            buffer: FrameBuffer::new(),
            distributor: Distributor::new(),
            balanced: false,
            bucket_bytes: Box::new([0; BUCKETS]),
            tx_no_port: 0,
            rx_inactive: 0,
            rx_echoes: 0,
            rx_dropped: 0,
        }
    }

    /// Sends up to `budget` frames of the team device on the ports chosen for them.
    ///
    /// # Errors
    /// Only when the device is gone.
    pub fn transmit(
        &mut self,
        device: &Device,
        ports: &mut [Option<Port>],
        budget: usize,
    ) -> io::Result<Drained> {
        for _ in 0..budget {
            let mut message = match device.read(&mut self.buffer) {
                Ok(Some(message)) => message,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Drained::Dry),
                Err(error) if is_lasting(&error) => return Err(error),
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
                let (place, own) = (message.place(), message.source());
                if let Some(at) = selection.sender_at {
                    self.buffer.readdress(place, at, source);
                }
                if let Some(at) = selection.checksum_at {
                    self.buffer.correct_checksum(place, at, own, source);
                }
                let Some(rewritten) = self.buffer.readdress(place, SOURCE, source) else {
                    continue;
                };
                message = rewritten;
            }
            for port in ports.iter_mut().flatten() {
                if selection.ports.contains(&port.id) {
                    port.forward(message);
                }
            }
        }
        Ok(Drained::More)
    }

    /// Hands up to `budget` frames of a port to the team device.
    pub fn receive(&mut self, port: &mut Port, device: &Device, budget: usize) -> Drained {
        for _ in 0..budget {
            let mut message = match port.receive(&mut self.buffer) {
                Ok(Some(message)) => message,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Drained::Dry,
                // Told once after the interface went down; no frame was lost.
                Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => continue,
                // Cut short, or not to be described by a header: that frame is lost, the next
                // may be well.
                Ok(None) | Err(_) => {
                    self.rx_dropped += 1;
                    continue;
                }
            };
            if is_the_ports_own(message.frame()) {
                continue;
            }
            match self.distributor.receive(port.id, message.frame()) {
                Reception::Taken => {}
                Reception::TakenAs(hwaddr) => {
                    let place = message.place();
                    let Some(rewritten) = self.buffer.readdress(place, DESTINATION, hwaddr) else {
                        continue;
                    };
                    message = rewritten;
                }
                Reception::NotHere => {
                    self.rx_inactive += 1;
                    continue;
                }
                Reception::Echo => {
                    self.rx_echoes += 1;
                    continue;
                }
            }
            match device.write(message) {
                Ok(()) => port.traffic.taken.add(message.frame().len()),
                Err(_) => self.rx_dropped += 1,
            }
        }
        Drained::More
    }
}

impl Relay {
    /// Takes away what waits, unseen.
    pub fn discard(&mut self, mut next: impl FnMut(&mut FrameBuffer) -> io::Result<()>) {
        // A source that goes on giving faster than this is not waited for.
        for _ in 0..super::WAITING_FRAMES {
            if next(&mut self.buffer).is_err() {
                return;
            }
        }
    }
}

/// An error of the team device that will not go away: the device itself has.
fn is_lasting(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EBADFD | libc::EIO))
}
