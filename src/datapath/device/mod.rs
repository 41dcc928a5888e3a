//! The team device where the kernel's team driver has none: a TAP or a veth.
//!
//! Owns the device and the descriptor by which frames are read from it and written to it.

mod options;
mod tap;
mod veth;

use std::io;
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use runners::HwAddr;

use crate::datapath::ebpf::TeamHook;
use crate::datapath::frame_buffer::{FrameBuffer, Message};
use crate::netlink::link::{self, VETH_KIND};
use crate::netlink::{RouteSocket, tc};

pub use options::DeviceOptions;
pub use veth::is_ours;

use tap::Tap;
use veth::Veth;

/// A team device.
#[derive(Debug)]
pub enum Device {
    /// Its descriptor carries the frames.
    Tap(Tap),
    /// A socket at the veth's peer carries the frames.
    Veth(Veth),
}

impl Device {
    /// Opens a device for the relay: what exists or, if the device is to outlive the daemon, a
    /// veth; else a TAP.
    ///
    /// A TAP has no carrier while nobody has it open: the host would forget its neighbours, and
    /// ask for them again a second later only.
    ///
    /// # Errors
    /// Those of [`Device::veth`] and `Tap::open`.
    pub fn open(route: &mut RouteSocket, options: &DeviceOptions) -> io::Result<Self> {
        let is_veth = match options.take_over {
            true => link::find(route, &options.name).is_ok_and(|found| found.kind == VETH_KIND),
            false => options.persist,
        };
        if is_veth {
            match Self::veth(route, &options.name, options.take_over) {
                Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                    log::debug!("veth is not available, use a TAP device");
                }
                opened => return opened,
            }
        }
        let tap = Tap::open(route, options)?;
        // With a clsact in place, programs come and go without the queues being stopped.
        tc::prepare_hooks(route, tap.ifindex)?;
        Ok(Device::Tap(tap))
    }

    /// Creates a veth, or takes it over.
    ///
    /// # Errors
    /// Those of `Veth::open`.
    pub fn veth(route: &mut RouteSocket, name: &str, take_over: bool) -> io::Result<Self> {
        Veth::open(route, name, take_over).map(Device::Veth)
    }

    /// Name of the device when it was opened.
    pub fn name(&self) -> &str {
        match self {
            Device::Tap(tap) => &tap.name,
            Device::Veth(veth) => &veth.name,
        }
    }

    /// Interface index.
    pub fn ifindex(&self) -> u32 {
        match self {
            Device::Tap(tap) => tap.ifindex,
            Device::Veth(veth) => veth.ifindex,
        }
    }

    /// Address of the device when it was opened.
    pub fn hwaddr(&self) -> HwAddr {
        match self {
            Device::Tap(tap) => tap.hwaddr,
            Device::Veth(veth) => veth.hwaddr,
        }
    }

    /// The hook for programs.
    pub fn hook(&self) -> TeamHook {
        match self {
            Device::Tap(tap) => TeamHook::TapEgress(tap.ifindex),
            Device::Veth(veth) => TeamHook::PeerIngress(veth.peer),
        }
    }

    /// Starts to receive the frames that the device sends; `token` tells of them.
    ///
    /// # Errors
    /// Those of opening the socket of a veth. The device then receives nothing.
    pub fn start_receiving(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let fd = match self {
            Device::Tap(tap) => tap.as_raw_fd(),
            Device::Veth(veth) => veth.open_socket()?,
        };
        let registered = registry.register(&mut SourceFd(&fd), token, Interest::READABLE);
        if registered.is_err() {
            self.stop_receiving(registry);
        }
        registered
    }

    /// Stops receiving.
    pub fn stop_receiving(&mut self, registry: &Registry) {
        let deregistered = match self {
            Device::Tap(tap) => registry.deregister(&mut SourceFd(&tap.as_raw_fd())),
            Device::Veth(veth) => veth.close_socket(registry),
        };
        if let Err(error) = deregistered {
            log::debug!("{}: cannot deregister: {error}", self.name());
        }
    }

    /// Reads one frame that the host sends; `None` if no header could describe the frame.
    ///
    /// # Errors
    /// `EAGAIN` if there is none; `EBADFD` or `EIO` once the device is gone.
    pub fn read<'a>(&self, buffer: &'a mut FrameBuffer) -> io::Result<Option<Message<'a>>> {
        match self {
            Device::Tap(tap) => tap.read(buffer),
            Device::Veth(veth) => veth.socket()?.receive(buffer),
        }
    }

    /// Has the host receive one frame.
    ///
    /// # Errors
    /// Those of a device that is down, or of a header that contradicts the frame.
    pub fn write(&self, message: Message<'_>) -> io::Result<()> {
        match self {
            Device::Tap(tap) => tap.write(message),
            Device::Veth(veth) => veth.socket()?.send(message),
        }
    }
}
