//! The list of layers: one tab stop, names that are changed in place, rows that are dragged.

use fantoccini::actions::{InputSource, MOUSE_BUTTON_LEFT, MouseActions, PointerAction};
use serde_json::{Value, json};

use crate::browser::Window;
use crate::editor::open_poster;
use crate::page::{Page, with_page};
use crate::service::Service;

const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
const F2: &str = "\u{e032}";
const DOWN: &str = "\u{e015}";
const RIGHT: &str = "\u{e014}";
const END: &str = "\u{e010}";

async fn names(page: &Page) -> Vec<String> {
    page.texts("un-layers li b").await
}

async fn focused(page: &Page) -> Value {
    let script = "
        const now = document.activeElement;
        const row = now.closest('un-layers li');
        return row && [[...document.querySelectorAll('un-layers li')].indexOf(row), now.matches('[data-pick]')]";
    page.js(script, vec![]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_is_one_tab_stop_and_arrows_go_through_it() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        let stops = "return document.querySelectorAll('un-layers li [tabindex=\"0\"]').length";
        assert_eq!(page.js(stops, vec![]).await, json!(1));
        page.tab_to("un-layers [data-pick]").await;
        assert_eq!(focused(page).await, json!([0, true]));
        page.press(DOWN).await;
        assert_eq!(focused(page).await, json!([1, true]));
        page.press(RIGHT).await;
        assert_eq!(focused(page).await, json!([1, false]));
        page.press(END).await;
        let last = names(page).await.len() - 1;
        assert_eq!(focused(page).await, json!([last, false]));
        assert_eq!(page.js(stops, vec![]).await, json!(1));
        // One more Tab leaves it.
        page.press("\u{e004}").await;
        assert_eq!(focused(page).await, Value::Null);
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_changed_in_place() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        let row = "un-layers li[data-key='0']";
        let name = async || page.texts(&format!("{row} b")).await.concat();
        let before = name().await;
        page.click(&format!("{row} [data-pick]")).await;
        page.press(F2).await;
        page.wait_for(&format!("{row} .rename")).await;
        page.press("Sky").await;
        page.press(ESCAPE).await;
        page.wait_until("return document.querySelector('.rename') === null").await;
        assert_eq!(name().await, before, "Escape gives up");

        page.js(
            "document.querySelector(arguments[0]).dispatchEvent(new MouseEvent('dblclick', { bubbles: true }))",
            vec![json!(format!("{row} [data-pick]"))],
        )
        .await;
        page.wait_for(&format!("{row} .rename")).await;
        page.press("하늘 [v] +").await;
        page.press(ENTER).await;
        assert_eq!(name().await, "하늘 [v] +");
        assert_eq!(focused(page).await[1], json!(true), "the focus is lost");
        page.click("[data-action=undo]").await;
        assert_eq!(name().await, before, "one step");
        page.assert_quiet_console().await;
    })
    .await;
}

/// The inspector comes up between the two clicks, over the lower rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_the_inspector_covers_is_renamed_all_the_same() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        page.click("[data-sample='1']").await;
        page.wait_for("un-canvas[data-complete]").await;
        page.frame().await;
        let low = "
            const rows = [...document.querySelectorAll('un-layers li')].filter((row) => row.getBoundingClientRect().bottom < innerHeight - 60);
            const row = rows.at(-1);
            const { left, top } = row.getBoundingClientRect();
            return [row.dataset.key, left + 120, top + 20]";
        let (key, x, y): (String, f64, f64) = serde_json::from_value(page.js(low, vec![]).await).expect("a row");
        let mut clicks = MouseActions::new("mouse".to_owned()).then(PointerAction::MoveTo { duration: None, x, y });
        for _ in 0..2 {
            clicks = clicks
                .then(PointerAction::Down { button: MOUSE_BUTTON_LEFT })
                .then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
        }
        page.client().perform_actions(clicks).await.expect("two clicks");
        page.wait_for(&format!("li[data-key='{key}'] .rename")).await;
        let seen = "
            const field = document.querySelector('.rename').getBoundingClientRect();
            return field.bottom <= document.querySelector('.chosen').getBoundingClientRect().top";
        page.wait_until(seen).await;
        page.press("Basket").await;
        page.press(ENTER).await;
        assert_eq!(page.text(&format!("li[data-key='{key}'] b")).await, "Basket");
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_shows_where_a_dragged_row_lands() {
    let service = Service::start().await;
    for window in [Window::Desk, Window::Phone] {
        with_page(&service, window, async |page| {
            open_poster(page, "4").await;
            let before = names(page).await;
            // With a finger by its grip, with a mouse anywhere.
            let script = "
                const finger = arguments[0];
                const rows = [...document.querySelectorAll('un-layers li')];
                const from = rows.find((row) => row.dataset.key === '0');
                const grip = from.querySelector(finger ? '.grip' : '[data-pick]');
                const type = finger ? 'touch' : 'mouse';
                const place = (one, down = 0.5) => {
                    const { left, top, height } = one.getBoundingClientRect();
                    return { clientX: left + 60, clientY: top + height * down };
                };
                document.querySelector('un-layers').setPointerCapture = () => {};
                const send = (kind, at) => grip.dispatchEvent(new PointerEvent(kind, { bubbles: true, cancelable: true, pointerId: 7, pointerType: type, button: 0, ...at }));
                send('pointerdown', place(from));
                send('pointermove', place(rows[0], 0.2));
                const line = document.querySelector('.landing')?.getBoundingClientRect().top;
                const wanted = rows[0].getBoundingClientRect().top;
                send('pointerup', place(rows[0], 0.2));
                return line === undefined ? null : Math.abs(line - wanted)";
            let off = page.js(script, vec![json!(matches!(window, Window::Phone))]).await;
            assert!(off.as_f64().is_some_and(|off| off < 4.0), "the line is not where the row will land: {off}");
            let after = names(page).await;
            assert_eq!(after.first(), before.last(), "{before:?} {after:?}");
            page.click("[data-action=undo]").await;
            assert_eq!(names(page).await, before);
            page.assert_quiet_console().await;
        })
        .await;
    }
}
