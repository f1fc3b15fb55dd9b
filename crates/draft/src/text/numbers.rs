//! Thousands: many faces draw comma and point alike, so that what a poster does elsewhere decides.

use crate::text::glyphs::Letters;

/// Numbers with commas from which a poster groups its thousands so.
const ENOUGH: usize = 2;

/// Makes points before three digits commas, on posters that have commas there too.
pub(crate) fn group_thousands(lines: &mut [Letters]) {
    let commas = lines.iter().flat_map(|line| line.text.split_whitespace()).filter(|word| groups(word, ',')).count();
    if commas < ENOUGH {
        return;
    }
    for line in lines {
        let words: Vec<String> = line
            .text
            .split(' ')
            .map(|word| if groups(word, '.') { word.replace('.', ",") } else { word.to_owned() })
            .collect();
        line.text = words.join(" ");
    }
}

/// Whether a word is a number whose digits are in groups of three, with signs and a currency around it at most.
fn groups(word: &str, separator: char) -> bool {
    let number = word.trim_matches(|c: char| !c.is_ascii_digit());
    let mut parts = number.split(separator);
    let first = parts.next().unwrap_or_default();
    let digits = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    let mut later = parts.peekable();
    let around = word.len() - number.len() <= 2 * '원'.len_utf8();
    around
        && digits(first)
        && first.len() <= 3
        && later.peek().is_some()
        && later.all(|part| digits(part) && part.len() == 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::Plane;

    fn line(text: &str) -> Letters {
        Letters { text: text.to_owned(), certain: true, sure: 0.9, ..Letters::sample(Plane::new(4, 4, true)) }
    }

    fn after(texts: &[&str]) -> Vec<String> {
        let mut lines: Vec<Letters> = texts.iter().map(|text| line(text)).collect();
        group_thousands(&mut lines);
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn points_are_commas_where_the_poster_has_commas() {
        let found = after(&["12,900", "1,234,567원", "8.980", "-43.270원 입금", "9.18 목", "02-555-0129", "1.25 kg"]);
        assert_eq!(found, ["12,900", "1,234,567원", "8,980", "-43,270원 입금", "9.18 목", "02-555-0129", "1.25 kg"]);
    }

    #[test]
    fn others_stay() {
        assert_eq!(after(&["42.195 km", "21.097 km", "10,000"]), ["42.195 km", "21.097 km", "10,000"]);
        assert_eq!(after(&["1.250 €", "12.900 €"]), ["1.250 €", "12.900 €"]);
    }
}
