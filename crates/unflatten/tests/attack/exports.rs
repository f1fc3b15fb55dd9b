//! Expensive exports whose client is gone.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::sockets::{get, json, sent};
use crate::support::{noise_png, poster_png};
use crate::victim::{Victim, shown};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; `cargo xtask bench attack` runs it"]
async fn abandoned_exports_stop() {
    let mut victim = Victim::start(&[]).await;
    let small = victim.finished(poster_png(320, 0)).await;
    let large = victim.finished(noise_png(3000, 3000)).await;
    let before = victim.memory_mb();
    let body = json!({ "elements": shown(small, &vec![json!({ "scale_x": 16, "scale_y": 16 }); 25]) }).to_string();
    let mut peak = 0;
    for round in 0..8 {
        let stream = sent(victim.address(), &json("POST", &format!("/api/jobs/{small}/compose"), &body)).await;
        sleep(Duration::from_millis(400)).await;
        drop(stream);
        for _ in 0..2 {
            let stream = sent(victim.address(), &get(&format!("/api/download/{large}?format=ora"))).await;
            sleep(Duration::from_millis(150)).await;
            drop(stream);
        }
        peak = peak.max(victim.memory_mb().saturating_sub(before));
        if round % 4 == 3 {
            victim.serves_others(small).await;
        }
    }
    // A running export may finish its step.
    let mut idle = false;
    for _ in 0..30 {
        let start = victim.cpu_s();
        sleep(Duration::from_secs(2)).await;
        peak = peak.max(victim.memory_mb().saturating_sub(before));
        idle = victim.cpu_s() - start < 0.4;
        if idle {
            break;
        }
    }
    assert!(idle, "abandoned exports still compute after a minute");
    assert!(peak < 1500, "{peak} MB for exports that nobody waits for");
    // An export with a waiting client is delivered.
    assert!(victim.client.compose(small).await.width() > 0);
    victim.check_alive();
    victim.ends().await;
    println!("held: 24 abandoned exports: they stopped, {peak} MB more at most, the next export was given");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; `cargo xtask bench attack` runs it"]
async fn exports_of_one_client_leave_room_for_others() {
    let victim = Victim::start(&[("CLIENT_KEY_HEADER", "x-client")]).await;
    let job = victim.finished(poster_png(320, 0)).await;
    let url = format!("{}/api/jobs/{job}/compose", victim.client.url);
    let greedy = json!({ "elements": shown(job, &vec![json!({ "scale_x": 12, "scale_y": 12 }); 20]) });
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let request = victim.client.http.post(&url).header("x-client", "greedy").json(&greedy).send();
        waiting.spawn(async move { request.await.map(|answer| answer.status().as_u16()) });
    }
    sleep(Duration::from_secs(1)).await;
    let mine = victim.client.http.post(&url).header("x-client", "patient").json(&json!({})).send();
    let mine = tokio::time::timeout(Duration::from_secs(60), mine).await.expect("another client is served in time");
    assert_eq!(mine.expect("the API answers").status(), 200);
    let ahead = waiting.len();
    let mut answers = Vec::new();
    while let Some(answer) = waiting.try_join_next() {
        answers.extend(answer.expect("the request does not panic").ok());
    }
    assert!(answers.iter().all(|status| matches!(status, 200 | 422 | 429 | 503)), "{answers:?}");
    drop(waiting);
    println!("held: {ahead} large exports of one client: another client's was given meanwhile");
}
