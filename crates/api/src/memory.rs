//! Returns memory to the system after many followers have left: the C library keeps freed memory in small pieces between
//! others that are in use.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;

/// So many streams have to end before it is worth doing.
const CROWD: usize = 500;

/// Followers leave together, so the last of them are waited for. This also limits how often it is done.
const PAUSE: Duration = Duration::from_secs(5);

static ENDED: AtomicUsize = AtomicUsize::new(0);

/// Counts a live stream that has ended.
pub(crate) fn stream_ended() {
    if ENDED.fetch_add(1, Ordering::Relaxed) + 1 != CROWD {
        return;
    }
    // At the end of the program there is no runtime, and no need.
    let Ok(runtime) = Handle::try_current() else { return };
    runtime.spawn(async {
        tokio::time::sleep(PAUSE).await;
        ENDED.store(0, Ordering::Relaxed);
        let _ = tokio::task::spawn_blocking(release_free_memory).await;
    });
}

/// Returns free memory to the system. Does nothing without glibc.
#[cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    allow(unsafe_code, reason = "the C library has no safe interface for it")
)]
fn release_free_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it only returns pages without any allocation, under the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}
