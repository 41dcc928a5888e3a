//! The team device as one end of a veth of interfaces (veth): what it sends arrives at the other
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
use crate::netlink::link::{self, LinkInfo, VETH_KIND};
use crate::netlink::{RouteSocket, tc};
use crate::sys::packet::PacketSocket;

/// The other end takes whatever the device may send; the device's own MTU is the limit.
const PEER_MTU: u32 = 65535;

/// The two ends.
#[derive(Debug)]
pub struct Veth {
    pub(super) name: String,
    pub(super) ifindex: u32,
    pub(super) hwaddr: HwAddr,
    /// Interface index of the other end.
    pub(super) peer: u32,
    /// Open while frames are relayed.
    socket: Option<PacketSocket>,
}

impl Veth {
    /// Creates the veth, down and without carrier, or takes over one that [`is_ours`] is.
    ///
    /// # Errors
    /// `EEXIST` if the device exists and is not to be taken over; `EOPNOTSUPP` where the kernel
    /// has no such interfaces.
    pub fn open(route: &mut RouteSocket, name: &str, take_over: bool) -> io::Result<Self> {
        if !take_over {
            link::create_veth(route, name)?;
        }
        let device = link::find(route, name)?;
        let prepared = peer(&device).and_then(|peer| {
            tc::block_receiving(route, peer)?;
            link::set_mtu(route, peer, PEER_MTU)?;
            Ok(peer)
        });
        if prepared.is_err() && !take_over {
            link::delete(route, device.ifindex)?;
        }
        Ok(Veth {
            peer: prepared?,
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
        let socket = PacketSocket::open(self.peer, OPTIONS)?;
        let fd = socket.as_raw_fd();
        self.socket = Some(socket);
        Ok(fd)
    }

    /// Closes it.
    pub fn stop_receiving(&mut self) -> Option<PacketSocket> {
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

/// The other end of a veth.
fn peer(device: &LinkInfo) -> io::Result<u32> {
    let peer = device.lower.filter(|_| device.kind == VETH_KIND);
    peer.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Whether a daemon has made this veth, dead or alive. A cable whose far end is a port of a team
/// is no such veth: the host neither receives nor sends on a port.
pub fn is_ours(route: &mut RouteSocket, device: &LinkInfo) -> io::Result<bool> {
    match peer(device) {
        Ok(peer) => tc::is_receiving_blocked(route, peer),
        Err(_) => Ok(false),
    }
}
