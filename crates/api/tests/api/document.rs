//! The document: who changes it, what became of it, and what it cannot be.

use reqwest::Response;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{TestApp, Worker, expect_error};
use crate::edits::layer;

impl TestApp {
    async fn document(&self, id: Uuid) -> Value {
        self.json(&format!("/api/jobs/{id}/document")).await
    }

    /// Sends a document that starts from a revision.
    async fn put(&self, id: Uuid, revision: &str, body: &Value) -> Response {
        let request = self.client.put(self.url(&format!("/api/jobs/{id}/document")));
        request.header("if-match", revision).json(body).send().await.unwrap()
    }

    async fn stored(&self, id: Uuid, revision: &str, body: &Value) -> Value {
        let response = self.put(id, revision, body).await;
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
        response.json().await.unwrap()
    }

    async fn step(&self, id: Uuid, way: &str) -> Value {
        let response = self.post(&format!("/api/jobs/{id}/document/{way}"), &json!({})).await;
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }
}

/// The x of the highest element, if there is one.
fn x(document: &Value) -> &Value {
    &document["elements"].as_array().unwrap().last().unwrap()["edit"]["x"]
}

fn moved(id: Uuid, x: i32) -> Value {
    json!({ "elements": [layer(id, 0, json!({})), layer(id, 1, json!({ "x": x }))] })
}

#[tokio::test]
async fn a_document_is_what_was_put_last_from_the_present_revision() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let first = app.get(&format!("/api/jobs/{id}/document")).await;
    assert_eq!(first.headers()["etag"], "\"0\"");
    let first: Value = first.json().await.unwrap();
    assert_eq!(first["elements"][0]["locked"], true, "the background");
    assert_eq!(first["results"][0]["metadata"]["layers"][1]["name"], "triangle");

    // What is answered can be sent back, and changes nothing.
    let same = app.stored(id, "\"0\"", &json!({ "elements": first["elements"] })).await;
    assert_eq!((&same["elements"], &same["undo"]), (&first["elements"], &json!(0)));
    let after = app.stored(id, "\"1\"", &moved(id, 3)).await;
    assert_eq!((&after["revision"], &after["undo"], x(&after)), (&json!(2), &json!(1), &json!(3)));
    assert_eq!(app.document(id).await, after);

    // Somebody else started from an older one.
    let refused = app.put(id, "W/\"1\"", &moved(id, 9)).await;
    assert_eq!(refused.headers()["etag"], "\"2\"");
    let message = expect_error(refused, 412, "document_changed").await;
    assert!(message.contains("revision 2"), "{message}");
    assert_eq!(app.document(id).await, after);
    assert_eq!(x(&app.stored(id, "*", &moved(id, 9)).await), 9);

    let without =
        app.client.put(app.url(&format!("/api/jobs/{id}/document"))).json(&moved(id, 1)).send().await.unwrap();
    expect_error(without, 428, "revision_missing").await;
    expect_error(app.put(id, "\"now\"", &moved(id, 1)).await, 400, "invalid_revision").await;
}

#[tokio::test]
async fn of_changes_at_once_from_one_revision_one_is_made() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let bodies: Vec<Value> = (1..=20).map(|x| moved(id, x)).collect();
    let changes = bodies.iter().map(|body| app.put(id, "\"0\"", body));
    let statuses: Vec<u16> =
        futures_util::future::join_all(changes).await.into_iter().map(|answer| answer.status().as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 19, "{statuses:?}");
    assert_eq!(app.document(id).await["revision"], 1);
}

#[tokio::test]
async fn changes_are_taken_back_and_made_again() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let plain = app.document(id).await["elements"].clone();
    expect_error(app.post(&format!("/api/jobs/{id}/document/undo"), &json!({})).await, 422, "nothing_to_undo").await;
    app.stored(id, "*", &moved(id, 3)).await;
    // A row of small moves is one step.
    for x in [4, 5, 6] {
        let body = json!({ "elements": moved(id, x)["elements"], "amend": x > 4 });
        app.stored(id, "*", &body).await;
    }
    app.patch(&format!("/api/jobs/{id}/layers/1"), &json!({ "order": 0, "name": "below" })).await;
    // Deleted.
    let last = app.stored(id, "*", &json!({ "elements": [layer(id, 0, json!({}))] })).await;
    assert_eq!((&last["undo"], &last["redo"]), (&json!(4), &json!(0)));
    expect_error(app.patch(&format!("/api/jobs/{id}/layers/1"), &json!({})).await, 404, "layer_deleted").await;

    let below = app.step(id, "undo").await;
    assert_eq!(below["elements"][0]["edit"]["name"], "below");
    assert_eq!(x(&app.step(id, "undo").await), 6);
    assert_eq!(x(&app.step(id, "undo").await), 3);
    let first = app.step(id, "undo").await;
    assert_eq!((&first["elements"], &first["undo"], &first["redo"]), (&plain, &json!(0), &json!(4)));
    for _ in 0..4 {
        app.step(id, "redo").await;
    }
    let again = app.document(id).await;
    assert_eq!((&again["elements"], &again["redo"]), (&last["elements"], &json!(0)));
    expect_error(app.post(&format!("/api/jobs/{id}/document/redo"), &json!({})).await, 422, "nothing_to_redo").await;

    // Taking all back is a step, too.
    assert_eq!(app.delete(&format!("/api/jobs/{id}/document")).await.status(), 204);
    assert_eq!(app.document(id).await["elements"], plain);
    assert_eq!(app.step(id, "undo").await["elements"], last["elements"]);
    let stale = app.client.post(app.url(&format!("/api/jobs/{id}/document/undo"))).header("if-match", "\"1\"");
    expect_error(stale.send().await.unwrap(), 412, "document_changed").await;
}

#[tokio::test]
async fn only_so_many_steps_are_kept() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    for x in 0..120 {
        app.patch(&format!("/api/jobs/{id}/layers/1"), &json!({ "x": x + 1 })).await;
    }
    assert_eq!(app.document(id).await["undo"], 100);
    for _ in 0..100 {
        app.step(id, "undo").await;
    }
    assert_eq!(x(&app.document(id).await), 20);
}

#[tokio::test]
async fn groups_have_an_opacity_and_are_shown_or_not() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let plain = app.composed(id, &json!({})).await;
    let grouped = |edit: Value| {
        let mut triangle = layer(id, 1, json!({}));
        triangle["parent"] = json!(7);
        json!({ "elements": [layer(id, 0, json!({})), { "id": 7, "edit": edit }, triangle] })
    };
    app.stored(id, "*", &grouped(json!({ "name": "그룹", "opacity": 0.5, "x": 40, "hue": 90 }))).await;
    let half = app.composed(id, &json!({})).await;
    let (whole, ground) = (plain.get_pixel(10, 2), [250, 240, 230]);
    for (channel, ground) in ground.into_iter().enumerate() {
        let expected = (f32::from(whole[channel]) + ground as f32) / 2.0;
        assert!((f32::from(half.get_pixel(10, 2)[channel]) - expected).abs() <= 1.0);
    }
    let group = app.document(id).await["elements"][1].clone();
    assert_eq!((&group["edit"]["x"], &group["edit"]["hue"]), (&json!(0), &json!(0.0)), "that is its layers' matter");
    app.stored(id, "*", &grouped(json!({ "visible": false }))).await;
    assert!(app.composed(id, &json!({})).await.pixels().all(|pixel| pixel.0 == [250, 240, 230, 255]));
    let svg = app.get(&format!("/api/download/{id}?format=svg")).await.text().await.unwrap();
    assert!(svg.contains("inkscape:label=\"Group\"") && svg.contains("display:none"), "{svg}");
}

#[tokio::test]
async fn layers_mix_with_what_is_below_them() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let plain = app.composed(id, &json!({})).await;
    let path = format!("/api/jobs/{id}/layers/1");
    assert_eq!(app.patch(&path, &json!({ "blend": "multiply" })).await.status(), 200);
    let (own, ground) = (plain.get_pixel(10, 2), [250.0, 240.0, 230.0]);
    let mixed = app.composed(id, &json!({})).await;
    for (channel, ground) in ground.into_iter().enumerate() {
        let expected = f32::from(own[channel]) * ground / 255.0;
        assert!((f32::from(mixed.get_pixel(10, 2)[channel]) - expected).abs() <= 1.0);
    }
    let svg = app.get(&format!("/api/download/{id}?format=svg")).await.text().await.unwrap();
    assert!(svg.contains("mix-blend-mode:multiply"), "{svg}");
}

#[tokio::test]
async fn downloads_follow_the_document_unless_the_original_is_wanted() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let download = async |query: &str| app.answers(&format!("/api/download/{id}{query}")).await;
    let (zip, svg) = (download("").await, download("?format=svg").await);
    app.patch(&format!("/api/jobs/{id}/layers/1"), &json!({ "name": "moved", "x": 2 })).await;
    assert_ne!(download("").await, zip);
    assert!(String::from_utf8(download("?format=svg").await).unwrap().contains("moved"));
    assert!(download("?as=original").await == zip && download("?as=original&format=svg").await == svg);
    let plain = app.composed(id, &json!({ "as": "original" })).await;
    assert_ne!(app.composed(id, &json!({})).await, plain);
    assert_eq!(app.composed(id, &json!({ "as": "seen" })).await, app.composed(id, &json!({})).await);
    expect_error(app.get(&format!("/api/download/{id}?as=before")).await, 400, "invalid_query").await;
}

#[tokio::test]
async fn documents_that_cannot_be_are_told_apart_and_change_nothing() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let group = |number: u64, parent: Option<u64>| json!({ "id": number, "parent": parent, "edit": { "name": "g" } });
    let child = |of: u64| {
        let mut child = layer(id, 0, json!({}));
        child["parent"] = json!(of);
        child
    };
    let chain: Vec<Value> = (10..62).map(|n| group(n, (n > 10).then(|| n - 1))).chain([child(61)]).collect();
    let many: Vec<Value> = (0..2001).map(|n| group(n, None)).collect();
    for (elements, status, code, told) in [
        (json!([layer(id, 0, json!({})), layer(id, 0, json!({}))]), 422, "invalid_parameter", "used by two elements"),
        (json!([{ "id": 1_u64 << 53 }]), 422, "invalid_parameter", "at most 9007199254740991"),
        (json!([{ "id": -1 }]), 422, "invalid_parameter", "elements[0].id"),
        (json!([group(5, Some(5)), child(5)]), 422, "invalid_parameter", "in itself"),
        (json!([group(5, Some(6)), group(6, Some(5)), child(5)]), 422, "invalid_parameter", "in itself"),
        (json!([group(5, Some(6)), group(6, Some(6)), child(5)]), 422, "invalid_parameter", "in itself"),
        (json!([child(4)]), 422, "invalid_parameter", "not there"),
        (json!([layer(id, 1, json!({})), child(1)]), 422, "invalid_parameter", "not there"),
        (json!(chain), 422, "too_many_groups", "at most 50"),
        (json!(many), 422, "too_many_layers", "at most 2000"),
        (json!([layer(id, 2, json!({}))]), 404, "layer_not_found", "layer 2"),
        (json!([layer(Uuid::new_v4(), 0, json!({}))]), 404, "layer_not_found", "not part"),
        (json!([{ "id": 1, "child": id }]), 422, "invalid_parameter", "no layer that was split"),
        (json!([layer(id, 0, json!({ "opacity": 1.5 }))]), 422, "invalid_parameter", "opacity must be"),
        (json!([layer(id, 0, json!({ "scale_x": 1e39 }))]), 422, "invalid_parameter", "scale_x must be"),
        (json!([layer(id, 0, json!({ "scale_y": 16.1 }))]), 422, "invalid_parameter", "scale_y must be"),
        (json!([layer(id, 0, json!({ "rotation": 361 }))]), 422, "invalid_parameter", "rotation must be"),
        (json!([layer(id, 0, json!({ "scale": 2 }))]), 422, "invalid_parameter", "scale"),
        (json!([layer(id, 0, json!({ "x": 1e9 }))]), 422, "invalid_parameter", "x must be"),
        (json!([layer(id, 0, json!({ "text": { "3": {} } }))]), 422, "invalid_parameter", "text"),
        (json!([{ "id": 1, "colour": 3 }]), 422, "invalid_parameter", "colour"),
        (json!("all"), 422, "invalid_parameter", "elements"),
    ] {
        let refused = app.put(id, "*", &json!({ "elements": elements })).await;
        let message = expect_error(refused, status, code).await;
        assert!(message.contains(told), "{told}: {message}");
    }
    for body in ["{\"elements\":[{\"id\":1,\"edit\":{\"opacity\":NaN}}]}", "{\"elements\":", "elements"] {
        let request = app.client.put(app.url(&format!("/api/jobs/{id}/document"))).header("if-match", "*");
        let refused = request.header("content-type", "application/json").body(body).send().await.unwrap();
        expect_error(refused, 400, "invalid_json").await;
    }
    let long = json!({ "elements": [], "amend": "x".repeat(5 << 20) });
    assert_eq!(app.put(id, "*", &long).await.status(), 413);
    let document = app.document(id).await;
    assert_eq!((&document["revision"], document["elements"].as_array().map(Vec::len)), (&json!(0), Some(2)));
    // Nothing at all is a document, too.
    assert_eq!(app.stored(id, "*", &json!({ "elements": [] })).await["elements"], json!([]));
    assert!(app.composed(id, &json!({})).await.pixels().all(|pixel| pixel[3] == 0));
}

async fn split(app: &TestApp, id: Uuid) -> Uuid {
    let answer: Value = app.post(&format!("/api/jobs/{id}/layers/1/decompose"), &json!({})).await.json().await.unwrap();
    let worker = Worker::start(app).await;
    let lease = worker.claim().await;
    worker.begin(&lease).await;
    worker.succeed(&lease).await;
    answer["job_id"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_parts_of_a_layer_have_its_place_and_are_edited_in_its_document() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let path = format!("/api/jobs/{id}/layers/1");
    app.patch(&path, &json!({ "x": 2, "y": 1, "opacity": 0.5, "hue": 90, "name": "tri" })).await;
    let child = split(&app, id).await;
    let document = app.document(id).await;
    let [_, group, part, _] = document["elements"].as_array().unwrap().as_slice() else { panic!("{document}") };
    assert_eq!(
        (&group["edit"]["name"], &group["edit"]["opacity"], &group["edit"]["x"]),
        (&json!("tri"), &json!(0.5), &json!(0))
    );
    assert_eq!((&part["edit"]["x"], &part["edit"]["y"], &part["edit"]["hue"]), (&json!(2), &json!(1), &json!(90.0)));
    assert_eq!(part["edit"]["opacity"], 1.0, "the group's counts already");

    let refused = app.patch(&path, &json!({ "x": 5 })).await;
    let message = expect_error(refused, 422, "layer_is_split").await;
    assert!(message.contains(&child.to_string()), "{message}");
    assert_eq!(app.patch(&path, &json!({ "visible": false, "order": 0 })).await.status(), 200);

    // The part's own address is another way to the same document.
    let of_part = app.document(child).await;
    assert_eq!(of_part["elements"].as_array().map(Vec::len), Some(2));
    assert_eq!((&of_part["elements"][0]["edit"], &of_part["elements"][0]["parent"]), (&part["edit"], &Value::Null));
    app.patch(&format!("/api/jobs/{child}/layers/0"), &json!({ "name": "edge", "x": 7 })).await;
    assert!(app.document(id).await["elements"].to_string().contains("\"edge\""));
    assert_eq!(app.document(child).await["elements"][0]["edit"]["x"], 7);
    assert!(app.get(&format!("/api/download/{child}?format=svg")).await.text().await.unwrap().contains("edge"));
    let whole = app.put(child, "*", &json!({ "elements": [] })).await;
    expect_error(whole, 409, "part_of_document").await;
    // The split is a step like any other.
    app.step(id, "undo").await;
    assert_eq!(app.step(id, "undo").await["elements"].as_array().map(Vec::len), Some(4));
    let whole = app.step(id, "undo").await;
    assert_eq!(whole["elements"].as_array().map(Vec::len), Some(2));
    assert_eq!((x(&whole), &whole["elements"][1]["edit"]["name"]), (&json!(2), &json!("tri")));
    assert_eq!(app.step(id, "redo").await["elements"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn a_split_is_taken_back_and_made_again() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let plain = app.document(id).await;
    split(&app, id).await;
    let parts = app.document(id).await;
    assert_eq!((&parts["undo"], parts["elements"].as_array().map(Vec::len)), (&json!(1), Some(4)));
    let whole = app.step(id, "undo").await;
    assert_eq!(whole["elements"], plain["elements"]);
    assert_eq!((&whole["undo"], &whole["redo"]), (&json!(0), &json!(1)));
    assert_eq!(app.document(id).await["elements"], plain["elements"], "it stays whole");
    assert_eq!(app.step(id, "redo").await["elements"], parts["elements"]);
    app.step(id, "undo").await;
    assert_eq!(x(&app.stored(id, "*", &moved(id, 9)).await), 9, "it can be edited as before");
    assert_eq!(app.document(id).await["elements"].as_array().map(Vec::len), Some(2));

    // A page that sends an edit of before the split decides nothing about it.
    let other = app.finished_job().await;
    let before = app.document(other).await["elements"].clone();
    split(&app, other).await;
    let after = app.stored(other, "*", &moved(other, 7)).await;
    assert_eq!((after["elements"].as_array().map(Vec::len), &after["undo"]), (Some(4), &json!(2)));
    assert_eq!(after["elements"][2]["edit"]["x"], 7, "the parts are where the layer is");
    app.step(other, "undo").await;
    assert_eq!(app.step(other, "undo").await["elements"], before);
}

#[tokio::test]
async fn a_version_with_a_name_can_be_brought_back() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let path = format!("/api/jobs/{id}/versions");
    app.stored(id, "*", &moved(id, 3)).await;
    let named: Value = app.post(&path, &json!({ "name": " 첫 시안 " })).await.json().await.unwrap();
    assert_eq!((&named["versions"][0]["name"], &named["versions"][0]["number"]), (&json!("첫 시안"), &json!(1)));
    app.stored(id, "*", &moved(id, 8)).await;
    let restored: Value = app.post(&format!("{path}/1/restore"), &json!({})).await.json().await.unwrap();
    assert_eq!((x(&restored), &restored["versions"]), (&json!(3), &named["versions"]));
    assert_eq!(x(&app.step(id, "undo").await), 8);

    for name in ["", " ", "a\nb", &"v".repeat(201)] {
        expect_error(app.post(&path, &json!({ "name": name })).await, 422, "invalid_parameter").await;
    }
    for number in ["2", "01", "x"] {
        expect_error(app.post(&format!("{path}/{number}/restore"), &json!({})).await, 404, "version_not_found").await;
        expect_error(app.delete(&format!("{path}/{number}")).await, 404, "version_not_found").await;
    }
    for n in 1..20 {
        assert_eq!(app.post(&path, &json!({ "name": format!("v{n}") })).await.status(), 200);
    }
    expect_error(app.post(&path, &json!({ "name": "one more" })).await, 422, "too_many_versions").await;
    assert_eq!(app.delete(&format!("{path}/1")).await.status(), 204);
    let after: Value = app.post(&path, &json!({ "name": "now" })).await.json().await.unwrap();
    assert_eq!(after["versions"].as_array().unwrap().last().unwrap()["number"], 21, "numbers are not used again");
}

#[tokio::test]
async fn a_result_can_be_kept_longer() {
    let app = TestApp::with([("MAX_KEEP_HOURS", "100")]).await;
    let id = app.finished_job().await;
    let path = format!("/api/jobs/{id}/keep");
    let hours = async |text: &Value| {
        let until = time::OffsetDateTime::parse(text.as_str().unwrap(), &time::format_description::well_known::Rfc3339);
        (until.unwrap() - time::OffsetDateTime::now_utc()).whole_minutes() as f64 / 60.0
    };
    let kept: Value = app.post(&path, &json!({ "hours": 100 })).await.json().await.unwrap();
    assert!((99.0..=100.0).contains(&hours(&kept["kept_until"]).await), "{kept}");
    let shorter: Value = app.post(&path, &json!({ "hours": 50 })).await.json().await.unwrap();
    assert_eq!(shorter, kept);
    assert_eq!(app.document(id).await["kept_until"], kept["kept_until"]);
    for wrong in [json!(0), json!(101), json!(-3), json!(1.5), json!("long")] {
        expect_error(app.post(&path, &json!({ "hours": wrong })).await, 422, "invalid_parameter").await;
    }
    assert_eq!(app.json("/api/capabilities").await["limits"]["max_keep_hours"], 100);
}
