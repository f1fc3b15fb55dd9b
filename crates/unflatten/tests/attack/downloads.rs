//! Clients that request a result and stop reading.

use std::time::Duration;

use tokio::time::sleep;

use crate::sockets::{get, many, status};
use crate::support::noise_png;
use crate::victim::Victim;

/// More than a thread pool would have.
const CLIENTS: usize = 600;

#[tokio::test(flavor = "multi_thread")]
async fn stalled_downloads_stop_nobody() {
    let mut victim = Victim::start(&[]).await;
    let job = victim.finished(noise_png(1200, 1000)).await;
    let before = victim.memory_mb();
    let mut stalled = many(victim.address(), CLIENTS, |_| get(&format!("/api/download/{job}"))).await;
    let mut answered = 0;
    for stream in stalled.iter_mut().take(40) {
        answered += usize::from(status(stream, Duration::from_secs(10)).await.is_some());
    }
    sleep(Duration::from_secs(3)).await;
    victim.serves_others(job).await;
    let (threads, memory) = (victim.threads(), victim.memory_mb().saturating_sub(before));
    // The runtime has 512 blocking threads: not all of them are occupied.
    assert!(threads < 480, "{threads} threads for downloads that stand still");
    // A download holds zlib's state (about 320 KiB), two blocks of the archive and one of a file; the heaps of the threads
    // that deflated in turn keep some of what was freed. A third more than that is room for another allocator's day.
    assert!(memory < CLIENTS as u64 * 9 / 10, "{memory} MB for downloads that stand still");
    drop(stalled);
    let whole = victim.client.download(job).await;
    victim.check_alive();
    victim.ends().await;
    println!(
        "held: {CLIENTS} stalled downloads ({answered} of the first 40 had begun): others served, {threads} threads, \
         {memory} MB more; a whole download of {} bytes after them; SIGTERM ended the process",
        whole.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_downloads_leave_descriptors() {
    let mut victim = Victim::with_files(1024, &[]).await;
    let job = victim.finished(noise_png(700, 600)).await;
    let mut stalled = many(victim.address(), 900, |_| get(&format!("/api/download/{job}"))).await;
    let mut failed = 0;
    for stream in &mut stalled {
        let answer = status(stream, Duration::from_millis(200)).await;
        failed += usize::from(answer.is_some_and(|status| status >= 500 && status != 503));
    }
    assert_eq!(failed, 0, "downloads were answered with a 5xx other than 503");
    victim.serves_others(job).await;
    drop(stalled);
    victim.check_alive();
    victim.ends().await;
    println!("held: 900 stalled downloads with 1,024 descriptors: none failed but with 503, others served");
}
