//! The page has English and Korean texts for every code of the service.

use std::collections::BTreeSet;
use std::path::Path;

use engine::{FailureCode, MessageCode, Stage};

fn keys(language: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../frontend/js/i18n/{language}.js"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let keys = text.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\": \""));
    keys.filter(|(_, words)| !words.starts_with('"')).map(|(key, _)| key.to_owned()).collect()
}

/// The code as it is in JSON.
fn code(code: impl serde::Serialize) -> String {
    serde_json::to_value(code).expect("JSON").as_str().expect("a word").to_owned()
}

#[test]
fn every_code_has_words_in_both_languages() {
    let messages = MessageCode::ALL.map(|message| format!("message.{}", code(message)));
    let failures = FailureCode::ALL.map(|failure| format!("message.{}", code(failure)));
    let stages = Stage::ALL.map(|stage| format!("stage.{stage}"));
    let wanted: Vec<_> = messages.into_iter().chain(failures).chain(stages).collect();
    for language in ["en", "ko"] {
        let keys = keys(language);
        let missing: Vec<_> = wanted.iter().filter(|key| !keys.contains(*key)).collect();
        assert!(missing.is_empty(), "{language}.js has no words for {missing:?}");
    }
}

#[test]
fn the_korean_words_are_korean() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../frontend/js/i18n/ko.js");
    let text = std::fs::read_to_string(path).expect("readable");
    let messages =
        text.lines().filter(|line| line.trim().starts_with("\"message.") || line.trim().starts_with("\"stage."));
    let foreign: Vec<_> = messages.filter(|line| !line.chars().any(|c| ('가'..='힣').contains(&c))).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}
