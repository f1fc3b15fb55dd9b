//! A fake of Cloud Storage with its XML API.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path as UrlPath, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::google::{PATIENCE, listen};

/// The calls of Cloud Storage that pictures and weights need, for one bucket.
#[derive(Clone)]
pub(crate) struct FakeStorage {
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
    pub(crate) async fn start() -> Self {
        let bucket = Arc::new(Mutex::new(Bucket::default()));
        let app = Router::new()
            .route("/posters", get(list_objects))
            .route("/posters/{name}", get(read_object).put(write_object).delete(delete_object))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&bucket));
        Self { address: listen(app).await, bucket }
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().expect("no panic")
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        self.bucket().write(name, bytes);
    }

    pub(crate) fn put_folder(&self, folder: &Path, name: &str) {
        for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
            let name = format!("{name}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                self.put_folder(&entry.path(), &name);
            } else {
                self.put(&name, &std::fs::read(entry.path()).expect("a file"));
            }
        }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.bucket().objects.keys().cloned().collect()
    }

    pub(crate) async fn wait_until_empty(&self) {
        let look = async {
            while !self.names().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, look).await;
        assert!(waited.is_ok(), "this is left behind: {:?}", self.names());
    }

    pub(crate) fn written(&self) -> Vec<String> {
        self.bucket().written.clone()
    }

    pub(crate) fn all_signed(&self) -> bool {
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

fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    let xml =
        format!("<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
    (status, xml).into_response()
}

fn not_found() -> Response {
    refusal(StatusCode::NOT_FOUND, "NoSuchKey", "The specified key does not exist.")
}

async fn write_object(
    State(bucket): Shared,
    UrlPath(name): UrlPath<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut bucket = enter(&bucket, &headers);
    let generation = bucket.write(&name, &body);
    bucket.written.push(name);
    version(generation).into_response()
}

/// The headers that name an object's version.
fn version(generation: u64) -> [(&'static str, String); 2] {
    [("etag", format!("\"{generation}\"")), ("x-goog-generation", generation.to_string())]
}

/// One object a page.
async fn list_objects(
    State(bucket): Shared,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> String {
    let bucket = enter(&bucket, &headers);
    assert_eq!(query["list-type"], "2");
    let prefix = query.get("prefix").cloned().unwrap_or_default();
    let after = query.get("continuation-token").cloned().unwrap_or_default();
    let mut found = bucket.objects.iter().filter(|(name, _)| name.starts_with(&prefix) && **name > after);
    let page = found.next().map(|(name, (bytes, generation))| {
        let modified = "<LastModified>2026-01-01T00:00:00.000Z</LastModified>";
        let size = bytes.len();
        format!(
            "<Contents><Key>{name}</Key>{modified}<ETag>\"{generation}\"</ETag><Size>{size}</Size></Contents>\
             <NextContinuationToken>{name}</NextContinuationToken>"
        )
    });
    format!("<ListBucketResult><Name>posters</Name>{}</ListBucketResult>", page.unwrap_or_default())
}

async fn read_object(State(bucket): Shared, UrlPath(name): UrlPath<String>, headers: HeaderMap) -> Response {
    match enter(&bucket, &headers).objects.get(&name) {
        Some((bytes, generation)) => {
            let modified = [("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")];
            (version(*generation), modified, bytes.clone()).into_response()
        }
        None => not_found(),
    }
}

async fn delete_object(State(bucket): Shared, UrlPath(name): UrlPath<String>, headers: HeaderMap) -> Response {
    match enter(&bucket, &headers).objects.remove(&name) {
        Some(_) => StatusCode::NO_CONTENT.into_response(),
        None => not_found(),
    }
}
