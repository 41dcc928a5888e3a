//! Socket options that no library offers (netlink(7), packet(7), ip(7), ipv6(7)), and filters of
//! classic BPF.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};

use socket2::{SockFilter, SockRef};

use super::check;

/// Sets an option whose value is plain data.
pub(super) fn set<T: Copy>(
    socket: &impl AsFd,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let (socket, value) = (socket.as_fd().as_raw_fd(), std::ptr::from_ref(value).cast());
    // SAFETY: the kernel reads the `size_of::<T>()` bytes of `value`.
    check(unsafe { libc::setsockopt(socket, level, option, value, mem::size_of::<T>() as _) })?;
    Ok(())
}

/// Joins a netlink socket to a multicast group by its number, also above 32, where the mask of
/// `bind` ends and the groups of generic families are.
///
/// # Errors
/// `EINVAL` if the family has no such group.
pub fn join_group(socket: &impl AsFd, group: u32) -> io::Result<()> {
    set(socket, libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, &group)
}

/// Has sending fail with `EMSGSIZE` for packets that would be fragmented, here or on the way.
pub fn forbid_fragments(socket: &impl AsFd, is_ipv6: bool) -> io::Result<()> {
    match is_ipv6 {
        false => set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, &libc::IP_PMTUDISC_DO),
        true => set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, &libc::IPV6_PMTUDISC_DO),
    }
}

/// Has `socket` receive only messages that the program accepts; queued messages stay.
///
/// # Errors
/// `EINVAL` for a program that the kernel refuses.
pub fn attach_filter(socket: &impl AsFd, program: &[(u16, u8, u8, u32)]) -> io::Result<()> {
    let program: Vec<SockFilter> =
        program.iter().map(|&(code, jt, jf, k)| SockFilter::new(code, jt, jf, k)).collect();
    SockRef::from(socket).attach_filter(&program)
}
