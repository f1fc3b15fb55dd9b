use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::RwLock;
use tokio_util::task::AbortOnDropHandle;

const BUCKET: &str = "layers";
const ACCESS_KEY: &str = "test-access-key";
const SECRET_KEY: &str = "test-secret-key";

/// While requests are counted each takes so long, so that those that are sent together are seen to be.
const COUNTED_DELAY: Duration = Duration::from_millis(100);

/// The requests that a bucket was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    pub requests: usize,
    /// Requests that came one after the other: those that were sent together count as one.
    pub round_trips: usize,
}

/// When each request came and was answered; `None` while nobody counts.
type Log = Arc<Mutex<Option<Vec<(Instant, Instant)>>>>;

/// A server that speaks S3, with one empty bucket in a temporary folder. Ends with this value.
#[derive(Debug)]
pub struct BucketServer {
    endpoint: String,
    log: Log,
    _server: AbortOnDropHandle<()>,
    dir: TempDir,
}

impl BucketServer {
    /// Starts a server in this process.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn start() -> Self {
        // Clients that a test makes itself ask the process for its cryptography.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = TempDir::new().expect("a test can make a temporary folder");
        std::fs::create_dir(dir.path().join(BUCKET)).expect("and one in it");
        let files = s3s_fs::FileSystem::new(dir.path()).expect("the folder is there");
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a test can bind a port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let log = Log::default();
        let _server = AbortOnDropHandle::new(tokio::spawn(serve(listener, builder.build(), Arc::clone(&log))));
        Self { endpoint: format!("http://{address}"), log, _server, dir }
    }

    /// What names the bucket, and the provider's settings for it.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("STORAGE_URL", format!("s3://{BUCKET}/some/prefix")),
            ("AWS_ENDPOINT", self.endpoint.clone()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ]
    }

    /// Counts the requests that `work` makes.
    pub async fn count<T>(&self, work: impl Future<Output = T>) -> (T, Traffic) {
        *lock(&self.log) = Some(Vec::new());
        let done = work.await;
        let mut requests = lock(&self.log).take().unwrap_or_default();
        // The longest row of requests of which each came after the one before was answered.
        requests.sort_unstable_by_key(|(_, answered)| *answered);
        let (mut round_trips, mut last) = (0, None);
        for (came, answered) in &requests {
            if last.is_none_or(|last| last <= *came) {
                round_trips += 1;
                last = Some(*answered);
            }
        }
        (done, Traffic { requests: requests.len(), round_trips })
    }

    /// Removes an object behind everyone's back.
    ///
    /// # Panics
    /// When it is not there.
    pub fn delete(&self, key: &str) {
        std::fs::remove_file(self.dir.path().join(BUCKET).join(key)).expect("the object is there");
    }

    /// The keys of all objects, sorted.
    ///
    /// # Panics
    /// When the server's folder cannot be read.
    pub fn keys(&self) -> Vec<String> {
        let root = self.dir.path().join(BUCKET);
        let mut folders = vec![root.clone()];
        let mut keys = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("the bucket is there") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(key) = path.strip_prefix(&root) {
                    keys.push(key.to_string_lossy().into_owned());
                }
            }
        }
        keys.sort();
        keys
    }
}

fn lock(log: &Log) -> std::sync::MutexGuard<'_, Option<Vec<(Instant, Instant)>>> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, service: S3Service, log: Log) {
    // The server checks the condition of a write, writes the object, and writes its tag in steps, between which another
    // write would be lost and a reader would get an old object with a new tag; a real bucket does all in one.
    let turn = Arc::new(RwLock::new(()));
    while let Ok((stream, _)) = listener.accept().await {
        let (service, turn, log) = (service.clone(), Arc::clone(&turn), Arc::clone(&log));
        let answer = service_fn(move |request: Request<Incoming>| {
            let (service, turn, log) = (service.clone(), Arc::clone(&turn), Arc::clone(&log));
            async move {
                let came = Instant::now();
                let is_counted = lock(&log).is_some();
                if is_counted {
                    tokio::time::sleep(COUNTED_DELAY).await;
                }
                let writes = [Method::PUT, Method::POST, Method::DELETE].contains(request.method());
                let (_alone, _beside) =
                    if writes { (Some(turn.write().await), None) } else { (None, Some(turn.read().await)) };
                let answer = Service::call(&service, request).await;
                if let Some(requests) = lock(&log).as_mut().filter(|_| is_counted) {
                    requests.push((came, Instant::now()));
                }
                answer
            }
        });
        tokio::spawn(async move {
            // Errors of a client that disconnects do not matter.
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}
