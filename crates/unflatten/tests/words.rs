//! The page has English and Korean texts for every code of the service.

use std::collections::BTreeSet;
use std::path::Path;

use engine::{BackgroundQuality, FailureCode, MessageCode, Stage};
use layers::{Group, Label};

/// The words of a language, line by line.
fn words(language: &str) -> String {
    let files = ["", "-names", "-editor"].map(|part| format!("{language}{part}.js"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../frontend/js/i18n");
    let read = |file: &String| {
        std::fs::read_to_string(folder.join(file))
            .unwrap_or_else(|error| panic!("{file} in {}: {error}", folder.display()))
    };
    files.iter().map(read).collect()
}

fn keys(language: &str) -> BTreeSet<String> {
    let text = words(language);
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
    let things = Label::THINGS.iter().map(|thing| format!("name.thing.{thing}"));
    let colours = Label::COLOURS.iter().map(|colour| format!("name.colour.{colour}"));
    let groups = Group::ALL.map(|group| format!("group.{}", code(group)));
    let qualities = [BackgroundQuality::Clean, BackgroundQuality::Fair, BackgroundQuality::Rough];
    let backgrounds = qualities.map(|quality| format!("background.{}", code(quality)));
    let wanted: Vec<_> = messages
        .into_iter()
        .chain(failures)
        .chain(stages)
        .chain(things)
        .chain(colours)
        .chain(groups)
        .chain(backgrounds)
        .collect();
    for language in ["en", "ko"] {
        let keys = keys(language);
        let missing: Vec<_> = wanted.iter().filter(|key| !keys.contains(*key)).collect();
        assert!(missing.is_empty(), "{language}.js has no words for {missing:?}");
    }
}

#[test]
fn the_page_has_words_for_no_other_codes_of_layers() {
    for language in ["en", "ko"] {
        let is_known = |key: &str| match key.rsplit_once('.') {
            Some(("name.thing", thing)) => Label::THINGS.contains(&thing),
            Some(("name.colour", colour)) => Label::COLOURS.contains(&colour),
            _ => true,
        };
        let unknown: Vec<_> = keys(language).into_iter().filter(|key| !is_known(key)).collect();
        assert!(unknown.is_empty(), "{language}: {unknown:?}");
    }
}

#[test]
fn the_korean_words_are_korean() {
    let text = words("ko");
    let kinds = ["\"message.", "\"stage.", "\"name.thing.", "\"name.colour."];
    let messages = text.lines().filter(|line| kinds.iter().any(|kind| line.trim().starts_with(kind)));
    let foreign: Vec<_> = messages.filter(|line| !line.chars().any(|c| ('가'..='힣').contains(&c))).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}
