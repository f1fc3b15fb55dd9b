//! The service under attack, and its resource usage.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use jobs::State;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::support::{Client, Service, command, poster_png, with_open_files};

/// Attacks use the whole machine, so they run one at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// How soon the service has to answer others, however busy the machine is.
const ANSWER: Duration = Duration::from_secs(10);

/// How soon a process has to end after SIGTERM: the grace of requests and of the worker, and room for a busy machine.
const END: Duration = Duration::from_secs(60);

/// A service under attack.
pub(crate) struct Victim {
    pub service: Service,
    pub client: Client,
    pub dir: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Victim {
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_as(settings, |command| command).await
    }

    /// With at most `limit` open files.
    pub(crate) async fn with_files(limit: u32, settings: &[(&str, &str)]) -> Self {
        Self::start_as(settings, |command| with_open_files(&command, limit)).await
    }

    /// With a command that wraps `unflatten serve`.
    pub(crate) async fn start_as(settings: &[(&str, &str)], wrap: impl FnOnce(Command) -> Command) -> Self {
        let turn = TURN.lock().await;
        allow_many_files();
        let dir = tempfile::tempdir().expect("a folder");
        let (service, client) = serve(dir.path(), settings, wrap);
        Self { service, client, dir, _turn: turn }
    }

    /// `unflatten-api` alone.
    pub(crate) async fn api(settings: &[(&str, &str)]) -> Self {
        let turn = TURN.lock().await;
        allow_many_files();
        let dir = tempfile::tempdir().expect("a folder");
        let service = Service::api(dir.path(), settings);
        let client = Client::without_idle_connections(&service.url);
        Self { service, client, dir, _turn: turn }
    }

    /// Starts the service again on the same folder, after the last one ended or was killed.
    pub(crate) fn restart(&mut self, settings: &[(&str, &str)], wrap: impl FnOnce(Command) -> Command) {
        let (service, client) = serve(self.dir.path(), settings, wrap);
        self.service = service;
        self.client = client;
    }

    /// The address without `http://`.
    pub(crate) fn address(&self) -> &str {
        self.client.url.trim_start_matches("http://")
    }

    /// A finished job on `png`.
    pub(crate) async fn finished(&self, png: Vec<u8>) -> Uuid {
        let upload = self.client.upload(png).await;
        let id = self.client.decompose(upload).await;
        let job = self.client.wait_finished(id).await;
        assert_eq!(job.state, State::Succeeded, "{job:?}");
        id
    }

    /// Checks that other clients are served: health, readiness, the state of a job, and a new job.
    pub(crate) async fn serves_others(&self, known: Uuid) {
        for path in ["/healthz".to_owned(), "/readyz".to_owned(), format!("/api/status/{known}")] {
            let answer = self.get(&path).await;
            assert_eq!(answer.status(), 200, "{path}");
        }
        let submit = async {
            let upload = self.client.upload(poster_png(48, 1)).await;
            self.client.decompose(upload).await
        };
        timeout(ANSWER, submit).await.expect("a job is taken in time");
    }

    /// Checks that an address answers in time.
    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        let get = || self.client.http.get(format!("{}{path}", self.client.url)).send();
        let answer = timeout(ANSWER, async {
            match get().await {
                // On a busy machine the request may come too late for its new connection, which gave its place to the
                // next. Every HTTP client sends a GET again then.
                Err(error) if error.is_request() => get().await,
                answer => answer,
            }
        });
        let answer = answer.await.unwrap_or_else(|_| panic!("{path} did not answer in {ANSWER:?}"));
        answer.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Whether the process is still there.
    pub(crate) fn check_alive(&mut self) {
        let ended = self.service.child.try_wait().expect("our own child can be asked");
        assert!(ended.is_none(), "the process ended: {ended:?}");
    }

    /// SIGTERM ends the process by itself and in time.
    pub(crate) async fn ends(&mut self) {
        self.service.signal("TERM");
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            if let Some(status) = self.service.child.try_wait().expect("our own child can be asked") {
                assert_eq!(status.code(), Some(0), "ended with {status}");
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("SIGTERM did not end the process within {END:?}");
    }

    /// Resident memory of the process, in megabytes.
    pub(crate) fn memory_mb(&self) -> u64 {
        self.status("VmRSS:") / 1024
    }

    pub(crate) fn threads(&self) -> u64 {
        self.status("Threads:")
    }

    /// CPU time of the process, in seconds.
    pub(crate) fn cpu_s(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.service.child.id())).expect("it runs");
        // The fields after the name, which is in parentheses: user and system time are the 14th and 15th of all.
        let fields: Vec<_> = stat.rsplit_once(") ").expect("a name in brackets").1.split(' ').collect();
        let ticks = |index: usize| fields[index].parse::<f64>().expect("a number");
        // Linux reports hundredths of a second, independent of the kernel's tick.
        (ticks(11) + ticks(12)) / 100.0
    }

    fn status(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.service.child.id());
        let text = std::fs::read_to_string(path).expect("the process runs");
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel tells it");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

fn serve(dir: &Path, settings: &[(&str, &str)], wrap: impl FnOnce(Command) -> Command) -> (Service, Client) {
    let mut plain = command("unflatten", dir);
    plain.args(["serve", "--port", "0"]).env("RUST_LOG", "error").envs(settings.iter().copied());
    let service = Service::spawn(wrap(plain));
    let client = Client::without_idle_connections(&service.url);
    (service, client)
}

/// The attacker needs a descriptor for each of its connections.
fn allow_many_files() {
    let own = std::process::id().to_string();
    let status = Command::new("prlimit").args(["--pid", &own, "--nofile=8192:"]).status();
    assert!(status.expect("prlimit can be started").success(), "8192 open files are needed: raise `ulimit -Hn`");
}

/// Elements of a document that show a result's lowest layer once for each edit.
pub(crate) fn shown(job: Uuid, edits: &[Value]) -> Value {
    let element = |(id, edit)| json!({ "id": id, "layer": { "job_id": job, "layer": 0 }, "edit": edit });
    edits.iter().enumerate().map(element).collect()
}
