/// Text for XML content and attributes. Characters that XML 1.0 does not allow are left out.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // A parser turns these into spaces when they stand in an attribute.
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\t' => out.push_str("&#9;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_parser_gives_the_text_back(text: String) {
            let allowed: String = text
                .chars()
                .filter(|c| *c >= ' ' || ['\n', '\r', '\t'].contains(c))
                .filter(|c| !['\u{fffe}', '\u{ffff}'].contains(c))
                .collect();
            let xml = format!("<a b=\"{}\"/>", escape(&text));
            let parsed = roxmltree::Document::parse(&xml).unwrap();
            prop_assert_eq!(parsed.root_element().attribute("b"), Some(allowed.as_str()));
        }
    }
}
