//! A queue that serves as a wakeup: programs ring it, and the daemon's loop wakes by its descriptor.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::call::{MAP_CREATE, MapCreate, bpf_descriptor, name_field};

/// A queue that programs put notes in and whose descriptor becomes readable by them
/// (`BPF_MAP_TYPE_RINGBUF`). The notes themselves are not read.
#[derive(Debug)]
pub struct Wakeup {
    fd: OwnedFd,
    /// Page with the place that was read up to, which we write.
    consumer: NonNull<AtomicUsize>,
    /// Page with the place that was written up to.
    producer: NonNull<AtomicUsize>,
    page: usize,
}

impl Wakeup {
    /// A new one.
    ///
    /// # Errors
    /// `EINVAL` where the kernel has no such queues (before 5.8), `EPERM` without CAP_BPF.
    pub fn create(name: &str) -> io::Result<Wakeup> {
        const RING_BUFFER: u32 = 27;
        // SAFETY: sysconf takes a number and no memory of ours.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page = usize::try_from(page).map_err(io::Error::other)?;
        let mut attributes = MapCreate {
            kind: RING_BUFFER,
            entries: page as u32,
            name: name_field(name),
            ..MapCreate::default()
        };
        // SAFETY: MAP_CREATE reads these attributes, which point nowhere, and opens a descriptor.
        let fd = unsafe { bpf_descriptor(MAP_CREATE, &mut attributes)? };
        let consumer = map_page(&fd, page, 0, libc::PROT_READ | libc::PROT_WRITE)?;
        match map_page(&fd, page, page, libc::PROT_READ) {
            Ok(producer) => Ok(Wakeup {
                fd,
                consumer,
                producer,
                page,
            }),
            Err(error) => {
                unmap_page(consumer, page);
                Err(error)
            }
        }
    }

    /// Takes all notes away.
    pub fn drain(&self) {
        // SAFETY: both pages are mapped as long as this lives and begin with a counter that the
        // kernel, too, only uses atomically.
        let (consumer, producer) = unsafe { (self.consumer.as_ref(), self.producer.as_ref()) };
        consumer.store(producer.load(Ordering::Acquire), Ordering::Release);
    }
}

fn map_page(
    fd: &OwnedFd,
    page: usize,
    offset: usize,
    protection: libc::c_int,
) -> io::Result<NonNull<AtomicUsize>> {
    let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
    let (none, shared) = (std::ptr::null_mut(), libc::MAP_SHARED);
    // SAFETY: the kernel chooses where, so no memory in use is replaced.
    let address = unsafe { libc::mmap(none, page, protection, shared, fd.as_raw_fd(), offset) };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(address.cast()).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

fn unmap_page(page: NonNull<AtomicUsize>, length: usize) {
    // SAFETY: the page was mapped with this length, and nobody uses it any more.
    unsafe { libc::munmap(page.as_ptr().cast(), length) };
}

impl Drop for Wakeup {
    fn drop(&mut self) {
        unmap_page(self.consumer, self.page);
        unmap_page(self.producer, self.page);
    }
}

impl AsRawFd for Wakeup {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
