//! Signing in where the service needs a token.

use crate::browser::Window;
use crate::page::with_page_showing;
use crate::poster::Poster;
use crate::service::Service;

const TOKEN: &str = "alice-0123456789-0123456789";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_signs_in_works_and_signs_out() {
    let service = Service::with(&[("API_TOKENS", &format!("alice:read+submit+edit:{TOKEN}"))]).await;
    with_page_showing("un-login dialog[open]", &service, Window::Desk, async |page| {
        assert_eq!(page.nameless_controls().await, Vec::<String>::new());
        // Nothing behind it can be used, and there is no way around it.
        page.press("\u{e00c}").await;
        page.press("\u{e00c}").await;
        page.wait_until("return document.querySelector('un-login dialog').open").await;
        page.keys("#login-token", "wrong-0123456789-0123456789\u{e007}").await;
        page.wait_until("return document.querySelector('un-login .problem').textContent.includes('not valid')").await;
        page.set("#login-token", TOKEN).await;
        page.click("un-login button.primary").await;
        page.wait_until("return document.querySelector('un-login dialog') === null").await;

        // Uploads, events on a WebSocket, pictures and downloads go with the session.
        page.drop_file(".dropzone", "poster.png", &Poster::new(640, 480).png()).await;
        page.wait_for("un-canvas[data-complete]").await;
        page.click("[data-save=zip]").await;
        assert!(page.downloaded("zip").await.starts_with(b"PK"));
        assert_eq!(page.js("return document.cookie", vec![]).await, "", "a script can read the session");
        page.reload().await;
        page.wait_for("un-canvas[data-complete]").await;

        // A session that ended is noticed by what asks next.
        page.client().delete_all_cookies().await.expect("cookies are deleted");
        page.js("import('./js/lib/api.js').then((api) => api.statuses([]).catch(() => {}))", vec![]).await;
        page.wait_for("un-login dialog[open]").await;
        page.set("#login-token", TOKEN).await;
        page.click("un-login button.primary").await;
        page.wait_until("return document.querySelector('un-login dialog') === null").await;
        page.click("[data-sign-out]").await;
        page.wait_for("un-login dialog[open]").await;
    })
    .await;
}
