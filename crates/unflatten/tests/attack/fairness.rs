//! One client that takes all it can, and other clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::sleep;
use uuid::Uuid;

use crate::support::{noise_png, poster_png};
use crate::victim::Victim;

#[tokio::test(flavor = "multi_thread")]
async fn one_client_does_not_fill_the_queue() {
    let victim = Victim::start(&[("CLIENT_KEY_HEADER", "x-client")]).await;
    let upload = victim.client.upload(noise_png(900, 900)).await;
    let url = format!("{}/api/decompose", victim.client.url);
    let body = serde_json::json!({ "upload_id": upload });
    let [mut taken, mut refused] = [0; 2];
    for _ in 0..130 {
        let request = victim.client.http.post(&url).header("x-client", "greedy").json(&body);
        match request.send().await.expect("the API answers").status().as_u16() {
            202 => taken += 1,
            429 => refused += 1,
            other => panic!("a job was answered with {other}"),
        }
    }
    assert!(refused > 0, "one client filled the queue with {taken} jobs");
    let request = victim.client.http.post(&url).header("x-client", "other").json(&body);
    assert_eq!(request.send().await.expect("the API answers").status(), 202, "another client finds no place");
    println!("held: 130 jobs of one client: {taken} taken, {refused} refused; another client's was taken");
}

/// More than the concurrent deliveries, for a receiver that never answers.
const JOBS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn slow_receivers_of_webhooks_hold_up_nobody() {
    let settings = [
        ("WEBHOOK_SECRET", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
        ("WEBHOOK_ALLOW_PRIVATE", "true"),
        ("QUEUE_LIMIT_PER_CLIENT", "100"),
    ];
    let victim = Victim::start(&settings).await;
    // Accepts connections and sends nothing.
    let tarpit = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let tarpit_url = format!("http://{}/", tarpit.local_addr().expect("bound"));
    let held = tokio::spawn(async move {
        let mut streams = Vec::new();
        while let Ok((stream, _)) = tarpit.accept().await {
            streams.push(stream);
        }
    });
    let (healthy_url, received) = receiver().await;
    let upload = victim.client.upload(poster_png(32, 0)).await;
    let submit = async |webhook: &str| {
        let body = serde_json::json!({ "upload_id": upload, "webhook_url": webhook, "num_layers": 1 });
        let request = victim.client.http.post(format!("{}/api/decompose", victim.client.url)).json(&body);
        let answer: serde_json::Value = request.send().await.expect("the API answers").json().await.expect("JSON");
        let id = answer["job_id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        id.parse::<Uuid>().expect("an id")
    };
    let mut last = None;
    for _ in 0..JOBS {
        last = Some(submit(&tarpit_url).await);
    }
    victim.client.wait_finished(last.expect("a job")).await;
    let mine = submit(&healthy_url).await;
    victim.client.wait_finished(mine).await;
    let finished = Instant::now();
    while received.load(Ordering::SeqCst) == 0 {
        assert!(finished.elapsed() < Duration::from_secs(20), "the healthy receiver waits for the tarpit");
        sleep(Duration::from_millis(50)).await;
    }
    held.abort();
    println!(
        "held: {JOBS} jobs with a receiver that never answers: another's webhook came after {:?}",
        finished.elapsed()
    );
}

/// A receiver that answers at once, and the number of deliveries that it got.
async fn receiver() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 8192];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, count)
}
