//! Writes the samples of the commit that is checked out.

use std::path::Path;
use std::process::Command;

use jobs::JobId;
use jobs::testing::RedisServer;
use serde_json::json;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::kept::{self, Answer, Expected, Session, dump, new_sample};
use crate::support::{Client, Service, poster_png, titled_png};

const SIDE: u32 = 96;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes a new sample into the repository"]
async fn write_samples() {
    let commit = Command::new("git").args(["rev-parse", "--short=7", "HEAD"]).output().expect("git is there").stdout;
    let sample = new_sample(String::from_utf8(commit).expect("a name").trim());
    write_embedded(&sample.join("embedded.zip")).await;
    write_redis(&sample.join("redis.zip")).await;
    println!("written: {}", sample.display());
}

async fn write_embedded(to: &Path) {
    let dir = tempfile::tempdir().expect("a folder");
    // A job that runs when the service is stopped goes back to the queue.
    let settings: Vec<_> = kept::SETTINGS.into_iter().chain([("SHUTDOWN_GRACE_S", "0")]).collect();
    let service = Service::all_in_one(dir.path(), &settings);
    let session = Session::new(&service.url);
    let mut expected = fill(&session, dir.path()).await;
    let words = write_words(&session.client).await;
    expected.finished.push(words);
    expected.answers.extend(answers(&session.client, &[words]).await);
    // Large enough that it does not end before the service does.
    let large = session.client.upload(poster_png(500, 1)).await;
    expected.waiting.push(session.client.decompose(large).await);
    expected.waiting.push(session.client.decompose(expected.upload).await);
    session.client.wait_started(expected.waiting[0]).await;
    service.signal("TERM");
    assert_eq!(service.exit_code(), Some(0));
    keep(dir.path(), to, &expected);
}

async fn write_redis(to: &Path) {
    let dir = tempfile::tempdir().expect("a folder");
    let redis = RedisServer::start();
    let url = redis.url();
    let settings: Vec<_> = kept::SETTINGS.into_iter().chain([("REDIS_URL", url.as_str())]).collect();
    let api = Service::api(dir.path(), &settings);
    let worker = Service::worker(dir.path(), &settings);
    let session = Session::new(&api.url);
    let mut expected = fill(&session, dir.path()).await;
    worker.signal("TERM");
    assert_eq!(worker.exit_code(), Some(0));
    expected.waiting.push(session.client.decompose(expected.upload).await);
    api.signal("TERM");
    assert_eq!(api.exit_code(), Some(0));
    // A command each line.
    let lines: Vec<_> = dump(&url).iter().map(|words| json!(words).to_string()).collect();
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    std::fs::write(dir.path().join("queue.json"), text).expect("queue.json is written");
    keep(dir.path(), to, &expected);
}

/// A result that was edited, split and shared, with a version of its document.
async fn fill(session: &Session, dir: &Path) -> Expected {
    let Session { client } = session;
    let upload = client.upload(poster_png(SIDE, 0)).await;
    let (job, _) = session.submit_once(upload).await;
    client.wait_finished(job).await;
    client.patch(job, 1, json!({ "x": 5, "opacity": 0.75, "name": "다른 이름" })).await;
    let version = session.post(&format!("/api/jobs/{job}/versions"), &json!({ "name": "first" })).await;
    let version = version["versions"][0]["number"].as_u64().or(version["number"].as_u64()).expect("a number");
    let child = client.split(job, 2).await;
    client.wait_finished(child).await;
    client.patch(job, 1, json!({ "hue": 30.0, "blend": "multiply" })).await;
    let shared = session.post(&format!("/api/jobs/{job}/share"), &json!({ "expires_in": 604_800 })).await;
    let now = OffsetDateTime::now_utc();
    let time = now.format(format_description!("[year]-[month]-[day] [hour]:[minute]:[second]")).expect("a time");
    let composed = client.compose(job).await;
    composed.save(dir.join("composed.png")).expect("composed.png is written");
    Expected {
        time,
        upload,
        finished: vec![job, child],
        waiting: Vec::new(),
        version,
        shared: shared["links"]["document"].as_str().expect("a link").to_owned(),
        answers: answers(client, &[job, child]).await,
    }
}

/// A result whose words were changed.
async fn write_words(client: &Client) -> JobId {
    let titled = client.upload(titled_png()).await;
    let words = client.decompose(titled).await;
    client.wait_finished(words).await;
    let metadata = client.json(&format!("/api/jobs/{words}/metadata.json")).await;
    let layers = metadata["layers"].as_array().expect("layers");
    let live = layers.iter().position(|layer| layer["live_text"].is_object()).expect("a layer of words");
    client.patch(words, u32::try_from(live).expect("a few layers"), json!({ "text": "바다 주간" })).await;
    words
}

async fn answers(client: &Client, ids: &[JobId]) -> Vec<Answer> {
    let of_jobs = ["status/{id}", "jobs/{id}/metadata.json", "jobs/{id}/document", "jobs/{id}/text"];
    let paths = ids.iter().flat_map(|id| of_jobs.map(|path| format!("/api/{}", path.replace("{id}", &id.to_string()))));
    let mut answers = Vec::new();
    for path in paths {
        let body = client.json(&path).await;
        answers.push(Answer { path, body });
    }
    answers
}

fn keep(dir: &Path, to: &Path, expected: &Expected) {
    let text = serde_json::to_string_pretty(expected).expect("JSON");
    std::fs::write(dir.join("expected.json"), text + "\n").expect("expected.json is written");
    kept::pack(dir, to);
}
