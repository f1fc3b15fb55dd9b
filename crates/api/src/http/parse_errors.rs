//! Errors of the parsers that read requests, without the names of Rust's types.

use std::fmt::Display;

use serde::de::{DeserializeOwned, IgnoredAny};

/// Rust's integer types.
const INTEGERS: [&str; 8] = ["i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"];

/// Describes what is wrong with the value of a field, such as `must be an integer`.
pub(crate) fn describe(error: impl Display) -> String {
    let text = error.to_string();
    // The field's name says enough of where it was.
    let text = text.split_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    match text {
        "invalid digit found in string" => return "must be an integer".to_owned(),
        "cannot parse integer from empty string" => return "is empty".to_owned(),
        "number too large to fit in target type" => return "is too large".to_owned(),
        "provided string was not `true` or `false`" => return "must be true or false".to_owned(),
        _ => {}
    }
    if let Some((found, expected)) = text.split_once(", expected ") {
        if let Some(name) = quoted(found, "unknown variant ") {
            return format!("must be {}, not \"{name}\"", expected.trim_start_matches("one of ").replace('`', ""));
        }
        if let Some(name) = quoted(found, "unknown field ") {
            let known = expected.trim_start_matches("one of ").replace('`', "");
            return format!("has no field \"{name}\"; known fields: {known}");
        }
        return format!("must be {}", expectation(expected));
    }
    if let Some(name) = quoted(text, "missing field ") {
        return format!("is missing {name}");
    }
    text.to_owned()
}

/// Reads `json`. An error begins with the name of its field, or with `whole` when it is about the whole.
///
/// # Errors
/// Whether the text is not even JSON, and what is wrong.
pub(crate) fn read_json<T: DeserializeOwned>(json: &[u8], whole: &str) -> Result<T, (bool, String)> {
    let mut parser = serde_json::Deserializer::from_slice(json);
    let read = serde_path_to_error::deserialize(&mut parser).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.inner();
        if inner.classify() != serde_json::error::Category::Data {
            // What may have one of several forms, and has two, is a mistake in the syntax to the parser.
            if serde_json::from_slice::<IgnoredAny>(json).is_ok() {
                return (false, format!("{path} must be an object with exactly one field"));
            }
            return (true, format!("{whole} is not JSON: {inner}"));
        }
        let problem = describe(inner);
        // The path of an unknown field ends with that field, which the text names already.
        let about_all = path == "." || problem.starts_with("has no field");
        (false, if about_all { format!("{whole} {problem}") } else { format!("{path} {problem}") })
    })?;
    parser.end().map_err(|error| (true, format!("{whole} is not JSON: {error}")))?;
    Ok(read)
}

fn quoted<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    text.strip_prefix(before)?.strip_prefix('`')?.strip_suffix('`')
}

/// One of serde's expectations in plain words.
fn expectation(expected: &str) -> String {
    match expected {
        integer if INTEGERS.contains(&integer) => "an integer".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "an object".to_owned(),
        "a string" => "text".to_owned(),
        other if other.starts_with("struct ") => "an object".to_owned(),
        other => other.replace('`', ""),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Example {
        x: Option<i32>,
        list: Option<Vec<Place>>,
        on: Option<bool>,
        at: Option<Place>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Place {
        Above,
        Below,
        #[expect(dead_code, reason = "only read")]
        Beside(i32),
    }

    #[test]
    fn errors_name_the_field_and_no_type_of_rust() {
        let told = |json: &str| read_json::<Example>(json.as_bytes(), "the body").expect_err(json).1;
        assert_eq!(told(r#"{"x": "a"}"#), "x must be an integer");
        assert_eq!(told(r#"{"x": 1.5}"#), "x must be an integer");
        assert_eq!(told(r#"{"on": 1}"#), "on must be true or false");
        assert_eq!(told(r#"{"list": ["above", "under"]}"#), "list[1] must be above, below, beside, not \"under\"");
        assert_eq!(told(r#"{"list": 1}"#), "list must be a list");
        assert_eq!(told(r#"{"y": 1}"#), "the body has no field \"y\"; known fields: x, list, on, at");
        assert_eq!(told(r#"{"at": {"beside": 1, "above": null}}"#), "at must be an object with exactly one field");
        assert_eq!(told("7"), "the body must be an object");
        assert!(told("{").starts_with("the body is not JSON: EOF"));
        assert!(told("{} {}").starts_with("the body is not JSON: trailing characters"));
        assert!(matches!(read_json(b"{\"list\": [\"above\", \"below\"]}", "it"), Ok(Example { list: Some(_), .. })));
    }

    #[test]
    fn queries_are_told_what_they_take() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only read")]
        struct Question {
            ids: String,
            after: Option<u64>,
            trim: Option<bool>,
        }
        let told = |query: &str| {
            let address = format!("/?{query}").parse().expect("an address");
            let rejection = axum::extract::Query::<Question>::try_from_uri(&address).expect_err(query);
            crate::http::error::Error::from(rejection).to_string()
        };
        assert!(told("").contains("query parameter `ids` is missing"), "{}", told(""));
        assert!(
            told("ids=1&ids=2").contains("query parameter `ids` appears twice; send it once"),
            "{}",
            told("ids=1&ids=2")
        );
        for (query, expected) in [
            ("after=x", "query parameter `after` must be an integer"),
            ("after=-1", "query parameter `after` must be an integer"),
            ("after=", "query parameter `after` is empty"),
            ("after=99999999999999999999", "query parameter `after` is too large"),
            ("trim=1", "query parameter `trim` must be true or false"),
        ] {
            let told = told(&format!("ids=1&{query}"));
            assert!(told.contains(expected), "{query}: {told}");
        }
        assert_eq!(describe("something else"), "something else");
    }
}
