//! Tools that work on pixels: what is picked becomes a layer, a brush moves pixels, and the poster looks as before.

use serde_json::json;

use crate::browser::Window;
use crate::editor::{open_poster, select_at};
use crate::page::{Page, with_page};
use crate::poster::{BLUE, BLUE_AT, Poster, RED, RED_AT, near};
use crate::service::Service;

const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
const CONTROL: &str = "\u{e009}";

/// Takes a tool and waits until it is loaded.
async fn take(page: &Page, key: &str, name: &str) {
    page.keys("un-canvas .frame", key).await;
    page.wait_for(&format!("[data-tool={name}][aria-pressed=true]")).await;
    page.wait_for("un-canvas .pickbar:not([hidden])").await;
}

/// Waits until something is selected, and answers with how many corners its outline has.
async fn outline(page: &Page) -> u64 {
    page.wait_until("return Boolean(document.querySelector('un-canvas .ants path').getAttribute('d'))").await;
    page.wait_until("return document.querySelector('un-canvas .pickbar').dataset.waiting === 'idle'").await;
    let corners = "return document.querySelector('un-canvas .ants path').getAttribute('d').split(/[ML ]/).length / 2";
    page.js(corners, vec![]).await.as_f64().unwrap_or_default() as u64
}

async fn rows(page: &Page) -> usize {
    page.texts("un-layers li:not(.group) b").await.len()
}

/// Makes a layer of what is selected.
async fn lift(page: &Page) {
    let before = rows(page).await;
    page.keys("un-canvas .frame", ENTER).await;
    let more = format!("return document.querySelectorAll('un-layers li:not(.group) b').length === {}", before + 1);
    page.wait_until(&more).await;
    page.wait_for("un-canvas[data-complete]").await;
    page.frame().await;
}

/// The composite of the service is the poster, in every pixel, and so is what the page shows where it is looked at.
async fn assert_unchanged(page: &Page, service: &Service) {
    page.stored_edits().await;
    let url = format!("{}/api/jobs/{}/compose", service.address(), page.job_id().await);
    let answer = reqwest::Client::new().post(url).json(&json!({})).send().await.expect("an answer");
    let bytes = answer.bytes().await.expect("a PNG");
    Poster::new(640, 480).assert_is(&bytes);
    let composed = image::load_from_memory(&bytes).expect("a PNG").into_rgba8();
    for at in [RED_AT, BLUE_AT, (90, 240), (230, 241), (300, 380), (401, 201), (520, 320), (600, 20)] {
        let (there, here) = (composed.get_pixel(at.0, at.1).0, page.pixel(at).await);
        assert!(near(there, here), "at {at:?}: {there:?} in the file, {here:?} on the page");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_clicked_becomes_a_layer_and_the_poster_stays() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "2").await;
        take(page, "w", "pick").await;
        page.drag_on_canvas(RED_AT, RED_AT).await;
        assert!(outline(page).await > 8, "a disc has more corners");
        // To leave out what was taken in, and back.
        page.keys("un-canvas .frame", ESCAPE).await;
        page.wait_until("return !document.querySelector('un-canvas .ants path').getAttribute('d')").await;
        page.drag_on_canvas((RED_AT.0 - 85, RED_AT.1 - 85), (RED_AT.0 + 85, RED_AT.1 + 85)).await;
        outline(page).await;
        lift(page).await;
        assert_unchanged(page, &service).await;
        // The part is chosen, and moves by itself.
        page.keys("un-canvas .frame", "v").await;
        page.drag_on_canvas(RED_AT, (RED_AT.0 + 120, RED_AT.1 + 130)).await;
        page.frame().await;
        assert!(near(page.pixel((RED_AT.0 + 120, RED_AT.1 + 130)).await, RED), "the disc was not moved");
        assert!(!near(page.pixel(RED_AT).await, RED), "the disc is still there");
        assert!(near(page.pixel(BLUE_AT).await, BLUE));
        page.press(&format!("{CONTROL}z")).await;
        page.wait_pixel(RED_AT, RED).await;
        page.press(&format!("{CONTROL}z")).await;
        page.wait_until("return document.querySelectorAll('un-layers li:not(.group) b').length === 2").await;
        page.wait_for("un-canvas[data-complete]").await;
        assert_unchanged(page, &service).await;
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_brush_a_lasso_and_a_wand_take_parts_of_the_background() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        // Drawn freely, in the background.
        take(page, "l", "lasso").await;
        let ground = page.pixel((300, 400)).await;
        page.client()
            .perform_actions(page.line(&[(260, 360), (340, 360), (340, 440), (260, 440)]).await)
            .await
            .expect("a line");
        assert!(outline(page).await >= 4);
        lift(page).await;
        assert_unchanged(page, &service).await;
        // Without it, the background is complete.
        page.press("\u{e017}").await;
        page.frame().await;
        assert!(near(page.pixel((300, 400)).await, ground), "a hole is left");
        page.press(&format!("{CONTROL}z")).await;

        // By its colour.
        take(page, "\u{e008}w\u{e008}", "wand").await;
        page.drag_on_canvas(BLUE_AT, BLUE_AT).await;
        assert_eq!(outline(page).await, 4, "a square");
        page.keys("un-canvas .frame", ESCAPE).await;

        // A brush adds to the layer that is chosen, and the eraser gives back.
        page.keys("un-canvas .frame", "v").await;
        select_at(page, (300, 400)).await;
        for (key, name) in [("b", "brush"), ("e", "eraser")] {
            take(page, key, name).await;
            page.drag_on_canvas((300, 400), (420, 410)).await;
            page.wait_until("return document.querySelector('un-canvas .pickbar').dataset.waiting === 'painting'").await;
            page.wait_until("return document.querySelector('un-canvas .pickbar').dataset.waiting === 'idle'").await;
            page.wait_for("un-canvas[data-complete]").await;
            page.frame().await;
            assert_unchanged(page, &service).await;
        }
        // Each is a step.
        for _ in 0..2 {
            page.press(&format!("{CONTROL}z")).await;
        }
        assert_unchanged(page, &service).await;
        page.keys("un-canvas .frame", "?").await;
        page.wait_for("un-shortcuts dialog[open]").await;
        assert!(page.text("un-shortcuts").await.contains("Magic wand"));
        page.assert_quiet_console().await;
    })
    .await;
}
