//! Gives memory back after a crowd of followers has left. The C library keeps what is freed: many small pieces between
//! others that live on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;

/// So many streams have to end before it is worth the work.
const CROWD: usize = 500;

/// Crowds leave together, so the last of them is waited for. It also bounds how often the work is done.
const PAUSE: Duration = Duration::from_secs(5);

static ENDED: AtomicUsize = AtomicUsize::new(0);

/// Counts a live stream that has ended.
pub fn stream_ended() {
    if ENDED.fetch_add(1, Ordering::Relaxed) + 1 != CROWD {
        return;
    }
    // At the very end of the program there is nothing to give back to.
    let Ok(runtime) = Handle::try_current() else { return };
    runtime.spawn(async {
        tokio::time::sleep(PAUSE).await;
        ENDED.store(0, Ordering::Relaxed);
        let _ = tokio::task::spawn_blocking(give_back).await;
    });
}

/// Returns what is free to the system. Does nothing without glibc.
#[cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    allow(unsafe_code, reason = "the C library has no safe interface for it")
)]
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it only returns pages without any allocation, under the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}
