//! Many followers of one job, and jobs that vanish under their followers.

use std::time::Duration;

use futures_util::StreamExt;
use jobs::testing::RedisServer;
use time::OffsetDateTime;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

use crate::support::{Service, noise_png, poster_png};
use crate::victim::Victim;

const FOLLOWERS: usize = 3_000;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Follows a job to its end; returns the delay of each live event in milliseconds.
async fn follow(url: String) -> Vec<i64> {
    // The client's own CPU time must not be measured.
    let config = WebSocketConfig::default().read_buffer_size(4 << 10);
    let connected = tokio_tungstenite::connect_async_with_config(&url, Some(config), true).await;
    let (mut socket, _) = connected.expect("a WebSocket");
    let mut late = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let now = OffsetDateTime::now_utc();
        let Some((_, rest)) = text.split_once("\"at\":\"") else { continue };
        let at = rest.split('"').next().unwrap_or_default();
        let at = OffsetDateTime::parse(at, &time::format_description::well_known::Rfc3339).expect("a time");
        late.push(i64::try_from((now - at).whole_milliseconds()).unwrap_or(i64::MAX));
    }
    late
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; `cargo xtask bench attack` runs it"]
async fn three_thousand_followers_cost_little_and_hear_soon() {
    let redis = RedisServer::start();
    let settings = [("REDIS_URL", redis.url()), ("RUST_LOG", "error,unflatten_api=info".to_owned())];
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // The engine runs in another process: only the followers are measured.
    let mut victim = Victim::api(&settings).await;
    let followed = victim.client.upload(poster_png(900, 1)).await;
    let followed = victim.client.decompose(followed).await;
    let before = victim.memory_mb();
    let url = format!("ws://{}/api/status/{followed}", victim.address());
    let mut followers = JoinSet::new();
    for _ in 0..FOLLOWERS {
        followers.spawn(follow(url.clone()));
        sleep(Duration::from_micros(300)).await;
    }
    sleep(Duration::from_secs(2)).await;
    let waiting = victim.memory_mb();
    let _worker = Service::worker(victim.dir.path(), &settings);
    victim.client.wait_finished(followed).await;
    let mut late: Vec<i64> = Vec::new();
    let mut ended = 0;
    while let Some(seen) = timeout(Duration::from_secs(60), followers.join_next()).await.expect("followers end") {
        // The first event (queued) is not live.
        late.extend(seen.expect("no follower panics").into_iter().skip(1));
        ended += 1;
    }
    assert_eq!(ended, FOLLOWERS);
    late.sort_unstable();
    let p99 = late[late.len() * 99 / 100];
    victim.check_alive();
    println!(
        "{FOLLOWERS} followers: {} events, median {} ms, p99 {p99} ms, latest {} ms; memory before them {before} MB, \
         with them waiting {waiting} MB, after {} MB",
        late.len(),
        late[late.len() / 2],
        late[late.len() - 1],
        victim.memory_mb()
    );
    assert!(waiting.saturating_sub(before) < 150, "{} MB for followers", waiting.saturating_sub(before));
}

/// The last frames of a follower of `id` while `vanish` removes the job.
async fn last_frame(victim: &Victim, id: Uuid, vanish: impl AsyncFnOnce()) -> String {
    let url = format!("ws://{}/api/status/{id}", victim.address());
    let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.expect("a WebSocket");
    let text = async |socket: &mut Socket| loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Some(text.to_string()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            _ => return None,
        }
    };
    let first = timeout(Duration::from_secs(20), text(&mut socket)).await.expect("history comes at once");
    let mut last = first.expect("a frame");
    vanish().await;
    let rest = async {
        while let Some(frame) = text(&mut socket).await {
            last = frame;
        }
    };
    timeout(Duration::from_secs(30), rest).await.expect("the stream ends");
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_vanishes_says_so() {
    let redis = RedisServer::start();
    let url = redis.url();
    let victim = Victim::start(&[("REDIS_URL", url.as_str())]).await;
    let upload = victim.client.upload(noise_png(2200, 2200)).await;
    let running = victim.client.decompose(upload).await;
    let waiting = victim.client.decompose(upload).await;
    let flush = async || {
        let (host, port) = ("127.0.0.1", redis.port().to_string());
        let flushed = std::process::Command::new("redis-cli").args(["-h", host, "-p", &port, "FLUSHALL"]).status();
        assert!(flushed.expect("redis-cli can be started").success());
    };
    let last = last_frame(&victim, waiting, flush).await;
    assert!(last.contains("removed"), "the last frame of a job that was flushed: {last}");
    assert_eq!(victim.get(&format!("/api/status/{running}")).await.status(), 404);
    println!("held: FLUSHALL with a follower: the last frame was {last}");
}
