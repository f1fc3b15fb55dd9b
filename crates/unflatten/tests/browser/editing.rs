//! Every tool of the editor, one after the other on one result.

use crate::browser::Window;
use crate::editor::{open_poster, select_at};
use crate::page::{Page, with_page};
use crate::poster::{BLUE, BLUE_AT, RED, RED_AT, near};
use crate::service::Service;

/// Between two of the bars that stand for words: inside their layer's box, but none of its pixels.
const BETWEEN_BARS: (u32, u32) = (84, 80);
const ON_A_BAR: (u32, u32) = (69, 80);
const LEFT: &str = "\u{e012}";
const RIGHT: &str = "\u{e014}";
const DOWN: &str = "\u{e015}";

async fn place(page: &Page) -> [i64; 2] {
    let script = "return ['x', 'y'].map((name) => Number(document.querySelector(`un-inspector [name=${name}]`).value))";
    serde_json::from_value(page.js(script, vec![]).await).expect("two numbers")
}

/// The selector of the row of the layer that is chosen.
async fn chosen_row(page: &Page) -> String {
    let key = page.js("return document.querySelector('un-layers li.selected').dataset.key", vec![]).await;
    format!("un-layers li[data-key='{}']", key.as_str().expect("a row is chosen"))
}

/// Whether one row of the list is above another.
async fn is_above(page: &Page, one: &str, other: &str) -> bool {
    let script = "
        const [one, other] = [...arguments].map((selector) => document.querySelector(selector).getBoundingClientRect().top);
        return one < other";
    page.js(script, vec![one.into(), other.into()]).await == true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layers_are_chosen_moved_locked_renamed_and_reordered() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        let painted = "return [...document.querySelectorAll('un-layers li canvas')].every((one) => one.getContext('2d')
            .getImageData(0, 0, one.width, one.height).data.some((value) => value > 0))";
        page.wait_until(painted).await;

        // By alpha: between the bars one sees the background, which is locked.
        select_at(page, ON_A_BAR).await;
        page.drag_on_canvas(BETWEEN_BARS, BETWEEN_BARS).await;
        page.wait_until("return document.querySelector('un-inspector section') === null").await;

        // Nudges in a row are one step back.
        select_at(page, RED_AT).await;
        let red_row = chosen_row(page).await;
        let [x, y] = place(page).await;
        for key in [RIGHT, RIGHT, RIGHT, LEFT, "\u{e008}\u{e015}\u{e008}"] {
            page.keys("un-canvas .frame", key).await;
        }
        page.keys("un-canvas .frame", DOWN).await;
        assert_eq!(place(page).await, [x + 2, y + 11]);
        page.frame().await;
        let edge = (RED_AT.0 + 71, RED_AT.1 + 11);
        assert!(near(page.pixel(edge).await, RED), "the disc was not nudged: {:?}", page.pixel(edge).await);
        page.click("[data-action=undo]").await;
        assert_eq!(place(page).await, [x, y]);
        page.click("[data-action=redo]").await;
        assert_eq!(place(page).await, [x + 2, y + 11]);
        page.keys("un-canvas .frame", "\u{e009}z").await;
        page.keys("un-canvas .frame", "\u{e009}\u{e008}z").await;
        assert_eq!(place(page).await, [x + 2, y + 11], "the keys do not redo");
        page.click("[data-action=undo]").await;

        // A locked layer stays where it is.
        page.click("[data-action=lock]").await;
        page.wait_for(&format!("{red_row} [data-lock][aria-pressed=true]")).await;
        page.keys("un-canvas .frame", RIGHT).await;
        page.drag_on_canvas(RED_AT, (RED_AT.0, RED_AT.1 + 60)).await;
        page.frame().await;
        assert!(near(page.pixel(RED_AT).await, RED), "a locked layer was moved");
        page.click(&format!("{red_row} [data-pick]")).await;
        assert_eq!(place(page).await, [x, y]);
        page.click("[data-action=lock]").await;

        page.set("un-inspector [name=name]", "빨간 원 & <b>").await;
        assert_eq!(page.text(&format!("{red_row} b")).await, "빨간 원 & <b>");
        page.click("[data-action=undo]").await;
        assert_ne!(page.text(&format!("{red_row} b")).await, "빨간 원 & <b>", "undo kept the name");
        page.click("[data-action=redo]").await;

        // The order of the list is what lies on what.
        page.drag_on_canvas(RED_AT, BLUE_AT).await;
        select_at(page, (BLUE_AT.0 - 55, BLUE_AT.1 - 55)).await;
        let blue_row = chosen_row(page).await;
        assert_ne!(red_row, blue_row, "the square and the disc are one layer");
        let red_is_above = is_above(page, &red_row, &blue_row).await;
        page.frame().await;
        let on_top = if red_is_above { RED } else { BLUE };
        assert!(near(page.pixel(BLUE_AT).await, on_top), "{:?}", page.pixel(BLUE_AT).await);
        page.drag_element(&red_row, &blue_row).await;
        page.frame().await;
        let below = if red_is_above { BLUE } else { RED };
        assert!(near(page.pixel(BLUE_AT).await, below), "dragging the row changed nothing");
        page.click(&format!("{red_row} [data-pick]")).await;
        page.click(if red_is_above { "[data-action=up]" } else { "[data-action=down]" }).await;
        page.frame().await;
        assert!(near(page.pixel(BLUE_AT).await, on_top), "the buttons do not reorder");
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_canvas_zooms_pans_compares_and_has_grounds() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        let width = async || {
            let width = "return document.querySelector('un-canvas canvas').getBoundingClientRect().width";
            page.js(width, vec![]).await.as_f64().expect("a width")
        };
        let left = async || {
            let left = "return document.querySelector('un-canvas canvas').getBoundingClientRect().left";
            page.js(left, vec![]).await.as_f64().expect("a place")
        };
        let fitting = width().await;
        for _ in 0..4 {
            page.click("[data-zoom=in]").await;
        }
        assert!((width().await / fitting - 1.4_f64.powi(4)).abs() < 0.02, "{} from {fitting}", width().await);
        let before = left().await;
        page.keys("un-canvas .frame", RIGHT).await;
        assert!((left().await - before + 60.0).abs() < 1.0, "the arrow key did not pan");
        page.keys("un-canvas .frame", "1").await;
        assert!((width().await - 640.0).abs() < 0.5);
        page.keys("un-canvas .frame", "+").await;
        assert!((width().await - 800.0).abs() < 0.5);
        page.keys("un-canvas .frame", "0").await;
        assert!((width().await - fitting).abs() < 0.5);

        // Each ground is seen where no layer is.
        let corner = (20, 400);
        page.click("li[data-key='0'] [data-eye]").await;
        for (ground, colour) in
            [("white", [255, 255, 255, 255]), ("black", [0, 0, 0, 255]), ("magenta", [255, 0, 255, 255])]
        {
            page.click(&format!("input[name=ground][value={ground}] + span")).await;
            assert!(near(page.seen_at(corner).await, colour), "{ground}: {:?}", page.seen_at(corner).await);
        }
        page.click("input[name=ground][value=checker] + span").await;
        let squares = [page.seen_at((20, 400)).await, page.seen_at((45, 400)).await, page.seen_at((70, 400)).await];
        assert!(squares.iter().any(|one| *one != squares[0]), "no checkerboard: {squares:?}");
        page.click("li[data-key='0'] [data-eye]").await;

        // The disc is moved away: before it is there, after it is not.
        let there = (RED_AT.0, RED_AT.1 + 150);
        page.drag_on_canvas(RED_AT, there).await;
        page.click("input[name=mode][value=compare] + span").await;
        page.set("un-canvas .compare", "95").await;
        assert!(near(page.seen_at(RED_AT).await, RED), "before: {:?}", page.seen_at(RED_AT).await);
        page.set("un-canvas .compare", "5").await;
        assert!(!near(page.seen_at(RED_AT).await, RED), "after, the disc is still there");
        assert!(near(page.seen_at(there).await, RED), "after: {:?}", page.seen_at(there).await);
        page.click("input[name=mode][value=input] + span").await;
        assert!(near(page.seen_at(RED_AT).await, RED) && near(page.seen_at(BLUE_AT).await, BLUE));
        page.assert_quiet_console().await;
    })
    .await;
}
