//! Chromium without a screen, driven over WebDriver.

use std::process::Stdio;
use std::time::{Duration, Instant};

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::service::free_port;

const MISSING: &str = "cannot be started; the browser tests need Chromium and its driver: run `cargo xtask test`, \
    which installs them or says how (`apt-get install chromium chromium-driver`)";

/// How the page is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Window {
    /// 1280 x 900.
    Desk,
    /// 390 x 844 with touch.
    Phone,
    /// 844 x 390 with touch: the same on its side.
    Landscape,
    /// 360 x 740 with touch: the narrowest that the page is made for.
    Narrow,
}

pub(crate) struct Browser {
    pub client: Client,
    pub downloads: TempDir,
    _driver: Child,
    _profile: TempDir,
}

impl Browser {
    pub(crate) async fn start(window: Window) -> Self {
        let port = free_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|err| panic!("chromedriver ({err}) {MISSING}"));
        let downloads = TempDir::new().expect("a temporary folder");
        let profile = TempDir::new().expect("a temporary folder");
        let capabilities = capabilities(window, &downloads, &profile);
        let client = connect(&format!("http://127.0.0.1:{port}"), capabilities).await;
        Self { client, downloads, _driver: driver, _profile: profile }
    }
}

fn capabilities(window: Window, downloads: &TempDir, profile: &TempDir) -> serde_json::Map<String, Value> {
    let mut arguments: Vec<String> = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--force-color-profile=srgb",
        "--lang=en-US",
        // Screenshots must not catch layers that are still in flight.
        "--force-prefers-reduced-motion",
        "--window-size=1280,900",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(format!("--user-data-dir={}", profile.path().display()));
    let mut options = json!({
        "args": arguments,
        "prefs": { "download.default_directory": downloads.path(), "intl.accept_languages": "en-US" },
    });
    let phone = match window {
        Window::Desk => None,
        Window::Phone => Some((390, 844)),
        Window::Landscape => Some((844, 390)),
        Window::Narrow => Some((360, 740)),
    };
    if let Some((width, height)) = phone {
        options["mobileEmulation"] =
            json!({ "deviceMetrics": { "width": width, "height": height, "pixelRatio": 1.0 } });
    }
    let all = json!({ "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
    all.as_object().expect("an object was just written").clone()
}

async fn connect(driver: &str, capabilities: serde_json::Map<String, Value>) -> Client {
    let started = Instant::now();
    loop {
        let mut builder = ClientBuilder::new(HttpConnector::new());
        match builder.capabilities(capabilities.clone()).connect(driver).await {
            Ok(client) => return client,
            // The driver needs a moment before it listens.
            Err(_) if started.elapsed() < Duration::from_secs(20) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(err) => panic!("chromium ({err}) {MISSING}"),
        }
    }
}

/// A command of the DevTools protocol.
#[derive(Debug)]
pub(crate) struct Cdp {
    command: &'static str,
    parameters: Value,
}

impl Cdp {
    pub(crate) fn new(command: &'static str, parameters: Value) -> Self {
        Self { command, parameters }
    }
}

impl WebDriverCompatibleCommand for Cdp {
    fn endpoint(&self, base: &reqwest::Url, session: Option<&str>) -> Result<reqwest::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &reqwest::Url) -> (reqwest::Method, Option<String>) {
        (reqwest::Method::POST, Some(json!({ "cmd": self.command, "params": self.parameters }).to_string()))
    }
}

/// What the page wrote to the console since the last time.
#[derive(Debug)]
pub(crate) struct ConsoleLog;

impl WebDriverCompatibleCommand for ConsoleLog {
    fn endpoint(&self, base: &reqwest::Url, session: Option<&str>) -> Result<reqwest::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &reqwest::Url) -> (reqwest::Method, Option<String>) {
        (reqwest::Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}
