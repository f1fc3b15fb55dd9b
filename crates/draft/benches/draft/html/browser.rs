//! Chromium without a screen, driven over WebDriver by a client of a few lines: posters need no more.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use image::RgbaImage;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long the driver may take until it listens.
const START: Duration = Duration::from_secs(20);
/// How long one command may take: a painted ground is a few seconds of JavaScript.
const PATIENCE: Duration = Duration::from_secs(120);

/// A browser with one page; it ends when this is dropped.
pub(crate) struct Browser {
    port: u16,
    session: String,
    driver: Child,
    _profile: TempDir,
}

impl Browser {
    /// Starts Chromium and its driver.
    ///
    /// # Errors
    /// When one of them is not installed or does not answer.
    pub(crate) fn start() -> anyhow::Result<Self> {
        // A free port: the driver's own choice could only be read from its log.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("chromedriver cannot be started: posters need Debian's chromium and chromium-driver")?;
        let profile = tempfile::tempdir()?;
        // From here on the driver ends with this value, also when no session begins.
        let mut browser = Self { port, session: String::new(), driver, _profile: profile };
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--force-color-profile=srgb".to_owned(),
            // Letters whose edges are coloured would be the machine's, not the poster's.
            "--disable-lcd-text".to_owned(),
            "--font-render-hinting=none".to_owned(),
            "--hide-scrollbars".to_owned(),
            "--allow-file-access-from-files".to_owned(),
            format!("--user-data-dir={}", browser._profile.path().display()),
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": { "args": arguments } } } });
        let started = Instant::now();
        let answer = loop {
            match request(port, "POST", "/session", &wanted) {
                Err(_) if started.elapsed() < START => std::thread::sleep(Duration::from_millis(50)),
                answer => break answer.context("Chromium cannot be started")?,
            }
        };
        browser.session = answer["sessionId"].as_str().context("the driver gave no session")?.to_owned();
        let clear = json!({ "color": { "r": 0, "g": 0, "b": 0, "a": 0 } });
        browser.devtools("Emulation.setDefaultBackgroundColorOverride", &clear)?;
        Ok(browser)
    }

    /// Opens a file and waits until it has loaded.
    pub(crate) fn open(&self, page: &Path) -> anyhow::Result<()> {
        self.command("url", &json!({ "url": format!("file://{}", page.display()) })).map(drop)
    }

    /// Runs the body of a function in the page; a promise is waited for.
    pub(crate) fn run(&self, script: &str) -> anyhow::Result<Value> {
        self.command("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Sets the size of the page in pixels.
    pub(crate) fn resize(&self, width: u32, height: u32) -> anyhow::Result<()> {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &size).map(drop)
    }

    /// The page as it looks, transparent where nothing is.
    pub(crate) fn picture(&self) -> anyhow::Result<RgbaImage> {
        let answer = self.devtools("Page.captureScreenshot", &json!({ "format": "png", "optimizeForSpeed": true }))?;
        let bytes = BASE64_STANDARD.decode(answer["data"].as_str().context("no picture of the page")?)?;
        Ok(image::load_from_memory(&bytes)?.to_rgba8())
    }

    fn devtools(&self, name: &str, parameters: &Value) -> anyhow::Result<Value> {
        self.command("goog/cdp/execute", &json!({ "cmd": name, "params": parameters }))
    }

    fn command(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        request(self.port, "POST", &format!("/session/{}/{path}", self.session), body)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium ends with its session, the driver by force; neither is worth an error here.
        let _ = request(self.port, "DELETE", &format!("/session/{}", self.session), &json!({}));
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// One request to the driver; gives the field `value` of its answer.
fn request(port: u16, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let body = body.to_string();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut reader = BufReader::new(stream);
    let mut length = None;
    loop {
        let mut line = String::new();
        ensure!(reader.read_line(&mut line)? > 0, "the driver closed the connection");
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse().ok(),
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut bytes = vec![0; length.context("the driver did not say how long its answer is")?];
    reader.read_exact(&mut bytes)?;
    let mut answer: Value = serde_json::from_slice(&bytes)?;
    let value = answer["value"].take();
    if let Some(error) = value["error"].as_str() {
        bail!("{error}: {}", value["message"].as_str().unwrap_or_default().lines().next().unwrap_or_default());
    }
    Ok(value)
}
