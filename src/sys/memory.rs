//! How the allocator gets along with a daemon that mostly rests.

/// From this size on an allocation has pages of its own: those of a buffer that were never
/// touched cost nothing, and all go back to the system with it. Netlink's buffers are the
/// smallest meant, of twice this size.
const OWN_PAGES: libc::c_int = 16 * 1024;
/// Unused memory that the heap keeps or asks for in advance.
const SLACK: libc::c_int = 4 * 1024;

/// Has the allocator keep little for later. By default it keeps up to 128 KiB, several times
/// what a team needs, and it clears buffers by writing to them. To be called first, before the
/// heap is in use.
pub fn keep_heap_small() {
    // Other libraries than glibc have nothing to set.
    #[cfg(target_env = "gnu")]
    // SAFETY: they take numbers, and refuse those that make no sense.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_PAGES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, SLACK);
        libc::mallopt(libc::M_TOP_PAD, SLACK);
        // What was taken before main; large requests are served from it as long as they fit.
        libc::malloc_trim(0);
    }
}
