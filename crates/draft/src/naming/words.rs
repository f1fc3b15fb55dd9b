//! Names of text layers: their first words, or what kind of text it is.

use crate::layer::TextLine;

/// Words of a name, where the script has spaces,
const MOST_WORDS: usize = 4;
/// and characters of it, where it has none or the words are long.
const MOST_CHARACTERS: usize = 32;
/// Fewest characters of which a word at the end of a name may be cut.
const FEWEST: usize = 8;

/// Height of the letters, as a share of the picture's long side, from which unread text is a headline,
const HEADLINE: f32 = 0.05;
/// and under which it is small print.
const SMALL_PRINT: f32 = 0.017;

/// What a text layer says, line by line; `None` where no line was read.
pub(crate) fn joined_text(lines: &[TextLine]) -> Option<String> {
    let lines: Vec<&str> = lines.iter().map(|line| line.text.trim()).filter(|line| !line.is_empty()).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The first words of a text without what divides them from the next; `None` where there are none.
pub(crate) fn first_words(lines: &[TextLine]) -> Option<String> {
    let mut name = String::new();
    let mut length = 0;
    let words = lines.iter().flat_map(|line| line.text.split_whitespace());
    for word in words.take(MOST_WORDS) {
        let room = MOST_CHARACTERS.saturating_sub(length + usize::from(length > 0));
        let letters = word.chars().count();
        if letters > room && length > FEWEST {
            break;
        }
        if length > 0 {
            name.push(' ');
        }
        name.extend(word.chars().take(room));
        length = name.chars().count();
        if letters > room {
            name.push('…');
            return Some(name);
        }
    }
    let trimmed = name.trim_end_matches([',', ';', ':', '-', '–', '—', '·', '|', '、', '，', '：']).trim_end();
    let kept = if trimmed.is_empty() { name.as_str() } else { trimmed };
    (!kept.is_empty()).then(|| kept.to_owned())
}

/// Code of a text that was not read, by the height of its letters; `long` is the long side of the picture.
pub(crate) fn thing(lines: &[TextLine], long: usize) -> &'static str {
    let largest = lines.iter().map(|line| line.size).fold(0.0, f32::max) / long.max(1) as f32;
    match largest {
        _ if lines.is_empty() => "text",
        size if size >= HEADLINE => "headline",
        size if size < SMALL_PRINT => "small_print",
        _ => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::Rect;

    fn lines(texts: &[&str], size: f32) -> Vec<TextLine> {
        let rect = Rect { x0: 0, y0: 0, x1: 9, y1: 9 };
        texts.iter().map(|text| TextLine { text: (*text).to_owned(), ..TextLine::unread(rect, size) }).collect()
    }

    #[test]
    fn the_first_words_name_a_text() {
        for (text, name) in [
            (&["Autumn night"][..], "Autumn night"),
            (&["Unflustered and Unfazed.", "Come along"], "Unflustered and Unfazed. Come"),
            (&["가을밤 콘서트"], "가을밤 콘서트"),
            (&["", "Saturday,", ""], "Saturday"),
            (&["Donaudampfschifffahrtsgesellschaftskapitän"], "Donaudampfschifffahrtsgesellscha…"),
            (&["Internationalisation of", "counterrevolutionaries"], "Internationalisation of"),
            (&["—"], "—"),
            (&["拒绝二手烟"], "拒绝二手烟"),
        ] {
            assert_eq!(first_words(&lines(text, 10.0)).as_deref(), Some(name));
        }
        assert_eq!(first_words(&lines(&["", " "], 10.0)), None);
    }

    #[test]
    fn a_text_is_its_lines() {
        assert_eq!(joined_text(&lines(&["one ", "", "two"], 1.0)).as_deref(), Some("one\ntwo"));
        assert_eq!(joined_text(&lines(&[""], 1.0)), None);
    }

    #[test]
    fn unread_text_is_told_by_its_size() {
        assert_eq!(thing(&lines(&["", ""], 70.0), 1000), "headline");
        assert_eq!(thing(&lines(&[""], 30.0), 1000), "text");
        assert_eq!(thing(&lines(&[""], 12.0), 1000), "small_print");
        assert_eq!(thing(&[], 1000), "text");
    }
}
