//! What the page looks like in each of its states: judged by axe-core, and drawn for the documentation.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::browser::Window;
use crate::editor::open_poster;
use crate::page::{Page, with_page};
use crate::poster::Poster;
use crate::service::Service;

/// axe-core's script, where `cargo xtask test` installs it.
fn axe() -> Option<String> {
    let tools = std::env::var_os("UNFLATTEN_READERS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/readers"), PathBuf::from);
    std::fs::read_to_string(tools.join("node_modules/axe-core/axe.min.js")).ok()
}

const RUN: &str = "
    const done = arguments[1];
    // The page's own policy allows no inline script, a WebDriver's is outside of it.
    if (!window.axe) (0, eval)(arguments[0]);
    // Colours that are on their way to those of another theme are judged when they are there.
    const still = () => Promise.all(document.getAnimations().filter((one) => one instanceof CSSTransition).map((one) => one.finished.catch(() => {})));
    new Promise((painted) => requestAnimationFrame(() => requestAnimationFrame(painted))).then(still).then(() => axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'] })).then(({ violations }) => done(violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 120)).join(' | ')}`)))";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn axe_finds_nothing_serious() {
    let Some(axe) = axe() else {
        assert!(std::env::var_os("CI").is_none(), "axe-core is not there; run `cargo xtask test`");
        eprintln!("SKIPPED: axe-core is not there; run `cargo xtask test`, which installs it");
        return;
    };
    for (window, looks) in
        [(Window::Desk, [("en", "light"), ("ko", "dark")]), (Window::Phone, [("en", "dark"), ("ko", "light")])]
    {
        let service = Service::start().await;
        with_page(&service, window, async |page| {
            let clean_in = async |state: &str, theme: &str| {
                page.js("document.documentElement.dataset.theme = arguments[0]", vec![json!(theme)]).await;
                let found = page.js_later(RUN, vec![json!(axe)]).await;
                assert_eq!(found, json!([]), "{state}, {theme}");
            };
            let clean = async |state: &str| {
                for (language, theme) in looks {
                    page.choose("un-topbar select", language).await;
                    clean_in(&format!("{state}, {language}"), theme).await;
                }
                page.choose("un-topbar select", "en").await;
            };
            page.click("un-options summary").await;
            clean("empty").await;
            page.drop_file("body", "notes.txt", b"not a picture").await;
            page.wait_for(".notice.error").await;
            clean("an error").await;
            page.click(".notice.error [data-close]").await;

            // Large enough to be at work for as long as the looks take.
            page.drop_file("body", "large.png", &Poster::new(6000, 4500).png()).await;
            page.wait_for(".stages li").await;
            clean("running").await;
            page.click("[data-action=cancel]").await;
            page.wait_for(".progress .end").await;
            clean("cancelled").await;
            page.js("location.hash = '#job=00000000-0000-4000-8000-000000000000'", vec![]).await;
            page.wait_until("return document.querySelector('.progress .end [data-action=again]') === null").await;
            page.wait_for(".progress .end").await;
            clean("gone").await;
            page.click("[data-action=home]").await;

            open_poster(page, "4").await;
            clean("result").await;
            // The row of bars, the lowest above the background: of those on the poster, only it has parts.
            page.click("un-layers li:nth-last-child(2) [data-pick]").await;
            page.click("un-inspector summary").await;
            page.click("un-details summary").await;
            clean("editing").await;
            page.click("un-inspector [data-action=more]").await;
            page.wait_for("un-menu:popover-open").await;
            clean_in("a menu", looks[0].1).await;
            clean_in("a menu", looks[1].1).await;
            page.press("\u{e00c}").await;
            page.press("?").await;
            page.wait_for("un-shortcuts dialog[open]").await;
            clean_in("the shortcuts", looks[0].1).await;
            clean_in("the shortcuts", looks[1].1).await;
            page.click("un-shortcuts [data-close]").await;
            page.click("input[name=mode][value=compare] + span").await;
            clean("comparing").await;
            page.click("input[name=mode][value=layers] + span").await;
            page.click("[data-action=options]").await;
            // Another language would draw the page anew and so close it.
            clean_in("the options again", looks[0].1).await;
            clean_in("the options again", looks[1].1).await;
            page.click("dialog[open] [data-action=close]").await;
            page.click("[data-jobs]").await;
            page.wait_for("dialog[open] .job-list").await;
            clean_in("jobs", looks[0].1).await;
            clean_in("jobs", looks[1].1).await;
            page.click("dialog[open] [data-close]").await;
            page.js("document.querySelector('un-inspector')?.scrollIntoView()", vec![]).await;
            page.click("[data-action=split]").await;
            page.wait_for("un-layers li.group:not(.named)").await;
            clean("a group").await;
        })
        .await;
    }
}

/// Draws the pictures of the page in `docs/images`; run by hand with
/// `UNFLATTEN_PICTURES=docs/images cargo test -p unflatten --test browser pictures -- --ignored`, the folder's path in full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "draws, checks nothing"]
async fn pictures_of_the_page() {
    let folder = PathBuf::from(std::env::var_os("UNFLATTEN_PICTURES").expect("UNFLATTEN_PICTURES names a folder"));
    let poster = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/images/poster.png"))
        .expect("the repository has a poster");
    for (window, width) in [(Window::Desk, 1280), (Window::Phone, 390)] {
        let service = Service::start().await;
        with_page(&service, window, async |page| {
            let picture = async |state: &str| {
                let path = folder.join(format!("page-{state}-{width}.png"));
                std::fs::write(path, page.screenshot().await).expect("the picture is written");
            };
            picture("empty").await;
            page.click("input[name=num_layers][value='8'] + span").await;
            page.drop_file("body", "poster.png", &poster).await;
            page.wait_for(".stages li:nth-child(4)").await;
            picture("running").await;
            page.wait_for("un-canvas[data-complete]").await;
            edit(page).await;
            picture("editing").await;
        })
        .await;
    }
}

async fn edit(page: &Page) {
    page.frame().await;
    page.click("un-layers li:nth-child(4) [data-pick]").await;
}
