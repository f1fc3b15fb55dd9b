//! Pictures of a document's own: stored beside the result, shown by elements, and followed by all that shows a document.

use image::{Rgba, RgbaImage};
use reqwest::multipart::{Form, Part};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{TestApp, expect_error};
use crate::edits::layer;
use crate::pictures;

impl TestApp {
    pub(crate) async fn send_picture(&self, id: impl std::fmt::Display, bytes: Vec<u8>) -> Response {
        let form = Form::new().part("image", Part::bytes(bytes).file_name("logo.png"));
        self.client.post(self.url(&format!("/api/jobs/{id}/pictures"))).multipart(form).send().await.unwrap()
    }

    /// Stores a picture; its id.
    pub(crate) async fn picture(&self, id: Uuid, pixels: &RgbaImage) -> String {
        let response = self.send_picture(id, png(pixels)).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        response.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn put_elements(&self, id: Uuid, elements: Value) -> Response {
        let request = self.client.put(self.url(&format!("/api/jobs/{id}/document"))).header("if-match", "*");
        request.json(&json!({ "elements": elements })).send().await.unwrap()
    }
}

pub(crate) fn png(pixels: &RgbaImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    layers::write_png(&mut bytes, pixels).unwrap();
    bytes
}

/// A red square of 6 x 4 pixels with a hole.
fn square() -> RgbaImage {
    RgbaImage::from_fn(6, 4, |x, y| if (x, y) == (1, 1) { Rgba([0; 4]) } else { Rgba([200, 0, 10, 255]) })
}

#[tokio::test]
async fn an_element_shows_a_picture_and_everything_follows() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let plain = app.composed(id, &json!({})).await;
    let stored = app.send_picture(id, png(&square())).await;
    assert_eq!(stored.status(), StatusCode::CREATED);
    let location = stored.headers()["location"].to_str().unwrap().to_owned();
    let stored: Value = stored.json().await.unwrap();
    assert_eq!((&stored["width"], &stored["height"]), (&json!(6), &json!(4)));
    let picture = stored["id"].as_str().unwrap().to_owned();
    assert_eq!(location, format!("/api/jobs/{id}/pictures/{picture}.png"));
    let file = app.get(&location).await;
    assert_eq!(file.headers()["content-type"], "image/png");
    assert!(file.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    let bytes = file.bytes().await.unwrap();
    let read = image::load_from_memory(&bytes).unwrap().into_rgba8();
    assert_eq!((read.get_pixel(0, 0).0, read.get_pixel(1, 1)[3]), ([200, 0, 10, 255], 0));
    assert_eq!(app.picture(id, &square()).await, picture, "the same pixels have the same id");

    let own = |x: i32| json!({ "id": 77, "picture": { "id": picture, "x": x, "y": 3 }, "edit": { "name": "Logo" } });
    let put = app.put_elements(id, json!([layer(id, 0, json!({})), layer(id, 1, json!({})), own(5)])).await;
    assert_eq!(put.status(), StatusCode::OK);
    let document: Value = put.json().await.unwrap();
    assert_eq!(document["elements"][2]["picture"], json!({ "id": picture, "x": 5, "y": 3 }));
    let composed = app.composed(id, &json!({})).await;
    for (x, y, pixel) in composed.enumerate_pixels() {
        let inside = (5..11).contains(&x) && (3..7).contains(&y) && (x, y) != (6, 4);
        let expected = if inside { Rgba([200, 0, 10, 255]) } else { *plain.get_pixel(x, y) };
        assert_eq!(*pixel, expected, "at {x}, {y}");
    }
    // In place of a layer's pixels, moved beyond the canvas.
    let mut of_layer = layer(id, 1, json!({ "x": -3 }));
    of_layer["picture"] = json!({ "id": picture });
    let elements = json!([layer(id, 0, json!({})), of_layer]);
    let before = app.composed(id, &json!({ "elements": elements })).await;
    assert_eq!((before.get_pixel(0, 0).0, before.get_pixel(3, 0).0), ([200, 0, 10, 255], [250, 240, 230, 255]));

    for format in ["zip", "psd", "ora", "svg", "pptx"] {
        let file = app.get(&format!("/api/download/{id}?format={format}")).await;
        assert_eq!(file.status(), StatusCode::OK, "{format}");
        let bytes = file.bytes().await.unwrap();
        if format == "zip" {
            let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
            let at = (0..zip.len()).find(|at| zip.by_index(*at).unwrap().name().unwrap().contains("layer_2")).unwrap();
            let mut png = Vec::new();
            std::io::Read::read_to_end(&mut zip.by_index(at).unwrap(), &mut png).unwrap();
            let layer = image::load_from_memory(&png).unwrap().into_rgba8();
            assert_eq!((layer.dimensions(), layer.get_pixel(5, 3).0), (plain.dimensions(), [200, 0, 10, 255]));
        } else if format != "svg" && format != "pptx" {
            let name: &[u8] = b"Logo";
            let holds_name = bytes.windows(4).any(|part| part == name);
            assert!(holds_name || format == "ora", "{format}");
        }
    }
    let undone = app.post(&format!("/api/jobs/{id}/document/undo"), &json!({})).await;
    assert_eq!(undone.status(), StatusCode::OK);
    assert_eq!(app.composed(id, &json!({})).await, plain);
    let redone = app.post(&format!("/api/jobs/{id}/document/redo"), &json!({})).await;
    assert_eq!(redone.json::<Value>().await.unwrap()["elements"], document["elements"]);

    assert_eq!(app.delete(&format!("/api/jobs/{id}")).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(app.get(&location).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_picture_larger_than_the_canvas_lies_partly_outside() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let large = RgbaImage::from_fn(300, 200, |x, y| Rgba([(x % 256) as u8, y as u8, 7, 255]));
    let picture = app.picture(id, &large).await;
    let elements = json!([{ "id": 1, "picture": { "id": picture, "x": -100, "y": -50 } }]);
    assert_eq!(app.put_elements(id, elements).await.status(), StatusCode::OK);
    let composed = app.composed(id, &json!({})).await;
    assert_eq!(composed.dimensions(), (pictures::WIDTH, pictures::HEIGHT));
    assert!(composed.enumerate_pixels().all(|(x, y, pixel)| pixel == large.get_pixel(x + 100, y + 50)));
    let scaled = json!([{ "id": 1, "picture": { "id": picture, "x": -138, "y": -92 }, "edit": { "scale_x": 0.08, "scale_y": 0.08 } }]);
    let small = app.composed(id, &json!({ "elements": scaled })).await;
    assert!(small.pixels().all(|pixel| pixel[3] == 255), "24 x 16 pixels about its middle");
}

#[tokio::test]
async fn what_is_wrong_with_a_picture_is_told() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    expect_error(app.send_picture(Uuid::new_v4(), png(&square())).await, 404, "job_not_found").await;
    expect_error(app.send_picture(id, b"not a picture".to_vec()).await, 415, "image_type_unknown").await;
    expect_error(app.send_picture(id, Vec::new()).await, 422, "image_empty").await;
    let path = format!("/api/jobs/{id}/pictures");
    let form = Form::new().part("image", Part::bytes(png(&square())).file_name("a.png")).text("x", "3");
    let response = app.client.post(app.url(&path)).multipart(form).send().await.unwrap();
    expect_error(response, 400, "unknown_field").await;

    let picture = app.picture(id, &square()).await;
    let other = app.finished_job().await;
    let shows = |picture: &str| json!([{ "id": 1, "picture": { "id": picture } }]);
    let message = expect_error(app.put_elements(other, shows(&picture)).await, 404, "picture_not_found").await;
    assert!(message.contains(&picture) && message.contains("/pictures"), "{message}");
    let composed = app.post(&format!("/api/jobs/{other}/compose"), &json!({ "elements": shows(&picture) })).await;
    expect_error(composed, 404, "picture_not_found").await;
    for bad in ["", "x", "../../etc/passwd", &picture[..43], &format!("{picture}0")] {
        expect_error(app.get(&format!("{path}/{}.png", bad.replace('/', "%2F"))).await, 404, "picture_not_found").await;
    }
    expect_error(app.get(&format!("{path}/{picture}")).await, 404, "picture_not_found").await;
    let message = expect_error(app.put_elements(id, shows("../x")).await, 422, "invalid_parameter").await;
    assert!(message.contains("not the id of a picture"), "{message}");
    let far = json!([{ "id": 1, "picture": { "id": picture, "x": 100_001 } }]);
    expect_error(app.put_elements(id, far).await, 422, "invalid_parameter").await;

    // Words are not those of a picture, and a layer is split as the engine made it.
    let mut of_layer = layer(id, 1, json!({}));
    of_layer["picture"] = json!({ "id": picture });
    assert_eq!(app.put_elements(id, json!([of_layer])).await.status(), StatusCode::OK);
    let words = app.patch(&format!("/api/jobs/{id}/layers/1"), &json!({ "text": "words" })).await;
    expect_error(words, 422, "layer_is_picture").await;
    let split = app.post(&format!("/api/jobs/{id}/layers/1/decompose"), &json!({})).await;
    expect_error(split, 422, "layer_is_picture").await;
    let moved = app.patch(&format!("/api/jobs/{id}/layers/1"), &json!({ "x": 2, "text": null })).await;
    assert_eq!(moved.status(), StatusCode::OK);
}

#[tokio::test]
async fn pictures_count_for_the_storage_of_who_sends_them() {
    let app = TestApp::with([("STORED_PER_CLIENT", "20k")]).await;
    let id = app.finished_job().await;
    let noise = pictures::noise_png(90);
    assert_eq!(app.send_picture(id, noise.clone()).await.status(), StatusCode::CREATED);
    expect_error(app.send_picture(id, noise).await, 429, "storage_quota").await;
}
