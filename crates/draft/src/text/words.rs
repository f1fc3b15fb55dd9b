//! What is written of words whatever they say: spaces beside Chinese punctuation, zeros among letters.

use crate::text::glyphs::Letters;
use crate::text::read::is_ideograph;

/// Puts right what readers take for spaces, letters and digits.
pub(crate) fn put_right(lines: &mut [Letters]) {
    for line in lines {
        line.text = with_zeros(&without_wide_spaces(&line.text));
    }
}

/// Chinese punctuation has its space within itself: none beside it.
fn without_wide_spaces(text: &str) -> String {
    let signs: Vec<char> = text.chars().collect();
    let at = |k: Option<usize>| k.and_then(|k| signs.get(k)).copied().unwrap_or(' ');
    let is_space = |k: usize| {
        let (earlier, before, after) = (at(k.checked_sub(2)), at(k.checked_sub(1)), at(Some(k + 1)));
        let wide = |sign: char| matches!(sign, '\u{3001}'..='\u{3011}' | '\u{FF01}'..='\u{FF1F}');
        let inside = |sign: char| matches!(sign, ',' | ':' | ';' | '!' | '?');
        let first = inside(after) && is_ideograph(before);
        let last = inside(before) && is_ideograph(earlier) && is_ideograph(after);
        !(wide(before) || wide(after) || first || last)
    };
    signs.iter().enumerate().filter(|&(k, &sign)| sign != ' ' || is_space(k)).map(|(_, sign)| sign).collect()
}

/// A zero in a word of letters is an O, and an O in a number a zero.
fn with_zeros(text: &str) -> String {
    let mut done = String::with_capacity(text.len());
    for part in text.split_inclusive(|sign: char| !sign.is_ascii_alphanumeric()) {
        let word = part.trim_end_matches(|sign: char| !sign.is_ascii_alphanumeric());
        let count = |wanted: fn(char) -> bool| word.chars().filter(|&sign| wanted(sign)).count();
        let (letters, digits) = (count(|sign| sign.is_ascii_alphabetic()), count(|sign| sign.is_ascii_digit()));
        let (zeros, rings) = (count(|sign| sign == '0'), count(|sign| matches!(sign, 'O' | 'o')));
        let (from, to): (&[char], &str) = if zeros > 0 && zeros == digits && letters >= 2 {
            let small = word.contains(|sign: char| sign.is_ascii_lowercase()) && !word.starts_with('0');
            (&['0'], if small { "o" } else { "O" })
        } else if rings > 0 && rings == letters && digits >= 2 {
            (&['O', 'o'], "0")
        } else {
            (&[], "")
        };
        if from.is_empty() {
            done.push_str(part);
        } else {
            done.push_str(&word.replace(from, to));
            done.push_str(&part[word.len()..]);
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_has_no_spaces_beside_its_punctuation() {
        for (read, right) in [
            ("皮薄肉厚, 富含维C", "皮薄肉厚,富含维C"),
            ("花燈、 舞火龍、 月餅", "花燈、舞火龍、月餅"),
            ("十二日 （周四） 停水", "十二日（周四）停水"),
            ("活动时间 : 6月", "活动时间: 6月"),
            ("Hello, 世界, ok", "Hello, 世界, ok"),
            ("쌀, 콩, 팥", "쌀, 콩, 팥"),
        ] {
            assert_eq!(without_wide_spaces(read), right);
        }
    }

    #[test]
    fn zeros_are_told_from_letters_by_what_is_around_them() {
        for (read, right) in [
            ("MO0N-7788", "MOON-7788"),
            ("THE 0WLS", "THE OWLS"),
            ("ro0m B12, 2O26", "room B12, 2026"),
            ("H2O, CO2, A0, 10 km, 5G 70%, 3O", "H2O, CO2, A0, 10 km, 5G 70%, 3O"),
            ("서울 2O26년 한0", "서울 2026년 한0"),
            ("", ""),
        ] {
            assert_eq!(with_zeros(read), right);
        }
    }
}
