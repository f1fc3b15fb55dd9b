//! Many edits of one job at the same moment.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use crate::sockets::{json_head, many, status};
use crate::support::poster_png;
use crate::victim::Victim;

const BODY: &[u8] = br#"{"x": 3}"#;

/// All wait for each other between head and body, then stay connected.
async fn attack(victim: &mut Victim, clients: usize) -> [usize; 3] {
    let job = victim.finished(poster_png(64, 0)).await;
    let head = json_head("PATCH", &format!("/api/jobs/{job}/layers/1"), BODY.len());
    let mut edits = many(victim.address(), clients, |_| head.clone()).await;
    for edit in &mut edits {
        // The service may have closed it.
        let _ = edit.write_all(BODY).await;
    }
    sleep(Duration::from_secs(1)).await;
    victim.serves_others(job).await;
    let [mut applied, mut refused, mut unanswered] = [0; 3];
    for edit in &mut edits {
        match status(edit, Duration::from_secs(30)).await {
            Some(200) => applied += 1,
            Some(429 | 503) => refused += 1,
            Some(other) => panic!("an edit was answered with {other}"),
            None => unanswered += 1,
        }
    }
    let document = victim.client.json(&format!("/api/jobs/{job}/document")).await;
    let revision = document["revision"].as_u64().expect("a revision");
    assert!(revision as usize >= applied, "{applied} edits were answered with success, {revision} are stored");
    [applied, refused, unanswered]
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_edits_stop_nobody() {
    let mut victim = Victim::start(&[]).await;
    let [applied, refused, unanswered] = attack(&mut victim, 600).await;
    // On a busy machine, the system itself may reset a few of so many connections at once.
    assert!(applied > 500 && unanswered < 60, "{applied} applied, {refused} refused, {unanswered} without an answer");
    victim.check_alive();
    victim.ends().await;
    println!("held: 600 edits of one job at once: {applied} applied, {refused} refused in words, others served");
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_and_connections_that_stay_leave_descriptors() {
    let mut victim = Victim::with_files(1024, &[]).await;
    let [applied, refused, unanswered] = attack(&mut victim, 900).await;
    victim.check_alive();
    println!(
        "held: 900 edits with 1,024 descriptors: {applied} applied, {refused} refused in words, {unanswered} closed \
         before they had sent all"
    );
}
