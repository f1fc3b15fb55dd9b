//! Parts of what is seen become elements of their own, and pixels move between elements, while the composite stays.

use std::io::Cursor;

use base64::Engine as _;
use image::{GrayImage, Luma, Rgba, RgbaImage};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{TestApp, expect_error};
use crate::edits::layer;

const WIDTH: u32 = 320;
const HEIGHT: u32 = 240;
const SUN: [u8; 4] = [250, 200, 30, 255];

impl TestApp {
    async fn pick(&self, id: Uuid, body: &Value) -> Response {
        self.post(&format!("/api/jobs/{id}/pick"), body).await
    }

    async fn picked(&self, id: Uuid, body: &Value) -> Value {
        let response = self.pick(id, body).await;
        let status = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn stroke(&self, id: Uuid, body: &Value) -> Response {
        self.post(&format!("/api/jobs/{id}/strokes"), body).await
    }

    /// A job whose document is a drawn sky, with a sun in it, and a hill in front.
    async fn landscape(&self) -> Uuid {
        let id = self.finished_job().await;
        let (sky, hill) = (self.picture(id, &sky()).await, self.picture(id, &hill()).await);
        let elements = json!([
            { "id": 1, "picture": { "id": sky, "kind": "background" }, "locked": true, "edit": { "name": "Sky" } },
            { "id": 2, "picture": { "id": hill }, "edit": { "name": "Hill" } },
        ]);
        // The canvas of the result is smaller: what is beyond it is not seen.
        assert_eq!(self.put_elements(id, elements).await.status(), StatusCode::OK);
        id
    }
}

fn is_sun(x: u32, y: u32) -> bool {
    x.abs_diff(12).pow(2) + y.abs_diff(7).pow(2) <= 16
}

fn sky() -> RgbaImage {
    RgbaImage::from_fn(WIDTH, HEIGHT, |x, y| if is_sun(x, y) { Rgba(SUN) } else { Rgba([40, 90, 200, 255]) })
}

fn hill() -> RgbaImage {
    RgbaImage::from_fn(WIDTH, HEIGHT, |x, y| if y >= 13 && x < 20 { Rgba([20, 140, 60, 255]) } else { Rgba([0; 4]) })
}

/// A mask of the canvas in base64.
fn mask(inside: impl Fn(u32, u32) -> bool) -> Value {
    use crate::pictures::{HEIGHT, WIDTH};
    mask_of(&GrayImage::from_fn(WIDTH, HEIGHT, |x, y| Luma([if inside(x, y) { 255 } else { 0 }])))
}

fn mask_of(mask: &GrayImage) -> Value {
    let mut bytes = Cursor::new(Vec::new());
    mask.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    json!({ "png": base64::engine::general_purpose::STANDARD.encode(bytes.into_inner()) })
}

fn assert_alike(before: &RgbaImage, after: &RgbaImage) {
    for (x, y, pixel) in before.enumerate_pixels() {
        let other = after.get_pixel(x, y);
        assert!(pixel.0.iter().zip(other.0).all(|(a, b)| a.abs_diff(b) <= 1), "{pixel:?} became {other:?} at {x}, {y}");
    }
}

fn element(document: &Value, id: &Value) -> Value {
    document["elements"].as_array().unwrap().iter().find(|one| &one["id"] == id).unwrap().clone()
}

#[tokio::test]
async fn a_mask_is_lifted_off_what_is_seen_there() {
    let app = TestApp::start().await;
    let id = app.landscape().await;
    let before = app.composed(id, &json!({})).await;
    let preview = app.picked(id, &json!({ "mask": mask(is_sun), "preview": true })).await;
    assert_eq!((&preview["element"], &preview["score"]), (&json!(1), &Value::Null));
    assert_eq!((&preview["mask"]["x"], &preview["width"]), (&json!(8), &json!(9)));
    assert!(preview["mask"]["png"].as_str().unwrap().starts_with("data:image/png;base64,"));
    assert_eq!(app.json(&format!("/api/jobs/{id}/document")).await["revision"], 1, "nothing changed");

    // What was answered can be sent back.
    let picked = app.picked(id, &json!({ "mask": preview["mask"], "edge": "found" })).await;
    assert_eq!((&picked["source"], &picked["lifted"], &picked["completed"]), (&json!(1), &json!(true), &json!(true)));
    let document = &picked["document"];
    assert_eq!((&document["revision"], &document["undo"]), (&json!(2), &json!(2)));
    let order: Vec<&Value> = document["elements"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(order, [&json!(1), &picked["element"], &json!(2)]);
    let sun = element(document, &picked["element"]);
    assert_eq!((&sun["picture"]["kind"], &sun["picture"]["label"]["colour"]), (&json!("object"), &json!("yellow")));
    assert_eq!(element(document, &json!(1))["picture"]["kind"], "background");
    assert_alike(&before, &app.composed(id, &json!({})).await);
    // Without the sun there is sky.
    let mut elements = document["elements"].clone();
    elements[1]["edit"]["visible"] = json!(false);
    let without = app.composed(id, &json!({ "elements": elements })).await;
    let Rgba([r, g, b, _]) = *without.get_pixel(12, 7);
    assert!(r.abs_diff(40) < 20 && g.abs_diff(90) < 20 && b.abs_diff(200) < 20, "{r} {g} {b}");
    // All of the sun once more: it is an element of its own already.
    let again = app.picked(id, &json!({ "mask": mask(is_sun) })).await;
    assert_eq!((&again["element"], &again["lifted"]), (&picked["element"], &json!(false)));
    assert_eq!(again["document"]["revision"], 2);

    let undone = app.post(&format!("/api/jobs/{id}/document/undo"), &json!({})).await;
    assert_eq!(undone.json::<Value>().await.unwrap()["elements"].as_array().unwrap().len(), 2);
    assert_eq!(app.composed(id, &json!({})).await, before);
    for format in ["psd", "zip", "svg"] {
        assert_eq!(app.get(&format!("/api/download/{id}?format={format}")).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn points_and_boxes_show_what_is_there() {
    let app = TestApp::start().await;
    let id = app.landscape().await;
    let before = app.composed(id, &json!({})).await;
    let point = |x: u32, y: u32, include: bool| json!({ "x": x, "y": y, "include": include });
    let one = app.picked(id, &json!({ "points": [point(12, 7, true)], "preview": true })).await;
    assert!(one["score"].as_f64().unwrap() > 0.3, "{one}");
    // To leave out what was taken in changes the mask.
    let body = json!({ "points": [point(12, 7, true), point(2, 2, false)], "preview": true });
    assert!(app.picked(id, &body).await["score"].as_f64().is_some());
    let boxed = json!({ "boxes": [{ "x": 7, "y": 2, "width": 11, "height": 11 }] });
    let picked = app.picked(id, &boxed).await;
    assert!(picked["document"]["elements"].as_array().unwrap().len() >= 2);
    assert_alike(&before, &app.composed(id, &json!({})).await);
}

#[tokio::test]
async fn a_part_is_lifted_off_the_element_that_is_named() {
    let app = TestApp::start().await;
    let id = app.landscape().await;
    // Hill is in front there.
    let both = json!({ "mask": mask(|x, y| x < 10 && y > 9), "element": 1, "name": "Valley" });
    let before = app.composed(id, &json!({})).await;
    let picked = app.picked(id, &both).await;
    assert_eq!(picked["source"], 1);
    assert_eq!(element(&picked["document"], &picked["element"])["edit"]["name"], "Valley");
    assert_alike(&before, &app.composed(id, &json!({})).await);
    // A layer of the result, by its number, moved and translucent.
    let other = app.finished_job().await;
    let moved = json!([layer(other, 0, json!({})), layer(other, 1, json!({ "x": 2, "opacity": 0.5, "hue": 40.0 }))]);
    assert_eq!(app.put_elements(other, moved).await.status(), StatusCode::OK);
    let before = app.composed(other, &json!({})).await;
    let picked = app.picked(other, &json!({ "mask": mask(|x, _| x > 14), "layer": 1 })).await;
    assert_eq!((&picked["source"], &picked["lifted"]), (&json!(1), &json!(true)));
    let source = element(&picked["document"], &json!(1));
    assert_eq!((&source["layer"]["layer"], &source["edit"]["x"]), (&json!(1), &json!(0)));
    assert_alike(&before, &app.composed(other, &json!({})).await);
}

#[tokio::test]
async fn what_is_wrong_with_a_pick_is_told() {
    let app = TestApp::start().await;
    let id = app.landscape().await;
    let point = json!({ "x": 3, "y": 3 });
    let all = mask(|_, _| true);
    let cases = [
        (json!({}), 422, "prompt_missing"),
        (json!({ "points": [{ "x": 3, "y": 3, "include": false }] }), 422, "prompt_missing"),
        (json!({ "points": [{ "x": 25, "y": 3 }] }), 422, "invalid_parameter"),
        (json!({ "points": [{ "x": -1, "y": 3 }] }), 422, "invalid_parameter"),
        (json!({ "points": vec![&point; 201] }), 422, "invalid_parameter"),
        (json!({ "points": [point], "mask": all }), 422, "invalid_parameter"),
        (json!({ "boxes": [{ "x": 1, "y": 1, "width": 0, "height": 5 }] }), 422, "invalid_parameter"),
        (json!({ "boxes": [{ "x": 1, "y": 1, "width": 99, "height": 5 }] }), 422, "invalid_parameter"),
        (json!({ "boxes": vec![json!({ "x": 1, "y": 1, "width": 9, "height": 5 }); 33] }), 422, "invalid_parameter"),
        (json!({ "mask": mask(|_, _| false) }), 422, "mask_empty"),
        (json!({ "mask": mask_of(&GrayImage::from_pixel(25, 16, Luma([255]))) }), 422, "invalid_mask"),
        (json!({ "mask": { "png": all["png"], "x": 1 } }), 422, "mask_outside"),
        (json!({ "mask": { "png": "!" } }), 422, "invalid_mask"),
        (json!({ "mask": { "png": "AAAA" } }), 422, "invalid_mask"),
        (json!({ "mask": all, "element": 77 }), 404, "element_not_found"),
        (json!({ "mask": all, "layer": 0 }), 404, "element_not_found"),
        (json!({ "mask": all, "element": 1, "layer": 0 }), 422, "invalid_parameter"),
        (json!({ "mask": mask(|_, y| y < 5), "element": 2 }), 422, "nothing_there"),
        (json!({ "mask": mask(is_sun), "name": "\n" }), 422, "invalid_parameter"),
        (json!({ "points": [{ "x": "a", "y": 3 }] }), 422, "invalid_parameter"),
        (json!({ "colour": 1 }), 422, "invalid_parameter"),
    ];
    for (body, status, code) in cases {
        let response = app.pick(id, &body).await;
        let shown = body.to_string().chars().take(80).collect::<String>();
        assert_eq!(response.status().as_u16(), status, "{shown}");
        expect_error(response, status, code).await;
    }
    assert_eq!(app.json(&format!("/api/jobs/{id}/document")).await["revision"], 1, "nothing changed");
    let path = format!("/api/jobs/{id}/pick");
    let stale = app.client.post(app.url(&path)).header("if-match", "\"0\"").json(&json!({ "mask": all }));
    expect_error(stale.send().await.unwrap(), 412, "document_changed").await;
    let mut inside = layer(id, 0, json!({}));
    inside["parent"] = json!(5);
    let grouped = json!([{ "id": 5, "edit": { "name": "Group" } }, inside]);
    assert_eq!(app.put_elements(id, grouped).await.status(), StatusCode::OK);
    expect_error(app.pick(id, &json!({ "mask": all, "element": 5 })).await, 422, "element_is_group").await;
    let hidden = json!([layer(id, 0, json!({ "visible": false }))]);
    assert_eq!(app.put_elements(id, hidden).await.status(), StatusCode::OK);
    expect_error(app.pick(id, &json!({ "mask": all })).await, 422, "nothing_there").await;
    expect_error(app.pick(id, &json!({ "mask": all, "element": 0 })).await, 422, "nothing_there").await;
}

#[tokio::test]
async fn a_brush_moves_pixels_and_gives_them_back() {
    let app = TestApp::start().await;
    let id = app.landscape().await;
    let before = app.composed(id, &json!({})).await;
    // The sun goes to the hill.
    let points = json!([{ "x": 12.0, "y": 4.0 }, { "x": 12.0, "y": 10.0 }]);
    let added = app.stroke(id, &json!({ "to": 2, "points": points, "size": 10, "hardness": 0.5 })).await;
    assert_eq!(added.status(), StatusCode::OK);
    let document: Value = added.json().await.unwrap();
    assert_eq!((&document["revision"], &document["elements"][1]["edit"]["name"]), (&json!(2), &json!("Hill")));
    assert_alike(&before, &app.composed(id, &json!({})).await);
    let alone = |at: usize| {
        let mut elements = document["elements"].clone();
        elements[1 - at]["edit"]["visible"] = json!(false);
        json!({ "elements": elements })
    };
    assert_eq!(app.composed(id, &alone(1)).await.get_pixel(12, 7).0, SUN);
    assert_ne!(app.composed(id, &alone(0)).await.get_pixel(12, 7).0, SUN, "the sky is completed");

    let erased = app.stroke(id, &json!({ "to": 2, "mode": "erase", "points": points, "size": 14 })).await;
    assert_eq!(erased.status(), StatusCode::OK);
    let document: Value = erased.json().await.unwrap();
    assert_alike(&before, &app.composed(id, &json!({})).await);
    let mut elements = document["elements"].clone();
    elements[1]["edit"]["visible"] = json!(false);
    assert_eq!(app.composed(id, &json!({ "elements": elements })).await.get_pixel(12, 7).0, SUN, "it is sky again");
    for _ in 0..2 {
        app.post(&format!("/api/jobs/{id}/document/undo"), &json!({})).await;
    }
    assert_eq!(app.composed(id, &json!({})).await, before);
    // With a mask, and from an element that is named.
    let body = json!({ "to": 2, "from": 1, "mask": mask(is_sun) });
    assert_eq!(app.stroke(id, &body).await.status(), StatusCode::OK);
    assert_alike(&before, &app.composed(id, &json!({})).await);
}

#[tokio::test]
async fn what_is_wrong_with_a_stroke_is_told() {
    let app = TestApp::start().await;
    let id = app.landscape().await;
    let points = json!([{ "x": 12, "y": 7 }]);
    let cases = [
        (json!({ "points": points }), 422, "invalid_parameter"),
        (json!({ "to": 2 }), 422, "invalid_parameter"),
        (json!({ "to": 2, "points": points, "mask": mask(is_sun) }), 422, "invalid_parameter"),
        (json!({ "to": 2, "points": vec![json!({ "x": 1, "y": 1 }); 10_001] }), 422, "invalid_parameter"),
        (json!({ "to": 2, "points": [{ "x": 1e9, "y": 1 }] }), 422, "invalid_parameter"),
        (json!({ "to": 2, "points": points, "size": 0.5 }), 422, "invalid_parameter"),
        (json!({ "to": 2, "points": points, "size": 2001 }), 422, "invalid_parameter"),
        (json!({ "to": 2, "points": points, "hardness": 1.5 }), 422, "invalid_parameter"),
        (json!({ "to": 2, "points": points, "mode": "smear" }), 422, "invalid_parameter"),
        (json!({ "to": 2, "from": 2, "points": points }), 422, "invalid_parameter"),
        (json!({ "to": 9, "points": points }), 404, "element_not_found"),
        (json!({ "to": 2, "from": 9, "points": points }), 404, "element_not_found"),
        (json!({ "to": 1, "mode": "erase", "points": points }), 422, "nothing_below"),
        (json!({ "to": 1, "from": 2, "mode": "erase", "points": points }), 422, "invalid_parameter"),
        (json!({ "to": 2, "mode": "erase", "points": points, "size": 4 }), 422, "nothing_there"),
        (json!({ "to": 2, "points": [{ "x": -500, "y": -500 }] }), 422, "nothing_there"),
    ];
    for (body, status, code) in cases {
        let response = app.stroke(id, &body).await;
        let shown = body.to_string().chars().take(80).collect::<String>();
        assert_eq!(response.status().as_u16(), status, "{shown}");
        expect_error(response, status, code).await;
    }
    let stale = app.client.post(app.url(&format!("/api/jobs/{id}/strokes"))).header("if-match", "\"0\"");
    let stale = stale.json(&json!({ "to": 2, "points": points })).send().await.unwrap();
    expect_error(stale, 412, "document_changed").await;
    let unknown = app.stroke(Uuid::new_v4(), &json!({ "to": 2, "points": points })).await;
    expect_error(unknown, 404, "job_not_found").await;
}
