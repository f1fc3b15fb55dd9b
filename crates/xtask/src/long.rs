//! What takes minutes: more cases of the property tests, and schemathesis against the running service.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::run::{cargo, execute, root, run, target, text};
use crate::test::FEATURES;

/// Cases of each property; a plain run has 256.
const CASES: &str = "5000";

/// Requests to each operation in each phase.
const EXAMPLES: &str = "60";

/// How long the service may take to start.
const START: Duration = Duration::from_secs(60);

const TOKEN: &str = "schemathesis-0123456789-0123456789";

/// Properties of what comes from outside: pictures, forms, JSON, weights; and of exports, which are read back.
pub(crate) fn properties() -> anyhow::Result<()> {
    let mut command = Command::new(cargo());
    command.args(["test", "--workspace", FEATURES, "--lib", "--no-fail-fast", "--", "fuzz::", "arbitrary::"]);
    command.env("PROPTEST_CASES", CASES);
    execute(command)
}

/// Sends the service what its description allows, and what it does not, and compares the answers with the description.
pub(crate) fn schemathesis() -> anyhow::Result<()> {
    let program = install()?;
    let folder = target().join("schemathesis-service");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let (folder, ours) = (folder.canonicalize()?, root().join("crates/xtask/schemathesis").canonicalize()?);
    let service = Service::start(&folder)?;
    let mut command = Command::new(program);
    command.arg("--config-file").arg(ours.join("schemathesis.toml")).arg("run");
    command.arg(format!("{}/api/openapi.json", service.url));
    command.args(["--header", &format!("Authorization: Bearer {TOKEN}"), "--max-examples", EXAMPLES]);
    command.env("SERVICE_URL", &service.url).env("SERVICE_TOKEN", TOKEN);
    command.env("SERVICE_POSTER", ours.join("../../../docs/images/poster.png")).env("PYTHONPATH", &ours);
    // It leaves notes where it runs.
    println!("$ {}", text(&command));
    let status = command.current_dir(&folder).stdin(Stdio::null()).status();
    if !status.with_context(|| "schemathesis cannot be started")?.success() {
        bail!("schemathesis found answers that do not fit /api/openapi.json; they are above");
    }
    Ok(())
}

/// The program, in an environment of its own.
fn install() -> anyhow::Result<PathBuf> {
    let requirements = root().join("crates/xtask/schemathesis/requirements.txt");
    let wanted = fs::read_to_string(&requirements).with_context(|| format!("{} is missing", requirements.display()))?;
    fs::create_dir_all(target())?;
    let folder = target().canonicalize()?.join("schemathesis");
    let (program, note) = (folder.join("bin/schemathesis"), folder.join("installed.txt"));
    if fs::read_to_string(&note).is_ok_and(|installed| installed == wanted) {
        return Ok(program);
    }
    let path = |path: &Path| path.to_string_lossy().into_owned();
    run("python3", ["-m", "venv", "--clear", &path(&folder)])?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", &path(&requirements)];
    run(&path(&folder.join("bin/python")), pip)?;
    fs::write(note, wanted)?;
    Ok(program)
}

/// The service under test, with a token; ends with this value.
struct Service {
    child: Child,
    url: String,
}

impl Service {
    /// Starts the program that `cargo test` has built.
    fn start(folder: &Path) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let program = target().canonicalize()?.join("debug/unflatten");
        let mut command = Command::new(&program);
        command.args(["serve", "--port", &port.to_string()]).current_dir(folder).stdin(Stdio::null());
        command.stdout(Stdio::null()).env("RUST_LOG", "warn");
        command.env("API_TOKENS", format!("tester:read+submit+edit:{TOKEN}"));
        // Most requests start jobs, and none is to be refused for that.
        command.env("QUEUE_LIMIT", "1000000").env("QUEUE_LIMIT_PER_CLIENT", "0");
        let child = command.spawn().with_context(|| format!("{} cannot be started", program.display()))?;
        let mut service = Self { child, url: format!("http://127.0.0.1:{port}") };
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if service.child.try_wait()?.is_some() || started.elapsed() > START {
                bail!("the service did not start; its messages are above");
            }
            sleep(Duration::from_millis(100));
        }
        Ok(service)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
