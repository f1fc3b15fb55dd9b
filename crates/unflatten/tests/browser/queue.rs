//! Jobs on the page: several at once, queue positions, progress, cancel, reload.

use serde_json::{Value, json};

use crate::browser::Window;
use crate::page::with_page;
use crate::poster::Poster;
use crate::service::Service;

/// Notes every text that an element had from now on.
const RECORD: &str = "
    window.seen = { stage: [], step: [], left: [], position: [] };
    const note = (list, text) => text && list.at(-1) !== text && list.push(text);
    new MutationObserver(() => {
        const text = (selector) => document.querySelector(`un-progress ${selector}`)?.textContent ?? '';
        note(seen.stage, text('.stage'));
        note(seen.step, text('.step'));
        note(seen.left, text('.left'));
    }).observe(document.body, { subtree: true, childList: true, characterData: true });";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_files_queue_up_tell_how_they_go_and_can_be_cancelled() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        page.js(RECORD, vec![]).await;
        // The first runs for a while; the others wait behind it.
        let files = [
            ("one.png", Poster::new(4800, 3600).png()),
            ("two.png", Poster::new(640, 500).png()),
            ("three.png", Poster::new(640, 520).png()),
        ];
        page.drop_files("body", &files).await;
        page.wait_until("return JSON.parse(localStorage.getItem('unflatten.jobs') ?? '[]').length === 3").await;

        // To the last one, by the list; it says how many are before it.
        page.click("[data-jobs]").await;
        let names = page.texts("dialog .job-list b").await;
        assert_eq!(names, ["three.png", "two.png", "one.png"]);
        page.click("dialog .job-list li:nth-child(1) a").await;
        page.wait_until("return document.querySelector('.progress .name')?.textContent === 'three.png'").await;
        page.wait_until("return /\\b1\\b/.test(document.querySelector('.stage').textContent)").await;
        let three = page.job_id().await;
        page.click("[data-action=cancel]").await;
        page.wait_for(".progress .end").await;
        assert_eq!(state(&service, &three).await, "cancelled");

        // The first one is followed through a reload, to its end.
        page.click("[data-jobs]").await;
        page.click("dialog .job-list li:nth-child(3) a").await;
        page.wait_for(".stages li").await;
        page.reload().await;
        page.js(RECORD, vec![]).await;
        page.wait_for(".stages li, un-canvas").await;
        page.wait_for("un-canvas[data-complete]").await;
        let seen = page.js("return window.seen", vec![]).await;
        let list = |name: &str| seen[name].as_array().cloned().unwrap_or_default();
        assert!(list("stage").len() >= 2, "no stages were shown: {seen}");
        assert!(!list("left").is_empty(), "no remaining time was shown: {seen}");
        assert!(list("step").iter().any(|text| text.as_str().is_some_and(|text| text.contains(" of "))), "{seen}");

        // The second one went on behind it, and the list knows all of them after another reload.
        page.reload().await;
        page.wait_for("un-canvas[data-complete]").await;
        page.click("[data-jobs]").await;
        page.wait_until(
            "return [...document.querySelectorAll('dialog .chip')].every((one) => !one.classList.contains('live'))",
        )
        .await;
        let kept = "return JSON.parse(localStorage.getItem('unflatten.jobs')).map(({ name, state }) => [name, state])";
        let expected = json!([["three.png", "cancelled"], ["two.png", "succeeded"], ["one.png", "succeeded"]]);
        assert_eq!(page.js(kept, vec![]).await, expected);
        page.click("dialog .job-list li:nth-child(2) a").await;
        page.wait_for("un-canvas[data-complete]").await;

        // Deleted here, it is gone there.
        let two = page.job_id().await;
        page.click("[data-action=delete]").await;
        page.click("[data-action=really-delete]").await;
        page.wait_for(".dropzone").await;
        assert_eq!(state(&service, &two).await, Value::Null);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_job_can_be_cancelled_and_tried_again() {
    let service = Service::start().await;
    with_page(&service, Window::Phone, async |page| {
        page.drop_file("body", "poster.png", &Poster::new(2400, 1800).png()).await;
        page.wait_for(".stages li").await;
        let id = page.job_id().await;
        page.click("[data-action=cancel]").await;
        page.wait_for(".progress .end").await;
        assert_eq!(state(&service, &id).await, "cancelled");
        page.assert_fits().await;
        page.click("[data-action=again]").await;
        page.wait_until(&format!("return location.hash.length > 6 && location.hash !== '#job={id}'")).await;
        page.wait_for(".stages li, un-canvas").await;
    })
    .await;
}

/// The state of a job in the service; null if it does not have the job.
async fn state(service: &Service, id: &str) -> Value {
    let answer = reqwest::get(format!("{}/api/status/{id}", service.address())).await.expect("an answer");
    let body: Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
    body["state"].clone()
}
