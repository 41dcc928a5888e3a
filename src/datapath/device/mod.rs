//! The team device where the kernel's team driver has none: a TAP, a veth or a netkit.
//!
//! Owns the device and the descriptor by which frames are read from it and written to it.

mod paired;
mod tap;

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use runners::HwAddr;

use crate::datapath::ebpf::TeamHook;
use crate::datapath::frame_buffer::{FrameBuffer, Message};
use crate::netlink::bpf::Instruction;
use crate::netlink::link::{self, LinkInfo};
use crate::netlink::{RouteSocket, tc};
use crate::sys::ethtool::switch_features;

pub use paired::PairedKind;
pub use tap::TAP_KIND;

use paired::Paired;
use tap::Tap;

/// Whether a daemon, running or not, has created this device.
///
/// # Errors
/// The kernel's error if the filters of the device's peer cannot be read.
pub fn is_ours(route: &mut RouteSocket, device: &LinkInfo) -> io::Result<bool> {
    Ok(tap::is_ours(device) || paired::is_ours(route, device)?)
}

/// How a team device is to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceOptions {
    /// Name; `%d` is replaced by a free number.
    pub name: String,
    /// Hardware address of a device that is created.
    pub hwaddr: HwAddr,
    /// The device outlives the end of the daemon (`-N`).
    pub persist: bool,
    /// An existing device of that name is taken over (`-o`).
    pub take_over: bool,
}

/// A team device.
#[derive(Debug)]
pub enum Device {
    /// Its descriptor carries the frames.
    Tap(Tap),
    /// A socket at the device's peer carries the frames.
    Paired(Paired),
}

impl Device {
    /// Opens a device for the relay: what exists or, if the device is to outlive the daemon, a
    /// veth; else a TAP.
    ///
    /// `kept` returns the descriptor of a device that a former daemon has left open.
    ///
    /// A TAP has no carrier while nobody has it open: the host would forget its neighbours, and
    /// ask for them again a second later only.
    ///
    /// # Errors
    /// The errors of [`Device::paired`] and `Tap::open`.
    pub fn open(
        route: &mut RouteSocket,
        options: &DeviceOptions,
        kept: impl FnOnce(u32) -> Option<OwnedFd>,
    ) -> io::Result<Self> {
        let has_peer = match options.take_over {
            true => link::find(route, &options.name).is_ok_and(|found| found.has_peer()),
            false => options.persist,
        };
        if has_peer {
            match Paired::open(route, options, &[PairedKind::Veth]) {
                Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                    log::debug!("veth is not available, use a TAP device");
                }
                opened => return opened.map(|paired| Device::Paired(paired.with_kept(kept))),
            }
        }
        let tap = Tap::open(route, options, kept)?;
        // With a clsact in place, programs come and go without the queues being stopped.
        tc::prepare_hooks(route, tap.ifindex)?;
        Ok(Device::Tap(tap))
    }

    /// Creates a device of the first of `kinds` that works, or takes over a device with a peer.
    ///
    /// # Errors
    /// The errors of `Paired::open`.
    pub fn paired(
        route: &mut RouteSocket,
        options: &DeviceOptions,
        kinds: &[PairedKind],
    ) -> io::Result<Self> {
        Paired::open(route, options, kinds).map(Device::Paired)
    }

    /// Has a TAP outlive a crash of the daemon, as a device with a peer does.
    ///
    /// # Errors
    /// The errors of `Tap::keep`.
    pub fn keep(&self, route: &mut RouteSocket, options: &DeviceOptions) -> io::Result<()> {
        match self {
            Device::Tap(tap) => tap.keep(route, options),
            Device::Paired(_) => Ok(()),
        }
    }

    /// Has only frames of the daemon and of its programs reach the device through its peer.
    ///
    /// # Errors
    /// The errors of `Paired::isolate`.
    pub fn isolate(&self, route: &mut RouteSocket) -> io::Result<()> {
        match self {
            Device::Tap(_) => Ok(()),
            Device::Paired(paired) => paired.isolate(route),
        }
    }

    /// Interface index.
    pub fn ifindex(&self) -> u32 {
        match self {
            Device::Tap(tap) => tap.ifindex,
            Device::Paired(paired) => paired.ifindex,
        }
    }

    /// Interface index of the device's peer.
    pub fn peer(&self) -> Option<u32> {
        match self {
            Device::Tap(_) => None,
            Device::Paired(paired) => Some(paired.peer),
        }
    }

    /// Returns the descriptor in which frames of the device queue; `None` while the
    /// peer's socket is closed.
    pub fn queue(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Device::Tap(tap) => Some(tap.file.as_fd()),
            Device::Paired(paired) => paired.socket().ok().map(AsFd::as_fd),
        }
    }

    /// The hook for programs.
    pub fn hook(&self) -> TeamHook {
        match self {
            Device::Tap(tap) => TeamHook::TapEgress(tap.ifindex),
            Device::Paired(paired) => paired.hook(),
        }
    }

    /// Starts to receive the frames that the device sends, as the source `token`.
    ///
    /// # Errors
    /// The error of opening the peer's socket. The device then receives nothing.
    pub fn start_receiving(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let fd = match self {
            Device::Tap(tap) => tap.file.as_raw_fd(),
            Device::Paired(paired) => paired.open_socket()?,
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
            Device::Tap(tap) => registry.deregister(&mut SourceFd(&tap.file.as_raw_fd())),
            Device::Paired(paired) => paired.close_socket(registry),
        };
        if let Err(error) = deregistered {
            log::debug!("cannot deregister the team device: {error}");
        }
    }

    /// Filters the frames that the peer's socket receives from now on. Does nothing for a TAP device,
    /// which has no such filter.
    ///
    /// # Errors
    /// `EINVAL` for a program that the kernel does not accept.
    pub fn filter(&self, program: &[Instruction]) -> io::Result<()> {
        match self {
            Device::Tap(_) => Ok(()),
            Device::Paired(paired) => paired.socket()?.filter(program),
        }
    }

    /// Switches offloads of the device on or off while it is read; returns those that were not so. A
    /// TAP has the offloads that its reader understands.
    ///
    /// # Errors
    /// The errors of [`switch_features`].
    pub fn switch_offloads(
        &self,
        offloads: &[&'static str],
        on: bool,
    ) -> io::Result<Vec<&'static str>> {
        match self {
            Device::Tap(_) => Ok(Vec::new()),
            Device::Paired(paired) => {
                switch_features(paired.socket()?, paired.ifindex, offloads, on)
            }
        }
    }

    /// Reads one frame that the host sends; `None` if no header could describe the frame.
    ///
    /// # Errors
    /// `EAGAIN` if there is none; `EBADFD` or `EIO` once the device is gone.
    pub fn read<'a>(&self, buffer: &'a mut FrameBuffer) -> io::Result<Option<Message<'a>>> {
        match self {
            Device::Tap(tap) => {
                let length = (&tap.file).read(buffer.whole())?;
                Ok(buffer.message(length))
            }
            Device::Paired(paired) => buffer.receive(paired.socket()?),
        }
    }

    /// Has the host receive one frame.
    ///
    /// # Errors
    /// `EIO` or `ENETDOWN` while the device is down, `EINVAL` for a header that contradicts the
    /// frame.
    pub fn write(&self, message: Message<'_>) -> io::Result<()> {
        match self {
            Device::Tap(tap) => (&tap.file).write(message.bytes()).map(drop),
            Device::Paired(paired) => paired.socket()?.send(message.bytes()),
        }
    }
}
