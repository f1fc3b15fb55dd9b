//! The languages of the page: each has every text, and the messages of the service are translated.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use crate::browser::Window;
use crate::page::with_page;
use crate::poster::Poster;
use crate::service::Service;

const WORDS: &str = "
    const done = arguments[0];
    Promise.all([import('/js/i18n/en.js'), import('/js/i18n/ko.js')]).then(([{ en }, { ko }]) => done([en, ko]))";

/// What stands for the code of a refusal, which English leaves to the service.
const REFUSAL: &str = "refusal.";

/// The places in a text where values go.
fn places(text: &Value) -> BTreeSet<&str> {
    let text = text.as_str().expect("words");
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}

/// All code of the API.
fn sources(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).expect("the API's folder").map(|entry| entry.expect("an entry").path());
    entries
        .map(|path| match path.is_dir() {
            true => sources(&path),
            false => std::fs::read_to_string(path).expect("Rust is text"),
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_language_has_every_word_and_tells_refusals() {
    let service = Service::start().await;
    with_page(&service, Window::Desk, async |page| {
        let words: [Map<String, Value>; 2] =
            serde_json::from_value(page.js_later(WORDS, vec![]).await).expect("two dictionaries");
        let [english, korean] = &words;
        for (key, text) in english {
            let translated = korean.get(key).unwrap_or_else(|| panic!("Korean lacks {key}"));
            assert_eq!(places(text), places(translated), "{key}");
        }
        let api = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/src"));
        for key in korean.keys().filter(|key| !english.contains_key(*key)) {
            let code = key.strip_prefix(REFUSAL).unwrap_or_else(|| panic!("English lacks {key}"));
            assert!(api.contains(&format!("\"{code}\"")), "the API refuses nothing as {code}");
        }

        let mut cut = Poster::new(64, 48).png();
        cut.truncate(cut.len() / 2);
        for (language, word) in [("en", "cut off"), ("ko", "손상")] {
            page.choose("un-topbar select", language).await;
            page.drop_file("body", "cut.png", &cut).await;
            page.wait_for(".notice.error").await;
            let notice = page.text(".notice.error").await;
            assert!(notice.contains("cut.png") && notice.contains(word), "{notice}");
            page.click(".notice.error [data-close]").await;
        }
    })
    .await;
}
