//! The container in a process of its own, and stand-ins for an endpoint that fails and for Cloud Storage.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path as UrlPath, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::RgbaImage;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bench::OwnedSettings;

/// The path of endpoint 42, without the method.
const ENDPOINT: &str = "/v1/projects/posters/locations/us-central1/endpoints/42";

const PATIENCE: Duration = Duration::from_secs(120);

pub fn b64(picture: &RgbaImage) -> String {
    let mut png = Vec::new();
    layers::write_png(&mut png, picture).expect("encoded");
    STANDARD.encode(png)
}

/// The key file of a service account that exists nowhere.
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

pub struct Container {
    dir: TempDir,
    child: Child,
    address: String,
    route: String,
}

impl Container {
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_at(":predict", settings).await
    }

    pub async fn with_model(folder: &Path) -> Self {
        let folder = folder.to_string_lossy();
        Self::start(&[("ENGINES", "qwen"), ("DEVICE", "cpu"), ("MODEL_NAME", &folder)]).await
    }

    /// Starts the container and waits until it is healthy.
    pub async fn start_at(method: &str, settings: &[(&str, &str)]) -> Self {
        jobs::testing::choose_tls();
        let dir = tempfile::tempdir().expect("a folder");
        let route = format!("{ENDPOINT}{method}");
        let (child, address) = spawn(dir.path(), &route, settings);
        let mut container = Self { dir, child, address, route };
        container.wait_until_healthy().await;
        container
    }

    /// What a container says that does not start.
    pub async fn fails(settings: &[(&str, &str)]) -> String {
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
        // Until then it says that it is not.
        assert!(seen.iter().rev().skip(1).all(|status| *status == 503), "{seen:?}");
        assert!(log(self.dir.path()).contains("ready"));
    }

    pub async fn predict(&self, body: &Value) -> (u16, Value) {
        let sent = reqwest::Client::new().post(format!("{}{}", self.address, self.route)).json(body).send().await;
        let answer = sent.expect("the container answers");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    /// Settings of a worker that calls this container.
    pub fn settings(&self, more: &[(&str, &str)]) -> OwnedSettings {
        settings_for(&self.address, self.dir.path(), more)
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// How often the log says `text`.
    pub fn count(&self, text: &str) -> usize {
        log(self.dir.path()).matches(text).count()
    }

    pub async fn wait_for(&self, text: &str) {
        let look = async {
            while self.count(text) == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, look).await;
        assert!(waited.is_ok(), "{text} is not in {}", log(self.dir.path()));
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("our own child can be killed");
        self.child.wait().expect("our own child can be waited for");
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // It may be dead already, which is all we want.
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

pub async fn listen(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, app).await.expect("served") });
    address
}

/// An endpoint that gives one answer to everything.
pub struct FakeEndpoint {
    dir: TempDir,
    address: String,
    calls: Arc<AtomicUsize>,
}

impl FakeEndpoint {
    pub async fn start(status: u16, body: Value) -> Self {
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

    pub fn settings(&self, more: &[(&str, &str)]) -> OwnedSettings {
        settings_for(&self.address, self.dir.path(), more)
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// The calls of Cloud Storage's JSON API that pictures and weights need, for one bucket.
#[derive(Clone)]
pub struct FakeStorage {
    pub address: String,
    bucket: Arc<Mutex<Bucket>>,
}

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Vec<u8>>,
    written: Vec<String>,
    unsigned: usize,
}

type Shared = State<Arc<Mutex<Bucket>>>;

impl FakeStorage {
    pub async fn start() -> Self {
        let bucket = Arc::new(Mutex::new(Bucket::default()));
        let app = Router::new()
            .route("/upload/storage/v1/b/posters/o", post(write_object))
            .route("/storage/v1/b/posters/o", get(list_objects))
            .route("/storage/v1/b/posters/o/{name}", get(read_object).delete(delete_object))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&bucket));
        Self { address: listen(app).await, bucket }
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().expect("no panic")
    }

    pub fn put(&self, name: &str, bytes: &[u8]) {
        self.bucket().objects.insert(name.to_owned(), bytes.to_vec());
    }

    pub fn put_folder(&self, folder: &Path, name: &str) {
        for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
            let name = format!("{name}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                self.put_folder(&entry.path(), &name);
            } else {
                self.put(&name, &std::fs::read(entry.path()).expect("a file"));
            }
        }
    }

    pub fn names(&self) -> Vec<String> {
        self.bucket().objects.keys().cloned().collect()
    }

    pub fn written(&self) -> Vec<String> {
        self.bucket().written.clone()
    }

    pub fn all_signed(&self) -> bool {
        self.bucket().unsigned == 0
    }
}

fn enter<'a>(bucket: &'a Mutex<Bucket>, headers: &HeaderMap) -> MutexGuard<'a, Bucket> {
    let mut bucket = bucket.lock().expect("no panic");
    let token = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    bucket.unsigned += usize::from(!token.starts_with("Bearer ey"));
    bucket
}

async fn write_object(
    State(bucket): Shared,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Json<Value> {
    let mut bucket = enter(&bucket, &headers);
    let name = query["name"].clone();
    bucket.objects.insert(name.clone(), body.to_vec());
    bucket.written.push(name.clone());
    Json(json!({ "kind": "storage#object", "name": name, "size": body.len().to_string() }))
}

/// One object a page.
async fn list_objects(
    State(bucket): Shared,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Json<Value> {
    let bucket = enter(&bucket, &headers);
    let after = query.get("pageToken").cloned().unwrap_or_default();
    let mut found = bucket.objects.iter().filter(|(name, _)| name.starts_with(&query["prefix"]) && **name > after);
    let items: Vec<_> =
        found.by_ref().take(1).map(|(name, bytes)| json!({ "name": name, "size": bytes.len().to_string() })).collect();
    let mut page = json!({ "kind": "storage#objects" });
    if let Some(item) = items.first() {
        page["nextPageToken"] = item["name"].clone();
        page["items"] = json!(items);
    }
    Json(page)
}

async fn read_object(State(bucket): Shared, UrlPath(name): UrlPath<String>, headers: HeaderMap) -> Response {
    match enter(&bucket, &headers).objects.get(&name) {
        Some(bytes) => bytes.clone().into_response(),
        None => (StatusCode::NOT_FOUND, "Not Found").into_response(),
    }
}

async fn delete_object(State(bucket): Shared, UrlPath(name): UrlPath<String>, headers: HeaderMap) -> StatusCode {
    match enter(&bucket, &headers).objects.remove(&name) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}
