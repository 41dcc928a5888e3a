//! The team device as a TAP that carries whole segments and unfinished checksums.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

use runners::HwAddr;

use super::options::DeviceOptions;
use crate::datapath::frame_buffer::{FrameBuffer, HEADER, Message};
use crate::netlink::{RouteSocket, link};
use crate::sys::tun;

/// Offloads of the reader, best first: the kernel has UDP segments from 6.2 on.
const OFFLOADS: [libc::c_uint; 3] = {
    const TCP: libc::c_uint =
        libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
    [
        TCP | libc::TUN_F_USO4 | libc::TUN_F_USO6,
        TCP,
        libc::TUN_F_CSUM,
    ]
};

/// The open device.
#[derive(Debug)]
pub struct Tap {
    file: File,
    pub(super) name: String,
    pub(super) ifindex: u32,
    pub(super) hwaddr: HwAddr,
}

impl Tap {
    /// Creates the device, down and, where the kernel can, without carrier, or takes it over.
    ///
    /// # Errors
    /// `EBUSY` or `EEXIST` if the device exists and is not to be taken over, `EBUSY` if another
    /// process has it open; `EINVAL` if the name belongs to an interface of another kind;
    /// `ENOENT` without `/dev/net/tun`; `EPERM` without CAP_NET_ADMIN.
    pub fn open(route: &mut RouteSocket, options: &DeviceOptions) -> io::Result<Self> {
        let file = tun::open()?;
        let mut flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
        if !options.take_over {
            flags |= libc::IFF_TUN_EXCL;
        }
        flags |= libc::IFF_NO_CARRIER & tun::features(&file)? as libc::c_int;
        let name = tun::attach(&file, &options.name, flags)?;
        // A persistent device has both from its last owner.
        tun::set_header_size(&file, HEADER as libc::c_int)?;
        set_best_offload(&file)?;
        let link = link::find(route, &name)?;
        // A device that existed stays persistent, or not, as it was.
        if options.persist {
            tun::set_persistent(&file, true)?;
        }
        Ok(Tap {
            file,
            name,
            ifindex: link.ifindex,
            hwaddr: link.hwaddr,
        })
    }

    /// Reads one frame that the host sends.
    ///
    /// # Errors
    /// `EAGAIN` if there is none; `EBADFD` or `EIO` once the device is gone.
    pub fn read<'a>(&self, buffer: &'a mut FrameBuffer) -> io::Result<Option<Message<'a>>> {
        let length = (&self.file).read(buffer.whole())?;
        Ok(buffer.message(length))
    }

    /// Has the host receive one frame.
    ///
    /// # Errors
    /// `EIO` while the device is down, `EINVAL` for a header that contradicts the frame.
    pub fn write(&self, message: Message<'_>) -> io::Result<()> {
        (&self.file).write(message.bytes()).map(drop)
    }
}

impl AsRawFd for Tap {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.file.as_raw_fd()
    }
}

/// Sets the first of [`OFFLOADS`] that this kernel has.
fn set_best_offload(file: &File) -> io::Result<()> {
    for mask in OFFLOADS {
        match tun::set_offload(file, mask) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => continue,
            done => return done,
        }
    }
    log::warn!("the tun driver offers no offload: every segment will be cut before it is sent");
    Ok(())
}
