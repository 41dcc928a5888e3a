//! The team device, whichever kind it is.

mod tap;
pub mod veth;

use std::io;

use runners::HwAddr;

use crate::datapath::ebpf::TeamSide;
use crate::datapath::frame_buffer::{FrameBuffer, Message};
use crate::netlink::link::{self, VETH_KIND};
use crate::netlink::{RouteSocket, tc};
use tap::Tap;
use veth::Veth;
pub use veth::is_ours;

/// What the team device of a relay is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceOptions {
    /// Its name; `%d` is replaced by a free number.
    pub name: String,
    /// The device outlives the daemon (`-N`).
    pub persist: bool,
    /// A device of that name that an earlier daemon left is taken over (`-o`).
    pub take_over: bool,
}

/// One of the two kinds.
#[derive(Debug)]
pub enum Device {
    /// Its frames are read and written by its descriptor.
    Tap(Tap),
    /// They are at the other end of a veth.
    Veth(Veth),
}

impl Device {
    /// What is there or, if it is to outlive the daemon, a veth; else a TAP.
    ///
    /// A TAP has no carrier while nobody has it open. The host would forget its neighbours, and
    /// ask for them again a second later only.
    ///
    /// # Errors
    /// Those of [`Veth::open`] and `Tap::open`.
    pub fn open(route: &mut RouteSocket, options: &DeviceOptions) -> io::Result<Self> {
        let is_pair = match options.take_over {
            true => link::find(route, &options.name).is_ok_and(|found| found.kind == VETH_KIND),
            false => options.persist,
        };
        if is_pair {
            match Veth::open(route, &options.name, options.take_over) {
                Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                    log::debug!("veth is not available, use a TAP device");
                }
                opened => return opened.map(Device::Veth),
            }
        }
        let tap = Tap::open(route, options)?;
        // Where programs are attached that way.
        tc::prepare_hooks(route, tap.ifindex)?;
        Ok(Device::Tap(tap))
    }

    /// Its name when it was opened.
    pub fn name(&self) -> &str {
        match self {
            Device::Tap(tap) => &tap.name,
            Device::Veth(veth) => &veth.name,
        }
    }

    /// Its interface index.
    pub fn ifindex(&self) -> u32 {
        match self {
            Device::Tap(tap) => tap.ifindex,
            Device::Veth(veth) => veth.ifindex,
        }
    }

    /// Its address when it was opened.
    pub fn hwaddr(&self) -> HwAddr {
        match self {
            Device::Tap(tap) => tap.hwaddr,
            Device::Veth(veth) => veth.hwaddr,
        }
    }

    /// How programs get at it.
    pub fn side(&self) -> TeamSide {
        match self {
            Device::Tap(tap) => TeamSide::Device(tap.ifindex),
            Device::Veth(veth) => TeamSide::Peer(veth.peer),
        }
    }

    /// Reads one frame that the host sends; none if no header could describe it.
    ///
    /// # Errors
    /// `EAGAIN` if there is none; `EBADFD` or `EIO` when the device is gone.
    pub fn read<'a>(&self, buffer: &'a mut FrameBuffer) -> io::Result<Option<Message<'a>>> {
        match self {
            Device::Tap(tap) => tap.read(buffer),
            Device::Veth(veth) => veth.read(buffer),
        }
    }

    /// Gives the host one frame.
    ///
    /// # Errors
    /// Of a device that is down, or for a header that contradicts the frame.
    pub fn write(&self, message: Message<'_>) -> io::Result<()> {
        match self {
            Device::Tap(tap) => tap.write(message),
            Device::Veth(veth) => veth.write(message),
        }
    }
}
