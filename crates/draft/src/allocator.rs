//! Settings of the C library's allocator that suit this engine. It takes and gives back planes of the picture's size
//! hundreds of times; by default each of them is asked of the system anew, which has to clear every page, and each
//! thread keeps a heap of its own. For programs to use, not for libraries: they hold for the whole process.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the C library has no safe interface for its settings")]
mod glibc {
    use std::ffi::c_int;

    /// Bytes from which an allocation is mapped by itself: planes of all but huge pictures are smaller.
    const MAPPED: c_int = 256 << 20;
    /// Free bytes at the end of the heap that are kept.
    const KEPT: c_int = 1 << 30;

    pub fn one_heap() {
        let settings = [(libc::M_ARENA_MAX, 1), (libc::M_MMAP_THRESHOLD, MAPPED), (libc::M_TRIM_THRESHOLD, KEPT)];
        for (name, value) in settings {
            // SAFETY: `mallopt` only stores a number, under the allocator's own lock; what it does not know it refuses.
            unsafe { libc::mallopt(name, value) };
        }
    }

    pub fn give_back() {
        // SAFETY: it only returns pages without any allocation, under the allocator's own locks.
        unsafe { libc::malloc_trim(0) };
    }
}

/// One heap for all threads, and memory that was freed is used again instead of returned. To be called first in
/// `main`: threads that have a heap keep it. Does nothing without glibc.
pub fn one_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::one_heap();
}

/// Returns what is free to the system: for the time between jobs. Does nothing without glibc.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::give_back();
}
