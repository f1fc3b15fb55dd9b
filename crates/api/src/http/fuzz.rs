//! What clients send, damaged: never a panic, and the same answer however it is cut up on its way. `PROPTEST_CASES` sets
//! how much is tried.

use axum::http::{HeaderMap, header};
use jobs::Priority;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value};
use service::Settings;

use super::body::tests::incoming;
use super::disposition::{Disposition, attachment};
use super::multipart::{PartError, Parts};
use super::parse_errors::read_json;
use crate::config::Config;
use crate::handlers::jobs::request::JobRequest;
use crate::handlers::openai::fields::edit_request;

const FORM: &[u8] = b"--BB\r\nContent-Disposition: form-data; name=\"num_layers\"\r\n\r\n4\r\n\
    --BB\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a \\\"b\\\".png\"; filename*=UTF-8''%ea%b0%80.png\r\n\
    Content-Type: image/png\r\n\r\n\x89PNG\r\n\x1a\n--B\r\n--Bx\0\r\n\
    --BB\r\nContent-Disposition: form-data; name=prompt\r\n\r\n\xed\x95\x9c\r\n--BB--\r\n";

/// `whole` with a few bytes changed, a piece of it repeated, and perhaps its end cut off.
fn damaged(whole: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let changes = vec((any::<Index>(), any::<u8>()), 0..5);
    let repeated = proptest::option::of((any::<Index>(), any::<Index>()));
    (changes, repeated, proptest::option::of(any::<Index>())).prop_map(move |(changes, repeated, cut)| {
        let mut bytes = whole.to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some((one, other)) = repeated {
            let (one, other) = (one.index(bytes.len()), other.index(bytes.len()));
            let piece = bytes[one.min(other)..one.max(other)].to_vec();
            bytes.splice(one..one, piece);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes
    })
}

/// The parts of a form: each with its names and its content. The last one may be why it ends early.
type Read = Vec<Result<(Disposition, Vec<u8>), String>>;

/// Reads a form whose body comes in these chunks.
fn read(chunks: Vec<Vec<u8>>) -> Read {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let value = "multipart/form-data; boundary=BB".parse().unwrap();
        let mut parts = Parts::of(&HeaderMap::from_iter([(header::CONTENT_TYPE, value)]), incoming(chunks)).unwrap();
        let mut found = Vec::new();
        loop {
            match next(&mut parts).await {
                Ok(Some(part)) => found.push(Ok(part)),
                Ok(None) => return found,
                Err(error) => {
                    found.push(Err(error.to_string()));
                    return found;
                }
            }
        }
    })
}

async fn next(parts: &mut Parts) -> Result<Option<(Disposition, Vec<u8>)>, PartError> {
    let Some(mut part) = parts.next().await? else { return Ok(None) };
    let mut content = Vec::new();
    while let Some(bytes) = part.chunk().await? {
        content.extend_from_slice(&bytes);
    }
    Ok(Some((std::mem::take(&mut part.disposition), content)))
}

fn config() -> Config {
    Config::from_settings(&Settings::from_pairs([])).unwrap()
}

/// Any JSON, not deep.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![Just("auto"), Just("4"), Just("high"), Just("draft"), Just("https://a.example/"), Just("NaN")]
            .prop_map(Value::from),
        ".{0,30}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![vec(inner.clone(), 0..4).prop_map(Value::from), vec((".{0,8}", inner), 0..4).prop_map(object)]
    })
}

fn object(fields: Vec<(String, Value)>) -> Value {
    Value::Object(Map::from_iter(fields))
}

/// A known name, or any.
fn name() -> impl Strategy<Value = String> {
    let known = [
        "num_layers",
        "engine",
        "prompt",
        "seed",
        "steps",
        "guidance",
        "resolution",
        "output_size",
        "scene_text",
        "priority",
        "webhook_url",
        "webhook_events",
        "caption_language",
        "model",
        "n",
        "stream",
        "partial_images",
        "size",
    ];
    prop_oneof![4 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => ".{0,12}"]
}

#[test]
fn the_whole_form_is_read() {
    let parts: Vec<_> = read(vec![FORM.to_vec()]).into_iter().map(Result::unwrap).collect();
    let names: Vec<_> = parts.iter().map(|(disposition, _)| disposition.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["num_layers", "image", "prompt"]);
    assert_eq!(parts[1].0.filename.as_deref(), Some("가.png"));
    assert_eq!(parts[1].1, b"\x89PNG\r\n\x1a\n--B\r\n--Bx\0");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_form_reads_the_same_however_it_is_cut(body in damaged(FORM), cuts in vec(any::<Index>(), 0..8)) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).chain([0, body.len()]).collect();
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|ends| body[ends[0]..ends[1]].to_vec()).collect();
        prop_assert_eq!(read(chunks), read(vec![body]));
    }

    #[test]
    fn any_disposition_is_read(value in vec(any::<u8>(), 0..200), tail in "[a-z*\\\\\"=;%' ]{0,60}") {
        let _ = Disposition::parse(&value);
        let _ = Disposition::parse(format!("form-data; name=\"x\"; filename{tail}").as_bytes());
    }

    #[test]
    fn a_file_name_comes_back(name in "[^\\p{C}/\\\\\"%]{1,60}") {
        let found = Disposition::parse(attachment(&name).as_bytes());
        prop_assert_eq!(found.filename, Some(name));
    }

    #[test]
    fn any_json_is_a_job_or_is_refused(fields in vec((name(), json()), 0..6)) {
        let Value::Object(fields) = object(fields) else { unreachable!() };
        if let Ok(request) = JobRequest::from_json(fields, &config(), Priority::Normal) {
            prop_assert!(request.options().priority <= Priority::Normal);
            let params = request.resolve(&config());
            prop_assert!(params.validate().is_ok(), "{params:?}");
        }
    }

    #[test]
    fn any_text_fields_are_a_job_or_are_refused(fields in vec((name(), "(auto|true|[0-9]{1,18}|-?[0-9.e]{0,9}|.{0,20})"), 0..6)) {
        if let Ok(request) = JobRequest::from_text(fields.clone(), &config(), Priority::Normal) {
            let params = request.resolve(&config());
            prop_assert!(params.validate().is_ok(), "{params:?}");
        }
        let _ = edit_request(fields, &config(), Priority::Normal);
    }

    #[test]
    fn damaged_json_is_read_or_refused_in_words(
        body in damaged(br#"{"upload_id":"9f0c","num_layers":4,"prompt":"\ud55c \\ \"x\"","seed":12e3,"list":[1,{"a":null}]}"#),
    ) {
        if let Err((_, problem)) = read_json::<Map<String, Value>>(&body, "the body") {
            prop_assert!(!problem.is_empty());
        }
    }
}
