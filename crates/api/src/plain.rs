//! Errors of the parsers that read requests, in words that do not speak of Rust's types.

use std::fmt::Display;

use serde::de::DeserializeOwned;

/// Numbers of these types are whole.
const WHOLE: [&str; 8] = ["i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"];

/// What a parser says about the value of a field.
pub fn plain(error: impl Display) -> String {
    let text = error.to_string();
    // Where in a text of one line it was says nothing that the field's name does not.
    let text = text.split_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    match text {
        "invalid digit found in string" => return "is a whole number".to_owned(),
        "cannot parse integer from empty string" => return "is empty".to_owned(),
        "number too large to fit in target type" => return "is too large".to_owned(),
        "provided string was not `true` or `false`" => return "is true or false".to_owned(),
        _ => {}
    }
    if let Some((found, expected)) = text.split_once(", expected ") {
        if let Some(name) = quoted(found, "unknown variant ") {
            return format!("is {}, not \"{name}\"", expected.trim_start_matches("one of ").replace('`', ""));
        }
        if let Some(name) = quoted(found, "unknown field ") {
            let known = expected.trim_start_matches("one of ").replace('`', "");
            return format!("has no field \"{name}\"; these are: {known}");
        }
        return format!("is {}", kind(expected));
    }
    if let Some(name) = quoted(text, "missing field ") {
        return format!("lacks {name}");
    }
    text.to_owned()
}

/// Reads `json`; an error begins with the field that it is about, or with `whole` where it is about all of it.
///
/// # Errors
/// Whether it is not even JSON, and what is wrong.
pub fn read_json<T: DeserializeOwned>(json: &[u8], whole: &str) -> Result<T, (bool, String)> {
    let mut parser = serde_json::Deserializer::from_slice(json);
    let read = serde_path_to_error::deserialize(&mut parser).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.inner();
        if inner.classify() != serde_json::error::Category::Data {
            return (true, format!("{whole} is not JSON: {inner}"));
        }
        let problem = plain(inner);
        // The path ends with a field that is not known, and the text names it.
        let about_all = path == "." || problem.starts_with("has no field");
        (false, if about_all { format!("{whole} {problem}") } else { format!("{path} {problem}") })
    })?;
    parser.end().map_err(|error| (true, format!("{whole} is not JSON: {error}")))?;
    Ok(read)
}

fn quoted<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    text.strip_prefix(before)?.strip_prefix('`')?.strip_suffix('`')
}

/// One of serde's expectations.
fn kind(expected: &str) -> String {
    match expected {
        whole if WHOLE.contains(&whole) => "a whole number".to_owned(),
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
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Place {
        Above,
        Below,
    }

    #[test]
    fn errors_name_the_field_and_no_type_of_rust() {
        let told = |json: &str| read_json::<Example>(json.as_bytes(), "the body").expect_err(json).1;
        assert_eq!(told(r#"{"x": "a"}"#), "x is a whole number");
        assert_eq!(told(r#"{"x": 1.5}"#), "x is a whole number");
        assert_eq!(told(r#"{"on": 1}"#), "on is true or false");
        assert_eq!(told(r#"{"list": ["above", "beside"]}"#), "list[1] is above or below, not \"beside\"");
        assert_eq!(told(r#"{"list": 1}"#), "list is a list");
        assert_eq!(told(r#"{"y": 1}"#), "the body has no field \"y\"; these are: x, list, on");
        assert_eq!(told("7"), "the body is an object");
        assert!(told("{").starts_with("the body is not JSON: EOF"));
        assert!(told("{} {}").starts_with("the body is not JSON: trailing characters"));
        assert!(matches!(read_json(b"{\"list\": [\"above\", \"below\"]}", "it"), Ok(Example { list: Some(_), .. })));
    }

    #[test]
    fn queries_are_told_what_they_take() {
        assert_eq!(plain("invalid digit found in string"), "is a whole number");
        assert_eq!(plain("provided string was not `true` or `false`"), "is true or false");
        assert_eq!(plain("something else"), "something else");
    }
}
