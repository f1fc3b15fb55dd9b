//! Requests that are too deep, too long or forged.

use jobs::{JobId, State};
use serde_json::{Value, json};

use crate::sockets::{json as json_request, sent};
use crate::support::{noise_png, poster_png};
use crate::victim::{Victim, shown};

#[tokio::test(flavor = "multi_thread")]
async fn deep_and_wide_compositions_are_refused() {
    let mut victim = Victim::start(&[]).await;
    let job = victim.finished(poster_png(64, 0)).await;
    // The job of another client runs meanwhile.
    let other = victim.client.upload(noise_png(1800, 1500)).await;
    let other = victim.client.decompose(other).await;
    let url = format!("{}/api/jobs/{job}/compose", victim.client.url);
    let mut tried = 0;
    for format in ["png", "psd", "ora", "pptx", "svg", "zip"] {
        for groups in [51, 1_999, 12_500, 100_000] {
            let body = json!({ "format": format, "elements": nested(job, groups, "g") });
            refused(&victim, &url, &body).await;
            tried += 1;
        }
        for body in [
            json!({ "format": format, "elements": shown(job, &vec![json!({}); 20_000]) }),
            json!({ "format": format, "elements": nested(job, 1, &"g".repeat(500_000)) }),
            json!({ "format": format, "elements": shown(job, &[json!({ "name": "n".repeat(500_000) })]) }),
            json!({ "format": format, "elements": shown(job, &vec![json!({ "scale_x": 16, "scale_y": 16 }); 1_000]) }),
        ] {
            // Wide but cheap input may be accepted; expensive input is refused or ends soon.
            let answer = victim.client.http.post(&url).json(&body).send().await.expect("the API answers");
            assert!(answer.status().as_u16() < 500, "{format}: {}", answer.status());
            tried += 1;
        }
    }
    let nested = format!("{{\"elements\":{}", "[".repeat(200_000));
    drop(sent(victim.address(), &json_request("POST", &format!("/api/jobs/{job}/compose"), &nested)).await);
    victim.serves_others(job).await;
    victim.check_alive();
    assert_eq!(victim.client.wait_finished(other).await.state, State::Succeeded);
    println!("held: {tried} compositions too deep, too wide or too large: none ended the process or failed a job");
}

/// A document of a layer inside so many groups.
fn nested(job: JobId, groups: u64, name: &str) -> Value {
    let group = |id: u64| json!({ "id": id, "parent": (id > 1).then(|| id - 1), "edit": { "name": name } });
    let layer = json!({ "id": 0, "parent": groups, "layer": { "job_id": job, "layer": 0 } });
    (1..=groups).map(group).chain([layer]).collect()
}

async fn refused(victim: &Victim, url: &str, body: &serde_json::Value) {
    let answer = victim.client.http.post(url).json(body).send().await.expect("the API answers");
    let status = answer.status().as_u16();
    assert!(matches!(status, 413 | 422), "a composition too large to be taken was answered with {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_offset_scale_opacity_and_format_exports() {
    let victim = Victim::start(&[]).await;
    let job = victim.finished(poster_png(64, 0)).await;
    let url = format!("{}/api/jobs/{job}/compose", victim.client.url);
    let mut tried = 0;
    for x in [-100_000, -65, -64, -63, 0, 63, 64, 100_000] {
        for y in [-70, 0, 70] {
            for (scale, opacity) in [(1.0, 1.0), (0.01, 0.5), (3.0, 0.0)] {
                let edit = json!({ "x": x, "y": y, "scale_x": scale, "scale_y": scale, "opacity": opacity });
                for format in ["png", "psd", "ora", "pptx", "svg", "zip"] {
                    let layer = |layer: u32| json!({ "job_id": job, "layer": layer });
                    let elements = json!([
                        { "id": 0, "layer": layer(0) },
                        { "id": 1, "layer": layer(1), "edit": edit },
                    ]);
                    let body = json!({ "format": format, "elements": elements });
                    let answer = victim.client.http.post(&url).json(&body).send().await.expect("the API answers");
                    let status = answer.status().as_u16();
                    assert_eq!(status, 200, "{format} {edit}: {}", answer.text().await.unwrap_or_default());
                    tried += 1;
                }
            }
        }
    }
    println!("held: {tried} combinations of offset, scale, opacity and format were exported");
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_methods_are_no_series() {
    let mut victim = Victim::start(&[]).await;
    let known = victim.finished(poster_png(48, 0)).await;
    let before = victim.get("/metrics").await.text().await.expect("text").lines().count();
    let mut requests = Vec::new();
    for number in 0..5_000 {
        requests.extend(format!("M{number} /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").into_bytes());
    }
    let stream = sent(victim.address(), &requests[..]);
    // The service may close a connection that sends such things; some of them have been read by then.
    drop(tokio::time::timeout(std::time::Duration::from_secs(20), stream).await);
    for number in 0..200 {
        drop(
            sent(victim.address(), format!("N{number} /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).await,
        );
    }
    drop(
        sent(victim.address(), format!("{} /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "M".repeat(60_000)).as_bytes()).await,
    );
    victim.serves_others(known).await;
    let text = victim.get("/metrics").await.text().await.expect("text");
    let after = text.lines().count();
    assert!(after < before + 400, "{before} series became {after}");
    assert!(text.len() < 300_000, "/metrics has {} bytes", text.len());
    victim.check_alive();
    println!("held: 5,201 made-up methods: /metrics grew from {before} to {after} lines");
}
