//! What a line is written in.

use unicode_script::{Script, UnicodeScript};

/// The code of the script by ISO 15924, and the language as a BCP 47 tag where the script leaves no doubt.
pub(crate) fn script(words: &str) -> (&'static str, Option<&'static str>) {
    let count = |scripts: &[Script]| words.chars().filter(|character| scripts.contains(&character.script())).count();
    let han = count(&[Script::Han]);
    match (count(&[Script::Hangul]), count(&[Script::Hiragana, Script::Katakana]), han) {
        // Korean and Japanese lines often have more Latin letters than their own.
        (1.., 0, 0) => return ("Hang", Some("ko")),
        (1.., 0, _) => return ("Kore", Some("ko")),
        (_, 1.., _) => return ("Jpan", Some("ja")),
        _ => {}
    }
    let own = |character: &char| !matches!(character.script(), Script::Common | Script::Inherited | Script::Unknown);
    let mut counts: Vec<(Script, usize)> = Vec::new();
    for script in words.chars().filter(own).map(|character| character.script()) {
        match counts.iter_mut().find(|(known, _)| *known == script) {
            Some((_, count)) => *count += 1,
            None => counts.push((script, 1)),
        }
    }
    // Of equal counts, the first one in the line.
    let Some((script, _)) = counts.into_iter().rev().max_by_key(|(_, count)| *count) else { return ("Zyyy", None) };
    let language = match script {
        Script::Hebrew => Some("he"),
        Script::Thai => Some("th"),
        Script::Greek => Some("el"),
        Script::Armenian => Some("hy"),
        Script::Georgian => Some("ka"),
        _ => None,
    };
    (script.short_name(), language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_have_their_codes_and_few_say_the_language() {
        for (words, found) in [
            ("봄날의 Jazz Festival", ("Hang", Some("ko"))),
            ("大韓民國 만세", ("Kore", Some("ko"))),
            ("春のセール", ("Jpan", Some("ja"))),
            ("春節", ("Hani", None)),
            ("Jazz Festival", ("Latn", None)),
            ("10:30 - 12:00", ("Zyyy", None)),
            ("שלום", ("Hebr", Some("he"))),
            ("Скидки 50 %", ("Cyrl", None)),
        ] {
            assert_eq!(script(words), found, "{words}");
        }
    }
}
