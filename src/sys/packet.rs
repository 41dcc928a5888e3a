//! Packet sockets that carry whole frames with a virtio-net header (packet(7),
//! `linux/if_packet.h`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::sys::socket::{MsgFlags, send, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::{check, ifreq, socket_option};

/// Priority of control frames: `TC_PRIO_CONTROL` (`linux/pkt_sched.h`).
pub const PRIORITY_CONTROL: i32 = 7;
/// Priority of most traffic: `TC_PRIO_BESTEFFORT` (`linux/pkt_sched.h`).
pub const PRIORITY_BEST_EFFORT: i32 = 0;

/// Most messages of one call that receives or sends several.
pub const MOST_MESSAGES: usize = 16;

/// Settings of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Mark on every sent frame, by which filters tell our frames from the host's.
    pub mark: u32,
    /// Bytes of queued received frames, as the kernel counts them.
    pub receive_buffer: usize,
    /// Bytes of sent frames that the driver still has, as the kernel counts them.
    pub send_buffer: usize,
}

/// The outer VLAN tag of a received frame, which the kernel keeps out of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanTag {
    /// EtherType of the tag: 0x8100, 0x88a8.
    pub tpid: u16,
    /// Priority, drop eligibility and VLAN id.
    pub tci: u16,
}

/// A received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of header and frame together.
    pub length: usize,
    /// The tag, which belongs after the addresses.
    pub tag: Option<VlanTag>,
    /// The buffers were too small, and the end of the frame is lost.
    pub truncated: bool,
}

/// A packet socket bound to one interface, non-blocking.
#[derive(Debug)]
pub struct PacketSocket(Socket);

const _: () = assert!(mem::size_of::<libc::tpacket_auxdata>() == 20);
const _: () = assert!(mem::size_of::<libc::sockaddr_ll>() == 20);
const _: () = assert!(mem::size_of::<libc::packet_mreq>() == 16);

/// Takes a socket that [`PacketSocket::open`] has opened in another process.
impl From<OwnedFd> for PacketSocket {
    fn from(fd: OwnedFd) -> Self {
        PacketSocket(fd.into())
    }
}

/// Memory for the auxiliary data and its header; `cmsghdr` first for the alignment.
#[repr(C)]
struct Control {
    header: libc::cmsghdr,
    data: [u8; 64],
}

impl PacketSocket {
    /// Opens a socket for all frames that `ifindex` receives, for any destination, and none that
    /// the host sends there. A message is a virtio-net header of 10 bytes and a frame.
    ///
    /// # Errors
    /// `EPERM` without CAP_NET_RAW and CAP_NET_ADMIN, `ENODEV` if there is no such interface.
    pub fn open(ifindex: u32, options: Options) -> io::Result<Self> {
        let PacketSocket(socket) = PacketSocket::unbound(options.mark)?;
        // The forced options ignore the system's limit, which root of a user namespace may not.
        if setsockopt(&socket, sockopt::RcvBufForce, &options.receive_buffer).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &options.receive_buffer)?;
        }
        if setsockopt(&socket, sockopt::SndBufForce, &options.send_buffer).is_err() {
            setsockopt(&socket, sockopt::SndBuf, &options.send_buffer)?;
        }
        let socket = PacketSocket(socket);
        socket.set(libc::PACKET_VNET_HDR, &1_i32)?;
        socket.join(ifindex, libc::PACKET_MR_PROMISC, &[])?;
        socket.bind(ifindex, libc::ETH_P_ALL as u16)?;
        Ok(socket)
    }

    /// Opens a socket that sends frames with `mark` on `ifindex`, and receives nothing until
    /// [`listen`](Self::listen). A message is a frame without a header.
    ///
    /// # Errors
    /// `EPERM` without CAP_NET_RAW and CAP_NET_ADMIN, `ENODEV` if there is no such interface.
    pub fn sender(ifindex: u32, mark: u32) -> io::Result<Self> {
        let socket = PacketSocket::unbound(mark)?;
        socket.bind(ifindex, 0)?;
        Ok(socket)
    }

    /// Has a [`sender`](Self::sender) send messages with a virtio-net header from a ring of `slots`
    /// slots of `size` bytes, a multiple of the page size.
    ///
    /// # Errors
    /// `ENOMEM`, `EINVAL` for another size.
    pub(super) fn prepare_ring(&self, size: usize, slots: usize) -> io::Result<()> {
        self.set(libc::PACKET_VERSION, &libc::tpacket_versions::TPACKET_V2)?;
        self.set(libc::PACKET_VNET_HDR, &1_i32)?;
        let ring = libc::tpacket_req {
            tp_block_size: size as libc::c_uint,
            tp_block_nr: slots as libc::c_uint,
            tp_frame_size: size as libc::c_uint,
            tp_frame_nr: slots as libc::c_uint,
        };
        self.set(libc::PACKET_TX_RING, &ring)
    }

    /// Returns the MTU of the interface `ifindex` in bytes.
    ///
    /// # Errors
    /// `ENODEV` if there is no such interface.
    pub fn mtu(&self, ifindex: u32) -> io::Result<u32> {
        ifreq::mtu(self.as_fd(), ifindex)
    }

    /// Opens a socket that receives nothing, of any interface, and later receives VLAN tags and
    /// no frames of the host.
    fn unbound(mark: u32) -> io::Result<Self> {
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        socket.set_nonblocking(true)?;
        socket.set_mark(mark)?;
        let socket = PacketSocket(socket);
        for flag in [libc::PACKET_AUXDATA, libc::PACKET_IGNORE_OUTGOING] {
            socket.set(flag, &1_i32)?;
        }
        Ok(socket)
    }

    /// Starts to receive the frames of `ifindex` that the classic BPF program accepts; the
    /// interface also receives frames for `addresses`, unicast or multicast.
    ///
    /// # Errors
    /// `EINVAL` for a program that the kernel does not accept.
    pub fn listen(
        &self,
        ifindex: u32,
        program: &[(u16, u8, u8, u32)],
        addresses: &[[u8; 6]],
    ) -> io::Result<()> {
        self.filter(program)?;
        for address in addresses {
            self.join(ifindex, kind_of(*address), address)?;
        }
        self.bind(ifindex, libc::ETH_P_ALL as u16)
    }

    /// Takes back that `ifindex` receives frames for an address, once for a call of
    /// [`listen`](Self::listen) with this address.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` without such a call, and once the interface is gone.
    pub fn leave(&self, ifindex: u32, address: [u8; 6]) -> io::Result<()> {
        let membership = membership(ifindex, kind_of(address), &address);
        self.set(libc::PACKET_DROP_MEMBERSHIP, &membership)
    }

    /// Receives only frames that the classic BPF program accepts from now on.
    ///
    /// # Errors
    /// `EINVAL` for a program that the kernel does not accept.
    pub fn filter(&self, program: &[(u16, u8, u8, u32)]) -> io::Result<()> {
        socket_option::attach_filter(self, program)
    }

    /// Whether the socket receives the frames of `ifindex`; false for a socket of another kind.
    pub fn is_bound_to(&self, ifindex: u32) -> bool {
        // SAFETY: all fields are integers; zero is a value of each.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        let mut length = mem::size_of_val(&address) as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes to `address`, then the length.
        let named = check(unsafe {
            libc::getsockname(
                self.as_raw_fd(),
                std::ptr::from_mut(&mut address).cast(),
                &raw mut length,
            )
        });
        named.is_ok()
            && i32::from(address.sll_family) == libc::AF_PACKET
            && address.sll_ifindex == ifindex as libc::c_int
    }

    fn set<T: Copy>(&self, option: libc::c_int, value: &T) -> io::Result<()> {
        socket_option::set(self, libc::SOL_PACKET, option, value)
    }

    /// Has the interface receive frames for more addresses.
    fn join(&self, ifindex: u32, kind: libc::c_int, address: &[u8]) -> io::Result<()> {
        self.set(libc::PACKET_ADD_MEMBERSHIP, &membership(ifindex, kind, address))
    }

    fn bind(&self, ifindex: u32, protocol: u16) -> io::Result<()> {
        let address = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as libc::c_ushort,
            sll_protocol: protocol.to_be(),
            sll_ifindex: ifindex as libc::c_int,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: the kernel reads one `sockaddr_ll` of the size given.
        check(unsafe {
            libc::bind(
                self.as_raw_fd(),
                std::ptr::from_ref(&address).cast(),
                mem::size_of_val(&address) as libc::socklen_t,
            )
        })?;
        Ok(())
    }

    /// Receives one message, the first bytes into `head`, the rest into `tail`: if `head` ends
    /// after the addresses, a VLAN tag can be put back without moving the frame.
    ///
    /// # Errors
    /// `EAGAIN` if there is none; `EINVAL` for a lost frame that no header can describe; `ENETDOWN`
    /// if the interface goes down twice meanwhile.
    pub fn receive(&self, head: &mut [u8], tail: &mut [u8]) -> io::Result<Received> {
        let mut parts = [IoSliceMut::new(head), IoSliceMut::new(tail)];
        let mut control = MaybeUninit::<Control>::uninit();
        // SAFETY: all fields are integers or pointers; zero is a value of each.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        // The standard library guarantees that an `IoSliceMut` is an `iovec`.
        message.msg_iov = parts.as_mut_ptr().cast();
        message.msg_iovlen = parts.len() as _;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = mem::size_of::<Control>() as _;
        let length = repeated_once_if_down(|| {
            // SAFETY: the message points to two buffers borrowed for the call and to `control`.
            let length = unsafe { libc::recvmsg(self.as_raw_fd(), &mut message, 0) };
            usize::try_from(length).map_err(|_| io::Error::last_os_error())
        })?;
        Ok(Received {
            length,
            // SAFETY: the kernel has just filled `message` in, and `control` is still there.
            tag: unsafe { tag(&message) },
            truncated: message.msg_flags & libc::MSG_TRUNC != 0,
        })
    }

    /// Receives messages as [`receive`](Self::receive) does, up to one for each pair of buffers and
    /// [`MOST_MESSAGES`], and adds them to `received`. After an error behind the first message, the next call
    /// returns the error.
    ///
    /// # Errors
    /// Those of [`receive`](Self::receive).
    pub fn receive_all<'a>(
        &self,
        buffers: impl Iterator<Item = (&'a mut [u8], &'a mut [u8])>,
        received: &mut Vec<Received>,
    ) -> io::Result<()> {
        let mut parts: [[IoSliceMut<'a>; 2]; MOST_MESSAGES] =
            std::array::from_fn(|_| [IoSliceMut::new(&mut []), IoSliceMut::new(&mut [])]);
        let mut controls = [const { MaybeUninit::<Control>::uninit() }; MOST_MESSAGES];
        // SAFETY: all fields are integers or pointers; zero is a value of each.
        let mut messages: [libc::mmsghdr; MOST_MESSAGES] = unsafe { mem::zeroed() };
        let mut count = 0;
        let places = messages.iter_mut().zip(&mut parts).zip(&mut controls);
        for (((message, parts), control), (head, tail)) in places.zip(buffers) {
            *parts = [IoSliceMut::new(head), IoSliceMut::new(tail)];
            let header = &mut message.msg_hdr;
            // The standard library guarantees that an `IoSliceMut` is an `iovec`.
            header.msg_iov = parts.as_mut_ptr().cast();
            header.msg_iovlen = parts.len() as _;
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = mem::size_of::<Control>() as _;
            count += 1;
        }
        let filled = repeated_once_if_down(|| {
            let (fd, messages) = (self.as_raw_fd(), messages.as_mut_ptr());
            // SAFETY: the first `count` messages point to buffers borrowed for `'a` and to `controls`.
            let filled = unsafe { libc::recvmmsg(fd, messages, count, 0, std::ptr::null_mut()) };
            usize::try_from(filled).map_err(|_| io::Error::last_os_error())
        })?;
        received.extend(messages[..filled].iter().map(|message| Received {
            length: message.msg_len as usize,
            // SAFETY: the kernel has just filled the message in, and `controls` is still there.
            tag: unsafe { tag(&message.msg_hdr) },
            truncated: message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        }));
        Ok(())
    }

    /// Sends messages, at most [`MOST_MESSAGES`], until one fails; returns how many were sent. The
    /// next call begins with the message that failed.
    ///
    /// # Errors
    /// Those of [`send`](Self::send), if the first message fails.
    pub fn send_all<'a>(&self, messages: impl Iterator<Item = &'a [u8]>) -> io::Result<usize> {
        let mut parts: [IoSlice<'a>; MOST_MESSAGES] = [IoSlice::new(&[]); MOST_MESSAGES];
        // SAFETY: all fields are integers or pointers; zero is a value of each.
        let mut headers: [libc::mmsghdr; MOST_MESSAGES] = unsafe { mem::zeroed() };
        let mut count = 0;
        for ((header, part), message) in headers.iter_mut().zip(&mut parts).zip(messages) {
            *part = IoSlice::new(message);
            // The standard library guarantees that an `IoSlice` is an `iovec`.
            header.msg_hdr.msg_iov = std::ptr::from_mut(part).cast();
            header.msg_hdr.msg_iovlen = 1;
            count += 1;
        }
        let (fd, headers) = (self.as_raw_fd(), headers.as_mut_ptr());
        // SAFETY: the first `count` headers point to `parts`, which borrow the messages; the kernel
        // writes to the headers alone.
        let sent = unsafe { libc::sendmmsg(fd, headers, count, libc::MSG_DONTWAIT as _) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Sets the priority of sent frames (socket(7), `SO_PRIORITY`) for queueing disciplines: 0 is
    /// that of most traffic, 7 the highest.
    ///
    /// # Errors
    /// `EPERM` for 7 without CAP_NET_ADMIN.
    pub fn set_priority(&self, priority: i32) -> io::Result<()> {
        Ok(setsockopt(&self.0, sockopt::Priority, &priority)?)
    }

    /// Sends one message.
    ///
    /// # Errors
    /// `EAGAIN` and `ENOBUFS` for a full queue (the latter also for a filter's drop),
    /// `ENETDOWN` while the interface is down, `ENXIO` once it is gone, `EMSGSIZE` beyond its
    /// MTU.
    pub fn send(&self, message: &[u8]) -> io::Result<()> {
        let send = || Ok(send(self.as_raw_fd(), message, MsgFlags::MSG_DONTWAIT)?);
        repeated_once_if_down(send).map(drop)
    }

    /// Returns the number of frames lost since the last call because the receive buffer was full.
    pub fn take_missed(&self) -> io::Result<u32> {
        let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut length = mem::size_of_val(&statistics) as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes, the size of `statistics`.
        check(unsafe {
            libc::getsockopt(
                self.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                std::ptr::from_mut(&mut statistics).cast(),
                &mut length,
            )
        })?;
        Ok(statistics.tp_drops)
    }
}

/// Calls again after `ENETDOWN`: the kernel reports it once for each time that the interface went
/// down, even if the interface is up again, and no received frame is lost.
fn repeated_once_if_down<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    match call() {
        Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => call(),
        done => done,
    }
}

/// # Safety
/// `message` must come from a successful `recvmsg`, its control buffer alive and aligned.
unsafe fn tag(message: &libc::msghdr) -> Option<VlanTag> {
    // SAFETY: the caller's promise; the kernel wrote whole headers within `msg_controllen`.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: null, or a header inside the control buffer.
    while let Some(control) = unsafe { header.as_ref() } {
        if control.cmsg_level == libc::SOL_PACKET && control.cmsg_type == libc::PACKET_AUXDATA {
            // SAFETY: a header of this type is followed by one `tpacket_auxdata`.
            let data =
                unsafe { libc::CMSG_DATA(header).cast::<libc::tpacket_auxdata>().read_unaligned() };
            if data.tp_status & libc::TP_STATUS_VLAN_VALID == 0 {
                return None;
            }
            let tpid_known = data.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
            return Some(VlanTag {
                tpid: if tpid_known { data.tp_vlan_tpid } else { libc::ETH_P_8021Q as u16 },
                tci: data.tp_vlan_tci,
            });
        }
        // SAFETY: as for the first one.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    None
}

/// Returns the kind of membership for an address.
fn kind_of(address: [u8; 6]) -> libc::c_int {
    match address[0] & 1 {
        1 => libc::PACKET_MR_MULTICAST,
        _ => libc::PACKET_MR_UNICAST,
    }
}

fn membership(ifindex: u32, kind: libc::c_int, address: &[u8]) -> libc::packet_mreq {
    let mut padded = [0; 8];
    padded[..address.len()].copy_from_slice(address);
    libc::packet_mreq {
        mr_ifindex: ifindex as libc::c_int,
        mr_type: kind as libc::c_ushort,
        mr_alen: address.len() as libc::c_ushort,
        mr_address: padded,
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
