//! Sending by a ring of a packet socket (`PACKET_TX_RING`), whose memory is shared with the kernel.
//!
//! send(2) refuses a frame that exceeds the interface's MTU, except by the 4 bytes of a tag of type
//! 0x8100. A ring whose frames have a virtio-net header has no such limit, so it sends frames with
//! another tag or with two tags. The caller checks the length.

use std::ffi::c_void;
use std::io;
use std::mem;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::socket::{MsgFlags, send};
use nix::unistd::{SysconfVar, sysconf};

use super::packet::PacketSocket;

/// Frames that the driver may have at a time.
const SLOTS: usize = 64;
/// Bytes of a slot before the message.
const HEAD: usize = mem::size_of::<libc::tpacket2_hdr>();
const _: () = assert!(HEAD == 32);

/// A socket that sends on one interface through a ring.
#[derive(Debug)]
pub struct PacketRing {
    socket: PacketSocket,
    memory: NonNull<c_void>,
    /// Bytes of a slot.
    slot: usize,
    /// Number of the slot for the next message.
    next: usize,
}

// SAFETY: the memory belongs to this value alone, and to the kernel.
unsafe impl Send for PacketRing {}

impl PacketRing {
    /// Opens a ring for messages of up to `longest` bytes: a virtio-net header of 10 bytes and a
    /// frame. The frames have the socket mark `mark`.
    ///
    /// # Errors
    /// `EPERM` without CAP_NET_RAW, `ENODEV` if there is no such interface, `ENOMEM`.
    pub fn open(ifindex: u32, mark: u32, longest: usize) -> io::Result<Self> {
        let socket = PacketSocket::sender(ifindex, mark)?;
        let page = sysconf(SysconfVar::PAGE_SIZE)?.unwrap_or(1 << 16) as usize;
        let slot = (HEAD + longest).next_multiple_of(page);
        socket.prepare_ring(slot, SLOTS)?;
        let length = NonZeroUsize::new(slot * SLOTS).ok_or(io::ErrorKind::InvalidInput)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the kernel chooses the address, so no other memory is replaced.
        let memory =
            unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, socket.as_fd(), 0)? };
        Ok(PacketRing { socket, memory, slot, next: 0 })
    }

    /// Returns whether a message of this length has room in a slot.
    pub fn has_room_for(&self, length: usize) -> bool {
        length <= self.slot - HEAD
    }

    /// Sends one message.
    ///
    /// # Errors
    /// `ENOBUFS` while the driver has all slots and for a filter's drop, `ENETDOWN` while the
    /// interface is down, `ENXIO` once it is gone, `EMSGSIZE` for a message without room.
    pub fn send(&mut self, message: &[u8]) -> io::Result<()> {
        if !self.has_room_for(message.len()) {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        // SAFETY: `next` is below SLOTS, so the slot is inside the memory.
        let header = unsafe { self.memory.byte_add(self.next * self.slot) };
        let header = header.cast::<libc::tpacket2_hdr>().as_ptr();
        // SAFETY: the kernel wrote a header to each slot, of which this field comes first; both
        // sides access the field as one word.
        let status = unsafe { AtomicU32::from_ptr(&raw mut (*header).tp_status) };
        if status.load(Ordering::Acquire) != libc::TP_STATUS_AVAILABLE {
            return Err(io::Error::from_raw_os_error(libc::ENOBUFS));
        }
        // SAFETY: the slot is ours while its status says so, and has room for the message after
        // the header.
        unsafe {
            (&raw mut (*header).tp_len).write(message.len() as u32);
            ptr::copy_nonoverlapping(
                message.as_ptr(),
                header.cast::<u8>().add(HEAD),
                message.len(),
            );
        }
        status.store(libc::TP_STATUS_SEND_REQUEST, Ordering::Release);
        match send(self.socket.as_raw_fd(), &[], MsgFlags::MSG_DONTWAIT) {
            Ok(_) => {
                self.next = (self.next + 1) % SLOTS;
                Ok(())
            }
            Err(error) => {
                // The kernel stays at this slot.
                status.store(libc::TP_STATUS_AVAILABLE, Ordering::Release);
                Err(error.into())
            }
        }
    }
}

impl Drop for PacketRing {
    fn drop(&mut self) {
        // SAFETY: the memory was mapped with this length, and nothing refers to it any more.
        let unmapped = unsafe { munmap(self.memory, self.slot * SLOTS) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}
