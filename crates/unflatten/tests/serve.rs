//! The service in one process: a whole job, crashes and shutdowns.

mod support;

use std::net::TcpListener;

use jobs::{EventKind, State};
use support::{
    Client, Service, check_result, check_succeeded_once, command, poster, poster_png, stderr, titled_png, unzip,
};

/// Large enough that a job can be interrupted halfway.
const LARGE: u32 = 1400;

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_goes_up_and_layers_come_down() {
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::all_in_one(dir.path(), &[]);
    let client = Client::new(&service.url);
    let upload = client.upload(poster_png(300, 0)).await;
    let id = client.decompose(upload).await;
    let events = client.events(id).await;
    check_succeeded_once(&events);
    assert!(matches!(events[0].kind, EventKind::Queued), "{:?}", events[0]);
    assert!(matches!(&events[1].kind, EventKind::Started { attempt: 1, reason, .. } if !reason.is_empty()));
    let percents: Vec<_> = events
        .iter()
        .filter_map(|e| if let EventKind::Progress(p) = &e.kind { Some(p.percent) } else { None })
        .collect();
    assert!(percents.is_sorted() && percents.last() == Some(&100.0), "{percents:?}");
    let job = client.job(id).await;
    assert_eq!((job.state, job.engine), (State::Succeeded, Some(jobs::EngineName::Draft)));
    let unpacked = dir.path().join("unpacked");
    unzip(&client.download(id).await, &unpacked);
    let metadata = check_result(&unpacked, &poster(300, 300, 0));
    assert_eq!((metadata.job_id, metadata.seed), (Some(id), 7));
    assert_eq!(metadata.input.filename.as_deref(), Some("poster.png"));
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_a_poster_come_back_as_text() {
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::all_in_one(dir.path(), &[("FONTS_DIR", "nowhere")]);
    let client = Client::new(&service.url);
    let id = client.decompose(client.upload(titled_png()).await).await;
    assert_eq!(client.wait_finished(id).await.state, State::Succeeded);
    let metadata = client.json(&format!("/api/jobs/{id}/metadata.json")).await;
    let layers = metadata["layers"].as_array().expect("layers");
    let live: Vec<_> = layers.iter().filter(|layer| layer["live_text"].is_object()).collect();
    assert_eq!(live.len(), 1, "{layers:?}");
    let lines = live[0]["live_text"]["blocks"][0]["lines"].as_array().expect("lines");
    let words: Vec<_> = lines.iter().map(|line| line["words"].as_str().unwrap_or_default()).collect();
    assert_eq!(words, ["여름 바다 축제", "Free admission"]);
    let text = client.json(&format!("/api/jobs/{id}/text")).await;
    assert_eq!(text["blocks"][0]["live"], live[0]["live_text"]["blocks"][0]);
    assert_eq!(text["blocks"][0]["words"], words.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_service_finishes_its_job_once_when_it_is_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = [("JOB_LEASE_S", "2")];
    let service = Service::all_in_one(dir.path(), &settings);
    let client = Client::new(&service.url);
    let upload = client.upload(poster_png(LARGE, 0)).await;
    let id = client.decompose(upload).await;
    let job = client.wait_started(id).await;
    assert_eq!(job.state, State::Running, "the picture is too small to be caught in the middle");
    service.kill();

    let service = Service::all_in_one(dir.path(), &settings);
    let client = Client::new(&service.url);
    assert_eq!(client.wait_finished(id).await.state, State::Succeeded);
    let events = client.events(id).await;
    check_succeeded_once(&events);
    assert!(events.iter().any(|e| matches!(e.kind, EventKind::Requeued { .. })), "{events:?}");
    let unpacked = dir.path().join("unpacked");
    unzip(&client.download(id).await, &unpacked);
    check_result(&unpacked, &poster(LARGE, LARGE, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_stopped_gives_its_job_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::all_in_one(dir.path(), &[("SHUTDOWN_GRACE_S", "0")]);
    let client = Client::new(&service.url);
    let upload = client.upload(poster_png(LARGE, 0)).await;
    let id = client.decompose(upload).await;
    assert_eq!(client.wait_started(id).await.state, State::Running);
    service.signal("TERM");
    assert_eq!(service.exit_code(), Some(0));
    assert!(!dir.path().join("storage/queue.sqlite-wal").exists(), "the queue's file was not closed");

    let service = Service::all_in_one(dir.path(), &[]);
    let client = Client::new(&service.url);
    let job = client.wait_finished(id).await;
    assert_eq!(job.state, State::Succeeded);
    let events = client.events(id).await;
    check_succeeded_once(&events);
    let reasons: Vec<_> = events
        .iter()
        .filter_map(|e| if let EventKind::Requeued { reason, .. } = &e.kind { Some(reason) } else { None })
        .collect();
    assert_eq!(reasons.len(), 1, "{events:?}");
    assert!(reasons[0].contains("shut down"), "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_stopped_lets_a_short_job_finish() {
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::all_in_one(dir.path(), &[("SHUTDOWN_GRACE_S", "200")]);
    let client = Client::new(&service.url);
    let upload = client.upload(poster_png(400, 0)).await;
    let id = client.decompose(upload).await;
    client.wait_started(id).await;
    service.signal("INT");
    assert_eq!(service.exit_code(), Some(0));
    let result = dir.path().join("storage/results").join(id.to_string());
    check_result(&result, &poster(400, 400, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_can_be_cancelled() {
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::all_in_one(dir.path(), &[]);
    let client = Client::new(&service.url);
    let upload = client.upload(poster_png(LARGE, 0)).await;
    let id = client.decompose(upload).await;
    assert_eq!(client.wait_started(id).await.state, State::Running);
    let answer = client.http.delete(format!("{}/api/jobs/{id}", client.url)).send().await.expect("the API answers");
    assert!(answer.status().is_success(), "{}", answer.status());
    assert_eq!(client.wait_finished(id).await.state, State::Cancelled);
    assert!(!dir.path().join("storage/results").join(id.to_string()).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_takes_too_long_fails_and_the_next_one_works() {
    let dir = tempfile::tempdir().expect("a folder");
    // Far more than the small picture needs on a busy machine, far less than the large one.
    let service = Service::all_in_one(dir.path(), &[("JOB_TIMEOUT_S", "4")]);
    let client = Client::new(&service.url);
    let upload = client.upload(poster_png(3000, 0)).await;
    let id = client.decompose(upload).await;
    let job = client.wait_finished(id).await;
    let error = job.error.expect("it failed");
    assert_eq!(error.code, jobs::FailureCode::TimedOut);
    assert!(error.message.contains("JOB_TIMEOUT_S"), "{}", error.message);
    let upload = client.upload(poster_png(32, 0)).await;
    let id = client.decompose(upload).await;
    assert_eq!(client.wait_finished(id).await.state, State::Succeeded);
}

/// A connection that has sent `start` and then nothing.
#[cfg(unix)]
fn hold(url: &str, start: &str) -> std::net::TcpStream {
    use std::io::Write;
    let address = url.strip_prefix("http://").expect("an address");
    let mut stream = std::net::TcpStream::connect(address).expect("the service takes connections");
    stream.write_all(start.as_bytes()).expect("the service takes bytes");
    stream
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_hangs_and_a_client_that_stalls_do_not_hold_up_the_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::all_in_one(dir.path(), &[("SHUTDOWN_GRACE_S", "1"), ("ENGINE_STOP_GRACE_S", "1")]);
    let client = Client::new(&service.url);
    let upload = client.upload(poster_png(64, 0)).await;
    let id = client.decompose(upload).await;
    assert_eq!(client.wait_finished(id).await.state, State::Succeeded);
    // Opening a pipe without a writer blocks for ever, like a network disk that is gone.
    let preview = dir.path().join("storage/results").join(id.to_string()).join("preview.jpg");
    std::fs::remove_file(&preview).expect("the preview is there");
    let made = std::process::Command::new("mkfifo").arg(&preview).status().expect("mkfifo can be started");
    assert!(made.success());
    let hung = hold(&service.url, &format!("GET /api/jobs/{id}/preview.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let stalled = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(30);
    let stalled = hold(&service.url, &stalled);
    let half = hold(&service.url, "GET /healthz HT");
    // Answered after them, so they have arrived.
    assert_eq!(client.json("/healthz").await["status"], "ok");
    let before = std::time::Instant::now();
    service.signal("TERM");
    assert_eq!(service.exit_code(), Some(0));
    assert!(before.elapsed() < support::PATIENCE / 4, "it took {:?}", before.elapsed());
    drop((hung, stalled, half));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_service_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut service = Service::all_in_one(dir.path(), &[("SHUTDOWN_GRACE_S", "1000")]);
    let client = Client::new(&service.url);
    let upload = client.upload(poster_png(3000, 0)).await;
    let id = client.decompose(upload).await;
    assert_eq!(client.wait_started(id).await.state, State::Running);
    // Simultaneous signals count as one.
    while service.child.try_wait().expect("our own child can be asked").is_none() {
        service.signal("TERM");
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    assert_eq!(service.exit_code(), Some(130));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn half_sent_requests_take_no_files_from_the_queue_and_the_storage() {
    let dir = tempfile::tempdir().expect("a folder");
    let service = Service::with_open_files(dir.path(), 256);
    let client = Client::new(&service.url);
    let mut held = Vec::new();
    for round in 0..3 {
        for n in 0..150 {
            let start = ["", "GET /hea", "GET /healthz HTTP/1.1\r\nHost: a"][n % 3];
            held.push(hold(&service.url, start));
        }
        assert_eq!(reqwest::get(format!("{}/healthz", service.url)).await.expect("an answer").status(), 200);
        let upload = client.upload(poster_png(64, round)).await;
        let id = client.decompose(upload).await;
        assert_eq!(client.wait_finished(id).await.state, State::Succeeded);
    }
    drop(held);
}

#[test]
fn a_taken_port_is_a_clear_error() {
    let dir = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let output = command("unflatten", dir.path()).args(["serve", "--port", &port]).output().expect("started");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--port"), "{}", stderr(&output));
    assert!(!dir.path().join("storage").exists(), "the queue was not touched");
}

#[test]
fn without_redis_the_parts_alone_say_what_they_need() {
    let dir = tempfile::tempdir().expect("a folder");
    for part in ["unflatten-api", "unflatten-worker"] {
        let output = command(part, dir.path()).output().expect("started");
        assert!(!output.status.success());
        assert!(stderr(&output).contains("REDIS_URL"), "{part}: {}", stderr(&output));
    }
}
