//! The team device as one end of a pair of interfaces (veth): what it sends arrives at the other
//! end, what is sent there it receives.
//!
//! Both ends count and can be captured on, and they live on when the daemon dies: the device
//! keeps its addresses and routes, and programs attached to the other end go on moving frames.
//! The other end has no address and takes no part in the host's stack. Its being up is the
//! team device's carrier.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use runners::HwAddr;

use crate::datapath::frame_buffer::{FrameBuffer, Message};
use crate::datapath::relay::port::OPTIONS;
use crate::netlink::link::{self, LinkInfo, PAIR_KIND};
use crate::netlink::{RouteSocket, tc};
use crate::sys::packet::PacketSocket;

/// The other end takes whatever the device may send; the device's own MTU is the limit.
const OTHER_END_MTU: u32 = 65535;

/// The two ends.
#[derive(Debug)]
pub struct Pair {
    pub(super) name: String,
    pub(super) ifindex: u32,
    pub(super) hwaddr: HwAddr,
    /// Interface index of the other end.
    pub(super) other_end: u32,
    /// Open while frames are relayed.
    socket: Option<PacketSocket>,
}

impl Pair {
    /// Creates the pair, down and without carrier, or takes over one that [`is_ours`] is.
    ///
    /// # Errors
    /// `EEXIST` if the device exists and is not to be taken over; `EOPNOTSUPP` where the kernel
    /// has no such interfaces.
    pub fn open(route: &mut RouteSocket, name: &str, take_over: bool) -> io::Result<Self> {
        if !take_over {
            link::create_pair(route, name)?;
        }
        let device = link::find(route, name)?;
        let prepared = other_end(&device).and_then(|other_end| {
            tc::block_receiving(route, other_end)?;
            link::set_mtu(route, other_end, OTHER_END_MTU)?;
            Ok(other_end)
        });
        if prepared.is_err() && !take_over {
            link::delete(route, device.ifindex)?;
        }
        Ok(Pair {
            other_end: prepared?,
            name: device.name,
            ifindex: device.ifindex,
            hwaddr: device.hwaddr,
            socket: None,
        })
    }

    /// Opens the socket at the other end: from now on frames wait in it.
    ///
    /// # Errors
    /// Those of [`PacketSocket::open`].
    pub fn listen(&mut self) -> io::Result<RawFd> {
        let socket = PacketSocket::open(self.other_end, OPTIONS)?;
        let fd = socket.as_raw_fd();
        self.socket = Some(socket);
        Ok(fd)
    }

    /// Closes it.
    pub fn deafen(&mut self) -> Option<PacketSocket> {
        self.socket.take()
    }

    fn socket(&self) -> io::Result<&PacketSocket> {
        self.socket
            .as_ref()
            .ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    /// Reads one frame that the host sends.
    ///
    /// # Errors
    /// Those of [`PacketSocket::receive`].
    pub fn read<'a>(&self, buffer: &'a mut FrameBuffer) -> io::Result<Option<Message<'a>>> {
        let (head, tail) = buffer.parts();
        let received = match self.socket()?.receive(head, tail) {
            // Told once after the carrier was taken away; no frame was lost.
            Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => {
                self.socket()?.receive(head, tail)
            }
            received => received,
        }?;
        Ok(buffer.restore(received))
    }

    /// Gives the host one frame.
    ///
    /// # Errors
    /// Those of [`PacketSocket::send`].
    pub fn write(&self, message: Message<'_>) -> io::Result<()> {
        self.socket()?.send(message.bytes())
    }
}

/// The other end of a pair.
fn other_end(device: &LinkInfo) -> io::Result<u32> {
    let other_end = device.lower.filter(|_| device.kind == PAIR_KIND);
    other_end.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Whether a daemon has made this pair, dead or alive. A cable whose far end is a port of a team
/// is no such pair: the host neither receives nor sends on a port.
pub fn is_ours(route: &mut RouteSocket, device: &LinkInfo) -> io::Result<bool> {
    match other_end(device) {
        Ok(other_end) => tc::is_receiving_blocked(route, other_end),
        Err(_) => Ok(false),
    }
}
