//! The allocator's settings for a daemon that is idle most of the time.

/// Allocations from this size on have pages of their own: untouched pages use no memory, and all of
/// them return to the system when the buffer is freed. Netlink's buffers have twice this size.
const OWN_PAGES: libc::c_int = 16 * 1024;
/// Bytes of unused memory that the heap keeps or requests in advance.
const SLACK: libc::c_int = 4 * 1024;

/// Makes the allocator return unused memory to the system. By default the heap keeps up to 128 KiB,
/// several times the memory of a team, and clears buffers by writing to them. Call this first,
/// before the heap is in use.
pub fn keep_heap_small() {
    // Other C libraries than glibc have no such settings.
    #[cfg(target_env = "gnu")]
    // SAFETY: both functions take numbers only, and refuse invalid ones.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_PAGES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, SLACK);
        libc::mallopt(libc::M_TOP_PAD, SLACK);
        // Memory allocated before main, which would be used for large allocations as well.
        libc::malloc_trim(0);
    }
}
