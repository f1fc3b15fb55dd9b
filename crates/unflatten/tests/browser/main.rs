//! The page in a real browser (headless Chromium) against the real service.
//!
//! Needs `chromium` and `chromedriver`; `cargo xtask test` installs them or says how.

mod arranging;
mod browser;
mod designer;
mod editing;
mod editor;
mod habits;
mod kept;
mod languages;
mod list;
mod login;
mod looks;
mod own_pictures;
mod page;
mod picking;
mod poster;
mod queue;
mod scripted;
mod service;
mod shared;
mod small;
#[path = "../support/mod.rs"]
mod support;
mod transforms;
mod typing;

use std::time::Duration;

use serde_json::json;

use crate::browser::Window;
use crate::page::with_page;
use crate::poster::{BLUE, BLUE_AT, Poster, RED, RED_AT, near};
use crate::service::Service;

/// Enough for a busy machine; nothing waits this long when all is well.
const PATIENCE: Duration = Duration::from_secs(45);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_poster_becomes_layers_that_stack_back_to_it() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        let poster = Poster::new(640, 480);
        page.click("input[name=num_layers][value='4'] + span").await;
        page.record_progress().await;
        page.drop_file(".dropzone", "poster.png", &poster.png()).await;
        page.wait_for("un-canvas[data-complete]").await;

        let seen = page.recorded_progress().await;
        let moving: Vec<_> = seen.iter().filter(|&&percent| percent > 0 && percent < 100).collect();
        assert!(moving.len() >= 2, "the bar did not move: {seen:?}");

        let metadata = service.metadata(&page.job_id().await).await;
        let layers = metadata["layers"].as_array().expect("a list of layers");
        assert_eq!(metadata["params"]["num_layers"], json!(4), "the chosen number was not sent");
        assert!((2..=4).contains(&layers.len()), "{} layers", layers.len());
        let names: Vec<_> = layers.iter().rev().map(|layer| layer["name"].as_str().expect("a name")).collect();
        assert_eq!(page.texts("un-layers li:not(.group) b").await, names, "the highest layer comes first");
        page.click("un-details summary").await;
        assert!(page.text(".recomposition").await.contains("255"), "the measured error is not shown");
        assert!(page.text("un-details").await.contains("draft engine"), "the page does not say which engine it was");

        // Everything on: the poster. Only the background: no disc.
        assert!(near(page.pixel(RED_AT).await, RED), "{:?}", page.pixel(RED_AT).await);
        assert!(near(page.pixel(BLUE_AT).await, BLUE), "{:?}", page.pixel(BLUE_AT).await);
        page.click("li[data-key='0'] [data-solo]").await;
        page.wait_until("return !document.querySelector('li[data-key=\"0\"]').classList.contains('hidden')").await;
        page.frame().await;
        assert!(!near(page.pixel(RED_AT).await, RED), "the background holds the disc");
        assert_eq!(page.pixel(RED_AT).await[3], 255, "the background has a hole");
        page.click("[data-all]").await;
        page.click("li[data-key='0'] [data-eye]").await;
        page.frame().await;
        assert_eq!(page.pixel((20, 400)).await[3], 0, "hiding the background must leave nothing there");
        assert!(near(page.pixel(RED_AT).await, RED));
        page.click("li[data-key='0'] [data-eye]").await;

        page.click("[data-save=zip]").await;
        let archive = page.downloaded("zip").await;
        poster.assert_recomposed_by(&archive);

        page.choose("un-topbar select", "ko").await;
        page.wait_until("return document.documentElement.lang === 'ko'").await;
        assert!(page.text("un-layers h2").await.starts_with("레이어"));
        page.reload().await;
        page.wait_for("un-canvas[data-complete]").await;
        assert!(page.text("un-layers h2").await.starts_with("레이어"), "the language was forgotten");
        page.frame().await;
        assert!(near(page.pixel(RED_AT).await, RED), "the result did not come back after a reload");
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_layer_is_exported_where_it_was_moved_to() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        page.drop_file(".dropzone", "poster.png", &Poster::new(640, 480).png()).await;
        page.wait_for("un-canvas[data-complete]").await;
        let there = (RED_AT.0, RED_AT.1 + 150);
        page.drag_on_canvas(RED_AT, there).await;
        page.frame().await;
        assert!(near(page.pixel(there).await, RED), "the disc did not come along: {:?}", page.pixel(there).await);
        assert!(!near(page.pixel(RED_AT).await, RED), "the disc is still where it was");

        page.click("[data-save=png]").await;
        let bytes = page.downloaded("png").await;
        let exported = image::load_from_memory(&bytes).expect("a PNG").into_rgba8();
        assert_eq!(exported.dimensions(), (640, 480));
        assert!(near(exported.get_pixel(there.0, there.1).0, RED));
        assert!(!near(exported.get_pixel(RED_AT.0, RED_AT.1).0, RED));

        page.keys("un-canvas .frame", "\u{e009}z").await;
        page.frame().await;
        assert!(near(page.pixel(RED_AT).await, RED), "undo did not bring the disc back");
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_and_a_keyboard_are_enough_and_errors_are_words() {
    let service = Service::start().await;
    with_page(&service, Window::Narrow, async |page| {
        page.assert_fits().await;
        page.drop_file("body", "notes.txt", b"not a picture").await;
        page.wait_for(".notice.error").await;
        let words = page.text(".notice.error p").await;
        assert!(words.contains("notes.txt") && words.contains("PNG"), "{words}");
        page.click(".notice.error [data-close]").await;

        // Only the service can tell that this PNG breaks off.
        let poster = Poster::new(640, 480);
        let whole = poster.png();
        page.drop_file("body", "broken.png", &whole[..whole.len() / 2]).await;
        page.wait_for(".notice.error").await;
        let words = page.text(".notice.error p").await;
        assert!(words.split(' ').count() >= 4 && !words.contains("50"), "no words: {words}");
        page.wait_for(".dropzone").await;

        page.tab_to("input[type=file]").await;
        page.pick_file("input[type=file]", "poster.png", &whole).await;
        page.wait_for("un-canvas[data-complete]").await;
        page.assert_fits().await;
        assert_eq!(page.nameless_controls().await, Vec::<String>::new());

        // The list is one tab stop; End and Left lead to the lowest layer's eye.
        page.tab_to("un-layers [data-pick]").await;
        for key in ["\u{e010}", "\u{e012}"] {
            page.press(key).await;
        }
        page.press(" ").await;
        page.frame().await;
        assert_eq!(page.pixel((20, 400)).await[3], 0, "space on the eye must hide the layer");
        page.press("\u{e007}").await;
        page.frame().await;
        assert_eq!(page.pixel((20, 400)).await[3], 255, "enter on the eye must show it again");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_outlives_a_killed_service_and_the_page_finds_back() {
    let mut service = Service::start().await;
    let address = service.address();
    with_page(&service.clone_address(), Window::Desk, async |page| {
        // Large enough to be still at work when the service dies.
        page.drop_file(".dropzone", "poster.png", &Poster::new(2400, 1800).png()).await;
        page.wait_until("return document.querySelector('.stages li') !== null").await;
        let id = page.job_id().await;
        service.kill().await;
        page.wait_for(".link:not([hidden])").await;
        service.start_again().await;
        page.wait_for("un-canvas[data-complete]").await;
        assert_eq!(page.job_id().await, id);
        assert_eq!(service.address(), address);
        page.frame().await;
        assert!(near(page.pixel(RED_AT).await, RED));
    })
    .await;
}
