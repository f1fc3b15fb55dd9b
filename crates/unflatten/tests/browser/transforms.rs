//! Layers that are stretched, turned, aligned and distributed: the page shows what the service writes.

use fantoccini::actions::MOUSE_BUTTON_LEFT;
use image::RgbaImage;
use serde_json::{Value, json};

use crate::browser::Window;
use crate::editor::{open_poster, select_at};
use crate::page::{Page, with_page};
use crate::poster::{BLUE, BLUE_AT, RED, RED_AT, near};
use crate::service::Service;
use crate::typing;

/// How far the page may be from the file in any channel of any pixel.
const OFF: u8 = 8;

/// The whole canvas of the page, once all of it is as files have it.
pub(crate) async fn shown(page: &Page) -> RgbaImage {
    // A moment after the last edit, the pixels are made anew.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    page.wait_for("un-canvas[data-complete]").await;
    page.frame().await;
    let script = "return document.querySelector('un-canvas canvas').toDataURL('image/png').split(',')[1]";
    let encoded = page.js(script, vec![]).await;
    let bytes = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        encoded.as_str().expect("a picture as text"),
    );
    image::load_from_memory(&bytes.expect("base64")).expect("a PNG").into_rgba8()
}

/// What the service composes of the stored document.
pub(crate) async fn composed(page: &Page, service: &Service, body: Value) -> RgbaImage {
    page.stored_edits().await;
    let url = format!("{}/api/jobs/{}/compose", service.address(), page.job_id().await);
    let answer = reqwest::Client::new().post(url).json(&body).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.text().await.expect("a text"));
    image::load_from_memory(&answer.bytes().await.expect("a PNG")).expect("a PNG").into_rgba8()
}

/// Every pixel of the page is within [`OFF`] of the service's.
pub(crate) async fn assert_same(page: &Page, service: &Service) {
    let (here, there) = (shown(page).await, composed(page, service, json!({})).await);
    assert_eq!(here.dimensions(), there.dimensions());
    // As they look over black: a browser keeps few of the colours of nearly transparent pixels.
    let seen = |pixel: &image::Rgba<u8>| {
        let [red, green, blue, alpha] = pixel.0;
        let over = |value: u8| (u32::from(value) * u32::from(alpha) / 255) as u8;
        [over(red), over(green), over(blue), alpha]
    };
    let off = |(here, there): (&image::Rgba<u8>, &image::Rgba<u8>)| {
        seen(here).into_iter().zip(seen(there)).map(|(one, other)| one.abs_diff(other)).max().unwrap_or(0)
    };
    let worst =
        here.enumerate_pixels().zip(there.pixels()).map(|((x, y, here), there)| (off((here, there)), x, y)).max();
    let (most, x, y) = worst.expect("pixels");
    let (here, there) = (here.get_pixel(x, y), there.get_pixel(x, y));
    assert!(most <= OFF, "at {x}, {y}: {here:?} on the page, {there:?} in the file");
}

async fn outline(page: &Page) -> [f64; 4] {
    let script = "
        const { left, top, width, height } = document.querySelector('.outline.picked').getBoundingClientRect();
        return [left, top, width, height]";
    serde_json::from_value(page.js(script, vec![]).await).expect("four numbers")
}

async fn field(page: &Page, name: &str) -> f64 {
    let script = "return Number(document.querySelector(`un-inspector [name=${arguments[0]}]`).value)";
    page.js(script, vec![json!(name)]).await.as_f64().expect("a number")
}

async fn set(page: &Page, name: &str, value: &str) {
    page.set(&format!("un-inspector [name={name}]"), value).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stretched_and_turned_is_in_files_as_on_the_page() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        select_at(page, BLUE_AT).await;
        let [left, top, width, height] = outline(page).await;
        // The right side's handle: one length, and the left side stays.
        let side = (left + width, top + height / 2.0);
        page.drag(side, (side.0 + 40.0, side.1), MOUSE_BUTTON_LEFT).await;
        page.frame().await;
        let after = outline(page).await;
        assert!((after[0] - left).abs() < 2.0 && (after[2] - width - 40.0).abs() < 3.0, "{after:?}");
        assert!((after[3] - height).abs() < 1.0, "{after:?}");
        assert_same(page, &service).await;
        // The handle above turns it.
        let (middle, above) =
            ((after[0] + after[2] / 2.0, top + height / 2.0), (after[0] + after[2] / 2.0, top - 26.0));
        page.drag(above, (middle.0 + 80.0, middle.1 - 80.0), MOUSE_BUTTON_LEFT).await;
        page.frame().await;
        assert!((field(page, "turn").await - 45.0).abs() <= 2.0, "{}", field(page, "turn").await);
        assert_same(page, &service).await;
        page.press("\u{e009}z").await;
        page.frame().await;
        assert_eq!((outline(page).await, field(page, "turn").await), (after, 0.0), "one step");

        // Numbers. Proportions are kept until that is switched off.
        select_at(page, RED_AT).await;
        let (w, h) = (field(page, "width").await, field(page, "height").await);
        set(page, "width", "220").await;
        assert!((field(page, "height").await - 220.0 * h / w).abs() <= 1.0);
        page.click("[data-place=keep]").await;
        set(page, "height", "61").await;
        set(page, "turn", "-17.5").await;
        set(page, "x", "33").await;
        set(page, "y", "150").await;
        let numbers = [field(page, "width").await, field(page, "height").await, field(page, "turn").await];
        assert_eq!((numbers, field(page, "x").await, field(page, "y").await), ([220.0, 61.0, -17.5], 33.0, 150.0));
        assert_same(page, &service).await;
        set(page, "hue", "80").await;
        set(page, "opacity", "70").await;
        assert_same(page, &service).await;
        set(page, "turn", "90").await;
        assert_same(page, &service).await;
        page.reload().await;
        page.wait_for("un-canvas[data-complete]").await;
        assert_same(page, &service).await;
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_that_were_typed_turn_and_stretch_with_their_layer() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        typing::open(page).await;
        typing::double_click(page, typing::TITLE_AT).await;
        page.wait_for("un-canvas .typing").await;
        page.press("가을 축제").await;
        page.press("\u{e00c}").await;
        typing::settle(page).await;
        for (name, value) in [("turn", "12"), ("width", "260")] {
            set(page, name, value).await;
            typing::settle(page).await;
            assert_same(page, &service).await;
        }
        page.click("[data-place=keep]").await;
        set(page, "height", "120").await;
        typing::settle(page).await;
        assert_same(page, &service).await;
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outlines_and_shadows_are_in_files_as_on_the_page() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        select_at(page, RED_AT).await;
        page.click("un-inspector .effects summary").await;
        page.click("un-inspector [name=outline]").await;
        for (name, value) in [("outline.width", "7"), ("outline.colour", "#0a8f3c")] {
            page.set(&format!("un-inspector [name='{name}']"), value).await;
        }
        let here = shown(page).await;
        let rim = here.get_pixel(RED_AT.0, RED_AT.1 - 74).0;
        assert!(near(rim, [10, 143, 60, 255]), "{rim:?}");
        assert_same(page, &service).await;
        page.click("un-inspector [name=shadow]").await;
        for (name, value) in [("dx", "-20"), ("dy", "14"), ("blur", "18"), ("opacity", "70")] {
            page.set(&format!("un-inspector [name='shadow.{name}']"), value).await;
        }
        set(page, "turn", "20").await;
        set(page, "width", "170").await;
        set(page, "hue", "50").await;
        assert_same(page, &service).await;
        page.reload().await;
        page.wait_for("un-canvas[data-complete]").await;
        assert_same(page, &service).await;
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layers_are_aligned_and_distributed_by_buttons() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        select_at(page, RED_AT).await;
        // One, with the canvas.
        page.click("[data-place=bottom]").await;
        page.frame().await;
        assert_eq!(field(page, "y").await + field(page, "height").await, 480.0);
        assert!(near(page.pixel((RED_AT.0, 410)).await, RED), "{:?}", page.pixel((RED_AT.0, 410)).await);
        assert_same(page, &service).await;
        page.press("\u{e009}z").await;
        page.wait_pixel(RED_AT, RED).await;
        // Two, with each other.
        page.press("\u{e009}a").await;
        page.wait_until("return document.querySelectorAll('un-layers li.selected').length > 1").await;
        page.click("[data-place=top]").await;
        page.frame().await;
        let tops = "
            return [...document.querySelectorAll('.outline.other')].map((one) => Math.round(one.getBoundingClientRect().top))";
        let tops: Vec<i64> = serde_json::from_value(page.js(tops, vec![]).await).expect("numbers");
        assert!(tops.len() > 1 && tops.iter().all(|top| (top - tops[0]).abs() <= 1), "{tops:?}");
        assert!(!near(page.pixel(BLUE_AT).await, BLUE));
        assert_same(page, &service).await;
        let is_off = "return document.querySelector('[data-place=distribute-x]').disabled";
        assert_eq!(page.js(is_off, vec![]).await, json!(tops.len() < 3));
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layers_are_copied_and_pasted_by_keys() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        let before = page.texts("un-layers li b").await.len();
        select_at(page, RED_AT).await;
        let key = |key: &str| format!("\u{e009}{key}");
        page.press(&key("c")).await;
        page.press(&key("v")).await;
        page.wait_until(&format!("return document.querySelectorAll('un-layers li').length === {}", before + 1)).await;
        let there = (RED_AT.0 + 16, RED_AT.1 + 16 + 60);
        assert!(near(page.pixel(there).await, RED), "{:?}", page.pixel(there).await);
        assert_same(page, &service).await;
        page.press(&key("x")).await;
        page.wait_until(&format!("return document.querySelectorAll('un-layers li').length === {before}")).await;
        page.press(&key("v")).await;
        page.wait_until(&format!("return document.querySelectorAll('un-layers li').length === {}", before + 1)).await;
        assert_same(page, &service).await;
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_is_undone_and_its_progress_is_in_its_row() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "2").await;
        let before = page.texts("un-layers li b").await;
        select_at(page, BLUE_AT).await;
        page.js(
            "window.shownInRow = 0;
            new MutationObserver(() => (window.shownInRow += document.querySelectorAll('un-layers .splitting:not([hidden]) progress').length))
                .observe(document.querySelector('un-layers'), { subtree: true, attributes: true })",
            vec![],
        )
        .await;
        page.click("[data-action=split]").await;
        page.wait_for("un-layers li.part").await;
        assert!(page.js("return window.shownInRow", vec![]).await.as_u64() > Some(0), "the row showed no progress");
        let parts = page.texts("un-layers li b").await;
        page.click("[data-action=undo]").await;
        page.wait_until("return document.querySelector('un-layers li.part') === null").await;
        assert_eq!(page.texts("un-layers li b").await, before);
        assert_same(page, &service).await;
        page.click("[data-action=redo]").await;
        page.wait_for("un-layers li.part").await;
        assert_eq!(page.texts("un-layers li b").await, parts);
        assert_same(page, &service).await;
        page.assert_quiet_console().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_is_as_large_and_named_as_the_panel_says() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "4").await;
        select_at(page, RED_AT).await;
        page.keys("un-inspector [name=name]", " 원/빨강").await;
        page.click("un-export summary").await;
        page.choose("un-export [name=scale]", "2").await;
        page.set("un-export [name=dpi]", "300").await;
        page.click("un-export [name=names]").await;
        page.click("[data-save=png]").await;
        let picture = layers::decode(std::io::Cursor::new(page.downloaded("png").await), &layers::Limits::default());
        let picture = picture.expect("a PNG");
        assert_eq!(picture.pixels.dimensions(), (1280, 960));
        assert_eq!(picture.density, layers::Density::new(300.0, 300.0));
        assert!(near(picture.pixels.get_pixel(2 * RED_AT.0, 2 * RED_AT.1).0, RED));
        page.click("[data-save=zip]").await;
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(page.downloaded("zip").await)).expect("a ZIP");
        let names: Vec<String> = archive.file_names().map(|name| name.expect("a name").into_owned()).collect();
        let named =
            names.iter().find(|name| name.ends_with("원 빨강.png")).expect("a file with the layer's name").clone();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut archive.by_name(&named).expect("it is there"), &mut bytes).expect("bytes");
        let layer = image::load_from_memory(&bytes).expect("a PNG").into_rgba8();
        assert_eq!((layer.dimensions(), layer.get_pixel(2 * RED_AT.0, 2 * RED_AT.1)[3]), ((1280, 960), 255));
        // What a drag out of the page takes along is that layer, as a file.
        let script = "
            const data = new DataTransfer();
            const button = document.querySelector('un-layers li.selected [data-take]');
            button.dispatchEvent(new DragEvent('dragstart', { bubbles: true, dataTransfer: data }));
            return data.getData('DownloadURL')";
        let dragged = page.js(script, vec![]).await;
        let dragged = dragged.as_str().expect("an address");
        let (head, address) = dragged.split_once(".png:").expect("a name and an address");
        assert!(head.starts_with("image/png:") && head.ends_with("원 빨강"), "{dragged}");
        page.stored_edits().await;
        let bytes = reqwest::get(address).await.expect("an answer").bytes().await.expect("bytes");
        let layer = image::load_from_memory(&bytes).expect("a PNG").into_rgba8();
        assert!(layer.width().abs_diff(141) <= 2 && near(layer.get_pixel(70, 70).0, RED), "{:?}", layer.dimensions());
        page.assert_quiet_console().await;
    })
    .await;
}
