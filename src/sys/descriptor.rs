//! A descriptor that another process passes through a unix socket (`SCM_RIGHTS`, unix(7)).

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

/// Reads a message of at most `room` bytes and the descriptor that came with it; of several
/// descriptors the first, the others are closed.
///
/// # Errors
/// Those of recvmsg(2).
pub fn receive(socket: &impl AsFd, room: usize) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut bytes = vec![0; room];
    let mut control = cmsg_space!([RawFd; 1]);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let message = recvmsg::<()>(
        socket.as_fd().as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    let length = message.bytes;
    let mut descriptors = Vec::new();
    for received in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = received {
            // SAFETY: the kernel has just made these descriptors for us; nobody else owns them.
            let owned = |number| unsafe { OwnedFd::from_raw_fd(number) };
            descriptors.extend(numbers.into_iter().map(owned));
        }
    }
    bytes.truncate(length);
    Ok((bytes, descriptors.into_iter().next()))
}
