//! A connection to TIPC's topology server in the kernel, which reports links (`linux/tipc.h`).

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use socket2::{Domain, SockAddr, Socket, Type};

use super::ioctl;

/// Type and instance of the service.
const TIPC_TOP_SRV: u32 = 1;
const TIPC_SERVICE_ADDR: u8 = 2;
const SIOCGETLINKNAME: libc::Ioctl = 0x89e0;
const TIPC_MAX_LINK_NAME: usize = 68;

/// `struct sockaddr_tipc` with the name of a service.
#[repr(C)]
struct Address {
    family: libc::sa_family_t,
    kind: u8,
    scope: i8,
    service: u32,
    instance: u32,
    domain: u32,
}
const _: () = assert!(mem::size_of::<Address>() == 16);

/// `struct tipc_sioc_ln_req`.
#[repr(C)]
struct LinkName {
    peer: u32,
    bearer: u32,
    name: [u8; TIPC_MAX_LINK_NAME],
}
const _: () = assert!(mem::size_of::<LinkName>() == 76);

/// A connection to the topology server, non-blocking.
#[derive(Debug)]
pub struct TopologySocket(Socket);

impl TopologySocket {
    /// Connects.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` if the kernel has no TIPC and no module for it.
    pub fn connect() -> io::Result<Self> {
        let socket = Socket::new(Domain::from(libc::AF_TIPC), Type::SEQPACKET, None)?;
        let address = Address {
            family: libc::AF_TIPC as libc::sa_family_t,
            kind: TIPC_SERVICE_ADDR,
            scope: 0,
            service: TIPC_TOP_SRV,
            instance: TIPC_TOP_SRV,
            domain: 0,
        };
        // SAFETY: `storage` has room for any address, and `address`, plain integers, is copied
        // to its begin; `length` is that of what was written.
        let (_, address) = unsafe {
            SockAddr::try_init(|storage, length| {
                storage.cast::<Address>().write(address);
                *length = mem::size_of::<Address>() as libc::socklen_t;
                Ok(())
            })
        }?;
        // The server is in the kernel: connecting succeeds or fails at once.
        socket.connect(&address)?;
        socket.set_nonblocking(true)?;
        Ok(TopologySocket(socket))
    }

    /// Sends one message; fails as send(2) does.
    pub fn send(&self, message: &[u8]) -> io::Result<()> {
        send(self.as_raw_fd(), message, MsgFlags::MSG_NOSIGNAL)?;
        Ok(())
    }

    /// Reads the next message into `buffer` and returns its length, `None` if there is none; fails
    /// as recv(2) does.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match recv(self.as_raw_fd(), buffer, MsgFlags::empty()) {
            Ok(length) => Ok(Some(length)),
            Err(Errno::EAGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the name of the link to the node `peer` over the bearer with this number.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` if there is no such link (any more).
    pub fn link_name(&self, peer: u32, bearer: u32) -> io::Result<String> {
        let mut request = LinkName { peer, bearer, name: [0; TIPC_MAX_LINK_NAME] };
        // SAFETY: this request reads and writes a `struct tipc_sioc_ln_req`.
        unsafe { ioctl(self.0.as_fd(), SIOCGETLINKNAME, &mut request) }?;
        let text = request.name.split(|byte| *byte == 0).next();
        Ok(String::from_utf8_lossy(text.unwrap_or_default()).into_owned())
    }
}

impl AsRawFd for TopologySocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
