//! Words of a layer that were edited.

use image::RgbaImage;
use jobs::{JobId, LayerInfo};
use layers::{Kind, Rect};
use serde_json::{Value, json};

use crate::app::{TestApp, Worker, expect_error};
use crate::edits::layer as element;
use crate::pictures::{HEIGHT, WIDTH};
use crate::text::block;

/// The colour of the blocks.
const INK: [u8; 3] = [0x10, 0x20, 0x30];

/// A block of one letter on the small canvas.
fn letter(words: &str, x: u32) -> Value {
    let mut found = block(words, 10.0, x, 0);
    found["text"]["position"]["y"] = json!(9);
    found["bounding_box"] = json!({ "x": x, "y": 1, "width": 10, "height": 9 });
    found
}

/// A job whose result has a layer with one block of words, 2, and one with two blocks beside each other, 3.
async fn job_with_blocks(app: &TestApp) -> JobId {
    let id = app.job().await;
    let worker = Worker::start(app).await;
    let lease = worker.claim().await;
    worker.begin(&lease).await;
    worker
        .succeed_with(&lease, |metadata| {
            let layer = LayerInfo {
                kind: Kind::Text,
                bounding_box: Some(Rect { x: 0, y: 0, width: WIDTH, height: HEIGHT }),
                ..metadata.layers[1].clone()
            };
            let of = |n, name: &str, blocks: Value| LayerInfo {
                z_index: n,
                name: name.to_owned(),
                text: Some(name.to_owned()),
                live_text: serde_json::from_value(json!({ "blocks": blocks, "overlap": 0.95 })).unwrap(),
                ..layer.clone()
            };
            metadata.layers.extend([
                of(2, "봄", json!([letter("봄", 1)])),
                of(3, "가 나", json!([letter("가", 0), letter("나", WIDTH - 11)])),
            ]);
        })
        .await;
    id
}

/// One layer alone, with an edit in place of the stored one.
async fn alone(app: &TestApp, id: JobId, layer: u32, edit: Value) -> RgbaImage {
    app.composed(id, &json!({ "elements": [element(id, layer, edit)] })).await
}

fn ink(picture: &RgbaImage) -> usize {
    assert!(picture.pixels().all(|pixel| pixel[3] == 0 || pixel.0[..3] == INK), "only words");
    picture.pixels().filter(|pixel| pixel[3] > 100).count()
}

fn at(id: JobId, layer: u32) -> String {
    format!("/api/jobs/{id}/layers/{layer}")
}

#[tokio::test]
async fn other_words_take_the_place_of_the_pixels_and_give_it_back() {
    let app = TestApp::start().await;
    let id = job_with_blocks(&app).await;
    let plain = app.composed(id, &json!({})).await;

    let document: Value = app.patch(&at(id, 2), &json!({ "text": "달\n밤" })).await.json().await.unwrap();
    let edit = document["elements"][2]["edit"].clone();
    let lines = edit["text"]["0"]["lines"].as_array().unwrap();
    assert_eq!((lines.len(), &lines[1]["runs"][0]["text"]), (2, &json!("밤")));
    assert_eq!(lines[1]["runs"][0]["style"]["size"], 10.0, "in the style of the line before");

    let drawn = alone(&app, id, 2, edit.clone()).await;
    assert!(ink(&drawn) > 20, "{} px of ink", ink(&drawn));
    assert_ne!(app.composed(id, &json!({})).await, plain);
    let text = app.get(&format!("/api/jobs/{id}/text?format=txt")).await.text().await.unwrap();
    assert!(text.contains("달\n밤\n") && !text.contains('봄'), "{text}");

    // A request without the edit shows the layer as it was read, its name too.
    let body = json!({ "format": "svg", "elements": [element(id, 2, json!({}))] });
    let svg = app.post(&format!("/api/jobs/{id}/compose"), &body).await.text().await.unwrap();
    assert!(svg.contains("봄") && !svg.contains("달"), "{}", &svg[..svg.len().min(600)]);

    // Moved, larger and in another colour.
    let mut moved = edit.clone();
    moved["x"] = json!(6);
    let moved = alone(&app, id, 2, moved).await;
    let part = |picture: &RgbaImage, x| image::imageops::crop_imm(picture, x, 0, 12, HEIGHT).to_image();
    assert_eq!(part(&moved, 6), part(&drawn, 0));
    let mut grey = edit.clone();
    grey["saturation"] = json!(0.0);
    let grey = alone(&app, id, 2, grey).await;
    assert!(grey.pixels().all(|pixel| pixel[3] < 255 || (pixel[0] == pixel[1] && pixel[1] == pixel[2])));

    for taken_back in [json!({ "text": null }), json!({ "text": { "0": null } }), json!({ "text": "봄" })] {
        app.patch(&at(id, 2), &json!({ "text": "달" })).await;
        assert_ne!(app.composed(id, &json!({})).await, plain);
        let document: Value = app.patch(&at(id, 2), &taken_back).await.json().await.unwrap();
        assert_eq!(document["elements"][2]["edit"].get("text"), None);
        assert_eq!(app.composed(id, &json!({})).await, plain, "{taken_back}");
    }
}

#[tokio::test]
async fn blocks_that_are_not_edited_stay_pixels() {
    let app = TestApp::start().await;
    let id = job_with_blocks(&app).await;
    let whole = alone(&app, id, 3, json!({})).await;
    let document: Value = app.patch(&at(id, 3), &json!({ "text": { "1": "다" } })).await.json().await.unwrap();
    let drawn = alone(&app, id, 3, document["elements"][3]["edit"].clone()).await;
    let left = |picture: &RgbaImage| image::imageops::crop_imm(picture, 0, 0, WIDTH / 3, HEIGHT).to_image();
    assert_eq!(left(&drawn), left(&whole));
    let right = image::imageops::crop_imm(&drawn, WIDTH - 11, 0, 11, HEIGHT).to_image();
    assert!(ink(&right) > 15, "{} px of ink", ink(&right));
    // In SVG the whole layer is text only if all of it can be.
    let body = json!({ "format": "svg" });
    let svg = app.post(&format!("/api/jobs/{id}/compose"), &body).await.text().await.unwrap();
    assert!(!svg.contains("<text"), "nothing is known of the weakest part of 가");
    app.patch(&at(id, 3), &json!({ "text": { "0": "라" } })).await;
    let svg = app.post(&format!("/api/jobs/{id}/compose"), &body).await.text().await.unwrap();
    assert!(svg.contains(">라</") && svg.contains(">다</"));
}

#[tokio::test]
async fn words_that_cannot_be_drawn_are_refused_and_change_nothing() {
    let app = TestApp::start().await;
    let id = job_with_blocks(&app).await;
    let styled = |size: f32| {
        let style = json!({ "family": "Jua", "size": size, "line_height": 20, "fill": { "colour": "#ff0000" } });
        json!({ "lines": [{ "runs": [{ "text": "a", "style": style }] }], "position": { "x": 2, "y": 20 } })
    };
    for (layer, text, told) in [
        (3, json!("one for two"), "has 2 blocks in this layer"),
        (3, json!({ "2": styled(10.0) }), "no block 2 of text: it has 2"),
        (2, json!({ "a": "x" }), "no number of a block"),
        (2, json!({ "0": styled(0.0) }), "size is 0; it must be from 1 to 4000 px"),
        (2, json!({ "0": { "lines": [] } }), "text.0 is missing position"),
        (2, json!({ "0": 5 }), "the words of a block"),
        (2, json!(5), "words, an object with blocks"),
        (2, json!("a\u{7}"), "control character U+0007"),
        (0, json!("a"), "has no block 0 with a style"),
    ] {
        let response = app.patch(&at(id, layer), &json!({ "text": text })).await;
        let message = expect_error(response, 422, "invalid_parameter").await;
        assert!(message.contains(told), "{text}: {message}");
    }
    let many: String = "a\n".repeat(1200);
    let message = expect_error(app.patch(&at(id, 2), &json!({ "text": many })).await, 422, "invalid_parameter").await;
    assert!(message.contains("at most 1000 are allowed"), "{message}");
    assert_eq!(app.json(&format!("/api/jobs/{id}/document")).await["revision"], 0);

    // A layer without words can be given some.
    let document: Value = app.patch(&at(id, 1), &json!({ "text": { "0": styled(20.0) } })).await.json().await.unwrap();
    assert_eq!(document["elements"][1]["edit"]["text"]["0"]["lines"][0]["runs"][0]["text"], "a");
    let svg = app.post(&format!("/api/jobs/{id}/compose"), &json!({ "format": "svg" })).await.text().await.unwrap();
    assert!(svg.contains("inkscape:label=\"a\""), "it is named by its words");
    // What a layer's scale makes too large is told when it is drawn.
    let edit = json!({ "text": { "0": styled(3000.0) }, "scale_x": 4, "scale_y": 4 });
    let response = app.post(&format!("/api/jobs/{id}/compose"), &json!({ "elements": [element(id, 1, edit)] })).await;
    let message = expect_error(response, 422, "invalid_parameter").await;
    assert!(message.contains("must be from 1 to 4000 px"), "{message}");
}

#[tokio::test]
async fn fonts_are_listed_and_those_that_ship_are_served() {
    let app = TestApp::start().await;
    let fonts = app.json("/api/fonts").await;
    let families = fonts["families"].as_array().unwrap();
    let jua = families.iter().find(|family| family["family"] == "Jua").unwrap();
    assert_eq!(jua["scripts"]["hangul"], true);
    let sans = families.iter().find(|family| family["family"] == "Noto Sans KR").unwrap();
    let weights: Vec<_> =
        sans["faces"].as_array().unwrap().iter().map(|face| face["weight"].as_u64().unwrap()).collect();
    assert_eq!(weights, [300, 400, 500, 700, 900]);
    let file = app.get(jua["faces"][0]["url"].as_str().unwrap()).await;
    assert_eq!(file.headers()["content-type"], "font/woff");
    assert_eq!(&file.bytes().await.unwrap()[..4], b"wOFF");
    for name in ["Arial.woff", "..%2FREADME.md", "OFL.txt"] {
        expect_error(app.get(&format!("/api/fonts/{name}")).await, 404, "font_not_found").await;
    }
}
