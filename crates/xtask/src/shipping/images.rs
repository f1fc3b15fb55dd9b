//! `cargo xtask images`: builds the images of docker/ without Docker, runs them, and says how large they are.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::bases::{self, Container, ISOLATION, output};
use super::driver::{self, drive_job, wait_ready};
use super::process::{Process, free_port, redis};
use crate::install::{InstallOptions, install_shipping_programs};
use crate::run::{run, target};

#[derive(Args)]
pub(crate) struct ImagesArguments {
    #[command(flatten)]
    install: InstallOptions,
    /// Run and measure the images that are there, without building them anew
    #[arg(long)]
    built: bool,
}

/// The user that images run as.
const USER: &str = "10001";

/// Where containers keep pictures.
const STORAGE: &str = "/var/lib/unflatten/storage";

struct Image {
    name: &'static str,
    file: &'static str,
    /// Arguments of the build that leave the GPU out.
    arguments: &'static [&'static str],
    program: &'static str,
    /// The size that it may have, in MB.
    most: Option<u64>,
}

const API: Image =
    Image { name: "unflatten-api", file: "api", arguments: &[], program: "unflatten-api", most: Some(120) };
const WORKER: Image =
    Image { name: "unflatten-worker", file: "worker", arguments: &[], program: "unflatten-worker", most: Some(250) };
const VERTEX: Image = Image {
    name: "unflatten-vertex",
    file: "vertex",
    arguments: &["BASE=debian:bookworm-slim", "FEATURES=cloud"],
    program: "unflatten-worker",
    most: None,
};

pub(crate) fn images(arguments: &ImagesArguments) -> anyhow::Result<()> {
    install_shipping_programs(arguments.install)?;
    let images = [API, WORKER, VERTEX];
    if !arguments.built {
        bases::prepare()?;
        for image in &images {
            let mut words = Vec::from(["--tag", image.name]);
            words.extend(image.arguments.iter().flat_map(|argument| ["--build-arg", argument]));
            build(image.file, &words)?;
        }
    }
    let folder = target().join("images/trial");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    try_service(&folder).context("the images of API and worker failed together")?;
    try_vertex().context("the image for Vertex AI failed")?;
    for image in &images {
        let size = image.size()?;
        println!("{}: {size} MB", image.name);
        let most = image.most.unwrap_or(u64::MAX);
        ensure!(size < most, "{} may have {most} MB", image.name);
    }
    Ok(())
}

/// Builds a Dockerfile of ours as Docker would, without its engine.
pub(crate) fn build(file: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let path = format!("docker/{file}.Dockerfile");
    let ignored = format!("{path}.dockerignore");
    // Docker's format has health checks, OCI's does not.
    let fixed = ["--format", "docker", "--pull-never", "--ignorefile", &ignored, "--file", &path];
    run("buildah", [&["build"], &ISOLATION[..], &fixed, arguments, &["."]].concat())
}

impl Image {
    fn inspect(&self) -> anyhow::Result<Value> {
        let text = output(Command::new("buildah").args(["inspect", "--type", "image", self.name]))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Megabytes of all layers, unpacked.
    fn size(&self) -> anyhow::Result<u64> {
        let about = self.inspect()?;
        let manifest: Value = serde_json::from_str(about["Manifest"].as_str().context("an image without manifest")?)?;
        let layers = manifest["layers"].as_array().context("a manifest without layers")?;
        Ok(layers.iter().filter_map(|layer| layer["size"].as_u64()).sum::<u64>().div_ceil(1_000_000))
    }

    /// What the image says of how it is run, such as `Entrypoint`.
    fn words(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let about = self.inspect()?;
        let value = &about["Docker"]["config"][name];
        serde_json::from_value(value.clone()).with_context(|| format!("{} has no {name}: {value}", self.name))
    }

    /// Starts the image's entry point with more variables.
    fn start(&self, volume: Option<&Path>, variables: &[(&str, &str)]) -> anyhow::Result<Running> {
        let container = Container::from(self.name)?;
        let mut command = Command::new("buildah");
        command.arg("run").args(ISOLATION);
        if let Some(folder) = volume {
            command.args(["--volume", &format!("{}:{STORAGE}", folder.display())]);
        }
        command.args(variables.iter().flat_map(|(name, value)| ["--env".to_owned(), format!("{name}={value}")]));
        command.arg(&container.id).arg("--").args(self.words("Entrypoint")?);
        let process = Process::start(self.name, command)?;
        Ok(Running { process, container, program: self.program })
    }
}

/// An image's program in its container.
struct Running {
    process: Process,
    container: Container,
    program: &'static str,
}

impl Running {
    /// Checks whose process it is, and stops it as Docker does.
    fn stop(self) -> anyhow::Result<()> {
        let id = descendant(self.process.id(), self.program)
            .with_context(|| format!("{} is not among the processes of its container", self.program))?;
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let user =
            status.lines().find_map(|line| line.strip_prefix("Uid:")).and_then(|ids| ids.split_whitespace().next());
        ensure!(user == Some(USER), "{} runs as user {user:?}", self.program);
        self.process.stop(id)
    }
}

/// The process that runs `program`, among those that `id` started.
fn descendant(id: u32, program: &str) -> Option<u32> {
    let is_it =
        fs::read_link(format!("/proc/{id}/exe")).is_ok_and(|exe| exe.file_name().is_some_and(|it| it == program));
    if is_it {
        return Some(id);
    }
    let threads = fs::read_dir(format!("/proc/{id}/task")).ok()?;
    let children = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<String> = children.collect();
    children.iter().flat_map(|ids| ids.split_whitespace()).find_map(|id| descendant(id.parse().ok()?, program))
}

/// Redis, the API's image and the worker's: one job from upload to PSD.
fn try_service(folder: &Path) -> anyhow::Result<()> {
    let (_redis, redis_url) = redis()?;
    let storage = folder.join("storage");
    fs::create_dir_all(&storage)?;
    run("chown", [USER, &storage.to_string_lossy()])?;
    let port = free_port()?.to_string();
    let url = format!("http://127.0.0.1:{port}");
    let api_variables = [("REDIS_URL", redis_url.as_str()), ("HOST", "127.0.0.1"), ("PORT", &port)];
    let api = API.start(Some(&storage), &api_variables)?;
    wait_ready(&url, "/readyz")?;
    let check = health_check()?;
    let check: Vec<_> =
        ["env", "HOST=127.0.0.1", &format!("PORT={port}")].into_iter().map(str::to_owned).chain(check).collect();
    api.container.run(&check.iter().map(String::as_str).collect::<Vec<_>>())?;
    let worker = WORKER.start(Some(&storage), &[("REDIS_URL", &redis_url)])?;
    drive_job(&url, folder)?;
    worker.stop()?;
    api.stop()
}

/// The command by which Docker sees whether the API is well.
fn health_check() -> anyhow::Result<Vec<String>> {
    let about = API.inspect()?;
    let test = &about["Docker"]["config"]["Healthcheck"]["Test"];
    let mut words: Vec<String> = serde_json::from_value(test.clone()).context("the API's image has no health check")?;
    ensure!(words.len() > 1 && words.remove(0) == "CMD", "the health check is {test}");
    Ok(words)
}

/// One prediction, as docs/vertex.md asks for it.
fn try_vertex() -> anyhow::Result<()> {
    let port = free_port()?.to_string();
    let url = format!("http://127.0.0.1:{port}");
    let container = VERTEX.start(None, &[("ENGINES", "draft"), ("AIP_HTTP_PORT", &port)])?;
    wait_ready(&url, "/health")?;
    let picture = output(Command::new("base64").arg("--wrap=0").arg(driver::poster()))?;
    let id = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    let asked = json!({ "instances": [{ "job_id": id.trim(), "image": { "b64": picture }, "wait_s": 100 }] });
    let body = target().join("images/trial/prediction.json");
    fs::write(&body, asked.to_string())?;
    let data = format!("@{}", body.display());
    let answer =
        driver::json(&["--header", "Content-Type: application/json", "--data", &data, &format!("{url}/predict")])?;
    let prediction = &answer["predictions"][0];
    let layers = prediction["layers"].as_array().map_or(0, Vec::len);
    ensure!(layers > 1, "{layers} layers; the prediction's state is {}", prediction["state"]);
    println!("prediction: {layers} layers");
    container.stop()
}

/// Builds the programs of the package in the container that images are built in, and writes them into a folder.
pub(crate) fn programs(into: &Path) -> anyhow::Result<()> {
    bases::prepare()?;
    build("programs", &["--output", &format!("type=local,dest={}", into.display())])
}
