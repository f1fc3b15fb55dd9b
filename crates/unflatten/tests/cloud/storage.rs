//! A stand-in for Cloud Storage.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path as UrlPath, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::google::{PATIENCE, listen};

/// The calls of Cloud Storage's JSON API that pictures and weights need, for one bucket.
#[derive(Clone)]
pub struct FakeStorage {
    pub address: String,
    bucket: Arc<Mutex<Bucket>>,
}

#[derive(Default)]
struct Bucket {
    /// Content and generation, by name.
    objects: BTreeMap<String, (Vec<u8>, u64)>,
    latest_generation: u64,
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
        self.bucket().write(name, bytes);
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

    pub async fn wait_until_empty(&self) {
        let look = async {
            while !self.names().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, look).await;
        assert!(waited.is_ok(), "this is left behind: {:?}", self.names());
    }

    pub fn written(&self) -> Vec<String> {
        self.bucket().written.clone()
    }

    pub fn all_signed(&self) -> bool {
        self.bucket().unsigned == 0
    }
}

impl Bucket {
    fn write(&mut self, name: &str, bytes: &[u8]) -> u64 {
        self.latest_generation += 1;
        self.objects.insert(name.to_owned(), (bytes.to_vec(), self.latest_generation));
        self.latest_generation
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
) -> Response {
    let mut bucket = enter(&bucket, &headers);
    let name = query["name"].clone();
    let generation = bucket.objects.get(&name).map_or(0, |(_, generation)| *generation);
    if query.get("ifGenerationMatch").is_some_and(|expected| *expected != generation.to_string()) {
        let message = "At least one of the pre-conditions you specified did not hold.";
        let errors = json!([{ "message": message, "domain": "global", "reason": "conditionNotMet" }]);
        let error = json!({ "error": { "code": 412, "message": message, "errors": errors } });
        return (StatusCode::PRECONDITION_FAILED, Json(error)).into_response();
    }
    let generation = bucket.write(&name, &body);
    bucket.written.push(name.clone());
    let (size, generation) = (body.len().to_string(), generation.to_string());
    Json(json!({ "kind": "storage#object", "name": name, "size": size, "generation": generation })).into_response()
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
    let items: Vec<_> = found
        .by_ref()
        .take(1)
        .map(|(name, (bytes, _))| json!({ "name": name, "size": bytes.len().to_string() }))
        .collect();
    let mut page = json!({ "kind": "storage#objects" });
    if let Some(item) = items.first() {
        page["nextPageToken"] = item["name"].clone();
        page["items"] = json!(items);
    }
    Json(page)
}

async fn read_object(State(bucket): Shared, UrlPath(name): UrlPath<String>, headers: HeaderMap) -> Response {
    match enter(&bucket, &headers).objects.get(&name) {
        Some((bytes, generation)) => ([("x-goog-generation", generation.to_string())], bytes.clone()).into_response(),
        None => (StatusCode::NOT_FOUND, "Not Found").into_response(),
    }
}

async fn delete_object(State(bucket): Shared, UrlPath(name): UrlPath<String>, headers: HeaderMap) -> StatusCode {
    match enter(&bucket, &headers).objects.remove(&name) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}
