//! The page as an editor: what is changed there, and what is taken away.

use std::path::Path;

use serde_json::json;

use crate::browser::Window;
use crate::page::{Page, with_page};
use crate::poster::{BLUE, BLUE_AT, Poster, RED, RED_AT, near};
use crate::service::Service;

async fn open_poster(page: &Page, layers: &str) {
    page.click(&format!("input[name=num_layers][value='{layers}'] + span")).await;
    page.drop_file(".dropzone", "poster.png", &Poster::new(640, 480).png()).await;
    page.wait_for("un-canvas[data-complete]").await;
    page.frame().await;
}

/// Chooses the layer of which a pixel can be seen.
async fn select_at(page: &Page, at: (u32, u32)) {
    page.drag_on_canvas(at, at).await;
    page.wait_for("un-inspector section").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_moved_stays_moved_after_a_reload_and_leaves_in_every_format() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        let there = (RED_AT.0, RED_AT.1 + 150);
        page.drag_on_canvas(RED_AT, there).await;
        page.reload().await;
        page.wait_for("un-canvas[data-complete]").await;
        page.frame().await;
        assert!(near(page.pixel(there).await, RED), "the move was forgotten: {:?}", page.pixel(there).await);
        for (format, magic) in
            [("psd", b"8BPS".as_slice()), ("ora", b"PK"), ("pptx", b"PK"), ("svg", b"<"), ("zip", b"PK")]
        {
            page.click(&format!("[data-action=save-{format}]")).await;
            assert!(page.downloaded(format).await.starts_with(magic), "{format}");
        }
        page.click("[data-action=save-png]").await;
        let exported = image::load_from_memory(&page.downloaded("png").await).expect("a PNG").into_rgba8();
        // The page and the service agree in every pixel, but for the 8 bits that a browser keeps between layers.
        for at in [RED_AT, there, BLUE_AT, (3, 3), (100, 80), (159, 320)] {
            assert!(near(exported.get_pixel(at.0, at.1).0, page.pixel(at).await), "at {at:?}");
        }
        page.click("[data-action=reset]").await;
        page.frame().await;
        assert!(near(page.pixel(RED_AT).await, RED), "reset did not bring the disc back");
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn colours_opacity_and_size_are_saved_as_they_are_seen() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        select_at(page, RED_AT).await;
        let set = "
            const input = document.querySelector(`un-inspector [name=${arguments[0]}]`);
            input.value = arguments[1];
            input.dispatchEvent(new Event('input', { bubbles: true }));
            input.dispatchEvent(new Event('change', { bubbles: true }));";
        for (name, value) in
            [("hue", "120"), ("saturation", "80"), ("lightness", "120"), ("opacity", "60"), ("scale", "150")]
        {
            page.js(set, vec![json!(name), json!(value)]).await;
        }
        page.frame().await;
        let seen = page.pixel(RED_AT).await;
        assert!(!near(seen, RED), "nothing changed");
        page.click("[data-action=save-png]").await;
        let exported = image::load_from_memory(&page.downloaded("png").await).expect("a PNG").into_rgba8();
        for at in [RED_AT, (RED_AT.0 + 90, RED_AT.1), BLUE_AT] {
            let (found, seen) = (exported.get_pixel(at.0, at.1).0, page.pixel(at).await);
            assert!(near(found, seen), "at {at:?}: {found:?} in the file, {seen:?} on the page");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_can_be_decomposed_again() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "2").await;
        select_at(page, BLUE_AT).await;
        let before = page.texts("un-layers li b").await;
        page.click("[data-action=split]").await;
        page.wait_for("un-layers li.part").await;
        page.wait_for("un-canvas[data-complete]").await;
        page.frame().await;
        let parts = page.texts("un-layers li.part b").await;
        assert!(!parts.is_empty() && parts != before, "{parts:?}");
        for (at, colour) in [(RED_AT, RED), (BLUE_AT, BLUE)] {
            assert!(near(page.pixel(at).await, colour), "{at:?}: {:?}", page.pixel(at).await);
        }
        // What is seen is still the poster, in the file too.
        page.click("[data-action=save-png]").await;
        Poster::new(640, 480).assert_is(&page.downloaded("png").await);
        page.click("[data-action=save-svg]").await;
        let svg = String::from_utf8(page.downloaded("svg").await).expect("SVG is text");
        assert!(svg.matches("<g ").count() > before.len(), "the parts are in no group");
        let metadata = service.metadata(&page.job_id().await).await;
        assert_eq!(metadata["children"].as_array().map(Vec::len), Some(1));
        page.reload().await;
        page.wait_for("un-canvas[data-complete]").await;
        assert_eq!(page.texts("un-layers li.part b").await, parts);
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_files_become_jobs_that_outlive_a_reload() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        let files = [
            ("one.png", Poster::new(640, 480).png()),
            ("two.png", Poster::new(640, 500).png()),
            ("three.png", Poster::new(640, 520).png()),
        ];
        page.drop_files(".dropzone", &files).await;
        page.wait_for("un-canvas[data-complete]").await;
        page.wait_until("return JSON.parse(localStorage.getItem('unflatten.jobs') ?? '[]').length === 3").await;
        page.reload().await;
        page.wait_for("un-canvas[data-complete]").await;
        let kept = page
            .js("return JSON.parse(localStorage.getItem('unflatten.jobs')).map((job) => job.name).sort()", vec![])
            .await;
        assert_eq!(kept, json!(["one.png", "three.png", "two.png"]));
    })
    .await;
}

/// Set `UNFLATTEN_AXE` to the file `axe.min.js` of npm's `axe-core` to run it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn axe_finds_nothing_serious() {
    let Some(axe) = std::env::var_os("UNFLATTEN_AXE") else {
        eprintln!("skipped: UNFLATTEN_AXE does not name axe-core's axe.min.js (npm install axe-core)");
        return;
    };
    let axe = std::fs::read_to_string(axe).expect("UNFLATTEN_AXE names a file");
    let run = "
        const done = arguments[1];
        // The page's own policy allows no inline script, a WebDriver's is outside of it.
        (0, eval)(arguments[0]);
        axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa'] }).then(({ violations }) => done(violations
            .filter(({ impact }) => impact === 'serious' || impact === 'critical')
            .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 120)).join(' | ')}`)))";
    for window in [Window::Desk, Window::Phone] {
        let service = Service::start().await;
        with_page(&service, window, async |page| {
            let clean = async |state: &str| {
                for theme in ["light", "dark"] {
                    page.js("document.documentElement.dataset.theme = arguments[0]", vec![json!(theme)]).await;
                    let found = page.js_later(run, vec![json!(axe)]).await;
                    assert_eq!(found, json!([]), "{state}, {theme}");
                }
            };
            clean("empty").await;
            open_poster(page, "4").await;
            clean("result").await;
            page.click("un-layers [data-pick]").await;
            clean("editing").await;
        })
        .await;
    }
}

/// Frame rate of a drag and pictures of the page; run by hand with
/// `UNFLATTEN_PICTURES=folder cargo test -p unflatten --test browser pictures -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures and draws, checks nothing"]
async fn pictures_and_frame_rate_of_the_page() {
    let folder = std::env::var("UNFLATTEN_PICTURES").unwrap_or_else(|_| ".".to_owned());
    for (window, width) in [(Window::Desk, 1280), (Window::Phone, 390)] {
        let service = Service::start().await;
        with_page(&service, window, async |page| {
            let picture = async |state: &str| {
                page.frame().await;
                page.screenshot(&Path::new(&folder).join(format!("page-{state}-{width}.png"))).await;
            };
            picture("empty").await;
            page.click("input[name=num_layers][value='8'] + span").await;
            page.drop_file("body", "poster.png", &Poster::new(1328, 1328).png()).await;
            page.wait_until("return document.querySelector('.stages li') !== null").await;
            picture("running").await;
            page.wait_for("un-canvas[data-complete]").await;
            page.frame().await;
            select_at(page, RED_AT).await;
            picture("editing").await;
            let drag = "
                const done = arguments[0];
                const canvas = document.querySelector('un-canvas canvas');
                const frame = document.querySelector('un-canvas .frame');
                const box = canvas.getBoundingClientRect();
                const scale = box.width / canvas.width;
                const send = (type, dx, dy) => frame.dispatchEvent(new PointerEvent(type, {
                    bubbles: true, cancelable: true, pointerId: 1, button: 0, buttons: 1, isPrimary: true,
                    clientX: box.left + 160 * scale + dx, clientY: box.top + 240 * scale + dy }));
                frame.setPointerCapture = () => {};
                send('pointerdown', 0, 0);
                let frames = 0;
                const started = performance.now();
                const step = () => {
                    frames += 1;
                    send('pointermove', 60 * Math.sin(frames / 9), 60 * Math.cos(frames / 9));
                    if (performance.now() - started < 4000) return requestAnimationFrame(step);
                    send('pointerup', 0, 0);
                    done([frames / (performance.now() - started) * 1000, canvas.width, document.querySelectorAll('un-layers li').length]);
                };
                requestAnimationFrame(step)";
            println!("{width} px wide: [frames per second, canvas width, layers] = {}", page.js_later(drag, vec![]).await);
        })
        .await;
    }
}
