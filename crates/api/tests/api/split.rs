use jobs::ParentLayer;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{TestApp, Worker, expect_error};
use crate::edits::layer as element;

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
    assert_eq!((&before["elements"][1]["child"], before["results"].as_array().map(Vec::len)), (&Value::Null, Some(1)));
    work(&app).await;

    let facts = app.json(&format!("/api/jobs/{child}/metadata.json")).await;
    assert_eq!(
        facts["input"]["parent"],
        json!({ "job_id": id, "layer": 1, "x": 1, "y": 0, "split_by": child, "kind": "object" })
    );
    assert_eq!((&facts["input"]["filename"], &facts["input"]["width"]), (&json!("triangle.png"), &json!(23)));
    let metadata = app.json(&format!("/api/jobs/{id}/metadata.json")).await;
    assert_eq!(metadata["children"], json!([{ "layer": 1, "job_id": child, "children": [] }]));
    let after = app.json(&format!("/api/jobs/{id}/document")).await;
    assert_eq!(after["elements"][1]["child"], json!(child));
    assert_eq!(after["elements"][2]["layer"], json!({ "job_id": child, "layer": 0 }));
    assert!((2..4).all(|at| after["elements"][at]["parent"] == 1), "{after}");
    let part = &after["results"][1];
    assert_eq!((&part["job_id"], &part["x"], &part["y"]), (&json!(child), &json!(1), &json!(0)));
    assert_eq!(part["metadata"]["layers"].as_array().map(Vec::len), Some(2));

    // One more level, and all of it in a file.
    let grandchild = split(&app, child).await;
    work(&app).await;
    let metadata = app.json(&format!("/api/jobs/{id}/metadata.json")).await;
    assert_eq!(metadata["children"][0]["children"][0]["job_id"], json!(grandchild));
    let svg = app.get(&format!("/api/download/{id}?format=svg")).await.text().await.unwrap();
    assert_eq!(svg.matches("<g ").count(), 2 + 4, "{svg}");
    let composed = app.composed(id, &json!({})).await;
    let mut part = element(child, 0, json!({}));
    part["id"] = json!(99);
    let flat = app.composed(id, &json!({ "elements": [element(id, 0, json!({})), part] })).await;
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
    for gone in [id, child, grandchild] {
        expect_error(app.get(&format!("/api/status/{gone}")).await, 404, "job_not_found").await;
    }
    assert_eq!(stored(&app, "results"), 0);
    // The picture that was uploaded stays for other jobs; those of the layers had no other use.
    assert_eq!(stored(&app, "uploads"), 1);
}

/// Uploads or results that are there.
fn stored(app: &TestApp, shelf: &str) -> usize {
    let entries = std::fs::read_dir(app.dir.path().join(shelf)).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().file_name() != ".staging").count()
}

#[tokio::test]
async fn a_part_that_still_runs_goes_when_it_stops() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let child = split(&app, id).await;
    let worker = Worker::start(&app).await;
    let lease = worker.claim().await;
    worker.begin(&lease).await;
    assert_eq!(app.delete(&format!("/api/jobs/{id}")).await.status(), 204);
    assert_eq!(app.json(&format!("/api/status/{child}")).await["cancel_requested"], true);
    // A worker that has heard nothing of it yet.
    worker.succeed(&lease).await;
    eventually("the part is deleted", async || app.get(&format!("/api/status/{child}")).await.status() == 404).await;
    assert_eq!((stored(&app, "results"), stored(&app, "uploads")), (0, 1));
}

async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    for _ in 0..600 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{what}: not within 30 seconds");
}

#[tokio::test]
async fn of_many_splits_of_one_layer_one_stays() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let splits: Vec<Uuid> = futures_util::future::join_all((0..20).map(|_| split(&app, id))).await;
    let document = app.json(&format!("/api/jobs/{id}/document")).await;
    assert_eq!(document["revision"], 20);
    let linked = app.store.edits(id).await.unwrap().children[&1];
    assert!(splits.contains(&linked));
    for other in splits.iter().filter(|other| **other != linked) {
        expect_error(app.get(&format!("/api/status/{other}")).await, 404, "job_not_found").await;
    }
    assert_eq!(app.state(linked).await, "queued");
    assert_eq!(stored(&app, "uploads"), 2);

    // One that is finished, and one that runs, are replaced with what they were split into.
    work(&app).await;
    let grandchild = split(&app, linked).await;
    let second = split(&app, id).await;
    for gone in [linked, grandchild] {
        expect_error(app.get(&format!("/api/status/{gone}")).await, 404, "job_not_found").await;
    }
    let worker = Worker::start(&app).await;
    let lease = worker.claim().await;
    let third = split(&app, id).await;
    worker.succeed(&lease).await;
    eventually("the second is deleted", async || app.get(&format!("/api/status/{second}")).await.status() == 404).await;
    assert_eq!(app.store.edits(id).await.unwrap().children[&1], third);
    assert_eq!((stored(&app, "results"), stored(&app, "uploads")), (1, 2));
}

/// A result that looks as if it were `depth` splits below `id`.
async fn deep_result(app: &TestApp, id: Uuid, depth: usize) -> Uuid {
    let mut parent = id;
    for _ in 0..depth {
        let mut metadata = app.store.metadata(id).await.unwrap().unwrap();
        let child = Uuid::new_v4();
        metadata.job_id = Some(child);
        metadata.input.parent = Some(ParentLayer { job_id: parent, layer: 1, x: 1, y: 0, split_by: None, kind: None });
        let staging = app.store.stage(child).unwrap();
        for file in ["layer_0.png", "layer_1.png"] {
            let from = app.dir.path().join("results").join(id.to_string()).join(file);
            std::fs::copy(from, staging.dir().join(file)).unwrap();
        }
        std::fs::write(staging.dir().join("metadata.json"), serde_json::to_vec(&metadata).unwrap()).unwrap();
        app.store.publish(staging).await.unwrap();
        app.store.link_child(parent, 1, child).await.unwrap();
        parent = child;
    }
    parent
}

#[tokio::test]
async fn no_layer_is_split_deeper_than_the_document_shows() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let deepest = deep_result(&app, id, 32).await;
    let before = stored(&app, "uploads");
    let refused = app.post(&format!("/api/jobs/{deepest}/layers/1/decompose"), &json!({})).await;
    let message = expect_error(refused, 422, "split_too_deep").await;
    assert!(message.contains("32"), "{message}");
    assert_eq!(stored(&app, "uploads"), before, "something was stored");
    // All levels are shown, as text: no reader of ours takes a document that deep apart.
    for path in ["document", "metadata.json"] {
        let text = app.get(&format!("/api/jobs/{id}/{path}")).await.text().await.unwrap();
        assert!(text.contains(&deepest.to_string()), "{path} hides the deepest level");
    }
    let svg = app.get(&format!("/api/download/{id}?format=svg&shapes=pixels")).await.text().await.unwrap();
    assert_eq!(svg.matches("<image ").count(), 32 + 2, "{}", svg.len());
    assert_eq!(app.delete(&format!("/api/jobs/{id}")).await.status(), 204);
    assert_eq!(stored(&app, "results"), 0);
    let id = app.finished_job().await;
    let last = deep_result(&app, id, 31).await;
    split(&app, last).await;
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
