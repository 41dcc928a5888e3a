//! The team device as one end of a veth: the peer receives the frames that the device sends, and
//! the device receives the frames that the peer sends.
//!
//! Both ends count frames and can be captured on. The veth outlives the daemon: the device keeps
//! its addresses and routes, and programs attached to the peer go on moving frames. The peer has
//! no address and takes no part in the host's stack. The device has a carrier while the peer is
//! up.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use mio::Registry;
use mio::unix::SourceFd;
use runners::HwAddr;

use crate::datapath::closing;
use crate::datapath::frame_socket::FrameSocket;
use crate::netlink::link::{self, LinkInfo, VETH_KIND};
use crate::netlink::{RouteSocket, tc};

/// The peer takes whatever the device may send; the device's own MTU is the limit.
const PEER_MTU: u32 = 65535;

/// The veth.
#[derive(Debug)]
pub struct Veth {
    pub(super) name: String,
    pub(super) ifindex: u32,
    pub(super) hwaddr: HwAddr,
    /// Interface index of the peer.
    pub(super) peer: u32,
    /// At the peer; open while frames are relayed.
    socket: Option<FrameSocket>,
}

impl Veth {
    /// Creates the veth, down and without carrier, or takes over one that [`is_ours`] is.
    ///
    /// # Errors
    /// `EEXIST` if the device exists and is not to be taken over; `EOPNOTSUPP` where the kernel
    /// has no veth driver.
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

    /// Opens the socket at the peer and returns its descriptor.
    pub(super) fn open_socket(&mut self) -> io::Result<RawFd> {
        let socket = FrameSocket::open(self.peer)?;
        let fd = socket.as_raw_fd();
        self.socket = Some(socket);
        Ok(fd)
    }

    /// Closes the socket.
    pub(super) fn close_socket(&mut self, registry: &Registry) -> io::Result<()> {
        let Some(socket) = self.socket.take() else {
            return Ok(());
        };
        let deregistered = registry.deregister(&mut SourceFd(&socket.as_raw_fd()));
        closing::close(socket);
        deregistered
    }

    /// The socket; `WouldBlock` while it is closed.
    pub(super) fn socket(&self) -> io::Result<&FrameSocket> {
        let socket = self.socket.as_ref();
        socket.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }
}

/// Interface index of a veth's peer.
fn peer(device: &LinkInfo) -> io::Result<u32> {
    let peer = device.lower.filter(|_| device.kind == VETH_KIND);
    peer.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Whether a daemon, running or not, has created this veth. A veth whose peer is a port of a team
/// is none: the filters of a port block both directions.
///
/// # Errors
/// Those of reading the filters of the peer.
pub fn is_ours(route: &mut RouteSocket, device: &LinkInfo) -> io::Result<bool> {
    match peer(device) {
        Ok(peer) => tc::is_receiving_blocked(route, peer),
        Err(_) => Ok(false),
    }
}
