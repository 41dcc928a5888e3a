//! One port of the relay: its socket and its counters.

use std::cell::Cell;
use std::io;

use runners::PortId;
use runners::wire::ethertype;

use crate::datapath::PortTraffic;
use crate::datapath::frame_buffer::Message;
use crate::datapath::frame_socket::FrameSocket;
use crate::netlink::bpf::{Instruction, JUMP_EQUAL, LOAD_HALF, OUTSIDE_TAG_PRESENT, RETURN};

/// Rejects untagged slow protocols, which the port socket receives. The relay would drop them
/// itself; rejected here, a flood of them costs the daemon nothing.
const WITHOUT_SLOW_PROTOCOLS: [Instruction; 6] = [
    (LOAD_HALF, 0, 0, 12),
    (JUMP_EQUAL, 0, 3, ethertype::SLOW_PROTOCOLS as u32),
    (LOAD_HALF, 0, 0, OUTSIDE_TAG_PRESENT),
    (JUMP_EQUAL, 0, 1, 0),
    (RETURN, 0, 0, 0),
    (RETURN, 0, 0, u32::MAX),
];

/// A port whose frames are relayed.
#[derive(Debug)]
pub struct Port {
    pub(super) id: PortId,
    pub(super) socket: FrameSocket,
    pub(super) tx_dropped: u64,
    pub(super) traffic: PortTraffic,
    /// The kernel resets its count when the count is read.
    rx_missed: Cell<u64>,
}

impl Port {
    /// Opens the socket; received frames are queued in it from now on.
    ///
    /// # Errors
    /// Those of [`FrameSocket::open`].
    pub fn open(id: PortId, ifindex: u32) -> io::Result<Self> {
        let socket = FrameSocket::open(ifindex)?;
        socket.filter(&WITHOUT_SLOW_PROTOCOLS)?;
        Ok(Port {
            id,
            socket,
            tx_dropped: 0,
            traffic: PortTraffic::default(),
            rx_missed: Cell::new(0),
        })
    }

    /// Sends one frame, or counts it as dropped: the relay does not wait for a full queue.
    pub fn forward(&mut self, message: Message<'_>) {
        match self.socket.send(message) {
            Ok(()) => self.traffic.sent.add(message.frame().len()),
            Err(_) => self.tx_dropped += 1,
        }
    }

    /// Frames lost so far because the receive buffer was full.
    pub fn rx_missed(&self) -> u64 {
        // A socket that cannot be read any more has been counted before.
        let new = self.socket.take_missed().unwrap_or(0);
        self.rx_missed.set(self.rx_missed.get() + u64::from(new));
        self.rx_missed.get()
    }
}
