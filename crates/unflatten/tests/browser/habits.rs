//! What people know from other editors: the hand, zoom, keys, menus, the lock of the background.

use fantoccini::actions::{InputSource, KeyAction, KeyActions, MOUSE_BUTTON_LEFT, MOUSE_BUTTON_MIDDLE};
use fantoccini::actions::{MOUSE_BUTTON_RIGHT, MouseActions, PointerAction};
use serde_json::{Value, json};

use crate::browser::Window;
use crate::editor::{open_poster, select_at};
use crate::page::{Page, with_page};
use crate::poster::{BLUE_AT, RED, RED_AT, near};
use crate::service::Service;
use crate::typing;

/// Where the poster has its background alone.
const GROUND_AT: (u32, u32) = (320, 400);
const ESCAPE: &str = "\u{e00c}";
const LEFT: &str = "\u{e012}";
const SHIFT_LEFT: &str = "\u{e008}\u{e012}\u{e008}";
const F2: &str = "\u{e032}";
const CONTROL: &str = "\u{e009}";
/// Inside the ring of the first letter of the title of `typing::poster`, and between the lines of the poster.
const IN_THE_TITLE: (u32, u32) = (200, 95);

/// Where the canvas is in the window, and its width there.
async fn view(page: &Page) -> [f64; 3] {
    page.frame().await;
    let script = "
        const { left, top, width } = document.querySelector('un-canvas canvas').getBoundingClientRect();
        return [left, top, width]";
    serde_json::from_value(page.js(script, vec![]).await).expect("three numbers")
}

async fn edits(page: &Page) -> usize {
    page.stored_edits().await.iter().filter(|edit| edit.as_object().is_some_and(|fields| !fields.is_empty())).count()
}

async fn chosen(page: &Page) -> Value {
    page.js("return document.querySelector('un-layers li.selected')?.dataset.key ?? null", vec![]).await
}

/// Drags on the picture while a key or nothing is held.
async fn drag(page: &Page, from: (u32, u32), by: (f64, f64), button: u64) {
    let from = page.in_window(from).await;
    page.drag(from, (from.0 + by.0, from.1 + by.1), button).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_background_stays_where_it_is_until_it_is_unlocked() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        page.wait_for("li[data-key='0'] [data-lock][aria-pressed=true]").await;
        // A drag on it pans, a click on it deselects.
        select_at(page, RED_AT).await;
        let before = view(page).await;
        drag(page, GROUND_AT, (40.0, 25.0), MOUSE_BUTTON_LEFT).await;
        let after = view(page).await;
        assert!(
            (after[0] - before[0] - 40.0).abs() < 1.5 && (after[1] - before[1] - 25.0).abs() < 1.5,
            "{before:?} {after:?}"
        );
        assert_ne!(chosen(page).await, Value::Null, "a pan is no click");
        page.drag_on_canvas(GROUND_AT, GROUND_AT).await;
        assert_eq!(chosen(page).await, Value::Null, "a click on the background deselects");
        assert_eq!(edits(page).await, 0, "something was moved");

        // Unlocked, it is a layer like others.
        page.click("li[data-key='0'] [data-lock]").await;
        drag(page, GROUND_AT, (0.0, 60.0), MOUSE_BUTTON_LEFT).await;
        assert_eq!(chosen(page).await, json!("0"));
        page.frame().await;
        assert_eq!(page.pixel((20, 10)).await[3], 0, "the background did not move");
        page.reload().await;
        page.wait_for("li[data-key='0'] [data-lock][aria-pressed=false]").await;
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_view_moves_as_in_other_editors() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        let start = view(page).await;
        // The middle button pans wherever it is pressed, and selects nothing.
        drag(page, RED_AT, (30.0, 0.0), MOUSE_BUTTON_MIDDLE).await;
        assert!((view(page).await[0] - start[0] - 30.0).abs() < 1.5);
        assert_eq!(chosen(page).await, Value::Null);

        // Space is the hand for as long as it is held, even where a button has the focus.
        page.click("[data-tool=move]").await;
        page.point_at(RED_AT).await;
        let space = |action| KeyActions::new("keys".to_owned()).then(action);
        page.client().perform_actions(space(KeyAction::Down { value: ' ' })).await.expect("a key");
        page.wait_for(".frame[data-hand]").await;
        drag(page, RED_AT, (-30.0, 0.0), MOUSE_BUTTON_LEFT).await;
        page.client().perform_actions(space(KeyAction::Up { value: ' ' })).await.expect("a key");
        page.wait_for(".frame:not([data-hand])").await;
        assert!((view(page).await[0] - start[0]).abs() < 1.5);
        page.frame().await;
        assert!(near(page.pixel(RED_AT).await, RED), "the hand moved a layer");

        // So is the hand tool, until V.
        page.press("h").await;
        page.wait_for("[data-tool=hand][aria-pressed=true]").await;
        drag(page, RED_AT, (20.0, 0.0), MOUSE_BUTTON_LEFT).await;
        assert!((view(page).await[0] - start[0] - 20.0).abs() < 1.5);
        page.press("v").await;
        page.wait_for("[data-tool=move][aria-pressed=true]").await;

        page.press(&format!("{CONTROL}1")).await;
        assert!((view(page).await[2] - 640.0).abs() < 0.5);
        page.press("+").await;
        assert!((view(page).await[2] - 800.0).abs() < 0.5);
        page.press("-").await;
        page.press(&format!("{CONTROL}0")).await;
        let fitting = view(page).await;
        assert!((fitting[0] - start[0]).abs() < 0.5 && (fitting[2] - start[2]).abs() < 0.5, "{start:?} {fitting:?}");

        // The wheel zooms at the pointer while Ctrl is held: what is under it stays there.
        let at = page.in_window(BLUE_AT).await;
        let wheel = "
            const [x, y] = arguments;
            const wheel = new WheelEvent('wheel', { deltaY: -240, ctrlKey: true, clientX: x, clientY: y, bubbles: true, cancelable: true });
            document.querySelector('un-canvas .frame').dispatchEvent(wheel);
            return wheel.defaultPrevented";
        assert_eq!(page.js(wheel, vec![at.0.into(), at.1.into()]).await, json!(true));
        let now = page.in_window(BLUE_AT).await;
        assert!((now.0 - at.0).abs() < 1.0 && (now.1 - at.1).abs() < 1.0, "{at:?} {now:?}");
        assert!(view(page).await[2] > fitting[2] * 1.2);
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_work_wherever_the_focus_is_but_in_fields() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        select_at(page, RED_AT).await;
        let key = chosen(page).await.as_str().map(str::to_owned).expect("a layer");
        let x = async || {
            let value = page.js("return document.querySelector('un-inspector [name=x]').value", vec![]).await;
            value.as_str().and_then(|text| text.parse::<i64>().ok()).expect("a number")
        };
        let before = x().await;
        page.press(LEFT).await;
        page.press(SHIFT_LEFT).await;
        assert_eq!(x().await, before - 11);

        // In a field, letters are letters.
        page.click("un-inspector [name=name]").await;
        page.press("vh?[]+").await;
        assert!(page.js("return document.querySelector('dialog[open]') === null", vec![]).await == true);
        page.wait_for("[data-tool=move][aria-pressed=true]").await;
        page.click(&format!("li[data-key='{key}'] [data-pick]")).await;

        // A syllable that is being composed is nobody else's.
        let composing = "
            const event = new KeyboardEvent('keydown', { key: 'h', code: 'KeyH', isComposing: true, bubbles: true, cancelable: true });
            document.body.dispatchEvent(event);
            return event.defaultPrevented";
        assert_eq!(page.js(composing, vec![]).await, json!(false));

        let order = async || page.texts("un-layers li:not(.group) b").await;
        let before = order().await;
        page.press("]").await;
        page.press("[").await;
        assert_eq!(order().await, before);
        page.press("[").await;
        assert_ne!(order().await, before, "[ did not lower the layer");
        page.press(&format!("{CONTROL}z")).await;
        assert_eq!(order().await, before);

        page.press(ESCAPE).await;
        // A group that the service made may be around it.
        for _ in 0..3 {
            page.press(ESCAPE).await;
        }
        assert_eq!(chosen(page).await, Value::Null);

        page.press("?").await;
        page.wait_for("un-shortcuts dialog[open]").await;
        let words = page.text("un-shortcuts dialog").await;
        assert!(words.contains("Ctrl + Shift + Z") && words.contains("Hand tool"), "{words}");
        // The focus stays within.
        for _ in 0..4 {
            page.press("\u{e004}").await;
            let inside = "const now = document.activeElement; return now === document.body || now.closest('un-shortcuts') !== null";
            assert_eq!(page.js(inside, vec![]).await, json!(true));
        }
        page.press(ESCAPE).await;
        page.wait_until("return document.querySelector('un-shortcuts dialog[open]') === null").await;
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_button_opens_what_can_be_done() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        page.point_at(RED_AT).await;
        let click = MouseActions::new("mouse".to_owned())
            .then(PointerAction::Down { button: MOUSE_BUTTON_RIGHT })
            .then(PointerAction::Up { button: MOUSE_BUTTON_RIGHT });
        page.client().perform_actions(click).await.expect("a click");
        page.wait_for("un-menu:popover-open [role=menuitem]").await;
        let key = chosen(page).await.as_str().map(str::to_owned).expect("what is under the pointer is selected");
        let items = page.texts("un-menu [role=menuitem] > span:not(.icon)").await;
        for wanted in ["Rename", "Hide", "Lock", "Bring forward", "Split this layer", "Download as PNG", "Back to the original"] {
            assert!(items.iter().any(|item| item == wanted), "{wanted} is not in {items:?}");
        }
        // By keys: Down to the second one.
        page.press("\u{e015}").await;
        page.press("\u{e007}").await;
        page.wait_for(&format!("li[data-key='{key}'].hidden")).await;
        page.frame().await;
        assert!(!near(page.pixel(RED_AT).await, RED), "the menu hid nothing");
        page.wait_until("return !document.querySelector('un-menu').matches(':popover-open')").await;

        let open = "document.querySelector(arguments[0]).dispatchEvent(new MouseEvent('contextmenu', { bubbles: true, cancelable: true, button: 2, clientX: 900, clientY: 300 }))";
        page.js(open, vec![json!(format!("li[data-key='{key}']"))]).await;
        page.wait_for("un-menu:popover-open").await;
        let restore = "[...document.querySelectorAll('un-menu [role=menuitem]')].find((one) => one.textContent.includes('Back to')).click()";
        page.js(restore, vec![]).await;
        page.wait_for(&format!("li[data-key='{key}']:not(.hidden)")).await;
        page.frame().await;
        assert!(near(page.pixel(RED_AT).await, RED));

        page.js(open, vec![json!(format!("li[data-key='{key}']"))]).await;
        page.wait_for("un-menu:popover-open").await;
        page.press(ESCAPE).await;
        page.wait_until("return !document.querySelector('un-menu').matches(':popover-open')").await;
        assert_eq!(chosen(page).await, json!(key), "Escape closed the menu and more");
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_are_hit_between_their_letters_and_the_pointer_shows_what_it_is_over() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        typing::open(page).await;
        assert_eq!(page.js("return document.title", vec![]).await, json!("봄날.png · Unflatten"));
        page.point_at(IN_THE_TITLE).await;
        page.wait_for("un-layers li.hovered").await;
        page.wait_for(".outline.over:not([hidden])").await;
        let title = page.text("un-layers li.hovered b").await;
        assert!(title.contains("음악회"), "{title}");
        // Every few pixels of its box.
        for x in (70..300).step_by(23) {
            page.drag_on_canvas((x, 95), (x, 95)).await;
            assert_eq!(page.texts("un-layers li.selected b").await.concat(), title, "at {x}");
        }
        page.press(ESCAPE).await;
        page.press(ESCAPE).await;
        page.point_at((320, 220)).await;
        page.wait_until("return document.querySelector('un-layers li.hovered') === null").await;
        page.assert_quiet_console().await;
        // From the list to the canvas.
        let row = "un-layers li:not(.group) [data-pick]";
        page.js("document.querySelector(arguments[0]).dispatchEvent(new PointerEvent('pointerover', { bubbles: true, pointerType: 'mouse' }))", vec![json!(row)]).await;
        page.wait_for(".outline.over:not([hidden])").await;
        page.press(F2).await;
        page.click("[data-new]").await;
        page.wait_until("return document.title === 'Unflatten'").await;
    })
    .await;
}
