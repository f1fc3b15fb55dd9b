//! One document, in the service: the same for everyone who has the link, whatever happens on the way.

use serde_json::json;

use crate::browser::Window;
use crate::editor::{open_poster, select_at};
use crate::page::{Page, with_page};
use crate::poster::{BLUE, BLUE_AT, RED, RED_AT, near};
use crate::service::Service;

const BELOW: (u32, u32) = (RED_AT.0, RED_AT.1 + 150);

async fn open(page: &Page, id: &str) {
    page.js("location.hash = `job=${arguments[0]}`", vec![json!(id)]).await;
    page.wait_for("un-canvas[data-complete]").await;
    page.frame().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_link_shows_the_same_edits_in_another_browser() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |mine| {
        open_poster(mine, "4").await;
        mine.drag_on_canvas(RED_AT, BELOW).await;
        mine.keys("un-inspector [name=name]", " !").await;
        mine.stored_edits().await;
        let id = mine.job_id().await;
        with_page(&service, Window::Desk, async |theirs| {
            open(theirs, &id).await;
            assert!(near(theirs.pixel(BELOW).await, RED), "{:?}", theirs.pixel(BELOW).await);
            assert_eq!(theirs.texts("un-layers li b").await, mine.texts("un-layers li b").await);
            // Both work on it: nothing is lost, and who is later hears of it.
            select_at(theirs, BLUE_AT).await;
            theirs.set("un-inspector [name=opacity]", "50").await;
            theirs.stored_edits().await;
            assert!(near(mine.pixel(BLUE_AT).await, BLUE), "it has not heard of it yet");
            mine.drag_on_canvas(BELOW, RED_AT).await;
            mine.wait_for(".notice").await;
            mine.stored_edits().await;
            mine.frame().await;
            assert!(near(mine.pixel(RED_AT).await, RED) && !near(mine.pixel(BLUE_AT).await, BLUE));
            theirs.reload().await;
            theirs.wait_for("un-canvas[data-complete]").await;
            theirs.frame().await;
            assert!(near(theirs.pixel(RED_AT).await, RED) && !near(theirs.pixel(BLUE_AT).await, BLUE));
            theirs.assert_quiet_console().await;
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_outlive_a_reload_and_versions_have_names() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        page.drag_on_canvas(RED_AT, BELOW).await;
        page.click("un-versions summary").await;
        page.keys("un-versions input", "아래").await;
        page.click("un-versions [type=submit]").await;
        page.wait_for("un-versions [data-restore]").await;
        page.set("un-inspector [name=opacity]", "50").await;
        page.stored_edits().await;
        page.reload().await;
        page.wait_for("un-canvas[data-complete]").await;
        page.click("[data-action=undo]").await;
        page.wait_pixel(BELOW, RED).await;
        page.click("[data-action=undo]").await;
        page.wait_pixel(RED_AT, RED).await;
        page.wait_until("return document.querySelector('[data-action=undo]').disabled").await;
        page.click("[data-action=redo]").await;
        page.wait_pixel(BELOW, RED).await;
        page.click("[data-action=undo]").await;
        page.wait_pixel(RED_AT, RED).await;

        page.click("un-versions summary").await;
        assert_eq!(page.text("un-versions li b").await, "아래");
        page.click("un-versions [data-restore]").await;
        page.wait_pixel(BELOW, RED).await;
        page.click("un-versions [data-delete]").await;
        page.wait_until("return document.querySelector('un-versions li') === null").await;
        assert!(near(page.pixel(BELOW).await, RED));
        assert!(page.nameless_controls().await.is_empty(), "{:?}", page.nameless_controls().await);
        // Until when it is kept can be put off, once.
        let kept = page.text("un-details .kept").await;
        page.click("un-details [data-keep]").await;
        page.wait_until("return document.querySelector('un-details [data-keep]') === null").await;
        assert_ne!(page.text("un-details .kept").await, kept);
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_changed_while_the_service_is_away_is_sent_when_it_is_back() {
    let mut service = Service::start().await;
    with_page(&service.clone_address(), Window::Desk, async |page| {
        open_poster(page, "4").await;
        service.kill().await;
        page.drag_on_canvas(RED_AT, BELOW).await;
        page.wait_for("un-result[data-saving=waiting]").await;
        page.wait_until("return document.querySelector('.saving').textContent !== ''").await;
        assert!(near(page.pixel(BELOW).await, RED), "the page waits for the service");
        service.start_again().await;
        let edits = page.stored_edits().await;
        assert!(edits.iter().any(|edit| edit["y"] == json!(150)), "{edits:?}");
        page.wait_until("return document.querySelector('.saving').textContent === ''").await;
        page.click("[data-action=undo]").await;
        let edits = page.stored_edits().await;
        assert!(!edits.iter().any(|edit| edit["y"] == json!(150)), "{edits:?}");
    })
    .await;
}
