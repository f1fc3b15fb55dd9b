//! `Content-Disposition`: of the parts of a form (RFC 7578, 2183, 8187), and of downloads (RFC 6266).

/// The field name and file name in a form part's `Content-Disposition`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Disposition {
    /// The field's name.
    pub name: Option<String>,
    /// The file's name as the client sent it, for display only: it may hold folders and control characters.
    pub filename: Option<String>,
}

impl Disposition {
    /// Reads the header's value. Parameters that cannot be read count as absent.
    ///
    /// RFC 7578 forbids `filename*`, but clients send it with the real name, and a stand-in in `filename`.
    pub(crate) fn parse(value: &[u8]) -> Self {
        let text = String::from_utf8_lossy(value);
        let (mut found, mut extended) = (Self::default(), None);
        for (name, value) in (Parameters { rest: &text }) {
            // The first of each counts.
            match name.to_ascii_lowercase().as_str() {
                "name" if found.name.is_none() => found.name = Some(value),
                "filename" if found.filename.is_none() => found.filename = Some(value),
                "filename*" if extended.is_none() => extended = decode_extended(&value),
                _ => {}
            }
        }
        Self { filename: extended.or(found.filename), ..found }
    }
}

/// The parameters behind the type, in order.
struct Parameters<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a str, String);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let end = self.rest.find(['=', ';'])?;
            let (name, rest) = self.rest.split_at(end);
            let after = &rest[1..];
            if rest.starts_with(';') {
                // The type itself, or a word without a value.
                self.rest = after;
                continue;
            }
            let (value, rest) = match after.trim_start().strip_prefix('"') {
                Some(quoted) => unquote(quoted)?,
                None => {
                    let (value, rest) = after.split_at(after.find(';').unwrap_or(after.len()));
                    (value.trim().to_owned(), rest)
                }
            };
            // Text between a quoted value and the next parameter means nothing.
            self.rest = rest.split_once(';').map_or("", |(_, rest)| rest);
            return Some((name.trim(), value));
        }
    }
}

/// A quoted value and the text behind it; `None` when the closing quote is missing.
///
/// A backslash escapes a quote or a backslash; before anything else it is part of a Windows path. Browsers escape with
/// percent signs, and only three characters (HTML, multipart/form-data encoding).
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let end = rest.find(['"', '\\', '%'])?;
        value.push_str(&rest[..end]);
        rest = &rest[end..];
        let (read, length) = match rest.as_bytes() {
            [b'"', ..] => return Some((value, &rest[1..])),
            [b'\\', b'"', ..] => ('"', 2),
            [b'\\', b'\\', ..] => ('\\', 2),
            [b'\\', ..] => ('\\', 1),
            [b'%', b'2', b'2', ..] => ('"', 3),
            [b'%', b'0', b'd' | b'D', ..] => ('\r', 3),
            [b'%', b'0', b'a' | b'A', ..] => ('\n', 3),
            _ => ('%', 1),
        };
        value.push(read);
        rest = &rest[length..];
    }
}

/// A value of RFC 8187: `UTF-8'language'percent-encoded`.
fn decode_extended(value: &str) -> Option<String> {
    let (charset, value) = value.split_once('\'')?;
    let (_language, value) = value.split_once('\'')?;
    let bytes = decode_percent(value)?;
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" => String::from_utf8(bytes).ok(),
        // Each byte is the code point of the same number.
        "iso-8859-1" => Some(bytes.into_iter().map(char::from).collect()),
        _ => None,
    }
}

fn decode_percent(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    Some(bytes)
}

/// The `Content-Disposition` of a download under a file name in any language: an ASCII form for old clients and the real
/// name in UTF-8 (RFC 6266, RFC 8187).
pub(crate) fn attachment(name: &str) -> String {
    let ascii: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ') { c } else { '_' })
        .collect();
    let mut encoded = String::new();
    for byte in name.bytes() {
        // attr-char of RFC 8187.
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Option<String>, Option<String>) {
        let Disposition { name, filename } = Disposition::parse(text.as_bytes());
        (name, filename)
    }

    #[test]
    fn parameters_are_parsed_and_not_searched() {
        for (text, name, filename) in [
            (r#"form-data; name="image""#, Some("image"), None),
            (r#"form-data; name="image"; filename="a b.png""#, Some("image"), Some("a b.png")),
            (r#"form-data; filename="my name.png"; name="image""#, Some("image"), Some("my name.png")),
            (r#"form-data; filename="; name=evil"; name="image""#, Some("image"), Some("; name=evil")),
            (r#"form-data; filename="a\"; name=\"evil.png"; name=image"#, Some("image"), Some("a\"; name=\"evil.png")),
            (r#"form-data;NAME = "image" ; FileName=plain.png "#, Some("image"), Some("plain.png")),
            (r#"form-data; name=image; filename=two words.png"#, Some("image"), Some("two words.png")),
            (r#"form-data; name="image"; name="other""#, Some("image"), None),
            (r#"form-data; name=""; filename="""#, Some(""), Some("")),
            (r#"form-data; flag; ; name="image" junk; filename="x""#, Some("image"), Some("x")),
            (r#"form-data; xname="a"; my-filename="b""#, None, None),
            (r#"form-data; name="image"#, None, None),
            (r#"form-data; filename="#, None, Some("")),
            ("form-data; name=\"포스터\"", Some("포스터"), None),
            ("form-data", None, None),
            ("", None, None),
            (";=;\"=", None, None),
        ] {
            assert_eq!(parse(text), (name.map(str::to_owned), filename.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn the_real_name_goes_before_the_makeshift() {
        let name = |parameters: &str| parse(&format!("form-data; name=image; {parameters}")).1;
        for (parameters, shown) in [
            ("filename*=UTF-8''%ED%8F%AC%EC%8A%A4%ED%84%B0.png", "포스터.png"),
            ("filename=\"poster.png\"; filename*=utf-8'ko'%ED%8F%AC.png", "포.png"),
            ("filename*=UTF-8''%e2%82%ac.png; filename=\"EUR.png\"", "€.png"),
            ("filename*=iso-8859-1'en'%A3%20rates.png", "£ rates.png"),
            ("filename*=\"UTF-8''quoted.png\"", "quoted.png"),
            // An unreadable one leaves the other one.
            ("filename*=UTF-8''%FF%FE; filename=plain.png", "plain.png"),
            ("filename*=UTF-8''%4; filename=plain.png", "plain.png"),
            ("filename*=UTF-8''%+1x; filename=plain.png", "plain.png"),
            ("filename*=koi8-r''%C1; filename=plain.png", "plain.png"),
            ("filename*=nothing; filename=plain.png", "plain.png"),
        ] {
            assert_eq!(name(parameters).as_deref(), Some(shown), "{parameters}");
        }
        assert_eq!(name("filename*=UTF-8''%FF"), None);
    }

    #[test]
    fn escapes_of_browsers_and_of_curl_are_undone() {
        for (sent, name) in [
            ("a%22b%0D%0A.png", "a\"b\r\n.png"),
            ("100%25 %2 %.png", "100%25 %2 %.png"),
            (r#"a\"b.png"#, "a\"b.png"),
            (r"a\\b.png", r"a\b.png"),
            (r"C:\Users\me\x.png", r"C:\Users\me\x.png"),
        ] {
            let header = format!("form-data; filename=\"{sent}\"; name=\"image\"");
            assert_eq!(parse(&header), (Some("image".to_owned()), Some(name.to_owned())), "{sent}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_leave_the_rest() {
        let found = Disposition::parse(b"form-data; filename=\"caf\xe9.png\"; name=\"image\"");
        assert_eq!(found.name.as_deref(), Some("image"));
        assert_eq!(found.filename.as_deref(), Some("caf\u{fffd}.png"));
    }

    #[test]
    fn file_names_survive_the_header() {
        for (name, expected) in [
            ("poster-layers.zip", "attachment; filename=\"poster-layers.zip\"; filename*=UTF-8''poster-layers.zip"),
            (
                "포스터 \"1\".zip",
                "attachment; filename=\"___ _1_.zip\"; filename*=UTF-8''%ED%8F%AC%EC%8A%A4%ED%84%B0%20%221%22.zip",
            ),
            ("a\r\nb;c.zip", "attachment; filename=\"a__b_c.zip\"; filename*=UTF-8''a%0D%0Ab%3Bc.zip"),
        ] {
            assert_eq!(attachment(name), expected);
        }
    }
}
