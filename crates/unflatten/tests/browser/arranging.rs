//! Layers that are deleted, copied, grouped and mixed with what is below them.

use fantoccini::actions::{InputSource, KeyAction, KeyActions, MOUSE_BUTTON_LEFT};
use serde_json::json;

use crate::browser::Window;
use crate::editor::{open_poster, select_at};
use crate::page::{Page, with_page};
use crate::poster::{BLUE, BLUE_AT, RED, RED_AT, near};
use crate::service::Service;

const SHIFT: char = '\u{e008}';
const CONTROL: &str = "\u{e009}";
const DELETE: &str = "\u{e017}";

async fn shift(page: &Page, down: bool) {
    let action = if down { KeyAction::Down { value: SHIFT } } else { KeyAction::Up { value: SHIFT } };
    page.client().perform_actions(KeyActions::new("keys".to_owned()).then(action)).await.expect("a key");
}

async fn selected(page: &Page) -> usize {
    page.texts("un-layers li.selected b").await.len()
}

/// What the service has is what the page shows, in every pixel that is looked at.
async fn assert_exported(page: &Page, service: &Service, at: &[(u32, u32)]) {
    page.stored_edits().await;
    let url = format!("{}/api/jobs/{}/compose", service.address(), page.job_id().await);
    let answer = reqwest::Client::new().post(url).json(&json!({})).send().await.expect("an answer");
    let bytes = answer.bytes().await.expect("a PNG");
    let composed = image::load_from_memory(&bytes).expect("a PNG").into_rgba8();
    for &(x, y) in at {
        let (there, here) = (composed.get_pixel(x, y).0, page.pixel((x, y)).await);
        assert!(near(there, here), "at {x}, {y}: {there:?} in the file, {here:?} on the page");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layers_are_deleted_copied_and_grouped_by_keys() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        let before = page.texts("un-layers li b").await;
        select_at(page, RED_AT).await;
        page.press(DELETE).await;
        page.frame().await;
        assert!(!near(page.pixel(RED_AT).await, RED), "Delete deleted nothing");
        assert_exported(page, &service, &[RED_AT, BLUE_AT]).await;
        page.press(&format!("{CONTROL}z")).await;
        page.wait_pixel(RED_AT, RED).await;

        // A copy, 16 pixels aside, is selected and can be moved.
        select_at(page, RED_AT).await;
        page.press(&format!("{CONTROL}d")).await;
        assert_eq!(page.texts("un-layers li b").await.len(), before.len() + 1);
        let there = (RED_AT.0, RED_AT.1 + 150);
        page.drag_on_canvas(RED_AT, there).await;
        page.frame().await;
        assert!(near(page.pixel(RED_AT).await, RED) && near(page.pixel(there).await, RED));
        assert_exported(page, &service, &[RED_AT, there, BLUE_AT]).await;
        page.reload().await;
        page.wait_for("un-canvas[data-complete]").await;
        page.frame().await;
        assert!(near(page.pixel(RED_AT).await, RED) && near(page.pixel(there).await, RED), "the copy was forgotten");

        // Two by Shift, moved together, then a group that is moved as one.
        select_at(page, there).await;
        shift(page, true).await;
        page.drag_on_canvas(BLUE_AT, BLUE_AT).await;
        shift(page, false).await;
        assert_eq!(selected(page).await, 2);
        page.drag_on_canvas(BLUE_AT, (BLUE_AT.0, BLUE_AT.1 + 40)).await;
        page.frame().await;
        let (blue, red) = ((BLUE_AT.0, BLUE_AT.1 + 40), (there.0, there.1 + 40));
        assert!(near(page.pixel(blue).await, BLUE) && near(page.pixel(red).await, RED));
        page.press(&format!("{CONTROL}g")).await;
        page.wait_until("return document.querySelectorAll('un-layers li.group:not(.named)').length === 1").await;
        assert_eq!(page.text("un-layers li.group:not(.named) b").await, "Group");
        page.set("un-inspector [name=opacity]", "50").await;
        page.frame().await;
        assert!(!near(page.pixel(blue).await, BLUE), "the group has no opacity");
        assert_exported(page, &service, &[RED_AT, red, blue, BLUE_AT]).await;
        page.set("un-inspector [name=opacity]", "100").await;
        page.press("\u{e00c}").await;
        page.drag_on_canvas(red, (red.0, red.1 - 40)).await;
        page.frame().await;
        assert!(near(page.pixel(BLUE_AT).await, BLUE) && near(page.pixel(there).await, RED), "the group moves as one");
        page.press(&format!("{CONTROL}\u{e008}g")).await;
        page.wait_until("return document.querySelector('un-layers li.group:not(.named)') === null").await;
        assert_eq!(selected(page).await, 2);
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rectangle_selects_and_blend_modes_are_exported_as_they_are_seen() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        shift(page, true).await;
        page.drag_on_canvas((4, 4), (636, 476)).await;
        shift(page, false).await;
        assert!(selected(page).await >= 3, "{}", selected(page).await);
        assert_eq!(page.texts("un-layers li[data-key='0'].selected b").await.len(), 0, "the background is locked");
        page.press("\u{e00c}").await;
        page.drag_on_canvas((320, 400), (320, 400)).await;
        assert_eq!(selected(page).await, 0);

        // Over the ground and over each other.
        select_at(page, RED_AT).await;
        page.drag_on_canvas(RED_AT, (BLUE_AT.0 - 20, BLUE_AT.1)).await;
        let plain = page.pixel((BLUE_AT.0 - 20, BLUE_AT.1)).await;
        for mode in ["multiply", "screen", "overlay", "darken", "lighten"] {
            let choose = "
                const select = document.querySelector('un-inspector select');
                select.value = arguments[0];
                select.dispatchEvent(new Event('input', { bubbles: true }));";
            page.js(choose, vec![json!(mode)]).await;
            page.frame().await;
            assert_exported(page, &service, &[(BLUE_AT.0 - 20, BLUE_AT.1), (BLUE_AT.0 - 60, BLUE_AT.1), BLUE_AT]).await;
        }
        page.press(&format!("{CONTROL}z")).await;
        page.frame().await;
        page.js("document.querySelector('un-inspector select').focus()", vec![]).await;
        assert_eq!(
            page.js("return document.querySelector('un-inspector select').value", vec![]).await,
            json!("darken")
        );
        for _ in 0..4 {
            page.press(&format!("{CONTROL}z")).await;
        }
        page.frame().await;
        assert!(near(page.pixel((BLUE_AT.0 - 20, BLUE_AT.1)).await, plain));
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handles_scale_and_edges_are_met() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        select_at(page, RED_AT).await;
        let outline = async || -> [f64; 4] {
            let script = "
                const { left, top, width, height } = document.querySelector('.outline.picked').getBoundingClientRect();
                return [left, top, width, height]";
            serde_json::from_value(page.js(script, vec![]).await).expect("four numbers")
        };
        let before = outline().await;
        let corner = (before[0] + before[2], before[1] + before[3]);
        page.drag(corner, (corner.0 + 50.0, corner.1 + 50.0), MOUSE_BUTTON_LEFT).await;
        page.frame().await;
        let after = outline().await;
        assert!((after[0] - before[0]).abs() < 2.0 && (after[1] - before[1]).abs() < 2.0, "{before:?} {after:?}");
        assert!((after[2] - before[2] - 50.0).abs() < 3.0, "{before:?} {after:?}");
        assert_exported(page, &service, &[RED_AT, BLUE_AT, (RED_AT.0 + 60, RED_AT.1 + 60)]).await;
        page.press(&format!("{CONTROL}z")).await;
        page.frame().await;
        assert_eq!(outline().await, before, "one step");

        // Four pixels beside the left edge of the canvas, it is drawn to it.
        let x = async || page.js("return Number(document.querySelector('un-inspector [name=x]').value)", vec![]).await;
        let left = RED_AT.0 - 70;
        page.drag_on_canvas(RED_AT, (RED_AT.0 - left + 3, RED_AT.1 + 60)).await;
        assert_eq!(x().await, json!(0));
        assert_eq!(
            page.js("return document.querySelectorAll('.guide').length", vec![]).await,
            json!(0),
            "a guide is left"
        );
        page.assert_quiet_console().await;
    })
    .await;
}
