//! Settings of the allocator for a daemon that is mostly idle.

/// Bytes from which on an allocation has pages of its own: untouched pages of a buffer cost nothing,
/// and all pages go back to the system with it. The smallest such buffers are netlink's, of twice
/// this size.
const OWN_PAGES: libc::c_int = 16 * 1024;
/// Bytes of unused memory that the heap keeps or asks for in advance.
const SLACK: libc::c_int = 4 * 1024;

/// Has the allocator keep little unused memory. By default the allocator keeps up to 128 KiB, several
/// times what a team needs, and clears buffers by writing to them. Call this first, before the heap
/// is in use.
pub fn be_thrifty() {
    // Only glibc has these settings.
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt and malloc_trim take numbers, and refuse invalid ones.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_PAGES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, SLACK);
        libc::mallopt(libc::M_TOP_PAD, SLACK);
        // Memory taken before main; the heap would serve large requests from it.
        libc::malloc_trim(0);
    }
}
