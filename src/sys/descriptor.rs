//! A descriptor that passes through a unix socket to another process (`SCM_RIGHTS`, unix(7)).

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// Sends a message with a descriptor on a connected socket. Fails as sendmsg(2) does.
pub fn send(socket: &impl AsFd, message: &[u8], descriptor: &impl AsFd) -> io::Result<()> {
    let fd = [descriptor.as_fd().as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fd)];
    let parts = [IoSlice::new(message)];
    let socket = socket.as_fd().as_raw_fd();
    sendmsg::<()>(socket, &parts, &rights, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// Reads a message of at most `room` bytes and the first descriptor that came with it; closes
/// other descriptors. Fails as recvmsg(2) does.
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
            // SAFETY: the kernel has just opened these descriptors for us; nobody else owns them.
            let owned = |number| unsafe { OwnedFd::from_raw_fd(number) };
            descriptors.extend(numbers.into_iter().map(owned));
        }
    }
    bytes.truncate(length);
    Ok((bytes, descriptors.into_iter().next()))
}
