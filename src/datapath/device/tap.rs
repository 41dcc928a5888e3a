//! The team device as a TAP that carries whole segments and unfinished checksums.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use runners::HwAddr;

use super::DeviceOptions;
use crate::datapath::frame_buffer::HEADER;
use crate::netlink::link::{self, LinkEvent, LinkInfo};
use crate::netlink::{EventSocket, RouteSocket};
use crate::sys::tun;

/// Offloads of the reader, best first: the kernel has UDP segments from 6.2 on.
const OFFLOADS: [libc::c_uint; 3] = {
    const TCP: libc::c_uint =
        libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
    [TCP | libc::TUN_F_USO4 | libc::TUN_F_USO6, TCP, libc::TUN_F_CSUM]
};

/// Kind of the driver's links.
pub const TAP_KIND: &str = "tun";
/// Alias of a device that a daemon created: the next daemon deletes a device only with this alias.
const ALIAS: &str = "team device of teamr";

/// Whether a daemon, running or not, has created this TAP.
pub fn is_ours(device: &LinkInfo) -> bool {
    device.kind == TAP_KIND && device.alias == ALIAS
}

/// The open device.
#[derive(Debug)]
pub struct Tap {
    pub(super) file: File,
    pub(super) ifindex: u32,
}

impl Tap {
    /// Creates the device, down and, where the kernel can, without carrier, or takes it over.
    ///
    /// # Errors
    /// `EBUSY` or `EEXIST` if the device exists and is not to be taken over, `EBUSY` if another
    /// process has it open; `EINVAL` if the name belongs to an interface of another kind;
    /// `ENOENT` without `/dev/net/tun`; `EPERM` without CAP_NET_ADMIN.
    pub fn open(
        route: &mut RouteSocket,
        options: &DeviceOptions,
        kept: impl FnOnce(u32) -> Option<OwnedFd>,
    ) -> io::Result<Self> {
        if let Some(tap) = Self::reopen(route, options, kept)? {
            return Ok(tap);
        }
        let file = tun::open()?;
        let events = EventSocket::links()?;
        let mut flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
        if !options.take_over {
            flags |= libc::IFF_TUN_EXCL;
        }
        flags |= libc::IFF_NO_CARRIER & tun::features(&file)? as libc::c_int;
        let name = tun::attach(&file, &options.name, flags)?;
        let link = link::find(route, &name)?;
        if !options.take_over {
            set_hwaddr(route, events, link.ifindex, options.hwaddr)?;
        }
        // A persistent device has both from its last owner.
        tun::set_header_size(&file, HEADER as libc::c_int)?;
        set_best_offload(&file)?;
        Ok(Tap { file, ifindex: link.ifindex })
    }

    /// Takes the descriptor of a former daemon, in which frames have queued since; `None` without one.
    fn reopen(
        route: &mut RouteSocket,
        options: &DeviceOptions,
        kept: impl FnOnce(u32) -> Option<OwnedFd>,
    ) -> io::Result<Option<Self>> {
        if !options.take_over {
            return Ok(None);
        }
        let ifindex = link::find(route, &options.name)?.ifindex;
        let file = kept(ifindex).map(File::from);
        let is_its = |file: &File| tun::name(file).is_ok_and(|name| name == options.name);
        let Some(file) = file.filter(is_its) else { return Ok(None) };
        tun::set_header_size(&file, HEADER as libc::c_int)?;
        set_best_offload(&file)?;
        Ok(Some(Tap { file, ifindex }))
    }

    /// Has the device outlive its descriptor, and thus a crash of the daemon. [`is_ours`] tells a
    /// device that the daemon created; a device that existed stays persistent, or not, as it was.
    ///
    /// # Errors
    /// The kernel's; the device then ends with the descriptor, unless it existed.
    pub fn keep(&self, route: &mut RouteSocket, options: &DeviceOptions) -> io::Result<()> {
        if !options.take_over {
            link::set_alias(route, self.ifindex, ALIAS)?;
        }
        if options.persist || !options.take_over {
            tun::set_persistent(&self.file, true)?;
        }
        Ok(())
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

/// Sets the address of a new device at once, since udev changes a random address some milliseconds
/// later. An address that another program has set meanwhile, such as udev that of a `.link` file,
/// stays; `events` has received every event of the device.
fn set_hwaddr(
    route: &mut RouteSocket,
    mut events: EventSocket,
    ifindex: u32,
    hwaddr: HwAddr,
) -> io::Result<()> {
    link::set_hwaddr(route, ifindex, hwaddr)?;
    let mut addresses = Vec::new();
    events.drain(&mut |message| {
        let event = LinkEvent::parse(&message).filter(|event| event.ifindex == ifindex);
        addresses.extend(event.map(|event| event.hwaddr));
    });
    // The first event has the random address.
    let random = addresses.first().copied();
    let mut of_others = addresses.into_iter().filter(|it| *it != hwaddr && Some(*it) != random);
    match of_others.next_back() {
        Some(chosen) => link::set_hwaddr(route, ifindex, chosen),
        None => Ok(()),
    }
}
