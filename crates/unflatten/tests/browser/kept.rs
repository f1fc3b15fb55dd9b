//! What is kept and what can be taken back: files that could not be sent, jobs that were deleted by mistake; samples.

use std::time::Duration;

use serde_json::json;

use crate::browser::Window;
use crate::editor::open_poster;
use crate::page::with_page;
use crate::poster::Poster;
use crate::service::Service;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_sent_is_kept() {
    let mut service = Service::start().await;
    with_page(&service.clone_address(), Window::Desk, async |page| {
        service.kill().await;
        page.drop_file(".dropzone", "poster.png", &Poster::new(640, 480).png()).await;
        page.wait_for(".progress .end [data-action=again]").await;
        assert!(page.text(".progress .name").await.contains("poster.png"));
        assert!(page.text(".progress .end").await.contains("could not be sent"));
        service.start_again().await;
        page.click("[data-action=again]").await;
        page.wait_for("un-canvas[data-complete]").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_was_deleted_by_mistake_comes_back() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "2").await;
        let id = page.job_id().await;
        let is_there = async || {
            let answer = reqwest::get(format!("{}/api/status/{id}", service.address())).await.expect("an answer");
            answer.status().is_success()
        };
        page.click("[data-jobs]").await;
        page.click("dialog [data-remove]").await;
        page.click("dialog [data-keep]").await;
        page.wait_for("dialog [data-remove]").await;
        tokio::time::sleep(Duration::from_secs(7)).await;
        assert!(is_there().await, "it was deleted all the same");

        page.click("dialog [data-remove]").await;
        page.wait_for("dialog [data-keep]").await;
        assert!(is_there().await, "it was deleted at once");
        page.wait_until("return document.querySelectorAll('.job-list li').length === 0").await;
        assert!(!is_there().await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_left_deletes_at_once() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        open_poster(page, "2").await;
        let id = page.job_id().await;
        page.click("[data-jobs]").await;
        page.click("dialog [data-remove]").await;
        page.wait_for("dialog [data-keep]").await;
        page.client().goto(&format!("{}/docs", service.address())).await.expect("another page");
        let gone = async || {
            let answer = reqwest::get(format!("{}/api/status/{id}", service.address())).await.expect("an answer");
            answer.status().as_u16() == 404
        };
        for _ in 0..40 {
            if gone().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the job is still there");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sample_is_one_click_away_and_the_input_is_loaded_when_it_is_compared() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        page.click("[data-sample='0']").await;
        page.wait_for("un-canvas[data-complete]").await;
        page.frame().await;
        let loaded = "return performance.getEntriesByType('resource').filter(({ name }) => name.includes('/api/uploads/')).length";
        // From the address, so that nothing is left of the time before.
        page.reload().await;
        page.wait_for("un-canvas[data-complete]").await;
        assert_eq!(page.js(loaded, vec![]).await, json!(0), "the input was loaded");
        page.click("input[name=mode][value=compare] + span").await;
        page.wait_until("return document.querySelector('un-canvas .original').naturalWidth > 0").await;
        let shift = "
            const done = arguments[0];
            new PerformanceObserver((list) => done(list.getEntries().reduce((sum, one) => sum + (one.hadRecentInput ? 0 : one.value), 0)))
                .observe({ type: 'layout-shift', buffered: true });
            setTimeout(() => done(0), 500)";
        let shift = page.js_later(shift, vec![]).await.as_f64().expect("a number");
        assert!(shift < 0.05, "the layout shifts by {shift}");
        page.assert_quiet_console().await;
    })
    .await;
}
