//! How smoothly a layer can be dragged on the page, in headless Chromium without a GPU: `cargo xtask bench page`.
//!
//! Frames per second say what this machine shows just now, whatever else it does; processor time per frame says what
//! the page costs: `main` of the page's main thread, `all` of every process of the browser.

#[path = "../tests/browser/browser.rs"]
#[allow(dead_code, reason = "shared with the browser tests")]
mod browser;
#[path = "../tests/browser/page.rs"]
#[allow(dead_code, reason = "shared with the browser tests")]
mod page;
#[path = "../tests/browser/poster.rs"]
#[allow(dead_code, reason = "shared with the browser tests")]
mod poster;
#[path = "../tests/browser/service.rs"]
#[allow(dead_code, reason = "shared with the browser tests")]
mod service;

use std::time::Duration;

use fantoccini::wd::WebDriverCompatibleCommand;
use image::{Rgba, RgbaImage};
use serde_json::{Value, json};

use crate::browser::Window;
use crate::page::{Page, with_page};
use crate::service::Service;

const PATIENCE: Duration = Duration::from_secs(120);
const SIDE: u32 = 1328;
const LAYERS: usize = 8;
const SECONDS: u32 = 5;

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        println!("{SIDE} x {SIDE} pixels, {LAYERS} layers; each drag lasts {SECONDS} s");
        for window in [Window::Desk, Window::Phone] {
            let service = Service::start().await;
            with_page(&service, window, async |page| measure(page, window).await).await;
        }
    });
}

async fn measure(page: &Page, window: Window) {
    page.click(&format!("input[name=num_layers][value='{LAYERS}'] + span")).await;
    page.drop_file("body", "poster.png", &poster()).await;
    page.wait_for("un-canvas[data-complete]").await;
    page.frame().await;
    let layers = page.texts("un-layers li").await.len();
    assert_eq!(layers, LAYERS, "the engine found another number of layers in the poster");
    // Processor time of the thread, not time that passes while others have the processor.
    let enable = DevTools("Performance.enable", json!({ "timeDomain": "threadTicks" }));
    page.client().issue_cmd(enable).await.expect("Chromium measures");
    for (what, at) in [("a small layer", disc(1)), ("the background", (20, SIDE - 20))] {
        let (main, all) = (main_seconds(page).await, all_seconds());
        let frames = drag(page, at).await;
        let (main, all) = (main_seconds(page).await - main, all_seconds() - all);
        let each = |seconds: f64| 1000.0 * seconds / frames;
        println!(
            "{:<6} {what:<15} {:>5.1} frames/s, per frame: main {:>5.2} ms, all {:>5.1} ms",
            format!("{window:?}"),
            frames / f64::from(SECONDS),
            each(main),
            each(all),
        );
    }
}

/// A command of the browser's own protocol.
#[derive(Debug)]
struct DevTools(&'static str, Value);

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &reqwest::Url, session: Option<&str>) -> Result<reqwest::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &reqwest::Url) -> (reqwest::Method, Option<String>) {
        (reqwest::Method::POST, Some(json!({ "cmd": self.0, "params": self.1 }).to_string()))
    }
}

/// Middle of one of the seven discs.
fn disc(number: u32) -> (u32, u32) {
    (220 + 440 * (number % 3), 220 + 440 * (number / 3))
}

/// A plain ground and seven discs in colours of their own.
fn poster() -> Vec<u8> {
    let colours: [[u8; 3]; 7] =
        [[214, 40, 40], [24, 70, 170], [30, 140, 70], [240, 170, 20], [130, 50, 160], [20, 150, 170], [40, 40, 46]];
    let picture = RgbaImage::from_fn(SIDE, SIDE, |x, y| {
        let mut colour = [244.0, 238.0, 224.0];
        for (number, paint) in (0..).zip(colours) {
            let (cx, cy) = disc(number);
            let away = (x as f32 - cx as f32).hypot(y as f32 - cy as f32);
            let alpha = (150.5 - away).clamp(0.0, 1.0);
            for (below, above) in colour.iter_mut().zip(paint) {
                *below += alpha * (f32::from(above) - *below);
            }
        }
        let [r, g, b] = colour.map(|value: f32| value.round() as u8);
        Rgba([r, g, b, 255])
    });
    let mut png = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut png, image::ImageFormat::Png).expect("a PNG in memory");
    png.into_inner()
}

/// Drags from a pixel in circles, one step for each frame; how many frames there were.
async fn drag(page: &Page, (x, y): (u32, u32)) -> f64 {
    let script = "
        const [x, y, seconds, done] = arguments;
        const canvas = document.querySelector('un-canvas canvas');
        const frame = document.querySelector('un-canvas .frame');
        const box = canvas.getBoundingClientRect();
        const scale = box.width / canvas.width;
        const send = (type, dx, dy) => frame.dispatchEvent(new PointerEvent(type, {
            bubbles: true, cancelable: true, pointerId: 1, button: 0, buttons: 1, isPrimary: true,
            clientX: box.left + x * scale + dx, clientY: box.top + y * scale + dy }));
        // A pointer that was made up cannot be captured.
        frame.setPointerCapture = () => {};
        send('pointerdown', 0, 0);
        let frames = 0;
        const started = performance.now();
        const step = () => {
            if (performance.now() - started >= 1000 * seconds) {
                send('pointerup', 0, 0);
                return done(frames);
            }
            frames += 1;
            send('pointermove', 60 * Math.sin(frames / 9), 60 * Math.cos(frames / 9));
            requestAnimationFrame(step);
        };
        requestAnimationFrame(step)";
    let frames = page.js_later(script, vec![json!(x), json!(y), json!(SECONDS)]).await;
    page.frame().await;
    frames.as_f64().expect("a number of frames")
}

/// Processor time that the page's main thread has taken so far.
async fn main_seconds(page: &Page) -> f64 {
    let metrics = page.client().issue_cmd(DevTools("Performance.getMetrics", json!({}))).await.expect("metrics");
    let all = metrics["metrics"].as_array().cloned().unwrap_or_default();
    let found = all.iter().find(|one| one["name"] == "TaskDuration").map(|one| one["value"].clone());
    found.as_ref().and_then(Value::as_f64).expect("Chromium tells the duration of tasks")
}

/// Processor time that all our child processes and theirs have taken so far (Linux; 0 elsewhere).
fn all_seconds() -> f64 {
    let stat = |id: u32| std::fs::read_to_string(format!("/proc/{id}/stat")).ok();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let processes: Vec<(u32, u32, f64)> = entries
        .filter_map(|entry| {
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            let text = stat(id)?;
            // The name in brackets may hold spaces; the state comes after it.
            let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
            let number = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
            // Hundredths of a second on every Linux.
            Some((id, number(1)? as u32, (number(11)? + number(12)?) / 100.0))
        })
        .collect();
    let is_ours = |mut id: u32| {
        while id > 1 {
            match processes.iter().find(|(one, ..)| *one == id) {
                Some((_, parent, _)) if *parent == std::process::id() => return true,
                Some((_, parent, _)) => id = *parent,
                None => return false,
            }
        }
        false
    };
    processes.iter().filter(|(id, ..)| is_ours(*id)).map(|(.., seconds)| seconds).sum()
}
