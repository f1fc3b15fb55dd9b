//! The page under test, in the words of someone who uses it.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::{Duration, Instant};

use fantoccini::actions::{InputSource, MouseActions, PointerAction};
use fantoccini::elements::Element;
use fantoccini::{Client, Locator};
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::PATIENCE;
use crate::browser::{Browser, ConsoleLog, Window};
use crate::service::{Address, Service};

const LOOK_EVERY: Duration = Duration::from_millis(25);

pub(crate) struct Page {
    browser: Browser,
}

/// Whatever tells where the service listens.
pub(crate) trait Listens {
    fn url(&self) -> String;
}

impl Listens for Service {
    fn url(&self) -> String {
        self.address()
    }
}

impl Listens for Address {
    fn url(&self) -> String {
        Address::url(self)
    }
}

/// Opens the page, runs `test` on it, and closes the browser however that ends.
pub(crate) async fn with_page(service: &impl Listens, window: Window, test: impl AsyncFnOnce(&Page)) {
    with_page_showing("un-options fieldset .engines", service, window, test).await;
}

/// The same where the page does not show its options first, but `selector`.
pub(crate) async fn with_page_showing(
    selector: &str,
    service: &impl Listens,
    window: Window,
    test: impl AsyncFnOnce(&Page),
) {
    let page = Page { browser: Browser::start(window).await };
    let run = async {
        page.client().goto(&service.url()).await.expect("the page opens");
        page.wait_for(selector).await;
        test(&page).await;
    };
    let outcome = AssertUnwindSafe(run).catch_unwind().await;
    if outcome.is_err() {
        let text = page.js("return document.body.innerText", vec![]).await;
        eprintln!("the page showed:\n{}", text.as_str().unwrap_or_default());
    }
    page.browser.client.close().await.expect("the browser closes");
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

impl Page {
    pub(crate) fn client(&self) -> &Client {
        &self.browser.client
    }

    pub(crate) async fn js(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client().execute(script, arguments).await.unwrap_or_else(|err| panic!("{script}: {err}"))
    }

    /// Waits until the page holds an element.
    pub(crate) async fn wait_for(&self, selector: &str) {
        let there = "return document.querySelector(arguments[0]) !== null";
        self.wait(there, vec![json!(selector)], selector).await;
    }

    /// Waits until a script returns true.
    pub(crate) async fn wait_until(&self, script: &str) {
        self.wait(script, vec![], script).await;
    }

    async fn wait(&self, script: &str, arguments: Vec<Value>, what: &str) {
        let started = Instant::now();
        while self.js(script, arguments.clone()).await != json!(true) {
            assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until what was asked for has been painted.
    pub(crate) async fn frame(&self) {
        let twice = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done(true)))";
        self.client().execute_async(twice, vec![]).await.expect("frames are painted");
    }

    async fn element(&self, selector: &str) -> Element {
        self.wait_for(selector).await;
        self.client().find(Locator::Css(selector)).await.unwrap_or_else(|err| panic!("{selector}: {err}"))
    }

    pub(crate) async fn text(&self, selector: &str) -> String {
        self.element(selector).await.text().await.expect("an element has a text")
    }

    pub(crate) async fn texts(&self, selector: &str) -> Vec<String> {
        let all = "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)";
        serde_json::from_value(self.js(all, vec![json!(selector)]).await).expect("texts")
    }

    pub(crate) async fn click(&self, selector: &str) {
        for _ in 0..5 {
            match self.element(selector).await.click().await {
                Ok(()) => return,
                // The page drew it anew in between; people would not notice.
                Err(err) => assert!(err.to_string().contains("stale element"), "{selector}: {err}"),
            }
        }
        panic!("{selector} is drawn anew all the time");
    }

    pub(crate) async fn choose(&self, selector: &str, value: &str) {
        self.element(selector).await.select_by_value(value).await.expect("the choice is there");
    }

    pub(crate) async fn reload(&self) {
        self.client().refresh().await.expect("the page reloads");
    }

    pub(crate) async fn job_id(&self) -> String {
        let hash = self.js("return location.hash", vec![]).await;
        hash.as_str().and_then(|hash| hash.strip_prefix("#job=")).expect("the address names the job").to_owned()
    }

    /// Drops a file as if it came from the desktop.
    pub(crate) async fn drop_file(&self, selector: &str, name: &str, bytes: &[u8]) {
        let script = r"
            const [selector, name, hex] = arguments;
            const bytes = Uint8Array.from(hex.match(/../g), (two) => parseInt(two, 16));
            const type = name.endsWith('.png') ? 'image/png' : 'text/plain';
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], name, { type }));
            for (const kind of ['dragenter', 'dragover', 'drop']) {
                const event = new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer });
                document.querySelector(selector).dispatchEvent(event);
            }";
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.js(script, vec![json!(selector), json!(name), json!(hex)]).await;
    }

    /// Drops several PNGs at once.
    pub(crate) async fn drop_files(&self, selector: &str, files: &[(&str, Vec<u8>)]) {
        let script = r"
            const [selector, files] = arguments;
            const dataTransfer = new DataTransfer();
            for (const [name, hex] of files) {
                const bytes = Uint8Array.from(hex.match(/../g), (two) => parseInt(two, 16));
                dataTransfer.items.add(new File([bytes], name, { type: 'image/png' }));
            }
            document.querySelector(selector).dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer }));";
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let files: Vec<_> = files.iter().map(|(name, bytes)| json!([name, hex(bytes)])).collect();
        self.js(script, vec![json!(selector), json!(files)]).await;
    }

    /// Runs a script that calls back, and answers with what it gave.
    pub(crate) async fn js_later(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client().execute_async(script, arguments).await.unwrap_or_else(|err| panic!("{script}: {err}"))
    }

    /// A picture of the window, as PNG.
    pub(crate) async fn screenshot(&self) -> Vec<u8> {
        self.frame().await;
        self.client().screenshot().await.expect("a picture of the window")
    }

    /// What the screen shows where the canvas has a pixel: the ground and the input too.
    pub(crate) async fn seen_at(&self, (x, y): (u32, u32)) -> [u8; 4] {
        let [left, top, scale] = self.canvas_place().await;
        let screen = image::load_from_memory(&self.screenshot().await).expect("a PNG").into_rgba8();
        let at = |start: f64, offset: u32| (start + (f64::from(offset) + 0.5) * scale) as u32;
        screen.get_pixel(at(left, x), at(top, y)).0
    }

    /// Where the canvas begins in the window, and how large one of its pixels is there.
    async fn canvas_place(&self) -> [f64; 3] {
        let script = "
            const canvas = document.querySelector('un-canvas canvas');
            const box = canvas.getBoundingClientRect();
            return [box.left, box.top, box.width / canvas.width]";
        serde_json::from_value(self.js(script, vec![]).await).expect("three numbers")
    }

    /// Waits until all changes are with the service, and answers with those of each layer: the fields in which its edit
    /// differs from none.
    pub(crate) async fn stored_edits(&self) -> Vec<Value> {
        self.wait_for("un-result[data-saving=saved]").await;
        let script = "
            const done = arguments[0];
            const id = new URLSearchParams(location.hash.slice(1)).get('job');
            const plain = { visible: true, opacity: 1, blend: 'normal', x: 0, y: 0, scale_x: 1, scale_y: 1, rotation: 0, hue: 0, saturation: 1, lightness: 1, name: null };
            const changed = ({ edit }) => Object.fromEntries(Object.entries(edit).filter(([field, value]) => value !== plain[field]));
            fetch(`api/jobs/${id}/document`).then((answer) => answer.json()).then(({ elements }) => done(elements.map(changed)))";
        serde_json::from_value(self.js_later(script, vec![]).await).expect("a list of edits")
    }

    /// Waits until a pixel of the composite has a colour.
    pub(crate) async fn wait_pixel(&self, at: (u32, u32), colour: [u8; 4]) {
        let started = Instant::now();
        loop {
            let seen = self.pixel(at).await;
            if crate::poster::near(seen, colour) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "at {at:?}: {seen:?} instead of {colour:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Gives an input a value as a person's hand on it does.
    pub(crate) async fn set(&self, selector: &str, value: &str) {
        let script = "
            const input = document.querySelector(arguments[0]);
            input.value = arguments[1];
            input.dispatchEvent(new Event('input', { bubbles: true }));
            input.dispatchEvent(new Event('change', { bubbles: true }));";
        self.js(script, vec![json!(selector), json!(value)]).await;
    }

    /// Drags one element to just beyond the middle of another: below it, if it comes from above, or above it.
    pub(crate) async fn drag_element(&self, from: &str, to: &str) {
        let script = "
            const [from, to] = [...arguments].map((selector) => document.querySelector(selector));
            to.scrollIntoView({ block: 'center' });
            const [start, end] = [from, to].map((one) => one.getBoundingClientRect());
            const beyond = start.top < end.top ? 4 : -4;
            return [start.left + 100, start.top + start.height / 2, end.left + 100, end.top + end.height / 2 + beyond]";
        let [x, y, to_x, to_y]: [f64; 4] =
            serde_json::from_value(self.js(script, vec![json!(from), json!(to)]).await).expect("four numbers");
        self.drag((x, y), (to_x, to_y), fantoccini::actions::MOUSE_BUTTON_LEFT).await;
    }

    /// Drags from one point of the window to another.
    pub(crate) async fn drag(&self, from: (f64, f64), to: (f64, f64), button: u64) {
        let point = |(x, y): (f64, f64), ms| PointerAction::MoveTo { duration: Some(Duration::from_millis(ms)), x, y };
        let halfway = (f64::midpoint(from.0, to.0), f64::midpoint(from.1, to.1));
        let drag = MouseActions::new("mouse".to_owned())
            .then(point(from, 0))
            .then(PointerAction::Down { button })
            .then(point(halfway, 50))
            .then(point(to, 50))
            .then(PointerAction::Up { button });
        self.client().perform_actions(drag).await.expect("the mouse moves");
    }

    /// A drag with the mouse along pixels of the picture.
    pub(crate) async fn line(&self, points: &[(u32, u32)]) -> MouseActions {
        let mut line = MouseActions::new("mouse".to_owned());
        for (at, point) in points.iter().enumerate() {
            let (x, y) = self.in_window(*point).await;
            line = line.then(PointerAction::MoveTo { duration: Some(Duration::from_millis(50)), x, y });
            if at == 0 {
                line = line.then(PointerAction::Down { button: fantoccini::actions::MOUSE_BUTTON_LEFT });
            }
        }
        line.then(PointerAction::Up { button: fantoccini::actions::MOUSE_BUTTON_LEFT })
    }

    /// Moves the mouse to a pixel of the picture.
    pub(crate) async fn point_at(&self, at: (u32, u32)) {
        let (x, y) = self.in_window(at).await;
        let there = PointerAction::MoveTo { duration: None, x, y };
        self.client()
            .perform_actions(MouseActions::new("mouse".to_owned()).then(there))
            .await
            .expect("the mouse moves");
        self.frame().await;
    }

    /// Where a pixel of the picture is in the window.
    pub(crate) async fn in_window(&self, (x, y): (u32, u32)) -> (f64, f64) {
        let [left, top, scale] = self.canvas_place().await;
        (left + f64::from(x) * scale, top + f64::from(y) * scale)
    }

    /// Picks a file as the browser's own dialog does.
    pub(crate) async fn pick_file(&self, selector: &str, name: &str, bytes: &[u8]) {
        let path = self.browser.downloads.path().join(name);
        std::fs::write(&path, bytes).expect("a temporary file");
        let path = path.to_str().expect("temporary folders have plain names");
        self.element(selector).await.send_keys(path).await.expect("the file is picked");
    }

    /// Notes each value of the progress bar from now on.
    pub(crate) async fn record_progress(&self) {
        let script = "
            window.seenProgress = [];
            new MutationObserver(() => {
                const bar = document.querySelector('[role=progressbar]');
                if (bar && document.querySelector('.stages li')) seenProgress.push(Number(bar.getAttribute('aria-valuenow')));
            }).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ['aria-valuenow'] });";
        self.js(script, vec![]).await;
    }

    /// The different values that the bar had, in the order in which they came.
    pub(crate) async fn recorded_progress(&self) -> Vec<u32> {
        let seen = self.js("return window.seenProgress", vec![]).await;
        let mut seen: Vec<u32> = serde_json::from_value(seen).expect("numbers");
        seen.dedup();
        seen
    }

    /// A pixel of the composite, RGBA with straight alpha.
    pub(crate) async fn pixel(&self, (x, y): (u32, u32)) -> [u8; 4] {
        let script = "
            const canvas = document.querySelector('un-canvas canvas');
            return [...canvas.getContext('2d').getImageData(arguments[0], arguments[1], 1, 1).data]";
        serde_json::from_value(self.js(script, vec![json!(x), json!(y)]).await).expect("four bytes")
    }

    /// Drags with the mouse from one pixel of the picture to another.
    pub(crate) async fn drag_on_canvas(&self, from: (u32, u32), to: (u32, u32)) {
        let (from, to) = (self.in_window(from).await, self.in_window(to).await);
        self.drag(from, to, fantoccini::actions::MOUSE_BUTTON_LEFT).await;
    }

    /// Waits for a download with this ending and answers with its bytes.
    pub(crate) async fn downloaded(&self, ending: &str) -> Vec<u8> {
        let started = Instant::now();
        loop {
            let files = std::fs::read_dir(self.browser.downloads.path()).expect("the folder is there");
            let paths: Vec<_> = files.map(|file| file.expect("a folder entry").path()).collect();
            let named = |ending: &str| paths.iter().find(|path| path.extension().is_some_and(|it| it == ending));
            // Chromium may take the name with an empty file before all of the download is there.
            if let (Some(path), None) = (named(ending), named("crdownload")) {
                let bytes = std::fs::read(path).expect("the download can be read");
                if !bytes.is_empty() {
                    return bytes;
                }
            }
            assert!(started.elapsed() < PATIENCE, "no .{ending} was downloaded");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Sends keys to an element; U+E000 to U+E05D are WebDriver's special keys.
    pub(crate) async fn keys(&self, selector: &str, keys: &str) {
        self.element(selector).await.send_keys(keys).await.expect("the keys arrive");
    }

    /// Presses a key where the focus is.
    pub(crate) async fn press(&self, key: &str) {
        let focused = self.client().active_element().await.expect("something has the focus");
        focused.send_keys(key).await.expect("the key arrives");
    }

    /// Presses Tab until an element has the focus.
    pub(crate) async fn tab_to(&self, selector: &str) {
        self.wait_for(selector).await;
        for _ in 0..160 {
            self.press("\u{e004}").await;
            let reached = self.js("return document.activeElement.matches(arguments[0])", vec![json!(selector)]).await;
            if reached == json!(true) {
                return;
            }
        }
        panic!("Tab does not lead to {selector}");
    }

    /// Nothing may stick out sideways.
    pub(crate) async fn assert_fits(&self) {
        let script = "return [document.documentElement.scrollWidth, innerWidth]";
        let [content, window]: [u32; 2] = serde_json::from_value(self.js(script, vec![]).await).expect("two widths");
        assert!(content <= window, "the page is {content} px wide in a window of {window} px");
    }

    /// Controls that a screen reader could only call "button".
    pub(crate) async fn nameless_controls(&self) -> Vec<String> {
        let script = r"
            const name = (one) => one.getAttribute('aria-label') || one.textContent.trim() || one.labels?.[0]?.textContent.trim()
                || one.getAttribute('aria-labelledby');
            return [...document.querySelectorAll('button, a[href], input, select, textarea')].filter((one) => !name(one)).map((one) => one.outerHTML)";
        serde_json::from_value(self.js(script, vec![]).await).expect("a list")
    }

    /// No script error, no missing file, nothing that the content policy blocked.
    pub(crate) async fn assert_quiet_console(&self) {
        let log = self.client().issue_cmd(ConsoleLog).await.expect("the console's log");
        let entries = log.as_array().cloned().unwrap_or_default();
        let bad: Vec<_> = entries.iter().filter(|entry| entry["level"] == "SEVERE").collect();
        assert!(bad.is_empty(), "the console complains: {bad:#?}");
    }
}
