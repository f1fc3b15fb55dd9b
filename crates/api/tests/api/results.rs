use std::io::{Cursor, Read};

use serde_json::Value;
use zip::ZipArchive;

use crate::app::{TestApp, Worker, expect_error};
use crate::pictures;

#[tokio::test]
async fn the_archive_holds_the_files_of_the_result() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    let response = app.get(&format!("/api/download/{id}?format=zip")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/zip");
    let disposition = response.headers()["content-disposition"].to_str().unwrap();
    assert_eq!(disposition, "attachment; filename=\"poster-layers.zip\"; filename*=UTF-8''poster-layers.zip");
    let bytes = response.bytes().await.unwrap();
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let names: Vec<_> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert_eq!(names, ["layer_0.png", "layer_1.png", "metadata.json", "preview.jpg"]);
    for (name, path) in [
        ("layer_0.png", "layers/0.png"),
        ("layer_1.png", "layers/1.png"),
        ("metadata.json", "metadata.json"),
        ("preview.jpg", "preview.jpg"),
    ] {
        let mut zipped = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut zipped).unwrap();
        let single = app.get(&format!("/api/jobs/{id}/{path}")).await.bytes().await.unwrap();
        assert_eq!(zipped, single, "{name}");
        assert!(!zipped.is_empty());
    }
}

#[tokio::test]
async fn results_come_as_documents_of_drawing_programs() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    for (format, magic, media_type) in [
        ("psd", b"8BPS".as_slice(), "image/vnd.adobe.photoshop"),
        ("ora", b"PK".as_slice(), "image/openraster"),
        ("pptx", b"PK".as_slice(), "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
        ("svg", b"<".as_slice(), "image/svg+xml"),
    ] {
        let response = app.get(&format!("/api/download/{id}?format={format}")).await;
        assert_eq!(response.status(), 200, "{format}");
        assert_eq!(response.headers()["content-type"], media_type);
        let disposition = response.headers()["content-disposition"].to_str().unwrap();
        assert!(disposition.starts_with(&format!("attachment; filename=\"poster-layers.{format}\"")), "{disposition}");
        let bytes = response.bytes().await.unwrap();
        assert!(bytes.starts_with(magic), "{format}");
    }
    let trimmed = app.get(&format!("/api/download/{id}?trim=true")).await.bytes().await.unwrap();
    let archive = ZipArchive::new(Cursor::new(trimmed)).unwrap();
    let names: Vec<_> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert!(names.iter().any(|name| name.starts_with("trimmed/")), "{names:?}");
}

#[tokio::test]
async fn a_download_arrives_whole_although_the_job_is_deleted_meanwhile() {
    let app = TestApp::start().await;
    let body: Value = app.upload("noise.png", pictures::noise_png(1200)).await.json().await.unwrap();
    app.decompose(&serde_json::json!({ "upload_id": body["upload_id"] })).await;
    let worker = Worker::start(&app).await;
    let lease = worker.claim().await;
    worker.begin(&lease).await;
    worker.succeed(&lease).await;
    let mut response = app.get(&format!("/api/download/{}", lease.job_id)).await;
    // Its length is not known before it is written.
    assert!(!response.headers().contains_key("content-length"));
    let mut bytes = response.chunk().await.unwrap().unwrap().to_vec();
    assert_eq!(app.delete(&format!("/api/jobs/{}", lease.job_id)).await.status(), 204);
    while let Some(chunk) = response.chunk().await.unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    assert!(bytes.len() > 2_000_000);
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut layer = Vec::new();
    archive.by_name("layer_1.png").unwrap().read_to_end(&mut layer).unwrap();
    assert_eq!(image::load_from_memory(&layer).unwrap().width(), 1200);
}

#[tokio::test]
async fn the_archives_name_may_be_in_any_language() {
    let app = TestApp::start().await;
    let body: Value = app.upload("포스터.final.png", pictures::png()).await.json().await.unwrap();
    app.decompose(&serde_json::json!({ "upload_id": body["upload_id"] })).await;
    let worker = Worker::start(&app).await;
    let lease = worker.claim().await;
    worker.begin(&lease).await;
    worker.succeed(&lease).await;
    let response = app.get(&format!("/api/download/{}", lease.job_id)).await;
    let disposition = response.headers()["content-disposition"].to_str().unwrap();
    assert!(disposition.ends_with("filename*=UTF-8''%ED%8F%AC%EC%8A%A4%ED%84%B0.final-layers.zip"), "{disposition}");
}

#[tokio::test]
async fn single_files_say_what_they_are_and_can_be_cached() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    for (file, content_type) in
        [("layers/1.png", "image/png"), ("preview.jpg", "image/jpeg"), ("metadata.json", "application/json")]
    {
        let path = format!("/api/jobs/{id}/{file}");
        let response = app.get(&path).await;
        assert_eq!(response.status(), 200, "{file}");
        let headers = response.headers().clone();
        assert_eq!(headers["content-type"], content_type);
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert!(headers["cache-control"].to_str().unwrap().contains("private"));
        let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
        assert_eq!(response.bytes().await.unwrap().len(), length);
        let again = app.client.get(app.url(&path)).header("if-none-match", &headers["etag"]).send().await.unwrap();
        assert_eq!(again.status(), 304);
        assert!(again.bytes().await.unwrap().is_empty());
    }
    let metadata = app.json(&format!("/api/jobs/{id}/metadata.json")).await;
    assert_eq!(metadata["schema_version"], 1);
    assert_eq!(metadata["layers"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn what_is_not_there_is_told_apart() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    for file in ["2.png", "999.png"] {
        let message =
            expect_error(app.get(&format!("/api/jobs/{id}/layers/{file}")).await, 404, "layer_not_found").await;
        assert!(message.contains("2 layers"), "{message}");
    }
    for file in ["0.jpg", "-1.png", "x.png", "..%2f..%2fmetadata.png", "99999999999999999999.png"] {
        expect_error(app.get(&format!("/api/jobs/{id}/layers/{file}")).await, 404, "layer_not_found").await;
    }
    let format = app.get(&format!("/api/download/{id}?format=tiff")).await;
    assert!(expect_error(format, 400, "unknown_format").await.contains("zip"));

    let waiting = app.job().await;
    for path in [format!("/api/download/{waiting}"), format!("/api/jobs/{waiting}/layers/0.png")] {
        let response = app.get(&path).await;
        assert_eq!(response.status(), 409);
        let body: Value = response.json().await.unwrap();
        assert_eq!((&body["error"]["code"], &body["error"]["state"]), (&"job_not_finished".into(), &"queued".into()));
    }
    app.store.delete_result(id).await.unwrap();
    expect_error(app.get(&format!("/api/download/{id}")).await, 404, "result_gone").await;
}
