//! The team device as one end of a veth or of a netkit: the peer receives the frames that the device
//! sends, and the device receives the frames that the peer sends.
//!
//! A netkit can run a program in the transmit function of the device, so that a frame leaves for a
//! port without the way to the peer. Without such a program a netkit is as a veth.
//!
//! Both ends count frames and can be captured on. The device outlives the daemon: the device keeps
//! its addresses and routes, and attached programs go on moving frames. The device has a carrier
//! while the peer is up.
//!
//! The peer has no address, resolves no neighbours and takes no part in the host's stack: a DHCP
//! client there receives nothing, and its frames do not reach the device. Name, alias and group
//! tell users and network managers that the peer belongs to a team device.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use mio::Registry;
use mio::unix::SourceFd;
use runners::HwAddr;

use super::DeviceOptions;
use crate::datapath::ebpf::TeamHook;
use crate::datapath::frame_buffer::SOCKET_OPTIONS;
use crate::datapath::{MARK, closing};
use crate::errno::strerror;
use crate::netlink::link::{self, LinkInfo, NETKIT_KIND, VETH_KIND};
use crate::netlink::{RouteSocket, tc};
use crate::sys::packet::PacketSocket;

/// The peer takes whatever the device may send; the device's own MTU is the limit.
const PEER_MTU: u32 = 65535;
/// Group of all peers.
const PEER_GROUP: u32 = 0x7ea3;
/// Ends of a peer's alias and name.
const ALIAS_END: &str = ", team device of teamr";
const NAME_END: &str = "-peer";

/// A kind of device with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairedKind {
    /// Every kernel has veths.
    Veth,
    /// Linux 6.7 and later, if built with CONFIG_NETKIT.
    Netkit,
}

impl PairedKind {
    /// Returns the kind of an existing device; `None` for a device of another kind.
    fn of(device: &LinkInfo) -> Option<Self> {
        let mut kinds = [PairedKind::Veth, PairedKind::Netkit].into_iter();
        kinds.find(|kind| kind.name() == device.kind)
    }

    fn name(self) -> &'static str {
        match self {
            PairedKind::Veth => VETH_KIND,
            PairedKind::Netkit => NETKIT_KIND,
        }
    }

    /// Creates a device; the kernel names the peer if the name that the peer should have is taken.
    fn create(self, route: &mut RouteSocket, name: &str, hwaddr: HwAddr) -> io::Result<()> {
        let create = match self {
            PairedKind::Veth => link::create_veth,
            PairedKind::Netkit => link::create_netkit,
        };
        match create(route, name, hwaddr, Some(&peer_name(name))) {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
                create(route, name, hwaddr, None)
            }
            created => created,
        }
    }
}

/// The device.
#[derive(Debug)]
pub struct Paired {
    kind: PairedKind,
    pub(super) ifindex: u32,
    /// Interface index of the peer.
    pub(super) peer: u32,
    /// At the peer; open while frames are relayed.
    socket: Option<PacketSocket>,
    /// The socket of a former daemon, in which frames have queued since.
    kept: Option<PacketSocket>,
}

impl Paired {
    /// Creates a device of the first of `kinds` that the kernel can create, down and without carrier,
    /// or takes over one that [`is_ours`], of whichever kind.
    ///
    /// # Errors
    /// `EEXIST` if the device exists and is not to be taken over; `EOPNOTSUPP` where the kernel
    /// has none of `kinds`.
    pub fn open(
        route: &mut RouteSocket,
        options: &DeviceOptions,
        kinds: &[PairedKind],
    ) -> io::Result<Self> {
        let DeviceOptions { name, hwaddr, take_over, .. } = options;
        if !take_over {
            create_first(route, name, *hwaddr, kinds)?;
        }
        let device = link::find(route, name)?;
        let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
        let paired = PairedKind::of(&device).zip(device.peer()).ok_or_else(invalid);
        let prepared = paired.and_then(|(kind, peer)| {
            tc::block_receiving(route, peer)?;
            let alias = format!("peer of {name}{ALIAS_END}");
            link::set_label(route, peer, (&alias, PEER_GROUP, PEER_MTU))?;
            Ok((kind, peer))
        });
        if prepared.is_err() && !take_over {
            link::delete(route, device.ifindex)?;
        }
        let (kind, peer) = prepared?;
        Ok(Paired { kind, ifindex: device.ifindex, peer, socket: None, kept: None })
    }

    /// Returns the hook for programs.
    pub(super) fn hook(&self) -> TeamHook {
        let Paired { ifindex: device, peer, .. } = *self;
        match self.kind {
            PairedKind::Veth => TeamHook::PeerIngress(peer),
            PairedKind::Netkit => TeamHook::Netkit { device, peer },
        }
    }

    /// Has only frames of the daemon and of its programs leave the peer from now on.
    ///
    /// # Errors
    /// The kernel's; frames of others may then leave.
    pub(super) fn isolate(&self, route: &mut RouteSocket) -> io::Result<()> {
        tc::isolate(route, self.peer, MARK)
    }

    /// Returns the device with the socket that `kept` returns for it.
    pub(super) fn with_kept(self, kept: impl FnOnce(u32) -> Option<OwnedFd>) -> Self {
        let socket = kept(self.ifindex).map(PacketSocket::from);
        Paired { kept: socket.filter(|socket| socket.is_bound_to(self.peer)), ..self }
    }

    /// Opens the socket at the peer and returns its descriptor.
    pub(super) fn open_socket(&mut self) -> io::Result<RawFd> {
        let socket = match self.kept.take() {
            Some(socket) => socket,
            None => PacketSocket::open(self.peer, SOCKET_OPTIONS)?,
        };
        let fd = socket.as_raw_fd();
        self.socket = Some(socket);
        Ok(fd)
    }

    /// Closes the socket.
    pub(super) fn close_socket(&mut self, registry: &Registry) -> io::Result<()> {
        let Some(socket) = self.socket.take() else { return Ok(()) };
        let deregistered = registry.deregister(&mut SourceFd(&socket.as_raw_fd()));
        closing::close(socket);
        deregistered
    }

    /// The socket; `WouldBlock` while it is closed.
    pub(super) fn socket(&self) -> io::Result<&PacketSocket> {
        let socket = self.socket.as_ref();
        socket.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }
}

/// Creates a device of the first of `kinds` that the kernel can create.
fn create_first(
    route: &mut RouteSocket,
    name: &str,
    hwaddr: HwAddr,
    kinds: &[PairedKind],
) -> io::Result<()> {
    let mut refused = io::Error::from_raw_os_error(libc::EOPNOTSUPP);
    for kind in kinds {
        match kind.create(route, name, hwaddr) {
            Ok(()) => return Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => return Err(error),
            Err(error) => {
                log::debug!("{name} cannot be a {} here ({})", kind.name(), strerror(&error));
                refused = error;
            }
        }
    }
    Err(refused)
}

/// Returns the name of the peer, which begins as the device's does.
fn peer_name(device: &str) -> String {
    let room = libc::IFNAMSIZ - 1 - NAME_END.len();
    let end = (0..=room.min(device.len())).rev().find(|end| device.is_char_boundary(*end));
    format!("{}{NAME_END}", &device[..end.unwrap_or_default()])
}

/// Whether a daemon, running or not, has created this veth or netkit: by the peer's alias or, for a
/// daemon that set none, by the peer's filter. A veth whose peer is a port of a team is none: the
/// filters of a port block both directions. A netkit of another program, such as a container's, is
/// none either.
///
/// # Errors
/// The kernel's error if the peer or its filters cannot be read.
pub fn is_ours(route: &mut RouteSocket, device: &LinkInfo) -> io::Result<bool> {
    match device.peer() {
        Some(peer) => Ok(link::fetch(route, peer)?.alias.ends_with(ALIAS_END)
            || tc::is_receiving_blocked(route, peer)?),
        None => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_peer_begins_as_the_device_and_is_short_enough() {
        for (device, peer) in [
            ("team0", "team0-peer"),
            ("team-of-servers", "team-of-se-peer"),
            ("éééééé", "ééééé-peer"),
            ("abcdefghié", "abcdefghi-peer"),
        ] {
            assert_eq!(peer_name(device), peer);
        }
    }
}
