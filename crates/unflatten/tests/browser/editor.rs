//! The page as an editor: what is changed there, and what is taken away.

use crate::browser::Window;
use crate::page::{Page, with_page};
use crate::poster::{BLUE, BLUE_AT, Poster, RED, RED_AT, near};
use crate::service::Service;

pub(crate) async fn open_poster(page: &Page, layers: &str) {
    page.click(&format!("input[name=num_layers][value='{layers}'] + span")).await;
    page.drop_file(".dropzone", "poster.png", &Poster::new(640, 480).png()).await;
    page.wait_for("un-canvas[data-complete]").await;
    page.frame().await;
}

/// Chooses the layer of which a pixel can be seen.
pub(crate) async fn select_at(page: &Page, at: (u32, u32)) {
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
        // At once: what is unsent is not lost.
        page.reload().await;
        page.wait_for("un-canvas[data-complete]").await;
        page.frame().await;
        assert!(near(page.pixel(there).await, RED), "the move was forgotten: {:?}", page.pixel(there).await);
        for (format, magic) in
            [("psd", b"8BPS".as_slice()), ("ora", b"PK"), ("pptx", b"PK"), ("svg", b"<"), ("zip", b"PK")]
        {
            page.click(&format!("[data-save={format}]")).await;
            assert!(page.downloaded(format).await.starts_with(magic), "{format}");
        }
        page.click("[data-save=png]").await;
        let exported = image::load_from_memory(&page.downloaded("png").await).expect("a PNG").into_rgba8();
        // The page and the service agree in every pixel, but for the 8 bits that a browser keeps between layers.
        for at in [RED_AT, there, BLUE_AT, (3, 3), (100, 80), (159, 320)] {
            assert!(near(exported.get_pixel(at.0, at.1).0, page.pixel(at).await), "at {at:?}");
        }
        page.click("[data-action=reset]").await;
        page.wait_pixel(RED_AT, RED).await;
        // That is a step, too.
        page.click("[data-action=undo]").await;
        page.wait_pixel(there, RED).await;
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
        for (name, value) in
            [("hue", "120"), ("saturation", "80"), ("lightness", "120"), ("opacity", "60"), ("width", "210")]
        {
            page.set(&format!("un-inspector [name={name}]"), value).await;
        }
        page.wait_for("un-canvas[data-complete]").await;
        page.frame().await;
        let seen = page.pixel(RED_AT).await;
        assert!(!near(seen, RED), "nothing changed");
        page.click("[data-save=png]").await;
        let exported = image::load_from_memory(&page.downloaded("png").await).expect("a PNG").into_rgba8();
        for at in [RED_AT, (RED_AT.0 + 110, RED_AT.1 + 20), BLUE_AT] {
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
        // The composite is still the poster, in the file too.
        page.click("[data-save=png]").await;
        Poster::new(640, 480).assert_is(&page.downloaded("png").await);
        page.click("[data-save=svg]").await;
        let svg = String::from_utf8(page.downloaded("svg").await).expect("SVG is text");
        assert!(svg.matches("<g ").count() > before.len(), "the parts are in no group");
        let metadata = service.metadata(&page.job_id().await).await;
        assert_eq!(metadata["children"].as_array().map(Vec::len), Some(1));
        // The group has the layer's name and moves as a whole, from whichever part it is dragged.
        let name = page.text("un-layers li.group:not(.named) b").await;
        assert!(before.contains(&name), "{name}");
        // The button that was pressed is far down in the panel.
        page.js("document.querySelector('un-layers li.group:not(.named)').scrollIntoView({ block: 'center' })", vec![])
            .await;
        page.click("un-layers li.group:not(.named) [data-pick]").await;
        page.drag_on_canvas(BLUE_AT, (BLUE_AT.0, BLUE_AT.1 + 100)).await;
        page.frame().await;
        let below = (BLUE_AT.0, BLUE_AT.1 + 100);
        assert!(near(page.pixel(below).await, BLUE), "{:?}", page.pixel(below).await);
        let moved = page.stored_edits().await;
        let moves: Vec<_> = moved.iter().map(|edit| edit["y"].as_i64().unwrap_or(0)).collect();
        assert_eq!(moves.iter().filter(|y| **y == 100).count(), parts.len(), "{moves:?}");
        page.keys("un-inspector [name=name]", " !").await;
        page.stored_edits().await;
        page.reload().await;
        page.wait_for("un-canvas[data-complete]").await;
        page.frame().await;
        assert_eq!(page.texts("un-layers li.part b").await, parts);
        assert_eq!(
            page.text("un-layers li.group:not(.named) b").await,
            format!("{name} !"),
            "the group's name was forgotten"
        );
        assert!(near(page.pixel(below).await, BLUE), "the group's place was forgotten");
        // The steps of before: first the name, then the place.
        page.click("[data-action=undo]").await;
        page.wait_until(&format!(
            "return document.querySelector('un-layers li.group:not(.named) b').textContent === '{name}'"
        ))
        .await;
        assert!(near(page.pixel(below).await, BLUE), "two steps were taken back");
        page.click("[data-action=undo]").await;
        page.wait_pixel(BLUE_AT, BLUE).await;
        page.assert_quiet_console().await;
    })
    .await;
}
