//! The service as users run it: the program, a free port, its own folders.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::PATIENCE;

/// Where a service listens; enough for the page while the service itself is stopped and started.
pub(crate) struct Address(u16);

impl Address {
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.0)
    }
}

pub(crate) struct Service {
    port: u16,
    folder: TempDir,
    settings: Vec<(String, String)>,
    child: Child,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With settings of its own.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let port = free_port();
        let settings: Vec<_> = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let child = spawn(&folder, port, &settings);
        let service = Self { port, folder, settings, child };
        service.ready().await;
        service
    }

    pub(crate) fn address(&self) -> String {
        self.clone_address().url()
    }

    pub(crate) fn clone_address(&self) -> Address {
        Address(self.port)
    }

    /// Kills the process, like a power cut.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("the service runs");
    }

    /// On the same port and the same folders.
    pub(crate) async fn start_again(&mut self) {
        self.child = spawn(&self.folder, self.port, &self.settings);
        self.ready().await;
    }

    pub(crate) async fn metadata(&self, job_id: &str) -> Value {
        let url = format!("{}/api/jobs/{job_id}/metadata.json", self.address());
        let bytes = reqwest::get(url).await.expect("an answer").bytes().await.expect("a body");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    async fn ready(&self) {
        jobs::testing::choose_tls();
        let started = Instant::now();
        let url = format!("{}/readyz", self.address());
        while !reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success()) {
            assert!(started.elapsed() < PATIENCE, "the service did not get ready:\n{}", self.log());
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the service's log:\n{}", self.log());
        }
    }
}

fn spawn(folder: &TempDir, port: u16, settings: &[(String, String)]) -> Child {
    let path = |name: &str| folder.path().join(name);
    let log = std::fs::File::options().create(true).append(true).open(path("log")).expect("a log file");
    Command::new(env!("CARGO_BIN_EXE_unflatten"))
        .arg("serve")
        // No .env of the developer, no Redis.
        .current_dir(folder.path())
        .env_clear()
        .env("HOST", "127.0.0.1")
        .env("PORT", port.to_string())
        .env("UPLOAD_DIR", path("uploads"))
        .env("RESULTS_DIR", path("results"))
        .env("EMBEDDED_QUEUE_FILE", path("queue.sqlite"))
        .env("JOB_LEASE_S", "3")
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .expect("the unflatten program starts")
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
