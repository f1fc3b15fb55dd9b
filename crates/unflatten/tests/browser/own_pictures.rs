//! Pictures that are brought into a document, and those that are made of its layers.

use base64::Engine as _;
use image::{Rgba, RgbaImage};
use serde_json::json;

use crate::browser::Window;
use crate::editor::{open_poster, select_at};
use crate::page::{Page, with_page};
use crate::poster::{BLUE, BLUE_AT, RED, RED_AT, near};
use crate::service::Service;
use crate::transforms::{assert_same, shown};

const GREEN: [u8; 4] = [20, 160, 70, 255];

/// A green picture with a transparent frame, as base64.
fn picture(width: u32, height: u32) -> String {
    let pixels = RgbaImage::from_fn(width, height, |x, y| {
        let inside = (4..width - 4).contains(&x) && (4..height - 4).contains(&y);
        Rgba(if inside { GREEN } else { [255, 0, 255, 0] })
    });
    let mut png = Vec::new();
    layers::write_png(&mut png, &pixels).expect("a PNG");
    base64::engine::general_purpose::STANDARD.encode(png)
}

/// What a person would choose in the browser's dialog is there at once.
async fn choose_next(page: &Page, png: String) {
    let script = "
        const bytes = Uint8Array.from(atob(arguments[0]), (one) => one.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], 'Green leaf.png', { type: 'image/png' }));
        window.chosen = data;
        HTMLInputElement.prototype.click = function () {
            this.files = data.files;
            this.dispatchEvent(new Event('change'));
        };";
    page.js(script, vec![json!(png)]).await;
}

async fn rows(page: &Page) -> usize {
    page.texts("un-layers li b").await.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_selection_is_merged_and_a_layer_replaced() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        let before = (rows(page).await, shown(page).await);
        page.press("\u{e009}a").await;
        page.wait_until("return document.querySelectorAll('un-layers li.selected').length > 1").await;
        let selected = page.texts("un-layers li.selected b").await.len();
        page.press("\u{e009}e").await;
        page.wait_until("return document.querySelectorAll('un-layers li.selected').length === 1").await;
        assert!(rows(page).await <= before.0 + 1 - selected, "{} rows of {}", rows(page).await, before.0);
        let after = shown(page).await;
        let off = after.iter().zip(before.1.iter()).map(|(one, other)| one.abs_diff(*other)).max();
        assert!(off <= Some(3), "merging changed what is seen by {off:?}");
        assert_same(page, &service).await;
        page.press("\u{e009}z").await;
        page.wait_until(&format!("return document.querySelectorAll('un-layers li').length === {}", before.0)).await;

        // Another picture in the place of the disc, as large as fits.
        select_at(page, RED_AT).await;
        choose_next(page, picture(300, 100)).await;
        page.click("un-inspector [data-action=more]").await;
        let pick = "
            [...document.querySelectorAll('un-menu [data-item]')].find((one) => one.textContent.includes('Replace by')).click()";
        page.js(pick, vec![]).await;
        page.wait_pixel(RED_AT, GREEN).await;
        assert_same(page, &service).await;
        assert!(!near(page.pixel((RED_AT.0, RED_AT.1 + 50)).await, RED), "it covers more than it should");
        page.reload().await;
        page.wait_for("un-canvas[data-complete]").await;
        page.wait_pixel(RED_AT, GREEN).await;
        assert_same(page, &service).await;
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_pasted_and_the_background_changed() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        let before = rows(page).await;
        choose_next(page, picture(80, 60)).await;
        page.js(
            "document.body.dispatchEvent(new ClipboardEvent('paste', { bubbles: true, cancelable: true, clipboardData: window.chosen }))",
            vec![],
        )
        .await;
        page.wait_until(&format!("return document.querySelectorAll('un-layers li').length === {}", before + 1)).await;
        page.wait_pixel((320, 240), GREEN).await;
        assert_eq!(page.text("un-layers li.selected b").await, "Green leaf");
        assert_same(page, &service).await;

        page.js("document.querySelector(`un-layers li[data-key='0'] [data-pick]`).click()", vec![]).await;
        page.wait_for("un-inspector .background").await;
        page.click("un-inspector .background summary").await;
        page.set("un-inspector [name=background-from]", "#204060").await;
        page.click("[data-background=colour]").await;
        page.wait_pixel((20, 400), [0x20, 0x40, 0x60, 255]).await;
        assert_same(page, &service).await;
        page.set("un-inspector [name=background-to]", "#e0e0e0").await;
        page.set("un-inspector [name=background-angle]", "90").await;
        page.click("[data-background=gradient]").await;
        page.wait_pixel((638, 20), [0xe0, 0xe0, 0xe0, 255]).await;
        let left = page.pixel((1, 470)).await;
        assert!(near(left, [0x20, 0x40, 0x60, 255]), "{left:?}");
        assert_same(page, &service).await;
        choose_next(page, picture(900, 900)).await;
        page.click("[data-background=picture]").await;
        page.wait_pixel((20, 400), GREEN).await;
        assert!(near(page.pixel(BLUE_AT).await, BLUE), "what lies above stays");
        assert_same(page, &service).await;
        page.assert_quiet_console().await;
    })
    .await;
}
