//! A ring buffer by which programs hand records to the daemon.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::unistd::{SysconfVar, sysconf};

use super::call::{MapCreate, create_map, name_field};

/// Bytes before a record: its length with two flags, and a number that only the kernel uses.
const HEADER: usize = 8;
/// Flags of a record that is not complete yet, and of one without contents (`BPF_RINGBUF_BUSY_BIT`,
/// `BPF_RINGBUF_DISCARD_BIT`).
const INCOMPLETE: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;

/// A ring buffer that programs write records to (`BPF_MAP_TYPE_RINGBUF`). A record makes the descriptor
/// readable.
#[derive(Debug)]
pub struct RingBuffer {
    fd: OwnedFd,
    /// Page with the position read so far, which the daemon writes.
    consumer: Pages,
    /// Page with the position written so far, then the records, twice in a row: each record is
    /// contiguous.
    producer: Pages,
    page: NonZeroUsize,
    /// Bytes of all records, a power of two.
    size: usize,
}

impl RingBuffer {
    /// Creates a ring buffer of at least `bytes` bytes; `bytes` is a power of two. A record takes 8 bytes
    /// and its contents, rounded up to a multiple of 8.
    ///
    /// # Errors
    /// `EINVAL` where the kernel has no ring buffers (before 5.8), `EPERM` without CAP_BPF.
    pub fn create(name: &str, bytes: usize) -> io::Result<RingBuffer> {
        const RING_BUFFER: u32 = 27;
        let page = sysconf(SysconfVar::PAGE_SIZE)?.and_then(|bytes| usize::try_from(bytes).ok());
        let page = page.and_then(NonZeroUsize::new).ok_or(io::ErrorKind::Unsupported)?;
        let size = bytes.max(page.get());
        let (entries, name) = (size as u32, name_field(name));
        let fd =
            create_map(MapCreate { kind: RING_BUFFER, entries, name, ..MapCreate::default() })?;
        let writable = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let consumer = Pages::map(&fd, 0, page, writable)?;
        let length = page.saturating_add(2 * size);
        let producer = Pages::map(&fd, page.get(), length, ProtFlags::PROT_READ)?;
        Ok(RingBuffer { fd, consumer, producer, page, size })
    }

    /// Takes the records that programs have written since the last call and before this one, each
    /// padded to a multiple of 4 bytes.
    pub fn take(&self) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        let (consumer, producer) = (self.consumer.position(), self.producer.position());
        let mut at = consumer.load(Ordering::Relaxed);
        let end = producer.load(Ordering::Acquire);
        while at != end {
            let record = self.page.get() + at % self.size;
            let length = self.producer.word(record).load(Ordering::Acquire);
            if length & INCOMPLETE != 0 {
                break;
            }
            let bytes = (length & !DISCARDED) as usize;
            if length & DISCARDED == 0 {
                let words = (0..bytes).step_by(size_of::<u32>());
                let word = |at| self.producer.word(record + HEADER + at).load(Ordering::Relaxed);
                records.push(words.flat_map(|at| word(at).to_ne_bytes()).collect());
            }
            at = at.wrapping_add((HEADER + bytes).next_multiple_of(HEADER));
        }
        consumer.store(at, Ordering::Release);
        records
    }
}

impl AsRawFd for RingBuffer {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Mapped pages of a ring buffer, which begin with a position.
#[derive(Debug)]
struct Pages {
    start: NonNull<u8>,
    length: NonZeroUsize,
}

impl Pages {
    fn map(
        fd: &OwnedFd,
        offset: usize,
        length: NonZeroUsize,
        protection: ProtFlags,
    ) -> io::Result<Pages> {
        let offset = offset as libc::off_t;
        // SAFETY: the kernel chooses where, so no memory in use is replaced.
        let start = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, fd, offset) }?;
        Ok(Pages { start: start.cast(), length })
    }

    fn position(&self) -> &AtomicUsize {
        // SAFETY: the pages are mapped as long as this lives and begin with a counter that the
        // kernel, too, only uses atomically.
        unsafe { self.start.cast().as_ref() }
    }

    /// Returns the word at a multiple of its size.
    fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset % size_of::<u32>() == 0 && offset + size_of::<u32>() <= self.length.get());
        // SAFETY: the word is aligned and inside the pages, which are mapped as long as this lives;
        // the kernel writes a record before it publishes the record's length.
        unsafe { self.start.add(offset).cast().as_ref() }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the pages were mapped with this length, and nobody uses them any more.
        let _ = unsafe { munmap(self.start.cast(), self.length.get()) };
    }
}
