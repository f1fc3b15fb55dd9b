//! What an earlier version left behind opens with this one: results, documents, shared links and the queue.
//!
//! `samples/` has a folder for each version whose format of the queue or the storage differs from the one before. A
//! sample is never changed; who changes a format adds one, written by the commit before the change:
//!
//! ```sh
//! cargo test -p unflatten --test upgrades -- --ignored --nocapture
//! ```

mod kept;
#[path = "../support/mod.rs"]
mod support;
mod write;

use std::path::Path;
use std::process::Command;

use jobs::testing::RedisServer;
use jobs::{JobId, State};
use kept::{Answer, Expected, Session, samples};
use serde_json::{Value, json};
use support::{Service, check_succeeded_once, command, unzip};

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_with_an_embedded_queue_opens() {
    for sample in samples() {
        println!("{}", sample.display());
        let dir = tempfile::tempdir().expect("a folder");
        unpack(&sample.join("embedded.zip"), dir.path());
        let expected = Expected::read(&dir.path().join("expected.json"));
        let mut service = command("unflatten", dir.path());
        service.args(["serve", "--port", "0"]).envs(kept::SETTINGS);
        let service = Service::spawn(at_that_time(service, &expected));
        check(&Session::new(&service.url), &expected, dir.path()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_with_a_queue_in_redis_opens() {
    for sample in samples() {
        println!("{}", sample.display());
        let dir = tempfile::tempdir().expect("a folder");
        unpack(&sample.join("redis.zip"), dir.path());
        let expected = Expected::read(&dir.path().join("expected.json"));
        let redis = RedisServer::start();
        kept::restore(&redis.url(), &dir.path().join("queue.json"));
        let url = redis.url();
        let settings = kept::SETTINGS.into_iter().chain([("REDIS_URL", url.as_str())]).collect::<Vec<_>>();
        let mut api = command("unflatten-api", dir.path());
        api.args(["--port", "0"]).envs(settings.iter().copied());
        let api = Service::spawn_api(at_that_time(api, &expected));
        let _worker = Service::worker(dir.path(), &settings);
        check(&Session::new(&api.url), &expected, dir.path()).await;
    }
}

fn unpack(archive: &Path, into: &Path) {
    unzip(&std::fs::read(archive).unwrap_or_else(|error| panic!("{}: {error}", archive.display())), into);
}

/// A service whose clock stands at the time of the sample, so that its shared links have not ended.
fn at_that_time(mut command: Command, expected: &Expected) -> Command {
    command.env("LD_PRELOAD", support::libfaketime()).env("FAKETIME", format!("@{}", expected.time)).env("TZ", "UTC");
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
    command
}

async fn check(session: &Session, expected: &Expected, dir: &Path) {
    for Answer { path, body } in &expected.answers {
        let found = session.client.json(path).await;
        if let Err(difference) = contains(&found, body, "") {
            panic!("{path}{difference}");
        }
    }
    for id in &expected.finished {
        assert_eq!(session.client.job(*id).await.state, State::Succeeded);
        check_succeeded_once(&session.client.events(*id).await);
        check_files(session, *id, dir).await;
    }
    check_picture(session, expected, dir).await;
    // Without a token.
    let shared = reqwest::get(format!("{}{}", session.client.url, expected.shared)).await.expect("the API answers");
    assert_eq!(shared.status(), 200, "the shared link");
    let (job, replayed) = session.submit_once(expected.upload).await;
    assert_eq!((job, replayed), (expected.finished[0], true), "the idempotency key");

    // What waited runs.
    for id in &expected.waiting {
        assert_eq!(session.client.wait_finished(*id).await.state, State::Succeeded, "{id}");
        check_succeeded_once(&session.client.events(*id).await);
    }
    // And the document can be edited as before.
    let id = expected.finished[0];
    let before = session.client.json(&format!("/api/jobs/{id}/document")).await;
    let undone = session.post(&format!("/api/jobs/{id}/document/undo"), &json!({})).await;
    assert_eq!(undone["undo"].as_u64().map(|steps| steps + 1), before["undo"].as_u64());
    let restored = session.post(&format!("/api/jobs/{id}/versions/{}/restore", expected.version), &json!({})).await;
    assert_ne!(restored["revision"], before["revision"]);
}

/// The files of a result are what they were.
async fn check_files(session: &Session, id: JobId, dir: &Path) {
    let folder = dir.join("storage/results").join(id.to_string());
    let metadata = session.client.json(&format!("/api/jobs/{id}/metadata.json")).await;
    let layers = metadata["layers"].as_array().expect("layers");
    assert!(!layers.is_empty());
    for (index, layer) in layers.iter().enumerate() {
        let served = session.bytes(&format!("/api/jobs/{id}/layers/{index}.png")).await;
        let file = std::fs::read(folder.join(layer["file"].as_str().expect("a name"))).expect("the layer is there");
        assert_eq!(served, file, "layer {index} of {id}");
    }
    let psd = session.bytes(&format!("/api/download/{id}?format=psd")).await;
    assert!(psd.starts_with(b"8BPS"));
}

/// The edited document looks as it did.
async fn check_picture(session: &Session, expected: &Expected, dir: &Path) {
    let then = image::open(dir.join("composed.png")).expect("the picture of then").into_rgba8();
    let now = session.client.compose(expected.finished[0]).await;
    let difference = layers::Difference::between(&then, &now).expect("pictures of one size");
    assert!(difference.max <= 1, "{difference:?}");
}

/// Whether everything in `expected` is in `found`, which may have more fields; otherwise where they differ.
fn contains(found: &Value, expected: &Value, path: &str) -> Result<(), String> {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => expected.iter().try_for_each(|(name, expected)| {
            let missing = || format!("{path}.{name} is missing");
            contains(found.get(name).ok_or_else(missing)?, expected, &format!("{path}.{name}"))
        }),
        (Value::Array(found), Value::Array(expected)) if found.len() == expected.len() => {
            let mut pairs = found.iter().zip(expected).enumerate();
            pairs.try_for_each(|(index, (found, expected))| contains(found, expected, &format!("{path}[{index}]")))
        }
        _ if found == expected => Ok(()),
        _ => Err(format!("{path}: {found} instead of {expected}")),
    }
}

#[test]
fn differences_are_found() {
    let old = json!({ "a": [{ "b": 1 }] });
    assert_eq!(contains(&json!({ "a": [{ "b": 1, "c": 2 }], "d": 3 }), &old, ""), Ok(()));
    for (new, difference) in [
        (json!({ "a": [{ "b": 2 }] }), ".a[0].b: 2 instead of 1"),
        (json!({ "a": [{ "c": 1 }] }), ".a[0].b is missing"),
        (json!({ "a": [] }), ".a: [] instead of [{\"b\":1}]"),
    ] {
        assert_eq!(contains(&new, &old, ""), Err(difference.to_owned()));
    }
}
