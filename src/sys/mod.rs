//! The system calls that no library wraps safely: TAP and ethtool ioctls, packet, netlink and
//! TIPC sockets, bpf(2); forks and what a child does before its program; the clocks; the allocator's settings.
//!
//! The only place with `unsafe`; everything public here is safe to call with any argument.
//! Knows descriptors, names and bytes, nothing of teams.
#![allow(unsafe_code)]

pub mod bpf;
pub mod clock;
pub mod command;
pub mod descriptor;
pub mod ethtool;
pub mod filter;
mod ifreq;
pub mod local_time;
pub mod memory;
pub mod netlink;
pub mod packet;
pub mod process;
pub mod tipc;
pub mod tun;
pub mod whole;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The result of a system call that answers -1 and `errno` on failure.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

/// An ioctl whose argument is a pointer.
///
/// # Safety
/// `argument` must be what `request` reads and writes, and so must all that it points to.
unsafe fn ioctl<T>(
    fd: BorrowedFd<'_>,
    request: libc::Ioctl,
    argument: &mut T,
) -> io::Result<libc::c_int> {
    // SAFETY: the descriptor is open while borrowed; the caller answers for the argument.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), request, std::ptr::from_mut(argument)) })
}
