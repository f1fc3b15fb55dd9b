use jobs::broker::Outcome;
use jobs::{Failure, FailureCode};
use serde_json::Value;

use crate::app::{TestApp, Worker, expect_error};

#[tokio::test]
async fn status_follows_the_job() {
    let app = TestApp::start().await;
    let id = app.job().await;
    let second = app.job().await;
    let path = format!("/api/status/{id}");
    assert_eq!(app.json(&path).await["position"], 0);
    assert_eq!(app.json(&format!("/api/status/{second}")).await["position"], 1);

    let worker = Worker::start(&app).await;
    let lease = worker.claim().await;
    worker.begin(&lease).await;
    worker.progress(&lease, 50.0).await;
    let job = app.json(&path).await;
    assert_eq!((job["state"].as_str(), job["engine"].as_str()), (Some("running"), Some("draft")));
    assert_eq!(job["progress"]["percent"], 50.0);
    assert_eq!(job["progress"]["stage"], "objects");

    let failure = Failure { code: FailureCode::OutOfMemory, message: "needs 9 GB, has 8".to_owned() };
    worker.finish(&lease, Outcome::Failed(failure)).await;
    let job = app.json(&path).await;
    assert_eq!((job["state"].as_str(), job["error"]["code"].as_str()), (Some("failed"), Some("out_of_memory")));
    let download = app.get(&format!("/api/download/{id}")).await;
    assert!(expect_error(download, 409, "job_failed").await.contains("needs 9 GB"));
}

#[tokio::test]
async fn unknown_jobs_are_not_found_anywhere() {
    let app = TestApp::start().await;
    for id in ["11111111-1111-4111-8111-111111111111", "not-a-job", "..%2f..%2fetc"] {
        for path in ["status", "download"] {
            expect_error(app.get(&format!("/api/{path}/{id}")).await, 404, "job_not_found").await;
        }
        for file in ["events", "layers/0.png", "preview.jpg", "metadata.json"] {
            expect_error(app.get(&format!("/api/jobs/{id}/{file}")).await, 404, "job_not_found").await;
        }
        expect_error(app.delete(&format!("/api/jobs/{id}")).await, 404, "job_not_found").await;
    }
}

#[tokio::test]
async fn a_waiting_job_is_cancelled_at_once() {
    let app = TestApp::start().await;
    let id = app.job().await;
    let response = app.delete(&format!("/api/jobs/{id}")).await;
    assert_eq!(response.status(), 202);
    assert_eq!(response.json::<Value>().await.unwrap()["state"], "cancelled");
    expect_error(app.get(&format!("/api/download/{id}")).await, 409, "job_cancelled").await;
    assert_eq!(app.broker.stats().await.unwrap().queued, 0);
}

#[tokio::test]
async fn a_running_job_is_asked_to_stop() {
    let app = TestApp::start().await;
    let id = app.job().await;
    let worker = Worker::start(&app).await;
    let lease = worker.claim().await;
    worker.begin(&lease).await;
    let response = app.delete(&format!("/api/jobs/{id}")).await;
    assert_eq!(response.status(), 202);
    let job: Value = response.json().await.unwrap();
    assert_eq!((job["state"].as_str(), job["cancel_requested"].as_bool()), (Some("running"), Some(true)));
    worker.finish(&lease, Outcome::Cancelled).await;
    assert_eq!(app.state(id).await, "cancelled");
}

#[tokio::test]
async fn a_finished_job_is_deleted_with_its_result() {
    let app = TestApp::start().await;
    let id = app.finished_job().await;
    assert_eq!(app.get(&format!("/api/download/{id}")).await.status(), 200);
    assert_eq!(app.delete(&format!("/api/jobs/{id}")).await.status(), 204);
    for path in [
        format!("/api/status/{id}"),
        format!("/api/download/{id}"),
        format!("/api/jobs/{id}/layers/0.png"),
        format!("/api/jobs/{id}/events"),
    ] {
        expect_error(app.get(&path).await, 404, "job_not_found").await;
    }
    expect_error(app.delete(&format!("/api/jobs/{id}")).await, 404, "job_not_found").await;
}

#[tokio::test]
async fn several_jobs_are_looked_up_at_once() {
    let app = TestApp::start().await;
    let (first, second) = (app.job().await, app.job().await);
    let found = app.json(&format!("/api/jobs?ids={second},nonsense,{first},{}", uuid::Uuid::new_v4())).await;
    let ids: Vec<_> = found.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, [second.to_string(), first.to_string()]);
    for query in ["", "?ids=", "?ids=,,"] {
        expect_error(app.get(&format!("/api/jobs{query}")).await, 400, "invalid_query").await;
    }
}
