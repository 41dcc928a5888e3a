//! The team device, whichever kind it is.

mod tap;
pub mod veth;

use std::io;

use runners::HwAddr;

use crate::datapath::ebpf::TeamSide;
use crate::datapath::frame_buffer::{FrameBuffer, Message};
use crate::netlink::link::{self, PAIR_KIND};
use crate::netlink::{RouteSocket, tc};
use tap::Tap;
use veth::Pair;
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
    /// They are at the other end of a pair.
    Pair(Pair),
}

impl Device {
    /// What is there or, if it is to outlive the daemon, a pair; else a TAP.
    ///
    /// A TAP has no carrier while nobody has it open. The host would forget its neighbours, and
    /// ask for them again a second later only.
    ///
    /// # Errors
    /// Those of [`Pair::open`] and `Tap::open`.
    pub fn open(route: &mut RouteSocket, options: &DeviceOptions) -> io::Result<Self> {
        let is_pair = match options.take_over {
            true => link::find(route, &options.name).is_ok_and(|found| found.kind == PAIR_KIND),
            false => options.persist,
        };
        if is_pair {
            match Pair::open(route, &options.name, options.take_over) {
                Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                    log::debug!("no pair of interfaces can be had here, so a TAP must do");
                }
                opened => return opened.map(Device::Pair),
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
            Device::Pair(pair) => &pair.name,
        }
    }

    /// Its interface index.
    pub fn ifindex(&self) -> u32 {
        match self {
            Device::Tap(tap) => tap.ifindex,
            Device::Pair(pair) => pair.ifindex,
        }
    }

    /// Its address when it was opened.
    pub fn hwaddr(&self) -> HwAddr {
        match self {
            Device::Tap(tap) => tap.hwaddr,
            Device::Pair(pair) => pair.hwaddr,
        }
    }

    /// How programs get at it.
    pub fn side(&self) -> TeamSide {
        match self {
            Device::Tap(tap) => TeamSide::Device(tap.ifindex),
            Device::Pair(pair) => TeamSide::OtherEnd(pair.other_end),
        }
    }

    /// Reads one frame that the host sends; none if no header could describe it.
    ///
    /// # Errors
    /// `EAGAIN` if there is none; `EBADFD` or `EIO` when the device is gone.
    pub fn read<'a>(&self, buffer: &'a mut FrameBuffer) -> io::Result<Option<Message<'a>>> {
        match self {
            Device::Tap(tap) => tap.read(buffer),
            Device::Pair(pair) => pair.read(buffer),
        }
    }

    /// Gives the host one frame.
    ///
    /// # Errors
    /// Of a device that is down, or for a header that contradicts the frame.
    pub fn write(&self, message: Message<'_>) -> io::Result<()> {
        match self {
            Device::Tap(tap) => tap.write(message),
            Device::Pair(pair) => pair.write(message),
        }
    }
}
