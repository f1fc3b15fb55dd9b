use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{TestApp, Worker, expect_error};

/// Splits layer 1 of `id`; the job of it.
async fn split(app: &TestApp, id: Uuid) -> Uuid {
    let response = app.client.post(app.url(&format!("/api/jobs/{id}/layers/1/decompose"))).send().await.unwrap();
    assert_eq!(response.status(), 202);
    response.json::<Value>().await.unwrap()["job_id"].as_str().unwrap().parse().unwrap()
}

async fn work(app: &TestApp) {
    let worker = Worker::start(app).await;
    let lease = worker.claim().await;
    worker.begin(&lease).await;
    worker.succeed(&lease).await;
}

#[tokio::test]
async fn a_layer_becomes_a_group_of_what_it_was_split_into() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let child = split(&app, id).await;
    let before = app.json(&format!("/api/jobs/{id}/document")).await;
    assert_eq!(before["layers"][1]["child"], json!({ "job_id": child, "x": 1, "y": 0, "tree": null }));
    work(&app).await;

    let facts = app.json(&format!("/api/jobs/{child}/metadata.json")).await;
    assert_eq!(facts["input"]["parent"], json!({ "job_id": id, "layer": 1, "x": 1, "y": 0 }));
    assert_eq!((&facts["input"]["filename"], &facts["input"]["width"]), (&json!("triangle.png"), &json!(23)));
    let metadata = app.json(&format!("/api/jobs/{id}/metadata.json")).await;
    assert_eq!(metadata["children"], json!([{ "layer": 1, "job_id": child, "children": [] }]));
    let after = app.json(&format!("/api/jobs/{id}/document")).await;
    assert_eq!(after["layers"][1]["child"]["tree"]["layers"].as_array().map(Vec::len), Some(2));

    // One more level, and all of it in a file.
    let grandchild = split(&app, child).await;
    work(&app).await;
    let metadata = app.json(&format!("/api/jobs/{id}/metadata.json")).await;
    assert_eq!(metadata["children"][0]["children"][0]["job_id"], json!(grandchild));
    let svg = app.get(&format!("/api/download/{id}?format=svg")).await.text().await.unwrap();
    assert_eq!(svg.matches("<g ").count(), 2 + 4, "{svg}");
    let composed = app.composed(id, &json!({})).await;
    let entries = json!([{ "layer": 0 }, { "layer": 0, "job_id": child, "groups": ["triangle"] }]);
    let flat = app.composed(id, &json!({ "layers": entries })).await;
    // The child's lowest layer is an even ground in its box, one pixel in.
    assert_eq!(flat.get_pixel(1, 0).0, [250, 240, 230, 255]);
    assert_eq!(composed.dimensions(), flat.dimensions());
}

#[tokio::test]
async fn what_was_split_goes_with_its_parent() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let child = split(&app, id).await;
    work(&app).await;
    let grandchild = split(&app, child).await;
    assert_eq!(app.delete(&format!("/api/jobs/{id}")).await.status(), 204);
    expect_error(app.get(&format!("/api/status/{child}")).await, 404, "job_not_found").await;
    assert_eq!(app.state(grandchild).await, "cancelled");
}

#[tokio::test]
async fn a_layer_whose_parts_are_gone_stands_for_itself() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let whole = app.composed(id, &json!({})).await;
    let child = split(&app, id).await;
    assert_eq!(app.composed(id, &json!({})).await, whole);
    work(&app).await;
    assert_ne!(app.composed(id, &json!({})).await, whole);
    assert_eq!(app.delete(&format!("/api/jobs/{child}")).await.status(), 204);
    assert_eq!(app.composed(id, &json!({})).await, whole);
}

#[tokio::test]
async fn what_cannot_be_split_is_told_apart() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let path = |n: &str| format!("/api/jobs/{id}/layers/{n}/decompose");
    expect_error(app.post(&path("7"), &json!({})).await, 404, "layer_not_found").await;
    expect_error(app.post(&path("1"), &json!({ "num_layers": 99 })).await, 422, "invalid_parameter").await;
    expect_error(app.post(&path("1"), &json!({ "output_size": "model" })).await, 422, "invalid_parameter").await;
    expect_error(app.post(&path("1"), &json!([])).await, 422, "invalid_parameter").await;
    let nobody = Uuid::new_v4();
    let response = app.post(&format!("/api/jobs/{nobody}/layers/0/decompose"), &json!({})).await;
    expect_error(response, 404, "job_not_found").await;
}
