//! The container in its own process, and fakes of an endpoint that fails and of one with several containers.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, Uri};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::RgbaImage;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bench::OwnedSettings;

/// The path of endpoint 42, without the method.
const ENDPOINT: &str = "/v1/projects/posters/locations/us-central1/endpoints/42";

pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn b64(picture: &RgbaImage) -> String {
    let mut png = Vec::new();
    layers::write_png(&mut png, picture).expect("encoded");
    STANDARD.encode(png)
}

/// The key file of a service account that does not exist.
fn key_file(dir: &Path) -> String {
    let key = json!({
        "type": "service_account", "project_id": "posters", "private_key_id": "test-key", "client_id": "1",
        "private_key": include_str!("../../../google/tests/data/private_key.pem"),
        "client_email": "unflatten@posters.iam.gserviceaccount.com"
    });
    let path = dir.join("key.json");
    std::fs::write(&path, key.to_string()).expect("written");
    path.to_string_lossy().into_owned()
}

fn settings_for(address: &str, dir: &Path, more: &[(&str, &str)]) -> OwnedSettings {
    let key = key_file(dir);
    let own = [
        ("GOOGLE_CLOUD_PROJECT", "posters"),
        ("VERTEX_ENDPOINT_ID", "42"),
        ("VERTEX_ENDPOINT_DOMAIN", address),
        ("GOOGLE_APPLICATION_CREDENTIALS", key.as_str()),
    ];
    own.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(crate) struct Container {
    dir: TempDir,
    child: Child,
    address: String,
    route: String,
}

impl Container {
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_at(":predict", settings).await
    }

    pub(crate) async fn with_model(folder: &Path) -> Self {
        Self::with_model_and(folder, &[]).await
    }

    pub(crate) async fn with_model_and(folder: &Path, more: &[(&str, &str)]) -> Self {
        let folder = folder.to_string_lossy();
        let model = [("ENGINES", "qwen"), ("DEVICE", "cpu"), ("MODEL_NAME", &*folder)];
        Self::start(&[&model, more].concat()).await
    }

    /// Starts the container and waits until it is healthy.
    pub(crate) async fn start_at(method: &str, settings: &[(&str, &str)]) -> Self {
        jobs::testing::choose_tls();
        let dir = tempfile::tempdir().expect("a folder");
        let route = format!("{ENDPOINT}{method}");
        let (child, address) = spawn(dir.path(), &route, settings);
        let mut container = Self { dir, child, address, route };
        container.wait_until_healthy().await;
        container
    }

    /// The output of a container that does not start.
    pub(crate) async fn fails(settings: &[(&str, &str)]) -> String {
        let dir = tempfile::tempdir().expect("a folder");
        let (mut child, _) = spawn(dir.path(), "/predict", settings);
        let ended = async {
            loop {
                if let Some(status) = child.try_wait().expect("our own child can be asked") {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let status = tokio::time::timeout(PATIENCE, ended).await.expect("it ends");
        assert!(!status.success());
        log(dir.path())
    }

    async fn wait_until_healthy(&mut self) {
        let health = format!("{}/health", self.address);
        let look = async {
            let mut seen = Vec::new();
            loop {
                if let Some(status) = self.child.try_wait().expect("our own child can be asked") {
                    panic!("the container ended ({status}): {}", log(self.dir.path()));
                }
                if let Ok(answer) = reqwest::get(&health).await {
                    seen.push(answer.status().as_u16());
                    if answer.status().is_success() {
                        return seen;
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, look).await.expect("it becomes healthy");
        // Until then it reports that it is loading.
        assert!(seen.iter().rev().skip(1).all(|status| *status == 503), "{seen:?}");
        assert!(log(self.dir.path()).contains("ready"));
    }

    pub(crate) async fn predict(&self, body: &Value) -> (u16, Value) {
        let sent = reqwest::Client::new().post(format!("{}{}", self.address, self.route)).json(body).send().await;
        let answer = sent.expect("the container answers");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    /// Settings of a worker that calls this container.
    pub(crate) fn settings(&self, more: &[(&str, &str)]) -> OwnedSettings {
        settings_for(&self.address, self.dir.path(), more)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// How often the log contains `text`.
    pub(crate) fn count(&self, text: &str) -> usize {
        log(self.dir.path()).matches(text).count()
    }

    pub(crate) async fn wait_for(&self, text: &str) {
        let look = async {
            while self.count(text) == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, look).await;
        assert!(waited.is_ok(), "{text} is not in {}", log(self.dir.path()));
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("our own child can be killed");
        self.child.wait().expect("our own child can be waited for");
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // It may already be dead.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("log")).unwrap_or_default()
}

fn spawn(dir: &Path, route: &str, settings: &[(&str, &str)]) -> (Child, String) {
    let port = free_port();
    let log = File::create(dir.join("log")).expect("a log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_unflatten-worker"));
    command.arg("--vertex").current_dir(dir).env_clear();
    command.env("GOOGLE_APPLICATION_CREDENTIALS", key_file(dir)).env("NO_COLOR", "1");
    command.env("AIP_HTTP_PORT", port.to_string()).env("AIP_PREDICT_ROUTE", route);
    command.envs(settings.iter().copied()).stdin(Stdio::null());
    command.stdout(log.try_clone().expect("a second handle")).stderr(log);
    (command.spawn().expect("the container starts"), format!("http://127.0.0.1:{port}"))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

pub(crate) async fn listen(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, app).await.expect("served") });
    address
}

/// An endpoint that gives one answer to everything.
pub(crate) struct FakeEndpoint {
    dir: TempDir,
    address: String,
    calls: Arc<AtomicUsize>,
}

impl FakeEndpoint {
    pub(crate) async fn start(status: u16, body: Value) -> Self {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let answer = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let status = StatusCode::from_u16(status).expect("a status");
            let body = body.clone();
            async move { (status, Json(body)) }
        };
        let address = listen(Router::new().fallback(answer)).await;
        Self { dir: tempfile::tempdir().expect("a folder"), address, calls }
    }

    pub(crate) fn settings(&self, more: &[(&str, &str)]) -> OwnedSettings {
        settings_for(&self.address, self.dir.path(), more)
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// One address in front of several containers, like an endpoint with replicas: each call goes to the next live one.
pub(crate) struct Balancer {
    dir: TempDir,
    address: String,
    calls: Arc<Calls>,
}

struct Calls {
    client: reqwest::Client,
    /// Addresses of the live containers.
    containers: Mutex<Vec<String>>,
    turn: AtomicUsize,
    with_picture: AtomicUsize,
    to_lose: AtomicUsize,
}

impl Balancer {
    pub(crate) async fn start(containers: &[&Container]) -> Self {
        let calls = Arc::new(Calls {
            client: reqwest::Client::new(),
            containers: Mutex::new(containers.iter().map(|container| container.address.clone()).collect()),
            turn: AtomicUsize::new(0),
            with_picture: AtomicUsize::new(0),
            to_lose: AtomicUsize::new(0),
        });
        let app = Router::new().fallback(pass_on).layer(DefaultBodyLimit::disable()).with_state(Arc::clone(&calls));
        Self { dir: tempfile::tempdir().expect("a folder"), address: listen(app).await, calls }
    }

    pub(crate) fn settings(&self, more: &[(&str, &str)]) -> OwnedSettings {
        settings_for(&self.address, self.dir.path(), more)
    }

    /// Loses the answers to the next `count` calls, which the container executes.
    pub(crate) fn lose(&self, count: usize) {
        self.calls.to_lose.store(count, Ordering::SeqCst);
    }

    /// How many calls had a picture.
    pub(crate) fn pictures(&self) -> usize {
        self.calls.with_picture.load(Ordering::SeqCst)
    }
}

async fn pass_on(State(calls): State<Arc<Calls>>, uri: Uri, body: Bytes) -> (StatusCode, Json<Value>) {
    let error = |code: u16, status: &str, message: String| {
        let status_code = StatusCode::from_u16(code).expect("a status");
        (status_code, Json(json!({ "error": { "code": code, "status": status, "message": message } })))
    };
    let request: Value = serde_json::from_slice(&body).expect("JSON");
    if !request["instances"][0]["image"].is_null() {
        calls.with_picture.fetch_add(1, Ordering::SeqCst);
    }
    loop {
        let container = {
            let living = calls.containers.lock().expect("no panic");
            if living.is_empty() {
                return error(503, "UNAVAILABLE", "no replica is healthy".to_owned());
            }
            living[calls.turn.fetch_add(1, Ordering::SeqCst) % living.len()].clone()
        };
        let sent = calls.client.post(format!("{container}{uri}")).body(body.clone());
        match sent.header("content-type", "application/json").send().await {
            Ok(answer) => {
                let status = answer.status();
                let Ok(answer) = answer.json().await else {
                    return error(502, "UNAVAILABLE", "the replica broke off".to_owned());
                };
                let lose = |count: usize| count.checked_sub(1);
                if calls.to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lose).is_ok() {
                    return error(503, "UNAVAILABLE", "the answer was lost".to_owned());
                }
                return (status, Json(answer));
            }
            Err(problem) if problem.is_connect() => {
                calls.containers.lock().expect("no panic").retain(|living| *living != container);
            }
            Err(problem) => return error(503, "UNAVAILABLE", problem.to_string()),
        }
    }
}
