//! The socket option that keeps packets whole (ip(7), ipv6(7)).

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};

use super::check;

/// Has sending fail with `EMSGSIZE` where a packet would have to be cut, also on its way.
pub fn forbid_fragments(socket: &impl AsFd, is_ipv6: bool) -> io::Result<()> {
    let (level, name, value) = match is_ipv6 {
        false => (
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_DO,
        ),
        true => (
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_DO,
        ),
    };
    // SAFETY: the kernel reads the `size_of::<c_int>()` bytes of `value`.
    check(unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(&value).cast(),
            mem::size_of::<libc::c_int>() as libc::socklen_t,
        )
    })?;
    Ok(())
}
