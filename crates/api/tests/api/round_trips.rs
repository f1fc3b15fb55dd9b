//! How often requests ask a bucket for what they need.

use jobs::testing::{BucketServer, Traffic};
use jobs::{JobId, LayerInfo};

use crate::app::TestApp;

/// Publishes a result of four layers.
async fn four_layers(app: &TestApp) -> JobId {
    let like = app.finished_job().await;
    let mut metadata = app.store.metadata(like).await.unwrap().unwrap();
    let id = JobId::new_v4();
    let layer = metadata.layers[1].clone();
    let (width, height) = metadata.canvas();
    let numbered = |n| LayerInfo { file: format!("layer_{n}.png"), z_index: n, ..layer.clone() };
    metadata.layers = (0..4).map(numbered).collect();
    metadata.job_id = Some(id);
    let staging = app.store.stage(id).unwrap();
    let write = |name: &str, bytes: Vec<u8>| std::fs::write(staging.dir().join(name), bytes).unwrap();
    for n in 0..4 {
        let mut png = Vec::new();
        let colour = image::Rgba([40 * n, 9, 9, 255]);
        layers::write_png(&mut png, &image::RgbaImage::from_pixel(width, height, colour)).unwrap();
        write(&format!("layer_{n}.png"), png);
    }
    write("preview.jpg", b"preview".to_vec());
    write("metadata.json", serde_json::to_vec(&metadata).unwrap());
    app.store.publish(staging).await.unwrap();
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_is_opened_once_in_each_request() {
    let bucket = BucketServer::start().await;
    let app = TestApp::in_bucket(&bucket).await;
    let id = four_layers(&app).await;
    let traffic = |requests, round_trips| Traffic { requests, round_trips };
    for (path, status, expected) in [
        // The manifest, then the file.
        (format!("/api/jobs/{id}/layers/3.png"), 200, traffic(2, 2)),
        (format!("/api/jobs/{id}/preview.jpg"), 200, traffic(2, 2)),
        // The manifest, then the metadata and the edits together.
        (format!("/api/jobs/{id}/metadata.json"), 200, traffic(3, 2)),
        (format!("/api/jobs/{id}/document"), 200, traffic(3, 2)),
        (format!("/api/jobs/{id}/layers/4.png"), 404, traffic(2, 2)),
        // The same, then each file that is not read yet.
        (format!("/api/download/{id}"), 200, traffic(3 + 5, 2 + 5)),
        (format!("/api/download/{id}?format=psd"), 200, traffic(3 + 4, 2 + 4)),
        (format!("/api/jobs/{}/preview.jpg", JobId::new_v4()), 404, traffic(1, 1)),
    ] {
        let download = async {
            let response = app.get(&path).await;
            (response.status().as_u16(), response.bytes().await.unwrap())
        };
        let ((answered, _), counted) = bucket.count(download).await;
        assert_eq!((answered, counted), (status, expected), "{path}");
    }
    let known = app.client.get(app.url(&format!("/api/jobs/{id}/layers/0.png")));
    let known = known.header("if-none-match", format!("\"{id}/layer_0.png\""));
    let (response, counted) = bucket.count(async { known.send().await.unwrap() }).await;
    assert_eq!((response.status().as_u16(), counted), (304, traffic(1, 1)));
}
