//! Settings of the C library's allocator for this engine, which allocates and frees planes of the picture's size hundreds
//! of times. By default each one is mapped anew by the system, which has to clear every page, and each thread keeps its
//! own heap. For programs, not for libraries: the settings apply to the whole process.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the C library has no safe interface for its settings")]
mod glibc {
    use std::ffi::c_int;

    /// Bytes from which an allocation gets its own mapping: planes of all but huge pictures are smaller.
    const MAPPED: c_int = 256 << 20;
    /// Free bytes at the end of the heap that are kept.
    const KEPT: c_int = 1 << 30;

    pub(super) fn one_heap() {
        let settings = [(libc::M_ARENA_MAX, 1), (libc::M_MMAP_THRESHOLD, MAPPED), (libc::M_TRIM_THRESHOLD, KEPT)];
        for (name, value) in settings {
            // SAFETY: `mallopt` only stores a number, under the allocator's own lock; what it does not know it refuses.
            unsafe { libc::mallopt(name, value) };
        }
    }

    pub(super) fn give_back() {
        // SAFETY: it only returns pages without any allocation, under the allocator's own locks.
        unsafe { libc::malloc_trim(0) };
    }
}

/// Uses one heap for all threads and keeps freed memory for reuse. Call it first in `main`: threads that already have a
/// heap keep it. Does nothing without glibc.
pub fn one_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::one_heap();
}

/// Returns free memory to the system, between jobs. Does nothing without glibc.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::give_back();
}
