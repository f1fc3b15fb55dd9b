//! The words of a result.

use jobs::{JobId, LayerInfo, LiveText};
use layers::Kind;
use serde_json::{Value, json};

use crate::app::{TestApp, Worker, expect_error};

/// A block of one line at a place, as a worker stores it.
pub(crate) fn block(words: &str, size: f32, x: u32, y: u32) -> Value {
    let style =
        json!({ "family": "Noto Sans KR", "size": size, "line_height": size * 1.2, "fill": { "colour": "#102030" } });
    let bounding_box = json!({ "x": x, "y": y, "width": 100, "height": 20 });
    json!({
        "text": {
            "lines": [{ "runs": [{ "text": words, "style": style }] }],
            "position": { "x": x, "y": y + 18 },
        },
        "bounding_box": bounding_box,
        "lines": [{
            "words": words, "bounding_box": bounding_box, "origin": { "x": x, "y": y + 18 },
            "width": 100.0, "ascent": 18.0, "descent": 5.0, "script": "Hang", "language": "ko",
            "confidence": 0.98, "similarity": 0.97, "overlap": 0.94,
            "font": { "family": "Noto Sans KR", "weight": 400, "slant": "upright", "width": 100, "approximate": false },
        }],
    })
}

/// A job whose result has a title, a curved line, two blocks in one layer, and words that are only pixels.
async fn job_with_words(app: &TestApp) -> JobId {
    let id = app.job().await;
    let worker = Worker::start(app).await;
    let lease = worker.claim().await;
    worker.begin(&lease).await;
    let live = |value: Value| -> Option<LiveText> { Some(serde_json::from_value(value).unwrap()) };
    worker
        .succeed_with(&lease, |metadata| {
            let layer = metadata.layers[1].clone();
            let text =
                |n, name: &str| LayerInfo { z_index: n, name: name.to_owned(), kind: Kind::Text, ..layer.clone() };
            let curved = json!({
                "words": "around", "bounding_box": { "x": 10, "y": 130, "width": 50, "height": 40 }, "reason": "curved",
            });
            metadata.layers.extend([
                LayerInfo {
                    live_text: live(json!({
                        "blocks": [block("1. 5월 *24일*", 16.0, 10, 100), block("서울", 16.0, 200, 100)],
                        "pixel_lines": [curved],
                        "overlap": 0.9,
                    })),
                    ..text(2, "When")
                },
                LayerInfo {
                    live_text: live(json!({ "blocks": [block("봄날", 60.0, 10, 10)], "overlap": 0.95 })),
                    ..text(3, "Title")
                },
                LayerInfo {
                    text: Some("only\npixels".to_owned()),
                    bounding_box: Some(layers::Rect { x: 10, y: 300, width: 50, height: 40 }),
                    ..text(4, "Small print")
                },
            ]);
        })
        .await;
    id
}

#[tokio::test]
async fn words_are_read_in_order_as_json_text_and_markdown() {
    let app = TestApp::start().await;
    let id = job_with_words(&app).await;
    let body = app.json(&format!("/api/jobs/{id}/text")).await;
    let blocks = body["blocks"].as_array().unwrap();
    let words: Vec<_> = blocks.iter().map(|block| (block["words"].as_str().unwrap(), &block["z_index"])).collect();
    assert_eq!(
        words,
        [
            ("봄날", &json!(3)),
            ("1. 5월 *24일*", &json!(2)),
            ("서울", &json!(2)),
            ("around", &json!(2)),
            ("only\npixels", &json!(4)),
        ]
    );
    assert_eq!(blocks[0]["live"]["lines"][0]["font"]["family"], "Noto Sans KR");
    assert_eq!(blocks[0]["live"]["text"]["lines"][0]["runs"][0]["style"]["size"], 60.0);
    assert_eq!((&blocks[0]["layer"], blocks[3].get("live")), (&json!("Title"), None));

    for (format, media_type, expected) in [
        ("txt", "text/plain; charset=utf-8", "봄날\n\n1. 5월 *24일*\n\n서울\n\naround\n\nonly\npixels\n"),
        (
            "md",
            "text/markdown; charset=utf-8",
            "# 봄날\n\n1\\. 5월 \\*24일\\*\n\n서울\n\n## around\n\nonly\\\npixels\n",
        ),
    ] {
        let response = app.get(&format!("/api/jobs/{id}/text?format={format}")).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &media_type.parse().unwrap())
        );
        assert_eq!(response.text().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn the_text_of_a_job_answers_like_its_other_results() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let path = format!("/api/jobs/{id}/text");
    let response = app.get(&path).await;
    let etag = response.headers()["etag"].clone();
    assert_eq!(response.json::<Value>().await.unwrap(), json!({ "blocks": [] }), "no words");
    let again = app.client.get(app.url(&path)).header("if-none-match", etag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    let message = expect_error(app.get(&format!("{path}?format=doc")).await, 400, "unknown_format").await;
    assert!(message.contains("json, txt or md"), "{message}");
    let waiting = app.job().await;
    expect_error(app.get(&format!("/api/jobs/{waiting}/text")).await, 409, "job_not_finished").await;
    let unknown = uuid::Uuid::new_v4();
    expect_error(app.get(&format!("/api/jobs/{unknown}/text")).await, 404, "job_not_found").await;
}
