//! Words of a poster, typed over on the page.

use image::{Rgba, RgbaImage};
use typeset::{Align, Bounds, Colour, Fonts, Line, Position, Run, Sources, Style, Text};

use crate::browser::Window;
use crate::page::{Page, with_page};
use crate::service::Service;

const SIZE: (u32, u32) = (640, 400);
/// Inside the title's box.
pub(crate) const TITLE_AT: (u32, u32) = (200, 95);
const ESCAPE: &str = "\u{e00c}";

/// A pale poster with a title and a line below it.
pub(crate) fn poster() -> Vec<u8> {
    let mut picture = RgbaImage::from_pixel(SIZE.0, SIZE.1, Rgba([244, 238, 226, 255]));
    let fonts = Fonts::load(&Sources::default());
    for (words, size, y) in [("봄날 음악회", 72.0, 120.0), ("2026년 5월 24일 저녁 7시", 30.0, 300.0)] {
        let style = Style { weight: 700, ..Style::new("Noto Sans KR", size, Colour::rgb(30, 60, 120)) };
        let lines = vec![Line { runs: vec![Run { text: words.to_owned(), style }] }];
        let text = Text { lines, align: Align::Left, angle: 0.0, position: Position { x: 60.0, y } };
        let bounds = Bounds { x: 0, y: 0, width: SIZE.0, height: SIZE.1 };
        let drawn = typeset::render(&text, &fonts, bounds).expect("words can be drawn");
        for (x, y, top) in drawn.picture.enumerate_pixels() {
            let below = picture.get_pixel_mut(x + drawn.x as u32, y + drawn.y as u32);
            *below = layers::over(*top, *below);
        }
    }
    let mut png = Vec::new();
    layers::write_png(&mut png, &picture).expect("a PNG");
    png
}

pub(crate) async fn open(page: &Page) {
    page.drop_file(".dropzone", "봄날.png", &poster()).await;
    page.wait_for("un-canvas[data-complete]").await;
    page.frame().await;
}

pub(crate) async fn double_click(page: &Page, at: (u32, u32)) {
    page.drag_on_canvas(at, at).await;
    let script = "
        const [x, y] = arguments;
        const box = document.querySelector('un-canvas canvas').getBoundingClientRect();
        const place = { bubbles: true, clientX: box.left + x * box.width / 640, clientY: box.top + y * box.height / 400 };
        document.querySelector('un-canvas .frame').dispatchEvent(new MouseEvent('dblclick', place))";
    page.js(script, vec![at.0.into(), at.1.into()]).await;
}

/// Waits until the service has drawn the words.
pub(crate) async fn settle(page: &Page) {
    // The request is sent a moment after the last key.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    page.wait_for("un-canvas[data-complete]").await;
    page.frame().await;
}

/// Pixels of the canvas in the colour of an export, which has them too.
pub(crate) async fn assert_as_exported(page: &Page) {
    page.click("[data-save=png]").await;
    let exported = image::load_from_memory(&page.downloaded("png").await).expect("a PNG").into_rgba8();
    let script = "
        const canvas = document.querySelector('un-canvas canvas');
        return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]";
    let shown: Vec<u8> = serde_json::from_value(page.js(script, vec![]).await).expect("bytes");
    let most = exported.as_raw().iter().zip(&shown).map(|(one, other)| one.abs_diff(*other)).max();
    assert!(most <= Some(3), "the page and the export differ by {most:?} of 255");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_is_typed_over_styled_replaced_and_exported() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open(page).await;
        let before = page.pixel(TITLE_AT).await;
        double_click(page, TITLE_AT).await;
        page.wait_for("un-canvas .typing").await;
        let script = "return document.querySelector('un-canvas .typing').value";
        assert_eq!(page.js(script, vec![]).await, "봄날 음악회");
        page.keys("un-canvas .typing", "바다 주간").await;
        page.press(ESCAPE).await;
        settle(page).await;
        assert_eq!(page.js("return document.querySelectorAll('.typing').length", vec![]).await, 0);
        assert!(page.texts("un-layers li b").await.contains(&"바다 주간".to_owned()));
        let ink = "
            const canvas = document.querySelector('un-canvas canvas');
            const { data } = canvas.getContext('2d').getImageData(40, 40, 420, 110);
            let found = 0;
            for (let at = 0; at < data.length; at += 4) if (data[at] < 60 && data[at + 2] > 90) found += 1;
            return found";
        assert!(page.js(ink, vec![]).await.as_u64() > Some(2000), "the new title is drawn");
        assert_as_exported(page).await;

        // The whole edit is one step.
        page.click("[data-action=undo]").await;
        page.frame().await;
        assert_eq!(page.pixel(TITLE_AT).await, before);
        page.click("[data-action=redo]").await;
        page.stored_edits().await;
        page.reload().await;
        page.wait_for("un-canvas[data-complete]").await;
        assert!(page.texts("un-layers li b").await.contains(&"바다 주간".to_owned()), "forgotten by a reload");

        // In the panel: its font is the one that it was drawn in.
        page.drag_on_canvas((90, 95), (90, 95)).await;
        page.wait_for("un-type [name=family] option").await;
        let family = page.js("return document.querySelector('un-type [name=family]').value", vec![]).await;
        assert_eq!(family, "Noto Sans KR");
        page.set("un-type [name=colour]", "#d02040").await;
        page.set("un-type [name=size]", "90").await;
        settle(page).await;
        let red = ink.replace("data[at] < 60 && data[at + 2] > 90", "data[at] > 190 && data[at + 1] < 60");
        assert!(page.js(&red, vec![]).await.as_u64() > Some(3000), "the title is red and larger");

        page.click("[data-action=replace]").await;
        page.set("un-replace [name=wanted]", "바다").await;
        page.set("un-replace [name=by]", "숲").await;
        page.click("un-replace [type=submit]").await;
        page.wait_until("return document.querySelector('un-replace output').textContent.includes('1')").await;
        page.click("dialog [data-action=close]").await;
        settle(page).await;
        page.click("[data-save=svg]").await;
        let svg = String::from_utf8(page.downloaded("svg").await).expect("text");
        assert!(svg.contains("숲 주간") && svg.contains("#d02040"), "the SVG has the words as text");
        page.click("un-type [data-restore]").await;
        page.frame().await;
        assert_eq!(page.pixel(TITLE_AT).await, before, "the pixels are back");
        page.assert_quiet_console().await;
        assert!(page.nameless_controls().await.is_empty(), "{:?}", page.nameless_controls().await);
    })
    .await;
}
