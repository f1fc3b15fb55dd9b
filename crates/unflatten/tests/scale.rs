//! Many processes on one queue, with workers that are killed and a Redis that
//! is restarted: no job is lost, none is published twice, and whoever follows a
//! job sees each event once and in order. `cargo xtask bench scale` runs it.

mod support;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use jobs::testing::RedisServer;
use jobs::{Event, EventKind};
use sha2::{Digest, Sha256};
use support::{Client, Service, check_result, check_succeeded_once, poster, poster_png};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

const APIS: usize = 3;
const WORKERS: usize = 5;
/// Pictures are small: it is the queue that is to be tried.
const SIDE: u32 = 96;
const VARIANTS: u32 = 20;
/// A worker is killed for so many jobs that are finished: on a slow machine as on a fast one, there is progress.
const JOBS_A_KILL: usize = 8;
const LIMIT: Duration = Duration::from_secs(1500);

/// How many jobs: `UNFLATTEN_SCALE_JOBS`, or as many as are promised.
fn jobs() -> usize {
    std::env::var("UNFLATTEN_SCALE_JOBS").ok().and_then(|text| text.parse().ok()).unwrap_or(500)
}

/// What everyone counts together.
#[derive(Default)]
struct Tally {
    finished: AtomicUsize,
    events: AtomicU64,
    connections: AtomicU64,
    submits_repeated: AtomicU64,
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; `cargo xtask bench scale` runs it"]
async fn no_job_is_lost_or_published_twice() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut redis = RedisServer::start();
    let url = redis.url();
    let settings = [
        ("REDIS_URL", url.as_str()),
        ("JOB_LEASE_S", "3"),
        ("JOB_MAX_ATTEMPTS", "100"),
        ("QUEUE_LIMIT", "100000"),
        ("RUST_LOG", "error"),
    ];
    // At `error` the API does not name its address, so the ports are chosen here.
    let apis: Vec<Service> = (0..APIS).map(|_| Service::api(dir.path(), &with_log(&settings))).collect();
    let clients: Arc<Vec<Client>> = Arc::new(apis.iter().map(|api| Client::new(&api.url)).collect());
    let tally = Arc::new(Tally::default());
    let started = Instant::now();
    let mut followers = JoinSet::new();
    for number in 0..jobs() {
        let (clients, tally) = (Arc::clone(&clients), Arc::clone(&tally));
        followers.spawn(async move { one_job(number, &clients, &tally).await });
    }
    let (kills, restarted) = trouble(dir.path(), &settings, &mut redis, &tally).await;
    let seen = timeout(LIMIT, followers.join_all()).await.expect("all jobs end in time");
    let took = started.elapsed();

    assert_eq!(seen.len(), jobs());
    let ids: HashSet<Uuid> = seen.iter().map(|job| job.id).collect();
    assert_eq!(ids.len(), jobs(), "two requests got the same job");
    let mut requeued = 0;
    for job in &seen {
        check_succeeded_once(&job.events);
        requeued += job.events.iter().filter(|event| matches!(event.kind, EventKind::Requeued { .. })).count();
        // What was seen live is what is recorded, whichever process is asked.
        assert_eq!(clients[job.number % APIS].events(job.id).await, job.events);
        let folder = dir.path().join("storage/results").join(job.id.to_string());
        let metadata = std::fs::read(folder.join("metadata.json")).expect("the result is there");
        assert_eq!(Sha256::digest(metadata).to_vec(), job.published, "{} was published again", job.id);
        check_result(&folder, &poster(SIDE, SIDE, variant(job.number)));
    }
    let results = std::fs::read_dir(dir.path().join("storage/results")).expect("results").filter_map(Result::ok);
    let results: HashSet<_> = results.filter_map(|e| e.file_name().to_string_lossy().parse::<Uuid>().ok()).collect();
    assert_eq!(results, ids, "one result for each job, and no other");
    assert!(restarted, "Redis was not restarted while jobs ran");
    println!(
        "{} jobs, {APIS} APIs, {WORKERS} workers, {kills} workers killed, Redis restarted once: {:.0} s\n\
         0 lost, 0 published twice; {requeued} attempts given to another worker\n\
         {} followers ({} over WebSocket) saw {} events, each once and in order, over {} connections; {} requests repeated",
        jobs(),
        took.as_secs_f64(),
        jobs(),
        jobs().div_ceil(4),
        tally.events.load(Ordering::Relaxed),
        tally.connections.load(Ordering::Relaxed),
        tally.submits_repeated.load(Ordering::Relaxed),
    );
    assert!(kills as usize >= jobs() / 25, "only {kills} workers were killed: that proves little");
}

/// The API says at `info` where it listens.
fn with_log<'a>(settings: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    settings
        .iter()
        .map(|(name, value)| if *name == "RUST_LOG" { (*name, "error,unflatten_api=info") } else { (*name, *value) })
        .collect()
}

fn variant(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(0) % VARIANTS
}

/// What a client saw of its job.
struct Seen {
    number: usize,
    id: Uuid,
    events: Vec<Event>,
    /// SHA-256 of the metadata when the job had just succeeded.
    published: Vec<u8>,
}

async fn one_job(number: usize, clients: &[Client], tally: &Tally) -> Seen {
    // Not all at the same moment: clients come and go.
    let pause = rand::random_range(0..20_000);
    sleep(Duration::from_millis(pause)).await;
    let id = submit(number, &clients[number % APIS], tally).await;
    // Followed through another process than the one that took it on.
    let follower = &clients[(number + 1) % APIS];
    let mut events: Vec<Event> = Vec::new();
    while !events.last().is_some_and(|event| event.kind.is_terminal()) {
        tally.connections.fetch_add(1, Ordering::Relaxed);
        let before = events.len();
        let followed = if number.is_multiple_of(4) {
            over_websocket(follower, id, &mut events).await
        } else {
            over_sse(follower, id, &mut events).await
        };
        tally.events.fetch_add((events.len() - before) as u64, Ordering::Relaxed);
        if followed.is_err() {
            sleep(Duration::from_millis(200)).await;
        }
    }
    let published = metadata(follower, id).await;
    tally.finished.fetch_add(1, Ordering::Relaxed);
    Seen { number, id, events, published }
}

/// Hands a job in, again and again under the same key until it is taken.
async fn submit(number: usize, client: &Client, tally: &Tally) -> Uuid {
    let key = Uuid::new_v4().to_string();
    loop {
        let image = reqwest::multipart::Part::bytes(poster_png(SIDE, variant(number))).file_name("poster.png");
        let form = reqwest::multipart::Form::new().part("image", image).text("num_layers", "3").text("seed", "7");
        let request = client.http.post(format!("{}/api/decompose", client.url)).header("idempotency-key", &key);
        if let Ok(answer) = request.multipart(form).send().await
            && answer.status() == 202
            && let Ok(body) = answer.json::<serde_json::Value>().await
        {
            return serde_json::from_value(body["job_id"].clone()).expect("an id");
        }
        tally.submits_repeated.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(500)).await;
    }
}

async fn metadata(client: &Client, id: Uuid) -> Vec<u8> {
    loop {
        let answer = client.http.get(format!("{}/api/jobs/{id}/metadata.json", client.url)).send().await;
        if let Ok(answer) = answer
            && answer.status() == 200
            && let Ok(body) = answer.bytes().await
        {
            return Sha256::digest(&body).to_vec();
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// Takes an event that must be the next one.
fn take(events: &mut Vec<Event>, frame: &str) {
    // Frames without a number (places in the queue) are not events.
    let Ok(event) = serde_json::from_str::<Event>(frame) else { return };
    let expected = events.last().map_or(1, |last| last.seq + 1);
    assert_eq!(event.seq, expected, "job {} was told out of order", event.job_id);
    events.push(event);
}

async fn over_sse(client: &Client, id: Uuid, events: &mut Vec<Event>) -> Result<(), ()> {
    let last = events.last().map_or(0, |event| event.seq).to_string();
    let request = client.http.get(format!("{}/api/jobs/{id}/events", client.url)).header("last-event-id", last);
    let answer = request.send().await.map_err(drop)?;
    if answer.status() != 200 {
        return Err(());
    }
    let mut stream = answer.bytes_stream();
    let mut text = String::new();
    while let Some(chunk) = stream.next().await {
        text.push_str(&String::from_utf8_lossy(&chunk.map_err(drop)?));
        while let Some(end) = text.find('\n') {
            let line: String = text.drain(..=end).collect();
            if let Some(frame) = line.strip_prefix("data:") {
                take(events, frame.trim());
            }
        }
    }
    Ok(())
}

async fn over_websocket(client: &Client, id: Uuid, events: &mut Vec<Event>) -> Result<(), ()> {
    let last = events.last().map_or(0, |event| event.seq);
    let url = format!("{}/api/status/{id}?after={last}", client.url.replace("http", "ws"));
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.map_err(drop)?;
    while let Some(message) = socket.next().await {
        match message.map_err(drop)? {
            Message::Text(frame) => take(events, &frame),
            Message::Close(_) => break,
            _ => {}
        }
    }
    Ok(())
}

/// Kills workers at random moments and restarts Redis once, until all jobs are done.
async fn trouble(dir: &Path, settings: &[(&str, &str)], redis: &mut RedisServer, tally: &Tally) -> (u32, bool) {
    let mut workers: HashMap<usize, Service> = (0..WORKERS).map(|n| (n, Service::worker(dir, settings))).collect();
    let (mut kills, mut restarted) = (0, false);
    let end = Instant::now() + LIMIT;
    while tally.finished.load(Ordering::Relaxed) < jobs() && Instant::now() < end {
        let pause = rand::random_range(200..2000);
        sleep(Duration::from_millis(pause)).await;
        let finished = tally.finished.load(Ordering::Relaxed);
        if !restarted && finished > jobs() / 3 {
            tokio::task::block_in_place(|| redis.restart());
            restarted = true;
            println!("{finished} jobs finished: Redis restarted");
        }
        if (kills as usize) < finished / JOBS_A_KILL + 1 && finished < jobs() {
            let n = rand::random_range(0..WORKERS);
            if let Some(worker) = workers.remove(&n) {
                worker.kill();
                kills += 1;
            }
            workers.insert(n, Service::worker(dir, settings));
        }
    }
    (kills, restarted)
}
