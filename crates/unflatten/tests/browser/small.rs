//! Phones, upright and on their side; layers that fan out.

use serde_json::{Value, json};

use crate::browser::{Cdp, Window};
use crate::editor::open_poster;
use crate::page::{Page, with_page};
use crate::poster::{RED, RED_AT, near};
use crate::service::Service;

/// Swipes with a finger across the picture.
async fn swipe(page: &Page, from: (u32, u32), by: (f64, f64)) {
    let (x, y) = page.in_window(from).await;
    let touch = |kind: &str, points: Value| {
        Cdp::new("Input.dispatchTouchEvent", json!({ "type": kind, "touchPoints": points }))
    };
    let point = |share: f64| json!([{ "x": x + by.0 * share, "y": y + by.1 * share }]);
    page.client().issue_cmd(touch("touchStart", point(0.0))).await.expect("a touch");
    for share in [0.2, 0.4, 0.6, 0.8, 1.0] {
        page.client().issue_cmd(touch("touchMove", point(share))).await.expect("a touch");
    }
    page.client().issue_cmd(touch("touchEnd", json!([]))).await.expect("a touch");
    // The browser may still make a click of it.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finger_moves_only_what_is_selected() {
    let service = Service::start().await;
    with_page(&service, Window::Phone, async |page| {
        open_poster(page, "4").await;
        let edited = async || page.stored_edits().await.iter().any(|edit| edit.get("x").is_some() || edit.get("y").is_some());
        swipe(page, RED_AT, (60.0, 0.0)).await;
        assert!(!edited().await, "a swipe moved a layer that nobody had selected");
        swipe(page, (320, 400), (60.0, 10.0)).await;
        assert!(!edited().await, "a swipe moved the background");
        assert!(near(page.pixel(RED_AT).await, RED));
        let line = "
            const rows = [...document.querySelectorAll('.tools > *')].map((one) => one.getBoundingClientRect()).filter(({ width }) => width > 0);
            return Math.max(...rows.map(({ bottom }) => bottom)) - Math.min(...rows.map(({ top }) => top))";
        let height = page.js(line, vec![]).await.as_f64().expect("a height");
        assert!(height < 56.0, "the toolbar has more than one line: {height} px");
        page.click(".tools [data-action=menu]").await;
        page.wait_for("un-menu:popover-open [role=menuitemradio]").await;
        page.assert_fits().await;
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_fingers_zoom_and_the_panel_has_a_menu() {
    let service = Service::start().await;
    with_page(&service, Window::Phone, async |page| {
        open_poster(page, "4").await;
        let width = "return document.querySelector('un-canvas canvas').getBoundingClientRect().width";
        let before = page.js(width, vec![]).await.as_f64().expect("a width");
        let (x, y) = page.in_window((320, 240)).await;
        for apart in [20.0, 20.0, 30.0, 40.0, 50.0, 60.0] {
            let points = json!([{ "x": x - apart, "y": y, "id": 0 }, { "x": x + apart, "y": y, "id": 1 }]);
            let kind = if apart > 20.0 { "touchMove" } else { "touchStart" };
            let touch = Cdp::new("Input.dispatchTouchEvent", json!({ "type": kind, "touchPoints": points }));
            page.client().issue_cmd(touch).await.expect("a touch");
        }
        let end = Cdp::new("Input.dispatchTouchEvent", json!({ "type": "touchEnd", "touchPoints": [] }));
        page.client().issue_cmd(end).await.expect("a touch");
        page.frame().await;
        let after = page.js(width, vec![]).await.as_f64().expect("a width");
        assert!((2.0..4.5).contains(&(after / before)), "{before} became {after}");
        assert!(!page.stored_edits().await.iter().any(|edit| edit.get("x").is_some()), "two fingers moved a layer");

        // Without a right button: the menu of a layer is in its panel.
        page.js("document.querySelector('un-layers [data-pick]').click()", vec![]).await;
        page.click("un-inspector [data-action=more]").await;
        page.wait_for("un-menu:popover-open [role=menuitem]").await;
        let items = page.texts("un-menu [role=menuitem]").await;
        assert!(items.iter().any(|item| item.contains("Rename")), "{items:?}");
        page.assert_fits().await;
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_its_side_a_phone_leaves_the_picture_the_room() {
    let service = Service::start().await;
    with_page(&service, Window::Landscape, async |page| {
        open_poster(page, "4").await;
        let share = "
            const { width, height } = document.querySelector('un-canvas').getBoundingClientRect();
            return width * height / (innerWidth * innerHeight)";
        let share = page.js(share, vec![]).await.as_f64().expect("a share");
        assert!(share > 0.5, "the canvas has {share} of the window");
        page.assert_fits().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notices_cover_nothing_that_people_want_next() {
    let service = Service::start().await;
    for (window, wanted) in [
        (Window::Desk, ".zoom, .panel, .tools"),
        (Window::Phone, ".zoom, .tools"),
        (Window::Landscape, ".zoom, .panel, .tools"),
    ] {
        with_page(&service, window, async |page| {
            open_poster(page, "2").await;
            let script = "
                const [wanted, done] = arguments;
                import('/js/notices.js').then(({ notify }) => {
                    notify('error', 'The service cannot be reached. Check that it is running and that you are online, then try again.');
                    const notice = document.querySelector('.notice').getBoundingClientRect();
                    const covers = (one) => {
                        const box = one.getBoundingClientRect();
                        return box.left < notice.right && notice.left < box.right && box.top < notice.bottom && notice.top < box.bottom;
                    };
                    done([...document.querySelectorAll(wanted)].filter(covers).map((one) => one.className));
                })";
            assert_eq!(page.js_later(script, vec![json!(wanted)]).await, json!([]), "{window:?}");
            page.click(".notice [data-close]").await;
            page.wait_until("return document.querySelector('.notice') === null").await;
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_can_be_cancelled_with_the_mouse_while_it_runs() {
    let service = Service::start().await;
    for window in [Window::Desk, Window::Phone] {
        with_page(&service, window, async |page| {
            open_poster(page, "2").await;
            page.js("document.querySelector('un-layers [data-pick]').click()", vec![]).await;
            page.wait_for("un-inspector section").await;
            let script = "
                const done = arguments[0];
                const key = Number(document.querySelector('un-layers li.selected').dataset.key);
                import('/js/editor/split.js').then(({ splitting }) => {
                    splitting.value = { [key]: { job: '00000000-0000-4000-8000-000000000000', percent: 40 } };
                    const panel = document.querySelector('.chosen').getBoundingClientRect();
                    const parts = document.querySelectorAll('un-inspector :is([data-action], progress, .input)');
                    const boxes = [...parts].map((one) => one.getBoundingClientRect()).filter(({ width }) => width > 0);
                    done(boxes.filter(({ left, right }) => left < panel.left || right > panel.right).length);
                })";
            assert_eq!(page.js_later(script, vec![]).await, json!(0), "something sticks out of the panel");
            page.click("un-inspector [data-action=stop]").await;
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_layers_fan_out_once_unless_people_want_less_motion() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        page.js("window.fans = 0; new MutationObserver((seen) => { for (const { addedNodes } of seen) for (const one of addedNodes) if (one.className === 'fan') fans += 1 }).observe(document.body, { subtree: true, childList: true })", vec![]).await;
        open_poster(page, "4").await;
        assert_eq!(page.js("return fans", vec![]).await, json!(0), "less motion was asked for");
        page.click("[data-new]").await;
        let motion = json!({ "features": [{ "name": "prefers-reduced-motion", "value": "no-preference" }] });
        page.client().issue_cmd(Cdp::new("Emulation.setEmulatedMedia", motion)).await.expect("more motion");
        open_poster(page, "4").await;
        page.wait_until("return fans === 1").await;
        assert!(near(page.pixel(RED_AT).await, RED), "the canvas is not painted below");
        page.wait_until("return document.querySelector('.fan, .fanned') === null").await;
        // Opened again, it is only there.
        page.reload().await;
        page.wait_for("un-canvas[data-complete]").await;
        page.frame().await;
        assert_eq!(page.js("return document.querySelector('.fan') === null", vec![]).await, json!(true));
        page.assert_quiet_console().await;
    })
    .await;
}
