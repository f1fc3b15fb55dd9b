//! Separate processes that share Redis, and what remains when they are killed.

mod support;

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use jobs::testing::RedisServer;
use jobs::{EventKind, State};
use rand::RngExt;
use serde_json::json;
use support::{Client, Service, check_result, check_succeeded_once, command, poster, poster_png, stderr, unzip};
use tokio::time::sleep;
use uuid::Uuid;

const JOBS: u32 = 50;
const SIDE: u32 = 200;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_jobs_survive_workers_that_are_killed() {
    let dir = tempfile::tempdir().expect("a folder");
    let redis = RedisServer::start();
    let url = redis.url();
    let settings = [("REDIS_URL", url.as_str()), ("JOB_LEASE_S", "2"), ("JOB_MAX_ATTEMPTS", "20")];
    let api = Service::api(dir.path(), &settings);
    let client = Client::new(&api.url);
    let mut ids = Vec::new();
    for variant in 0..JOBS {
        let upload = client.upload(poster_png(SIDE, variant)).await;
        ids.push((variant, client.decompose(upload).await));
    }
    let kills = kill_workers_until_done(dir.path(), &settings, &client, &ids).await;
    assert!(kills >= 5, "only {kills} workers were killed: the jobs are too short to prove anything");
    for (variant, id) in ids {
        let job = client.job(id).await;
        assert_eq!(job.state, State::Succeeded, "{job:?}");
        check_succeeded_once(&client.events(id).await);
        let unpacked = dir.path().join(format!("unpacked-{variant}"));
        unzip(&client.download(id).await, &unpacked);
        check_result(&unpacked, &poster(SIDE, SIDE, variant));
    }
    let results = std::fs::read_dir(dir.path().join("storage/results")).expect("results").filter_map(Result::ok);
    let results: HashSet<_> = results.filter_map(|e| e.file_name().to_string_lossy().parse::<Uuid>().ok()).collect();
    assert_eq!(results.len(), JOBS as usize, "one result for each job");
}

/// Two workers at a time; each is killed at a random moment while it has a job, and replaced.
async fn kill_workers_until_done(dir: &Path, settings: &[(&str, &str)], client: &Client, ids: &[(u32, Uuid)]) -> u32 {
    let mut workers: Vec<Service> = (0..2).map(|_| Service::worker(dir, settings)).collect();
    let mut kills = 0;
    loop {
        let mut running = 0;
        let mut open = 0;
        for (_, id) in ids {
            let state = client.job(*id).await.state;
            open += u32::from(!state.is_terminal());
            running += u32::from(state == State::Running);
        }
        if open == 0 {
            return kills;
        }
        // After this many kills, the workers may finish.
        if running > 0 && kills < 12 {
            sleep(Duration::from_millis(rand::rng().random_range(0..400))).await;
            workers.remove(0).kill();
            workers.push(Service::worker(dir, settings));
            kills += 1;
        }
        sleep(Duration::from_millis(rand::rng().random_range(200..1200))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_worker_hands_its_job_to_another() {
    let dir = tempfile::tempdir().expect("a folder");
    let redis = RedisServer::start();
    let url = redis.url();
    let settings = [("REDIS_URL", url.as_str()), ("SHUTDOWN_GRACE_S", "0")];
    let api = Service::api(dir.path(), &settings);
    let client = Client::new(&api.url);
    let upload = client.upload(poster_png(1400, 0)).await;
    let id = client.decompose(upload).await;
    let first = Service::worker(dir.path(), &settings);
    assert_eq!(client.wait_started(id).await.state, State::Running);
    first.signal("TERM");
    assert_eq!(first.exit_code(), Some(0));
    assert_eq!(client.job(id).await.state, State::Queued);
    let _second = Service::worker(dir.path(), &settings);
    assert_eq!(client.wait_finished(id).await.state, State::Succeeded);
    let events = client.events(id).await;
    check_succeeded_once(&events);
    let workers: HashSet<_> = events
        .iter()
        .filter_map(|e| if let EventKind::Started { worker, .. } = &e.kind { Some(worker.clone()) } else { None })
        .collect();
    assert_eq!(workers.len(), 2, "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_health_check_asks_the_api() {
    let dir = tempfile::tempdir().expect("a folder");
    let redis = RedisServer::start();
    let url = redis.url();
    let api = Service::api(dir.path(), &[("REDIS_URL", url.as_str())]);
    let port = api.url.rsplit(':').next().expect("a port").to_owned();
    let check = || {
        let mut check = command("unflatten-api", dir.path());
        // As in a container, where any address of the machine is listened on.
        check.arg("--health").envs([("HOST", "0.0.0.0"), ("ALLOW_ANONYMOUS", "true"), ("PORT", &port)]);
        check.output().expect("it can be started")
    };
    assert!(check().status.success(), "{}", stderr(&check()));
    api.kill();
    assert_eq!(check().status.code(), Some(1));
    assert!(stderr(&check()).contains("the service does not answer"), "{}", stderr(&check()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_picture_is_gone_fails_clearly() {
    let dir = tempfile::tempdir().expect("a folder");
    let redis = RedisServer::start();
    let url = redis.url();
    let settings = [("REDIS_URL", url.as_str())];
    let api = Service::api(dir.path(), &settings);
    let client = Client::new(&api.url);
    let upload = client.upload(poster_png(64, 0)).await;
    let id = client.decompose(upload).await;
    std::fs::remove_dir_all(dir.path().join("storage/uploads").join(upload.to_string())).expect("removed");
    let _worker = Service::worker(dir.path(), &settings);
    let job = client.wait_finished(id).await;
    assert_eq!(job.error.expect("it failed").code, jobs::FailureCode::InputGone);
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_are_split_and_edited_through_any_api() {
    let dir = tempfile::tempdir().expect("a folder");
    let redis = RedisServer::start();
    let url = redis.url();
    let settings = [("REDIS_URL", url.as_str())];
    let apis = [Service::api(dir.path(), &settings), Service::api(dir.path(), &settings)];
    let [one, other] = apis.each_ref().map(|api| Client::new(&api.url));
    let _worker = Service::worker(dir.path(), &settings);
    let id = one.decompose(one.upload(poster_png(SIDE, 3)).await).await;
    assert_eq!(other.wait_finished(id).await.state, State::Succeeded);
    let before = one.compose(id).await;
    assert_eq!(before, other.compose(id).await);

    // A child is submitted here and followed there; one of its layers is split there and followed here.
    let child = one.split(id, 1).await;
    assert_eq!(other.wait_finished(child).await.state, State::Succeeded);
    check_succeeded_once(&other.events(child).await);
    let grandchild = other.split(child, 0).await;
    assert_eq!(one.wait_finished(grandchild).await.state, State::Succeeded);
    for client in [&one, &other] {
        let document = client.json(&format!("/api/jobs/{id}/document")).await;
        let results: Vec<_> =
            document["results"].as_array().expect("a list").iter().map(|one| &one["job_id"]).collect();
        assert_eq!(results, [&json!(id), &json!(child), &json!(grandchild)]);
        assert!(document["elements"].as_array().expect("a list").iter().any(|one| one["child"] == json!(child)));
        let after = client.compose(id).await;
        let apart = layers::Difference::between(&before, &after).expect("pictures of one size");
        assert!(apart.max <= 1, "{apart:?}");
    }

    // Both edit at once: no edit is lost.
    let fields = [("x", 7.0, 9.0), ("y", 7.0, 9.0), ("opacity", 0.75, 0.5), ("hue", 7.0, 9.0)];
    let edits = fields.iter().enumerate().flat_map(|(at, (name, outer, inner))| {
        let edit = |value: &f64| match *name {
            "x" | "y" => json!({ *name: *value as i32 }),
            _ => json!({ *name: value }),
        };
        let (first, second) = if at % 2 == 0 { (&one, &other) } else { (&other, &one) };
        [first.patch(id, 0, edit(outer)), second.patch(child, 1, edit(inner))]
    });
    futures_util::future::join_all(edits).await;
    for client in [&one, &other] {
        let document = client.json(&format!("/api/jobs/{id}/document")).await;
        let edit_of = |job: Uuid, layer: u32| {
            let reference = json!({ "job_id": job, "layer": layer });
            let elements = document["elements"].as_array().expect("a list");
            &elements.iter().find(|one| one["layer"] == reference).expect("it is there")["edit"]
        };
        for (name, wanted_outer, wanted_inner) in fields {
            assert_eq!(edit_of(id, 0)[name].as_f64(), Some(wanted_outer), "{document}");
            assert_eq!(edit_of(child, 1)[name].as_f64(), Some(wanted_inner), "{document}");
        }
    }
    assert_eq!(one.compose(id).await, other.compose(id).await);

    // Deleting the parent deletes its children.
    one.delete(id).await;
    for gone in [id, child, grandchild] {
        let answer = other.http.get(format!("{}/api/status/{gone}", other.url)).send().await.expect("the API answers");
        assert_eq!(answer.status(), 404, "{gone}");
    }
}
