//! Webhooks: what arrives, that it arrives once, and that it arrives at all.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use jobs::broker::Outcome;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::app::{TestApp, Worker, expect_error};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ON: [(&str, &str); 3] = [("WEBHOOK_SECRET", SECRET), ("WEBHOOK_ALLOW_PRIVATE", "true"), ("WEBHOOK_RETRY_S", "1")];

/// What arrived at a receiver, and what it is to answer next.
#[derive(Default)]
struct Post {
    arrived: Vec<(HeaderMap, String)>,
    answers: Vec<StatusCode>,
}

struct Receiver {
    url: String,
    post: Arc<Mutex<Post>>,
    _stop: DropGuard,
}

impl Receiver {
    /// Answers with each of `answers` once, then with 204.
    async fn start(answers: &[StatusCode]) -> Self {
        let post = Arc::new(Mutex::new(Post { arrived: Vec::new(), answers: answers.to_vec() }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/hook", post_route()).with_state(post.clone());
        let stop = CancellationToken::new();
        let server = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        tokio::spawn(server.into_future());
        Self { url, post, _stop: stop.drop_guard() }
    }

    async fn wait_for(&self, count: usize) -> Vec<(HeaderMap, String)> {
        for _ in 0..1000 {
            let arrived = self.arrived();
            if arrived.len() >= count {
                return arrived;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} of {count} webhooks arrived", self.arrived().len());
    }

    fn arrived(&self) -> Vec<(HeaderMap, String)> {
        self.post.lock().unwrap().arrived.clone()
    }
}

fn post_route() -> axum::routing::MethodRouter<Arc<Mutex<Post>>> {
    post(|State(state): State<Arc<Mutex<Post>>>, headers: HeaderMap, body: String| async move {
        take(&state, headers, body)
    })
}

fn take(state: &Mutex<Post>, headers: HeaderMap, body: String) -> Response {
    let mut post = state.lock().unwrap();
    post.arrived.push((headers, body));
    let status = if post.answers.is_empty() { StatusCode::NO_CONTENT } else { post.answers.remove(0) };
    // A redirect that is followed would arrive here once more.
    (status, [(header::LOCATION, "/hook")]).into_response()
}

async fn hooked_job(app: &TestApp, options: Value) -> jobs::JobId {
    let mut request = options;
    request["upload_id"] = json!(app.upload_id().await);
    let response = app.decompose(&request).await;
    assert_eq!(response.status(), 202, "{}", response.text().await.unwrap());
    response.json::<Value>().await.unwrap()["job_id"].as_str().unwrap().parse().unwrap()
}

async fn finish(app: &TestApp) {
    let worker = Worker::start(app).await;
    let lease = worker.claim().await;
    worker.begin(&lease).await;
    worker.progress(&lease, 50.0).await;
    worker.succeed(&lease).await;
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers[name].to_str().unwrap()
}

#[tokio::test]
async fn the_end_of_a_job_is_posted_signed() {
    let app = TestApp::with(ON).await;
    let receiver = Receiver::start(&[]).await;
    let id = hooked_job(&app, json!({"webhook_url": receiver.url})).await;
    finish(&app).await;
    let arrived = receiver.wait_for(1).await;
    let (headers, body) = &arrived[0];
    Webhook::new(SECRET).unwrap().verify(body.as_bytes(), headers).unwrap();
    assert!(Webhook::new(SECRET).unwrap().verify(body.replace("succeeded", "failed").as_bytes(), headers).is_err());
    assert_eq!(header(headers, "content-type"), "application/json");
    let body: Value = serde_json::from_str(body).unwrap();
    let data = &body["data"];
    assert_eq!(body["type"], "job.succeeded");
    assert_eq!((data["type"].as_str(), data["layers"].as_u64()), (Some("succeeded"), Some(2)));
    assert_eq!(header(headers, "webhook-id"), format!("{id}.{}", data["seq"]));
    assert_eq!(data["job_id"], json!(id));
    assert_eq!(app.get(data["links"]["download"].as_str().unwrap()).await.status(), 200);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(receiver.arrived().len(), 1, "it came again");
}

#[tokio::test]
async fn chosen_events_are_posted_by_a_form_too() {
    let app = TestApp::with(ON).await;
    let receiver = Receiver::start(&[]).await;
    let image = reqwest::multipart::Part::bytes(crate::pictures::png()).file_name("a.png");
    let form = reqwest::multipart::Form::new()
        .part("image", image)
        .text("webhook_url", receiver.url.clone())
        .text("webhook_events", "started, cancelled")
        .text("priority", "low");
    let response = app.client.post(app.url("/api/decompose")).multipart(form).send().await.unwrap();
    let taken: Value = response.json().await.unwrap();
    assert_eq!(taken["job"]["priority"], "low");
    let worker = Worker::start(&app).await;
    let lease = worker.claim().await;
    worker.begin(&lease).await;
    worker.finish(&lease, Outcome::Cancelled).await;
    let mut kinds: Vec<String> = receiver.wait_for(2).await.iter().map(|(_, body)| kind(body)).collect();
    kinds.sort();
    assert_eq!(kinds, ["job.cancelled", "job.started"]);
}

fn kind(body: &str) -> String {
    serde_json::from_str::<Value>(body).unwrap()["type"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_does_not_arrive_is_tried_again_under_the_same_id() {
    let app = TestApp::with(ON).await;
    // A redirect is no arrival, and is not followed.
    let receiver = Receiver::start(&[StatusCode::INTERNAL_SERVER_ERROR, StatusCode::TEMPORARY_REDIRECT]).await;
    hooked_job(&app, json!({"webhook_url": receiver.url})).await;
    finish(&app).await;
    let arrived = receiver.wait_for(3).await;
    for (headers, body) in &arrived {
        assert_eq!(header(headers, "webhook-id"), header(&arrived[0].0, "webhook-id"));
        assert_eq!(body, &arrived[0].1);
        Webhook::new(SECRET).unwrap().verify(body.as_bytes(), headers).unwrap();
    }
    let sent = |n: usize| header(&arrived[n].0, "webhook-timestamp").parse::<i64>().unwrap();
    assert!(sent(1) - sent(0) >= 1 && sent(2) - sent(1) >= 3, "the waits do not grow");
}

#[tokio::test]
async fn a_receiver_that_is_gone_or_never_answers_is_given_up() {
    let app = TestApp::with(ON.into_iter().chain([("WEBHOOK_ATTEMPTS", "2")])).await;
    let gone = Receiver::start(&[StatusCode::GONE]).await;
    let broken = Receiver::start(&[StatusCode::BAD_GATEWAY; 5]).await;
    for receiver in [&gone, &broken] {
        hooked_job(&app, json!({"webhook_url": receiver.url})).await;
        finish(&app).await;
    }
    broken.wait_for(2).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!((gone.arrived().len(), broken.arrived().len()), (1, 2));
}

#[tokio::test]
async fn a_webhook_survives_a_restart_of_the_service() {
    // Off, so that nothing is posted yet; the job is handed in as one that has a webhook.
    let app = TestApp::with([]).await;
    let receiver = Receiver::start(&[]).await;
    let upload = app.upload_id().await.parse().unwrap();
    let webhook = jobs::Webhook { url: receiver.url.clone(), events: vec![jobs::WebhookEvent::Succeeded] };
    let params = jobs::Params { seed: Some(1), ..jobs::Params::default() };
    let new = jobs::broker::NewJob { webhook: Some(webhook), ..jobs::broker::NewJob::new(upload, params) };
    app.broker.submit(new).await.unwrap();
    finish(&app).await;
    let dir = app.stop().await;
    assert!(receiver.arrived().is_empty());
    let _again = TestApp::within(dir, ON).await;
    assert_eq!(kind(&receiver.wait_for(1).await[0].1), "job.succeeded");
}

#[tokio::test]
async fn several_services_on_one_queue_post_once() {
    let redis = jobs::testing::RedisServer::start();
    let url = redis.url();
    let settings = ON.into_iter().chain([("REDIS_URL", url.as_str())]);
    let apps =
        [TestApp::with(settings.clone()).await, TestApp::with(settings.clone()).await, TestApp::with(settings).await];
    let receiver = Receiver::start(&[]).await;
    for n in 0..12 {
        let app = &apps[n % 3];
        hooked_job(app, json!({"webhook_url": receiver.url, "webhook_events": ["queued"]})).await;
    }
    receiver.wait_for(12).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let mut ids: Vec<_> = receiver.arrived().iter().map(|(h, _)| header(h, "webhook-id").to_owned()).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((count, ids.len()), (12, 12));
}

#[tokio::test]
async fn a_receiver_that_never_answers_holds_up_no_other() {
    let tarpit = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", tarpit.local_addr().unwrap());
    let held = Arc::new(Mutex::new(Vec::new()));
    let streams = held.clone();
    let accepting = tokio::spawn(async move {
        while let Ok((stream, _)) = tarpit.accept().await {
            streams.lock().unwrap().push(stream);
        }
    });
    let app = TestApp::with(ON).await;
    let upload_id = app.upload_id().await;
    for _ in 0..40 {
        let job = json!({"upload_id": upload_id, "webhook_url": url, "webhook_events": ["queued"]});
        assert_eq!(app.decompose(&job).await.status(), 202);
    }
    let receiver = Receiver::start(&[]).await;
    hooked_job(&app, json!({"webhook_url": receiver.url, "webhook_events": ["queued"]})).await;
    receiver.wait_for(1).await;
    // Of 32 places the tarpit had a few, perhaps some of them twice.
    let held = held.lock().unwrap().len();
    assert!((1..=12).contains(&held), "{held} posts were held up");
    accepting.abort();
}

#[tokio::test]
async fn what_cannot_be_a_webhook_is_refused() {
    let off = TestApp::start().await;
    let upload = off.upload_id().await;
    let request = json!({"upload_id": upload, "webhook_url": "https://example.org/hook"});
    assert!(expect_error(off.decompose(&request).await, 422, "webhooks_off").await.contains("WEBHOOK_SECRET"));

    let app = TestApp::with([("WEBHOOK_SECRET", SECRET), ("HIGHEST_PRIORITY", "normal")]).await;
    let upload = app.upload_id().await;
    for (field, options) in [
        ("webhook_url", json!({"webhook_url": "http://example.org/hook"})),
        ("webhook_url", json!({"webhook_url": "https://127.0.0.1/hook"})),
        ("webhook_url", json!({"webhook_url": "https://[::ffff:10.0.0.1]/hook"})),
        ("webhook_url", json!({"webhook_url": "https://me:pw@example.org/hook"})),
        ("webhook_url", json!({"webhook_url": 7})),
        ("webhook_events", json!({"webhook_url": "https://example.org", "webhook_events": ["progress"]})),
        ("webhook_events", json!({"webhook_url": "https://example.org", "webhook_events": []})),
        ("webhook_events", json!({"webhook_events": ["failed"]})),
        ("priority", json!({"priority": "urgent"})),
        ("priority", json!({"priority": "high"})),
    ] {
        let mut request = options;
        request["upload_id"] = json!(upload);
        let message = expect_error(app.decompose(&request).await, 422, "invalid_parameter").await;
        assert!(message.contains(field), "{request}: {message}");
    }
}

#[tokio::test]
async fn clients_are_told_apart_by_a_header_where_there_is_one() {
    let app = TestApp::with([("CLIENT_KEY_HEADER", "x-client")]).await;
    let upload = app.upload_id().await;
    let mut ids = Vec::new();
    for client in ["a", "a", "a", "b"] {
        let request = app.client.post(app.url("/api/decompose")).header("x-client", client);
        let response = request.json(&json!({"upload_id": upload})).send().await.unwrap();
        ids.push(response.json::<Value>().await.unwrap()["job_id"].as_str().unwrap().to_owned());
    }
    let worker = Worker::start(&app).await;
    for expected in [0, 3, 1, 2] {
        assert_eq!(worker.claim().await.job_id.to_string(), ids[expected]);
    }
}
