//! Catches panics of asynchronous work, which would otherwise end the worker.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Awaits `work` and returns a panic in it as an error.
pub(crate) async fn catch_panic<T>(work: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    let mut work = pin!(work);
    // Work that panicked is not polled again.
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_after_a_pause_is_caught() {
        let work = async {
            tokio::task::yield_now().await;
            panic!("a test of panics");
        };
        let panic = catch_panic::<()>(work).await.expect_err("it panics");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"a test of panics"));
        assert_eq!(catch_panic(async { 7 }).await.expect("no panic"), 7);
    }
}
