//! The daemon's netlink sockets: for requests and for events, each of the route or of the generic
//! family.
//!
//! No call waits. The kernel answers a request of these families before `send` returns, so that
//! the answer can be read at once; a missing answer is an error.

use std::io::{self, IoSliceMut};
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, MultiHeaders, NetlinkAddr, SockFlag, SockProtocol, SockType, bind,
    recv, recvmmsg, send, setsockopt, socket, sockopt,
};

use super::bpf::Instruction;
use super::message::{Message, Messages, Request};
use crate::sys::filter::attach_filter;
use crate::sys::netlink::join_group;

/// Bytes of the buffer for one datagram; a dump has at most 32 KiB in one.
const DATAGRAM: usize = 32 * 1024;
/// Events read by one system call: the team driver sends one for each option that changes, 128 when
/// half of the buckets move.
const EVENTS_AT_ONCE: usize = 8;
/// Bytes of the receive buffers: enough for a burst of a few thousand link events, or the options
/// of a thousand ports.
const RECEIVE_BUFFER: usize = 1 << 20;
/// libteam's variable for the bytes of the receive buffers of events; negative counts as 0, which
/// the kernel raises to its minimum.
pub const BUFFER_VARIABLE: &str = "TEAM_EVENT_BUFSIZE";
/// Times that an interrupted dump is repeated before it fails.
const DUMP_TRIES: usize = 16;

/// A netlink family, as a type: no request reaches the socket of another family.
pub trait Family {
    /// Number of the family.
    const PROTOCOL: SockProtocol;
}

/// `NETLINK_ROUTE`: links, addresses, traffic control.
#[derive(Debug)]
pub enum Route {}

/// `NETLINK_GENERIC`: families with names, such as the team driver's.
#[derive(Debug)]
pub enum Generic {}

impl Family for Route {
    const PROTOCOL: SockProtocol = SockProtocol::NetlinkRoute;
}

impl Family for Generic {
    const PROTOCOL: SockProtocol = SockProtocol::NetlinkGeneric;
}

/// A socket of the route family for requests.
pub type RouteSocket = RequestSocket<Route>;
/// A socket of the generic family for requests.
pub type GenericSocket = RequestSocket<Generic>;

fn open<F: Family>(receive_buffer: usize) -> io::Result<OwnedFd> {
    let fd = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        F::PROTOCOL,
    )?;
    // Without CAP_NET_ADMIN `rmem_max` is the limit; more events then overflow and cost a resync.
    if setsockopt(&fd, sockopt::RcvBufForce, &receive_buffer).is_err() {
        setsockopt(&fd, sockopt::RcvBuf, &receive_buffer)?;
    }
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    Ok(fd)
}

/// A socket for requests.
#[derive(Debug)]
pub struct RequestSocket<F> {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
    family: PhantomData<F>,
}

impl<F: Family> RequestSocket<F> {
    /// Opens the socket; needs no privilege.
    pub fn open() -> io::Result<Self> {
        Ok(open::<F>(RECEIVE_BUFFER)?.into())
    }

    /// Has the kernel carry out `request`.
    ///
    /// # Errors
    /// The kernel's error number.
    pub fn execute(&mut self, request: Request) -> io::Result<()> {
        self.exchange(request, true, &mut |_| ())
    }

    /// Calls `each` with every message of the answer.
    ///
    /// # Errors
    /// The kernel's error number; `EINTR` for a dump that changes interrupted every time (the
    /// messages may then be incomplete).
    pub fn query(&mut self, request: Request, each: &mut dyn FnMut(Message<'_>)) -> io::Result<()> {
        for _ in 0..DUMP_TRIES {
            let mut interrupted = false;
            self.exchange(request.clone(), false, &mut |message| {
                interrupted |= message.is_interrupted();
                each(message);
            })?;
            if !interrupted {
                return Ok(());
            }
        }
        Err(Errno::EINTR.into())
    }

    fn exchange(
        &mut self,
        request: Request,
        ack: bool,
        each: &mut dyn FnMut(Message<'_>),
    ) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = request.finish(self.sequence, ack);
        send(self.fd.as_raw_fd(), &bytes, MsgFlags::empty())?;
        loop {
            let length = recv(
                self.fd.as_raw_fd(),
                &mut self.buffer,
                MsgFlags::MSG_DONTWAIT,
            )?;
            for message in Messages(&self.buffer[..length]) {
                if message.sequence != self.sequence {
                    continue;
                }
                match message.error() {
                    Some(0) => return Ok(()),
                    Some(code) => return Err(io::Error::from_raw_os_error(code)),
                    // The team driver sends a requested ACK after the DONE.
                    None if message.is_done() && ack => continue,
                    None if message.is_done() => return Ok(()),
                    None => each(message),
                }
                if !ack && i32::from(message.flags) & libc::NLM_F_MULTI == 0 {
                    return Ok(());
                }
            }
        }
    }
}

/// Takes a socket of this family that was opened elsewhere, such as in another network namespace.
impl<F: Family> From<OwnedFd> for RequestSocket<F> {
    fn from(fd: OwnedFd) -> Self {
        RequestSocket {
            fd,
            sequence: 0,
            buffer: vec![0; DATAGRAM],
            family: PhantomData,
        }
    }
}

impl<F> AsFd for RequestSocket<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The outcome of reading an event socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// All queued events were read.
    All,
    /// The kernel dropped events: read the state anew.
    Overflow,
}

/// A socket that receives events.
#[derive(Debug)]
pub struct EventSocket {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

impl EventSocket {
    /// Opens a socket for events of links and of their IPv6 addresses.
    pub fn links() -> io::Result<Self> {
        let socket = EventSocket::join::<Route>(libc::RTNLGRP_LINK)?;
        join_group(&socket, libc::RTNLGRP_IPV6_IFADDR)?;
        Ok(socket)
    }

    /// Opens a socket for the events of a group of a generic family that `filter` accepts.
    pub fn generic(group: u32, filter: &[Instruction]) -> io::Result<Self> {
        let socket = EventSocket::join::<Generic>(group)?;
        attach_filter(&socket, filter)?;
        Ok(socket)
    }

    fn join<F: Family>(group: u32) -> io::Result<Self> {
        let wanted = std::env::var(BUFFER_VARIABLE).ok();
        let wanted = wanted.and_then(|bytes| bytes.parse::<i32>().ok());
        let wanted = wanted.map(|bytes| usize::try_from(bytes).unwrap_or(0));
        let fd = open::<F>(wanted.unwrap_or(RECEIVE_BUFFER))?;
        join_group(&fd, group)?;
        Ok(EventSocket {
            fd,
            buffer: vec![0; EVENTS_AT_ONCE * DATAGRAM],
        })
    }

    /// Calls `each` with every queued event.
    ///
    /// # Errors
    /// The kernel's, apart from an overflow.
    pub fn drain(&mut self, each: &mut dyn FnMut(Message<'_>)) -> io::Result<Received> {
        let mut received = Received::All;
        loop {
            let places = self.buffer.chunks_exact_mut(DATAGRAM);
            let mut places: Vec<_> = places.map(|place| [IoSliceMut::new(place)]).collect();
            let mut headers = MultiHeaders::<()>::preallocate(EVENTS_AT_ONCE, None);
            let fd = self.fd.as_raw_fd();
            let flags = MsgFlags::MSG_DONTWAIT;
            match recvmmsg(fd, &mut headers, &mut places, flags, None) {
                Ok(datagrams) => {
                    let parts = datagrams.flat_map(|datagram| datagram.iovs());
                    parts.flat_map(Messages).for_each(&mut *each);
                }
                Err(Errno::EAGAIN) => return Ok(received),
                Err(Errno::EINTR) => (),
                Err(Errno::ENOBUFS) => received = Received::Overflow,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsRawFd for EventSocket {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.fd.as_raw_fd()
    }
}

impl AsFd for EventSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
