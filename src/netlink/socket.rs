//! The two kinds of netlink sockets that the daemon holds: one for requests, one for events.
//!
//! Neither waits. The kernel answers a request of the route family before `send` returns, so
//! the answer is read back at once; should it be missing, that is an error, not a wait.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket, sockopt,
};

use super::message::{Message, Messages, Request};

/// Room for one datagram; the kernel fills at most 32 KiB of it in a dump.
const DATAGRAM: usize = 32 * 1024;
/// Receive buffer of the event socket: a burst of a few thousand link events.
const EVENT_BUFFER: usize = 1 << 20;
/// A dump interrupted this often in a row is given up.
const DUMP_TRIES: usize = 16;

fn open(groups: u32) -> io::Result<OwnedFd> {
    let fd = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::NetlinkRoute,
    )?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Ok(fd)
}

/// A route socket for requests.
#[derive(Debug)]
pub struct RouteSocket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl RouteSocket {
    /// Opens the socket; needs no right.
    pub fn open() -> io::Result<Self> {
        Ok(RouteSocket {
            fd: open(0)?,
            sequence: 0,
            buffer: vec![0; DATAGRAM],
        })
    }

    /// Has the kernel carry out `request`.
    ///
    /// # Errors
    /// The kernel's error number.
    pub fn execute(&mut self, request: Request) -> io::Result<()> {
        self.exchange(request, true, &mut |_| ())
    }

    /// Hands each message of the answer to `each`; the answer to a dump may have many parts.
    ///
    /// # Errors
    /// The kernel's error number; `EINTR` for a dump that changes interrupted again and again
    /// (what was handed over until then may be incomplete).
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

/// What reading the event socket came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Everything there was has been handed over.
    All,
    /// The kernel dropped events: what they told must be read anew.
    Overflow,
}

/// A route socket that hears of changed links.
#[derive(Debug)]
pub struct EventSocket {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

impl EventSocket {
    /// Opens the socket and joins the link group.
    pub fn open() -> io::Result<Self> {
        let fd = open(libc::RTMGRP_LINK as u32)?;
        // Without CAP_NET_ADMIN the default size stays; an overflow then costs a resync.
        if setsockopt(&fd, sockopt::RcvBufForce, &EVENT_BUFFER).is_err() {
            log::debug!("link events keep the default receive buffer");
        }
        Ok(EventSocket {
            fd,
            buffer: vec![0; DATAGRAM],
        })
    }

    /// Hands over events until none is left.
    ///
    /// # Errors
    /// The kernel's, apart from an overflow.
    pub fn drain(&mut self, each: &mut dyn FnMut(Message<'_>)) -> io::Result<Received> {
        let mut received = Received::All;
        loop {
            match recv(
                self.fd.as_raw_fd(),
                &mut self.buffer,
                MsgFlags::MSG_DONTWAIT,
            ) {
                Ok(length) => Messages(&self.buffer[..length]).for_each(&mut *each),
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
