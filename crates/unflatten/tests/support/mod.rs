//! Starts the real programs and talks to them like any client.
#![allow(dead_code, unused_imports, reason = "each test program uses a part of this")]

mod pictures;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use image::RgbaImage;
use jobs::{Event, EventKind, Job, Metadata};
use uuid::Uuid;

pub(crate) use pictures::{noise_png, poster, poster_png, titled_png, write_poster};

/// Timeout of every wait: longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// The program `unflatten`, or one of its siblings in the same folder.
pub(crate) fn program(name: &str) -> PathBuf {
    let unflatten = PathBuf::from(env!("CARGO_BIN_EXE_unflatten"));
    if name == "unflatten" {
        return unflatten;
    }
    let path = unflatten.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let advice = "run `cargo xtask test`, or `cargo build -p api -p unflatten --bins` first";
    assert!(path.is_file(), "{} is not built: {advice}", path.display());
    path
}

/// A command in `dir` without any settings from the environment.
pub(crate) fn command(name: &str, dir: &Path) -> Command {
    let mut command = Command::new(program(name));
    command.current_dir(dir).stdin(Stdio::null()).env_clear();
    // Variables that programs need to run at all.
    for kept in ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "SystemRoot"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command
}

/// `command`, started with at most `most` open files.
pub(crate) fn with_open_files(command: &Command, most: u32) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\"")]);
    limited.arg(command.get_program()).args(command.get_args());
    limited.current_dir(command.get_current_dir().expect("the folder is set")).stdin(Stdio::null()).env_clear();
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited
}

pub(crate) fn run(dir: &Path, arguments: &[&str]) -> Output {
    command("unflatten", dir).args(arguments).output().expect("unflatten can be started")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Checks a result folder against its input and answers with its metadata.
pub(crate) fn check_result(dir: &Path, input: &RgbaImage) -> Metadata {
    let text = std::fs::read(dir.join("metadata.json")).expect("metadata.json is there");
    let metadata: Metadata = serde_json::from_slice(&text).expect("metadata.json can be read");
    let mut composite = vec![[0.0_f32; 4]; (input.width() * input.height()) as usize];
    for (index, layer) in metadata.layers.iter().enumerate() {
        assert_eq!(layer.file, format!("layer_{index}.png"));
        let picture = image::open(dir.join(&layer.file)).expect("a layer can be read").into_rgba8();
        assert_eq!(picture.dimensions(), input.dimensions());
        for (below, above) in composite.iter_mut().zip(picture.pixels()) {
            let alpha = f32::from(above[3]) / 255.0;
            for (channel, value) in below.iter_mut().zip([above[0], above[1], above[2], 255]) {
                *channel = alpha * f32::from(value) + (1.0 - alpha) * *channel;
            }
        }
    }
    for (index, (found, expected)) in composite.iter().zip(input.pixels()).enumerate() {
        if expected[3] < 255 {
            // Pictures have straight 8-bit values; the difference is measured in premultiplied ones.
            let straight = |value: f32| (255.0 * value / found[3].max(0.5)).round().min(255.0);
            let written = [straight(found[0]), straight(found[1]), straight(found[2]), found[3].round()];
            let premultiplied = |pixel: [f32; 4]| {
                let [r, g, b, alpha] = pixel;
                [r, g, b, 255.0].map(|value| (value * alpha / 255.0).round())
            };
            let expected = premultiplied(expected.0.map(f32::from));
            for (found, expected) in premultiplied(written).iter().zip(expected) {
                assert!((found - expected).abs() <= 1.0, "pixel {index}: {found} instead of {expected}");
            }
            continue;
        }
        for (found, expected) in found.iter().zip(expected.0) {
            let error = (found - f32::from(expected)).abs();
            // 1/255, and what rounding of the sum adds.
            assert!(error <= 1.01, "pixel {index} is {error} away: {found} instead of {expected}");
        }
    }
    assert!(image::open(dir.join("preview.jpg")).is_ok(), "preview.jpg can be read");
    metadata
}

/// A server process that dies with this value.
pub(crate) struct Service {
    pub child: Child,
    pub url: String,
}

impl Service {
    /// `unflatten serve` on a free port, with its queue and storage in `dir`.
    pub(crate) fn all_in_one(dir: &Path, settings: &[(&str, &str)]) -> Self {
        let mut command = command("unflatten", dir);
        command.args(["serve", "--port", "0"]).envs(settings.iter().copied());
        Self::spawn(command)
    }

    /// Like [`Service::all_in_one`], with at most so many open files.
    pub(crate) fn with_open_files(dir: &Path, most: u32) -> Self {
        let mut command = command("unflatten", dir);
        command.args(["serve", "--port", "0"]);
        Self::spawn(with_open_files(&command, most))
    }

    /// A command that runs `unflatten serve`, such as one that sets limits first.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("unflatten can be started");
        let url = wait_for_url(child.stdout.take().expect("stdout is piped"), "http://localhost:");
        Self { child, url }
    }

    /// `unflatten-api` on a free port.
    pub(crate) fn api(dir: &Path, settings: &[(&str, &str)]) -> Self {
        let mut command = command("unflatten-api", dir);
        command.args(["--port", "0"]).envs(settings.iter().copied());
        Self::spawn_api(command)
    }

    /// A command that runs `unflatten-api`.
    pub(crate) fn spawn_api(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("unflatten-api can be started");
        let url = wait_for_url(child.stderr.take().expect("stderr is piped"), "http://127.0.0.1:");
        Self { child, url }
    }

    pub(crate) fn worker(dir: &Path, settings: &[(&str, &str)]) -> Self {
        let mut command = command("unflatten-worker", dir);
        command.envs(settings.iter().copied());
        Self { child: command.spawn().expect("unflatten-worker can be started"), url: String::new() }
    }

    /// Kills the process, like a crash or the OOM killer.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("our own child can be killed");
        self.child.wait().expect("our own child can be waited for");
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Waits for the process to end by itself.
    pub(crate) fn exit_code(mut self) -> Option<i32> {
        exit_code(&mut self.child)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may already be dead.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(status.expect("kill can be started").success());
}

pub(crate) fn exit_code(child: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("our own child can be asked") {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the process did not end");
}

/// Reads the output of a process until it contains the address; keeps reading, so that the pipe never fills.
fn wait_for_url(output: impl std::io::Read + Send + 'static, prefix: &'static str) -> String {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            eprintln!("{line}");
            if let Some(start) = line.find(prefix) {
                let port: String = line[start + prefix.len()..].chars().take_while(char::is_ascii_digit).collect();
                let _ = sender.send(format!("http://127.0.0.1:{port}"));
            }
        }
    });
    receiver.recv_timeout(PATIENCE).expect("the service names its address")
}

/// Talks to a service.
pub(crate) struct Client {
    pub url: String,
    pub http: reqwest::Client,
}

impl Client {
    pub(crate) fn new(url: &str) -> Self {
        Self::with(url, reqwest::Client::builder())
    }

    /// With a new connection for each request. A full service closes idle connections, and a request that is sent on one
    /// at that moment is lost.
    pub(crate) fn without_idle_connections(url: &str) -> Self {
        Self::with(url, reqwest::Client::builder().pool_max_idle_per_host(0))
    }

    fn with(url: &str, client: reqwest::ClientBuilder) -> Self {
        jobs::testing::choose_tls();
        let http = client.timeout(PATIENCE).build().expect("a client can be made");
        Self { url: url.to_owned(), http }
    }

    pub(crate) async fn upload(&self, png: Vec<u8>) -> Uuid {
        let part = reqwest::multipart::Part::bytes(png).file_name("poster.png");
        let form = reqwest::multipart::Form::new().part("image", part);
        let answer = self.http.post(format!("{}/api/upload", self.url)).multipart(form).send().await;
        let answer = answer.expect("the API answers");
        assert!(answer.status().is_success(), "{}", answer.status());
        let body: serde_json::Value = answer.json().await.expect("JSON");
        serde_json::from_value(body["upload_id"].clone()).expect("an id")
    }

    pub(crate) async fn decompose(&self, upload_id: Uuid) -> Uuid {
        self.decompose_into(upload_id, 3).await
    }

    pub(crate) async fn decompose_into(&self, upload_id: Uuid, layers: u32) -> Uuid {
        let asked = serde_json::json!({ "upload_id": upload_id, "num_layers": layers, "seed": 7 });
        let answer = self.http.post(format!("{}/api/decompose", self.url)).json(&asked).send().await;
        let answer = answer.expect("the API answers");
        assert_eq!(answer.status(), 202);
        let body: serde_json::Value = answer.json().await.expect("JSON");
        serde_json::from_value(body["job_id"].clone()).expect("an id")
    }

    pub(crate) async fn job(&self, id: Uuid) -> Job {
        let answer = self.http.get(format!("{}/api/status/{id}", self.url)).send().await;
        answer.expect("the API answers").json().await.expect("a job")
    }

    /// Waits until `is` holds for a job.
    pub(crate) async fn wait(&self, id: Uuid, what: &str, is: impl Fn(&Job) -> bool) -> Job {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let job = self.job(id).await;
            if is(&job) {
                return job;
            }
            assert!(Instant::now() < deadline, "job {id} is not {what}: {job:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn wait_finished(&self, id: Uuid) -> Job {
        self.wait(id, "finished", |job| job.state.is_terminal()).await
    }

    pub(crate) async fn wait_started(&self, id: Uuid) -> Job {
        self.wait(id, "started", |job| job.progress.is_some() || job.state.is_terminal()).await
    }

    /// All events of a finished job, over SSE.
    pub(crate) async fn events(&self, id: Uuid) -> Vec<Event> {
        let answer = self.http.get(format!("{}/api/jobs/{id}/events", self.url)).send().await;
        let text = answer.expect("the API answers").text().await.expect("the stream ends after the last event");
        let frames = text.lines().filter_map(|line| line.strip_prefix("data:"));
        // Frames without a number (queue positions) are not events.
        frames.filter_map(|frame| serde_json::from_str(frame.trim()).ok()).collect()
    }

    pub(crate) async fn json(&self, path: &str) -> serde_json::Value {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await.expect("the API answers");
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.expect("JSON")
    }

    /// Starts a job that splits a layer; its id.
    pub(crate) async fn split(&self, id: Uuid, layer: u32) -> Uuid {
        let url = format!("{}/api/jobs/{id}/layers/{layer}/decompose", self.url);
        let asked = serde_json::json!({ "num_layers": 2, "seed": 7 });
        let answer = self.http.post(url).json(&asked).send().await.expect("the API answers");
        assert_eq!(answer.status(), 202);
        let body: serde_json::Value = answer.json().await.expect("JSON");
        serde_json::from_value(body["job_id"].clone()).expect("an id")
    }

    pub(crate) async fn patch(&self, id: Uuid, layer: u32, edit: serde_json::Value) {
        let url = format!("{}/api/jobs/{id}/layers/{layer}", self.url);
        let answer = self.http.patch(url).json(&edit).send().await.expect("the API answers");
        assert_eq!(answer.status(), 200, "{edit}");
    }

    /// The document as it is edited, as one picture.
    pub(crate) async fn compose(&self, id: Uuid) -> RgbaImage {
        let url = format!("{}/api/jobs/{id}/compose", self.url);
        let answer = self.http.post(url).json(&serde_json::json!({})).send().await.expect("the API answers");
        assert_eq!(answer.status(), 200);
        image::load_from_memory(&answer.bytes().await.expect("a body")).expect("a PNG").into_rgba8()
    }

    pub(crate) async fn delete(&self, id: Uuid) {
        let answer = self.http.delete(format!("{}/api/jobs/{id}", self.url)).send().await.expect("the API answers");
        assert_eq!(answer.status(), 204);
    }

    pub(crate) async fn download(&self, id: Uuid) -> Vec<u8> {
        let answer = self.http.get(format!("{}/api/download/{id}", self.url)).send().await.expect("the API answers");
        assert_eq!(answer.status(), 200);
        answer.bytes().await.expect("a body").to_vec()
    }
}

/// Events are numbered without gaps and exactly one, the last, is a success.
pub(crate) fn check_succeeded_once(events: &[Event]) {
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event.seq, index as u64 + 1, "{events:?}");
    }
    let ends: Vec<_> = events.iter().filter(|event| event.kind.is_terminal()).collect();
    assert_eq!(ends.len(), 1, "{events:?}");
    assert!(matches!(ends[0].kind, EventKind::Succeeded { .. }), "{:?}", ends[0]);
    assert_eq!(ends[0].seq, events.len() as u64, "something came after the end");
}

/// Unpacks a downloaded result.
pub(crate) fn unzip(bytes: &[u8], into: &Path) {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).expect("a ZIP archive");
    archive.extract(into).expect("the archive can be unpacked");
}

/// The library that moves the wall clock of a process, not its monotonic one.
pub(crate) fn libfaketime() -> PathBuf {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"];
    let found = folders.iter().map(|folder| Path::new(folder).join("faketime/libfaketimeMT.so.1"));
    found.into_iter().find(|path| path.is_file()).expect("libfaketime is installed; `cargo xtask test` does it")
}
