//! System calls that no library wraps safely: TAP, ethtool and terminal ioctls, packet, netlink and
//! TIPC sockets, bpf(2), fork and exec, the clocks, the allocator's settings.
//!
//! The only place with `unsafe`; every public function is safe to call with any argument. Works on
//! descriptors, names and bytes, not on teams.
#![allow(unsafe_code)]

pub mod bpf;
pub mod clock;
pub mod command;
pub mod descriptor;
pub mod ethtool;
mod ifreq;
pub mod local_time;
pub mod memory;
pub mod name_service;
pub mod packet;
pub mod packet_ring;
pub mod process;
pub mod socket_option;
pub mod terminal;
pub mod tipc;
pub mod tun;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Converts the result of a system call that returns -1 and sets `errno` on failure.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

/// Calls an ioctl whose argument is a pointer.
///
/// # Safety
/// `argument`, and all that it points to, must be of the types that `request` reads and writes.
unsafe fn ioctl<T>(
    fd: BorrowedFd<'_>,
    request: libc::Ioctl,
    argument: &mut T,
) -> io::Result<libc::c_int> {
    loop {
        // SAFETY: the descriptor is open while borrowed; the caller answers for the argument.
        let done =
            check(unsafe { libc::ioctl(fd.as_raw_fd(), request, std::ptr::from_mut(argument)) });
        // A signal interrupted the call. The caller asks once for each event, so the call is repeated.
        if !done.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {
            return done;
        }
    }
}
