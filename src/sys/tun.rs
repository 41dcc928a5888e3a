//! TAP devices: the tun clone device and its ioctls (tuntap(4), `linux/if_tun.h`).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use super::{check, ifreq, ioctl};

/// Opens the clone device, non-blocking; the descriptor has no interface yet.
///
/// # Errors
/// `ENOENT` where the kernel has no tun driver, `EACCES` where a sandbox hides it.
pub fn open() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")
}

/// Returns the `IFF_*` flags that this kernel's driver has.
pub fn features(tun: &File) -> io::Result<libc::c_uint> {
    let mut features: libc::c_uint = 0;
    // SAFETY: TUNGETFEATURES writes one unsigned int.
    unsafe { ioctl(tun.as_fd(), libc::TUNGETFEATURES, &mut features)? };
    Ok(features)
}

/// Makes the descriptor a queue of the interface `name`, and creates the interface if there is
/// none. Returns the interface's name (the kernel replaces `%d` in `name` by a number).
///
/// # Errors
/// `EBUSY` if another process has the interface open, or if the interface exists and `flags` has
/// `IFF_TUN_EXCL`; `EINVAL` if the name belongs to another kind of interface; `EPERM` without
/// CAP_NET_ADMIN.
pub fn attach(tun: &File, name: &str, flags: libc::c_int) -> io::Result<String> {
    let mut request = ifreq::named(name)?;
    // The flags fill all 16 bits, the sign too.
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one ifreq.
    unsafe { ioctl(tun.as_fd(), libc::TUNSETIFF, &mut request)? };
    Ok(ifreq::name(&request))
}

/// Returns the name of the interface to which the descriptor is attached.
///
/// # Errors
/// `EBADFD` if it has none, `ENOTTY` for another file.
pub fn name(tun: &File) -> io::Result<String> {
    let mut request = ifreq::named("")?;
    // SAFETY: TUNGETIFF writes one ifreq.
    unsafe { ioctl(tun.as_fd(), libc::TUNGETIFF, &mut request)? };
    Ok(ifreq::name(&request))
}

/// Sets the length of the virtio-net header before each frame, in bytes; at least 10.
pub fn set_header_size(tun: &File, mut size: libc::c_int) -> io::Result<()> {
    // SAFETY: TUNSETVNETHDRSZ reads one int.
    unsafe { ioctl(tun.as_fd(), libc::TUNSETVNETHDRSZ, &mut size)? };
    Ok(())
}

/// Sets the offloads (`TUN_F_*`) of the reader, who accepts such frames unfinished.
///
/// # Errors
/// `EINVAL` if the kernel does not have one of them.
pub fn set_offload(tun: &File, mask: libc::c_uint) -> io::Result<()> {
    set_value(tun.as_fd(), libc::TUNSETOFFLOAD, mask.into())
}

/// Sets whether the interface outlives the descriptor.
pub fn set_persistent(tun: &File, persistent: bool) -> io::Result<()> {
    set_value(tun.as_fd(), libc::TUNSETPERSIST, persistent.into())
}

/// Calls an ioctl of this driver whose argument is a number.
fn set_value(fd: BorrowedFd<'_>, request: libc::Ioctl, value: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the two requests above take a number and no memory of ours.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), request, value) })?;
    Ok(())
}
