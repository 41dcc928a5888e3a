//! One port: its packet socket and what was lost on it.

use std::cell::Cell;
use std::io;

use runners::PortId;
use runners::wire::ethertype;

use crate::datapath::frame_buffer::{FrameBuffer, Message};
use crate::datapath::{MARK, PortTraffic};
use crate::netlink::bpf::{Instruction, JUMP_EQUAL, LOAD_HALF, OUTSIDE_TAG_PRESENT, RETURN};
use crate::sys::packet::{Options, PacketSocket};

/// How the sockets are that frames are relayed by.
pub const OPTIONS: Options = Options {
    mark: MARK,
    // A frame of 64 KiB counts for more than its length: this is room for about 100.
    receive_buffer: 8 << 20,
    // The default holds three frames of 64 KiB.
    send_buffer: 4 << 20,
};

/// Leaves untagged slow protocols to the control socket. The relay would throw them away
/// itself; here a flood of them costs nothing.
const WITHOUT_SLOW_PROTOCOLS: [Instruction; 6] = [
    (LOAD_HALF, 0, 0, 12),
    (JUMP_EQUAL, 0, 3, ethertype::SLOW_PROTOCOLS as u32),
    (LOAD_HALF, 0, 0, OUTSIDE_TAG_PRESENT),
    (JUMP_EQUAL, 0, 1, 0),
    (RETURN, 0, 0, 0),
    (RETURN, 0, 0, u32::MAX),
];

/// An attached port.
#[derive(Debug)]
pub struct Port {
    pub(super) id: PortId,
    pub(super) socket: PacketSocket,
    pub(super) tx_dropped: u64,
    pub(super) traffic: PortTraffic,
    /// The kernel forgets its count when it is read, so it is kept here.
    rx_missed: Cell<u64>,
}

impl Port {
    /// Opens the socket; frames wait in it from now on.
    pub fn open(id: PortId, ifindex: u32) -> io::Result<Self> {
        let socket = PacketSocket::open(ifindex, OPTIONS)?;
        socket.filter(&WITHOUT_SLOW_PROTOCOLS)?;
        Ok(Port {
            id,
            socket,
            tx_dropped: 0,
            traffic: PortTraffic::default(),
            rx_missed: Cell::new(0),
        })
    }

    /// Receives one frame; none if it was lost on the way.
    ///
    /// # Errors
    /// Those of [`PacketSocket::receive`].
    pub fn receive<'a>(&self, buffer: &'a mut FrameBuffer) -> io::Result<Option<Message<'a>>> {
        let (head, tail) = buffer.parts();
        let received = self.socket.receive(head, tail)?;
        Ok(buffer.restore(received))
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// Those of [`PacketSocket::send`].
    pub fn send(&self, message: Message<'_>) -> io::Result<()> {
        match self.socket.send(message.bytes()) {
            // Told once for each time that the interface was down, even if it is up again.
            Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => {
                self.socket.send(message.bytes())
            }
            done => done,
        }
    }

    /// Sends one frame, or counts it as dropped: a queue that is full is not waited for.
    pub fn forward(&mut self, message: Message<'_>) {
        match self.send(message) {
            Ok(()) => self.traffic.sent.add(message.frame().len()),
            Err(_) => self.tx_dropped += 1,
        }
    }

    /// Frames lost so far because the receive buffer was full.
    pub fn rx_missed(&self) -> u64 {
        // A socket that cannot tell has told all there is.
        let new = self.socket.take_missed().unwrap_or(0);
        self.rx_missed.set(self.rx_missed.get() + u64::from(new));
        self.rx_missed.get()
    }
}
