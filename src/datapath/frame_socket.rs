//! A packet socket that carries whole frames of one interface, with virtio-net headers.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use super::MARK;
use super::frame_buffer::{FrameBuffer, Message};
use crate::netlink::bpf::Instruction;
use crate::sys::packet::{Options, PacketSocket};

const OPTIONS: Options = Options {
    mark: MARK,
    // A frame of 64 KiB counts for more than its length: this is room for about 100.
    receive_buffer: 8 << 20,
    // The default holds three frames of 64 KiB.
    send_buffer: 4 << 20,
};

/// The socket of a port, or of a veth's peer.
#[derive(Debug)]
pub struct FrameSocket(PacketSocket);

impl FrameSocket {
    /// Opens the socket; received frames are queued in it from now on.
    ///
    /// # Errors
    /// Those of [`PacketSocket::open`].
    pub fn open(ifindex: u32) -> io::Result<Self> {
        PacketSocket::open(ifindex, OPTIONS).map(FrameSocket)
    }

    /// See [`PacketSocket::filter`].
    pub fn filter(&self, program: &[Instruction]) -> io::Result<()> {
        self.0.filter(program)
    }

    /// Receives one frame; `None` if the frame was cut short.
    ///
    /// # Errors
    /// Those of [`PacketSocket::receive`].
    pub fn receive<'a>(&self, buffer: &'a mut FrameBuffer) -> io::Result<Option<Message<'a>>> {
        let (head, tail) = buffer.parts();
        let received = match self.0.receive(head, tail) {
            // Reported once after the interface went down; no frame is lost.
            Err(error) if is_network_down(&error) => self.0.receive(head, tail),
            received => received,
        }?;
        Ok(buffer.restore(received))
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// Those of [`PacketSocket::send`].
    pub fn send(&self, message: Message<'_>) -> io::Result<()> {
        match self.0.send(message.bytes()) {
            // Reported once for each time that the interface was down, even if it is up again.
            Err(error) if is_network_down(&error) => self.0.send(message.bytes()),
            sent => sent,
        }
    }

    /// Returns the number of frames lost since the last call because the receive buffer was full.
    ///
    /// # Errors
    /// Those of [`PacketSocket::take_missed`].
    pub fn take_missed(&self) -> io::Result<u32> {
        self.0.take_missed()
    }
}

impl AsRawFd for FrameSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn is_network_down(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENETDOWN)
}
