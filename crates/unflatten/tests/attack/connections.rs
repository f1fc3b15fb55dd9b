//! Connections that send little or nothing and stay open.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use crate::sockets::many;
use crate::support::poster_png;
use crate::victim::Victim;

/// The bytes that a connection sends before it goes silent.
fn half(number: usize) -> Vec<u8> {
    match number % 5 {
        0 => Vec::new(),
        1 => b"GET /heal".to_vec(),
        2 => b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: ".to_vec(),
        3 => b"POST /api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\nContent-Type: multipart/form-data; \
               boundary=B\r\n\r\n--B\r\n"
            .to_vec(),
        _ => b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_vec(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_sent_requests_leave_the_service_reachable() {
    let mut victim = Victim::with_files(1024, &[]).await;
    let known = victim.finished(poster_png(64, 0)).await;
    let upload = victim.client.upload(poster_png(600, 2)).await;
    let mut held = Vec::new();
    let mut slowest = Duration::ZERO;
    for _ in 0..4 {
        held.extend(many(victim.address(), 400, half).await);
        // Some send slowly, so that silence alone does not identify them.
        for stream in held.iter_mut().skip(2).step_by(5) {
            let _ = stream.write_all(b"x").await;
        }
        let start = Instant::now();
        victim.serves_others(known).await;
        slowest = slowest.max(start.elapsed());
        sleep(Duration::from_millis(500)).await;
    }
    let job = victim.client.decompose(upload).await;
    let job = victim.client.wait_finished(job).await;
    assert_eq!(job.state, jobs::State::Succeeded, "a job failed for want of descriptors: {job:?}");
    victim.check_alive();
    victim.ends().await;
    println!(
        "held: {} half-sent requests with 1,024 descriptors: health, readiness, state and submission answered within \
         {slowest:?}, a job succeeded",
        held.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_are_closed_in_time() {
    use tokio::io::AsyncReadExt;
    let victim = Victim::start(&[("HEADER_TIMEOUT_S", "2"), ("IDLE_TIMEOUT_S", "3")]).await;
    let mut silent = many(victim.address(), 100, |number| half([0, 1, 2, 4][number % 4])).await;
    let mut closed = 0;
    for stream in &mut silent {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
        closed += usize::from(ended.is_ok());
    }
    assert_eq!(closed, 100, "connections stay open without saying anything");
    println!("held: 100 silent connections of four kinds were closed by their deadlines");
}
