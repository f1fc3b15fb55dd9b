use image::RgbaImage;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::app::{TestApp, expect_error};
use crate::pictures::{HEIGHT, WIDTH};

impl TestApp {
    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Response {
        self.client.patch(self.url(path)).json(body).send().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        self.client.post(self.url(path)).json(body).send().await.unwrap()
    }

    pub(crate) async fn composed(&self, id: uuid::Uuid, body: &Value) -> RgbaImage {
        let response = self.post(&format!("/api/jobs/{id}/compose"), body).await;
        assert_eq!(response.status(), StatusCode::OK);
        image::load_from_memory(&response.bytes().await.unwrap()).unwrap().into_rgba8()
    }

    async fn layer(&self, id: uuid::Uuid, n: u32) -> RgbaImage {
        let bytes = self.get(&format!("/api/jobs/{id}/layers/{n}.png")).await.bytes().await.unwrap();
        image::load_from_memory(&bytes).unwrap().into_rgba8()
    }
}

#[tokio::test]
async fn a_moved_layer_is_where_it_was_moved_to_and_the_result_stays() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let (ground, triangle) = (app.layer(id, 0).await, app.layer(id, 1).await);
    let plain = app.composed(id, &json!({})).await;
    assert_eq!(plain.get_pixel(10, 2), triangle.get_pixel(10, 2));

    let patched = app.patch(&format!("/api/jobs/{id}/layers/1"), &json!({ "x": 3, "y": -2, "name": "삼각형" })).await;
    assert_eq!(patched.status(), StatusCode::OK);
    let document: Value = patched.json().await.unwrap();
    assert_eq!((&document["revision"], &document["undo"]), (&json!(1), &json!(1)));
    let edit = &document["elements"][1]["edit"];
    assert_eq!((&edit["name"], &edit["x"]), (&json!("삼각형"), &json!(3)));
    assert_eq!(app.json(&format!("/api/jobs/{id}/document")).await, document);

    let moved = app.composed(id, &json!({})).await;
    for (x, y, pixel) in moved.enumerate_pixels() {
        let (from_x, from_y) = (x.checked_sub(3), y + 2);
        let expected = match from_x {
            Some(x) if from_y < HEIGHT && triangle.get_pixel(x, from_y)[3] == 255 => triangle.get_pixel(x, from_y),
            _ => ground.get_pixel(x, y),
        };
        assert_eq!(pixel, expected, "at {x}, {y}");
    }
    assert_eq!(app.layer(id, 1).await, triangle);
    assert_eq!(app.delete(&format!("/api/jobs/{id}/document")).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(app.composed(id, &json!({})).await, plain);
}

#[tokio::test]
async fn whole_numbers_may_have_a_point() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let path = format!("/api/jobs/{id}/layers/1");
    let patched = app.patch(&path, &json!({ "x": -3792.0, "y": 2.0, "order": 0.0 })).await;
    assert_eq!(patched.status(), StatusCode::OK);
    let document: Value = patched.json().await.unwrap();
    let lowest = &document["elements"][0];
    assert_eq!((&lowest["layer"]["layer"], &lowest["edit"]["x"]), (&json!(1), &json!(-3792)));
    app.composed(id, &json!({ "elements": [layer(id, 0, json!({ "x": 1.0 }))] })).await;
    let refused = expect_error(app.patch(&path, &json!({ "x": 0.5 })).await, 422, "invalid_parameter").await;
    assert!(refused.contains("x must be a whole number"), "{refused}");
}

#[tokio::test]
async fn opacity_order_visibility_size_and_colours_are_composed() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let path = format!("/api/jobs/{id}/layers/1");
    let ground = [250, 240, 230, 255];

    app.patch(&path, &json!({ "visible": false })).await;
    assert!(app.composed(id, &json!({})).await.pixels().all(|pixel| pixel.0 == ground));
    app.patch(&path, &json!({ "visible": true, "opacity": 0.5 })).await;
    let triangle = app.layer(id, 1).await;
    let half = app.composed(id, &json!({})).await;
    let expected = (f32::from(triangle.get_pixel(10, 2)[0]) + 250.0) / 2.0;
    assert!((f32::from(half.get_pixel(10, 2)[0]) - expected).abs() <= 1.0);

    app.patch(&path, &json!({ "opacity": 1.0, "order": 0 })).await;
    assert!(app.composed(id, &json!({})).await.pixels().all(|pixel| pixel.0 == ground));
    app.patch(&path, &json!({ "order": 7, "saturation": 0 })).await;
    let grey = app.composed(id, &json!({})).await.get_pixel(10, 2).0;
    assert!(grey[0] == grey[1] && grey[1] == grey[2], "{grey:?}");

    app.patch(&path, &json!({ "scale_x": 0.5, "scale_y": 0.5 })).await;
    let small = app.composed(id, &json!({})).await;
    assert_eq!(small.get_pixel(WIDTH - 1, 0).0, ground);
    assert_ne!(small.get_pixel(14, 5).0, ground);

    // Half a turn is the same picture the other way round.
    app.patch(&path, &json!({ "scale_x": 1, "scale_y": 1, "rotation": 0 })).await;
    let upright = app.composed(id, &json!({})).await;
    app.patch(&path, &json!({ "rotation": 180 })).await;
    let turned = app.composed(id, &json!({})).await;
    assert!(turned != upright);
    app.patch(&path, &json!({ "rotation": -180 })).await;
    assert_eq!(app.composed(id, &json!({})).await, turned);
    // An outline of three pixels lies around the triangle and not on it.
    let outline = json!({ "outline": { "width": 3, "colour": "#0000ff" } });
    app.patch(&path, &json!({ "rotation": 0, "effects": outline })).await;
    let outlined = app.composed(id, &json!({})).await;
    assert_eq!(outlined.get_pixel(10, 2), upright.get_pixel(10, 2));
    assert!(outlined.pixels().filter(|pixel| pixel.0 == [0, 0, 255, 255]).count() > 10);
    app.patch(&path, &json!({ "effects": {} })).await;
    assert_eq!(app.composed(id, &json!({})).await, upright);
    // Twice as wide is not twice as high.
    app.patch(&path, &json!({ "scale_x": 2, "rotation": 0 })).await;
    let pptx = app.post(&format!("/api/jobs/{id}/compose"), &json!({ "format": "pptx" })).await;
    assert_eq!(pptx.status(), StatusCode::OK);
}

/// A layer of a result as an element of that number.
pub(crate) fn layer(id: uuid::Uuid, layer: u32, edit: Value) -> Value {
    json!({ "id": layer, "layer": { "job_id": id, "layer": layer }, "edit": edit })
}

#[tokio::test]
async fn a_document_given_with_the_request_stores_nothing() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let mut ground = layer(id, 0, json!({}));
    ground["parent"] = json!(8);
    let elements = json!([
        layer(id, 1, json!({ "x": 1, "opacity": 1 })),
        { "id": 7, "edit": { "name": "a" } },
        { "id": 8, "parent": 7, "edit": { "name": "b" } },
        ground,
    ]);
    let composed = app.composed(id, &json!({ "elements": elements })).await;
    assert!(composed.pixels().all(|pixel| pixel.0 == [250, 240, 230, 255]));
    assert_eq!(app.json(&format!("/api/jobs/{id}/document")).await["revision"], 0);
    for format in ["psd", "ora", "pptx", "svg", "zip"] {
        let response =
            app.post(&format!("/api/jobs/{id}/compose"), &json!({ "format": format, "elements": elements })).await;
        assert_eq!(response.status(), StatusCode::OK, "{format}");
        let disposition = response.headers()["content-disposition"].to_str().unwrap().to_owned();
        assert!(disposition.contains(&format!("poster-edited.{format}")), "{disposition}");
        let bytes = response.bytes().await.unwrap();
        if format == "svg" {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            assert!(text.contains("triangle") && text.contains("background"), "{text}");
        }
    }
}

#[tokio::test]
async fn flat_layers_are_shapes_unless_pixels_are_wanted() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let count = |svg: &str| (svg.matches("<rect ").count(), svg.matches("<image ").count());
    for (shapes, found) in [(None, (1, 1)), (Some("native"), (1, 1)), (Some("pixels"), (0, 2))] {
        let query = shapes.map(|shapes| format!("&shapes={shapes}")).unwrap_or_default();
        let svg = app.get(&format!("/api/download/{id}?format=svg{query}")).await.text().await.unwrap();
        assert_eq!(count(&svg), found, "{shapes:?}: {svg}");
        let mut body = json!({ "format": "svg" });
        if let Some(shapes) = shapes {
            body["shapes"] = json!(shapes);
        }
        let svg = app.post(&format!("/api/jobs/{id}/compose"), &body).await.text().await.unwrap();
        assert_eq!(count(&svg), found, "{shapes:?}: {svg}");
    }
    let wrong = app.post(&format!("/api/jobs/{id}/compose"), &json!({ "shapes": "circles" })).await;
    expect_error(wrong, 422, "invalid_parameter").await;
}

#[tokio::test]
async fn edits_that_cannot_be_are_told_apart() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let path = format!("/api/jobs/{id}/layers/1");
    for body in [
        json!({ "opacity": 2 }),
        json!({ "scale_x": 0, "scale_y": 0 }),
        json!({ "scale_y": 17 }),
        json!({ "rotation": 360.5 }),
        json!({ "rotation": "90" }),
        json!({ "effects": { "outline": { "width": 201, "colour": "#000000" } } }),
        json!({ "effects": { "shadow": { "dx": 0, "dy": 0, "blur": -1, "colour": "#000000", "opacity": 1 } } }),
        json!({ "effects": { "glow": {} } }),
        json!({ "blend": "dissolve" }),
        json!({ "colour": "red" }),
        json!({ "name": "" }),
        json!({ "x": 0.5 }),
        json!({ "order": -1 }),
    ] {
        expect_error(app.patch(&path, &body).await, 422, "invalid_parameter").await;
    }
    assert_eq!(app.json(&format!("/api/jobs/{id}/document")).await["revision"], 0);
    for n in ["2", "01", "x", "0.png"] {
        let response = app.patch(&format!("/api/jobs/{id}/layers/{n}"), &json!({})).await;
        expect_error(response, 404, "layer_not_found").await;
    }
    let text = app.client.patch(app.url(&path)).header("content-type", "text/plain").body("x=1").send().await.unwrap();
    expect_error(text, 415, "unsupported_media_type").await;
    let broken = app.client.patch(app.url(&path)).header("content-type", "application/json").body("{").send();
    expect_error(broken.await.unwrap(), 400, "invalid_json").await;
    let nobody = uuid::Uuid::new_v4();
    expect_error(app.patch(&format!("/api/jobs/{nobody}/layers/0"), &json!({})).await, 404, "job_not_found").await;
    let waiting = app.job().await;
    expect_error(app.patch(&format!("/api/jobs/{waiting}/layers/0"), &json!({})).await, 409, "job_not_finished").await;

    let compose = format!("/api/jobs/{id}/compose");
    expect_error(app.post(&compose, &json!({ "format": "gif" })).await, 400, "unknown_format").await;
    let of = |element: Value| json!({ "elements": [element] });
    expect_error(app.post(&compose, &of(layer(id, 9, json!({})))).await, 404, "layer_not_found").await;
    expect_error(app.post(&compose, &of(layer(waiting, 0, json!({})))).await, 404, "layer_not_found").await;
    let turned = layer(id, 0, json!({ "hue": 999 }));
    expect_error(app.post(&compose, &of(turned)).await, 422, "invalid_parameter").await;
}

#[tokio::test]
async fn a_layer_is_not_enlarged_beyond_the_limit_of_pixels() {
    let app = TestApp::with([("MAX_PIXELS", "1000")]).await;
    let id = app.finished_job().await;
    app.patch(&format!("/api/jobs/{id}/layers/1"), &json!({ "scale_x": 16, "scale_y": 16 })).await;
    expect_error(app.post(&format!("/api/jobs/{id}/compose"), &json!({})).await, 422, "layer_too_large").await;
}
