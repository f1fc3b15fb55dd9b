//! The service behind a proxy that shows it under a path.

use reqwest::multipart::{Form, Part};
use serde_json::Value;
use tokio_tungstenite::connect_async;

use crate::app::TestApp;
use crate::pictures;

/// Uploads a picture to `path`, as a proxy passes it on with `forwarded`.
async fn upload(app: &TestApp, path: &str, forwarded: Option<&str>) -> Value {
    let form = Form::new().part("image", Part::bytes(pictures::png()));
    let mut request = app.client.post(app.url(path)).multipart(form);
    if let Some(prefix) = forwarded {
        request = request.header("x-forwarded-prefix", prefix);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 201);
    response.json().await.unwrap()
}

fn image_link(upload: &Value) -> String {
    let link = upload["links"]["image"].as_str().unwrap();
    link.replace(upload["upload_id"].as_str().unwrap(), "ID")
}

#[tokio::test]
async fn links_begin_with_the_prefix_that_is_known() {
    let app = TestApp::start().await;
    for (forwarded, link) in [
        (None, "/api/uploads/ID.png"),
        (Some("/u"), "/u/api/uploads/ID.png"),
        (Some("/u/, /inner"), "/u/api/uploads/ID.png"),
        (Some("//example.org"), "/api/uploads/ID.png"),
        (Some("https://example.org/u"), "/api/uploads/ID.png"),
    ] {
        assert_eq!(image_link(&upload(&app, "/api/upload", forwarded).await), link, "{forwarded:?}");
    }
    let upload_id = app.upload_id().await;
    let request = app.client.post(app.url("/api/decompose")).header("x-forwarded-prefix", "/u");
    let response = request.json(&serde_json::json!({ "upload_id": upload_id })).send().await.unwrap();
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let job: Value = response.json().await.unwrap();
    let links = job["links"].as_object().unwrap();
    assert!(links.values().all(|link| link.as_str().unwrap().starts_with("/u/api/")), "{links:?}");
    assert_eq!(location, links["status"].as_str().unwrap());
}

#[tokio::test]
async fn everything_works_under_the_base_path_and_without_it() {
    let app = TestApp::with([("BASE_PATH", "/tools/layers/")]).await;
    let made = upload(&app, "/tools/layers/api/upload", None).await;
    let link = made["links"]["image"].as_str().unwrap();
    assert!(link.starts_with("/tools/layers/api/uploads/"), "{link}");
    assert_eq!(app.get(link).await.status(), 200);
    // A proxy may take the path away, and still the links have it.
    let made = upload(&app, "/api/upload", None).await;
    assert_eq!(image_link(&made), "/tools/layers/api/uploads/ID.png");

    let folder = app.get("/tools/layers").await;
    assert_eq!((folder.status().as_u16(), folder.headers()["location"].to_str().unwrap()), (307, "layers/"));
    let page = app.get("/tools/layers/").await;
    assert!(page.status() == 200 && page.text().await.unwrap().contains("<html"));
    for path in ["/tools/layers/js/main.js", "/tools/layers/api/capabilities", "/tools/layers/v1/models", "/healthz"] {
        assert_eq!(app.get(path).await.status(), 200, "{path}");
    }
    for path in ["/tools/layersapi/capabilities", "/tools", "/other/api/capabilities"] {
        assert_eq!(app.get(path).await.status(), 404, "{path}");
    }

    let upload_id = made["upload_id"].as_str().unwrap();
    let job: Value = app.decompose(&serde_json::json!({ "upload_id": upload_id })).await.json().await.unwrap();
    let status = job["links"]["status"].as_str().unwrap();
    connect_async(format!("ws://{}{status}", app.address)).await.unwrap();
    let events = app.get(job["links"]["events"].as_str().unwrap()).await;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
}

#[tokio::test]
async fn the_description_of_the_api_names_no_place() {
    let app = TestApp::start().await;
    let description: Value = app.json("/api/openapi.json").await;
    // Relative to its own address.
    assert_eq!(description["servers"], serde_json::json!([{ "url": ".." }]));
    let docs = app.get("/docs").await;
    assert_eq!((docs.status().as_u16(), docs.headers()["location"].to_str().unwrap()), (303, "docs/"));
    let script = app.get("/docs/swagger-initializer.js").await.text().await.unwrap();
    assert!(script.contains("\"../api/openapi.json\""), "{script}");
    let page = app.get("/docs/").await.text().await.unwrap();
    assert!(!page.contains("=\"/"), "{page}");
}
