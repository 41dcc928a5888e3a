//! The netlink socket option that no library offers (netlink(7)).

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};

use super::check;

/// Joins a multicast group by its number, also above 32, where the mask of `bind` ends and the
/// groups of generic families are.
///
/// # Errors
/// `EINVAL` if the family has no such group.
pub fn join_group(socket: &impl AsFd, group: u32) -> io::Result<()> {
    // SAFETY: the kernel reads the `size_of::<u32>()` bytes of `group`.
    check(unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_ADD_MEMBERSHIP,
            std::ptr::from_ref(&group).cast(),
            mem::size_of::<u32>() as libc::socklen_t,
        )
    })?;
    Ok(())
}
