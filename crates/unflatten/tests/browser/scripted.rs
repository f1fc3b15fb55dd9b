//! Results that a script edited over the API, opened on the page.

use image::{GenericImageView as _, RgbaImage};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::browser::Window;
use crate::page::{Page, with_page};
use crate::poster::{BAR_AT, BLUE_AT, Poster, RED_AT};
use crate::service::Service;
use crate::support::Client;

/// The smallest layer whose box holds a pixel.
fn layer_at(metadata: &Value, (x, y): (u32, u32)) -> u32 {
    let holds = |area: &Value| {
        let field = |name: &str| area[name].as_u64().unwrap_or(0);
        let within = |at: u32, start: u64, length: u64| (start..start + length).contains(&u64::from(at));
        within(x, field("x"), field("width")) && within(y, field("y"), field("height"))
    };
    let layers = metadata["layers"].as_array().expect("layers");
    let found = layers.iter().filter(|layer| holds(&layer["bounding_box"]));
    let smallest = found.min_by_key(|layer| {
        layer["bounding_box"]["width"].as_u64().unwrap_or(0) * layer["bounding_box"]["height"].as_u64().unwrap_or(0)
    });
    smallest.and_then(|layer| layer["z_index"].as_u64()).and_then(|n| u32::try_from(n).ok()).expect("a layer there")
}

async fn open(page: &Page, id: Uuid) {
    page.js("location.hash = `job=${arguments[0]}`", vec![json!(id)]).await;
    page.wait_for("un-canvas[data-complete]").await;
    page.frame().await;
}

/// How far a pixel may be from those that the service has in its place and right beside it: a browser scales with another
/// filter, so that edges of scaled layers are as sharp but not the same.
const OFF: u8 = 8;

async fn assert_shows(page: &Page, wanted: &RgbaImage) {
    for at in (20..640).step_by(40).flat_map(|x| (20..480).step_by(40).map(move |y| (x, y))).chain([RED_AT, BLUE_AT]) {
        let seen = page.pixel(at).await;
        let around: Vec<_> = wanted.view(at.0 - 1, at.1 - 1, 3, 3).pixels().map(|(_, _, pixel)| pixel.0).collect();
        for (c, seen) in seen.into_iter().enumerate() {
            let (least, most) = around.iter().fold((u8::MAX, 0), |(l, m), p| (l.min(p[c]), m.max(p[c])));
            let within = least.saturating_sub(OFF)..=most.saturating_add(OFF);
            assert!(within.contains(&seen), "at {at:?}, channel {c}: {seen} instead of {within:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_script_edited_is_on_the_page_as_in_the_service() {
    let service = Service::start().await;
    let client = Client::new(&service.address());
    let upload = client.upload(Poster::new(640, 480).png()).await;
    let id = client.decompose_into(upload, 4).await;
    client.wait_finished(id).await;
    let metadata = client.json(&format!("/api/jobs/{id}/metadata.json")).await;
    let [red, blue, bars] = [RED_AT, BLUE_AT, BAR_AT].map(|at| layer_at(&metadata, at));
    assert!(red != blue && blue != bars && bars != red, "the poster's parts have a layer each");
    let coloured = json!({ "opacity": 0.5, "hue": 120, "lightness": 0.8 });
    client.patch(id, red, coloured).await;
    client.patch(id, red, json!({ "name": "빨간 원", "y": 150, "order": 1 })).await;
    client.patch(id, blue, json!({ "visible": false })).await;
    client.patch(id, bars, json!({ "x": -90, "y": 33, "scale_x": 0.5, "scale_y": 0.5, "order": 9 })).await;
    let child = client.split(id, bars).await;
    client.wait_finished(child).await;
    client.patch(child, 0, json!({ "name": "inner", "opacity": 0.9 })).await;
    client.patch(id, bars, json!({ "name": "outer" })).await;
    let document = format!("/api/jobs/{id}/document");
    with_page(&service, Window::Desk, async |page| {
        open(page, id).await;
        assert_shows(page, &client.compose(id).await).await;
        let names = page.texts("un-layers li:not(.named) b").await;
        assert_eq!(names.first().map(String::as_str), Some("outer"), "{names:?}");
        assert_eq!(names.iter().rev().nth(1).map(String::as_str), Some("빨간 원"), "{names:?}");
        assert!(names.iter().any(|name| name == "inner"), "{names:?}");
        page.click("[data-save=png]").await;
        let saved = image::load_from_memory(&page.downloaded("png").await).expect("a PNG").into_rgba8();
        assert_shows(page, &saved).await;
        page.click("un-layers li.group:not(.named) [data-pick]").await;
        page.keys("un-inspector [name=name]", " !").await;
        page.stored_edits().await;
        let stored = client.json(&document).await;
        assert!(stored["elements"].to_string().contains("outer !"), "the service does not know what the page changed");
        // What a script changes meanwhile is put together with what the page changes.
        client.patch(id, red, json!({ "name": "red", "order": 9, "opacity": 1 })).await;
        page.click("un-layers li.group:not(.named) [data-pick]").await;
        page.set("un-inspector [name=opacity]", "60").await;
        page.wait_for(".notice").await;
        page.stored_edits().await;
        assert_eq!(page.texts("un-layers li:not(.named) b").await.first().map(String::as_str), Some("red"));
        page.frame().await;
        assert_shows(page, &client.compose(id).await).await;
        page.reload().await;
        page.wait_for("un-canvas[data-complete]").await;
        page.frame().await;
        assert_eq!(page.text("un-layers li.group:not(.named) b").await, "outer !");
        assert_shows(page, &client.compose(id).await).await;
        // The parts of a layer have its edits.
        let inner = "[...document.querySelectorAll('un-layers li')].find((row) => row.textContent.includes('inner'))";
        page.js(&format!("{inner}.querySelector('[data-pick]').click()"), vec![]).await;
        page.click("[data-action=split]").await;
        page.wait_until("return document.querySelectorAll('un-layers li.group:not(.named)').length === 2").await;
        page.wait_for("un-canvas[data-complete]").await;
        page.frame().await;
        assert_shows(page, &client.compose(id).await).await;
        page.click("[data-action=reset]").await;
        page.wait_until("return ![...document.querySelectorAll('un-layers li b')].some((one) => /outer|inner|red/.test(one.textContent))").await;
        page.frame().await;
        assert_shows(page, &client.compose(id).await).await;
        // The console tells of the request that came too late.
    })
    .await;
}
