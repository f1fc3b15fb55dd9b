//! Joins what two readers say about one line: each piece between gaps is taken from the reader that is surer there.

use crate::filter::resize_rgb;
use crate::networks::{Sign, joined};
use crate::numeric::quantile;
use crate::plane::Rgb8;

/// Height at which gaps are looked for: narrower ones than about a pixel of it part nothing.
const HEIGHT: usize = 48;
/// Darkest value of a column of pixels that is a gap.
const LIGHT: u8 = 200;
/// What changing the reader costs: certainty times the share of the line's height over which it holds.
const CHANGE: f32 = 3.0 / 48.0;
/// How far from a sign, as a share of the height, it is fully believed; at twice that, nobody read anything.
const NEAR: f32 = 24.0 / 48.0;
/// Certainty that is taken off ideographs where the line looks Korean, because the reader that knows no Hangul sees them
/// in it, and off single letters of Hangul, which hardly ever stand alone.
const IDEOGRAPH: f32 = 0.25;
const LONE_LETTER: f32 = 0.15;
/// Mean certainty of the syllables from which a line looks Korean: of those that are seen in Chinese it is less.
const LOOKS_KOREAN: f32 = 0.65;
/// How much surer a reading of a digit or sign is that replaces the other one.
const SURER: f32 = 0.03;
/// Gap from which there is a space between signs, as a share of the height: what the Korean reader reads stands wider
/// than Latin, and a 1 has more room around it than other digits.
const SPACE: f32 = 0.25;
const KOREAN_SPACE: f32 = 0.33;
const SPACE_AT_ONE: f32 = 0.42;
/// Typical gap of letters that stand wide apart, and how much wider their spaces are.
const SPACED: f32 = 0.18;
const WIDER: f32 = 1.4;
/// The same between syllables, and between them and digits or letters, in a line with a few gaps: at least, and as a
/// multiple of the gap that is wider than three in ten of them, and more. Measured in twenty typefaces, with letters apart
/// too.
const HANGUL_SPACE: f32 = 0.25;
const NARROW: f32 = 0.3;
const TIMES_NARROW: f32 = 1.2;
const MORE_THAN_NARROW: f32 = 0.12;

/// A piece of a line between two gaps, from and to a share of the line's width.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Piece {
    pub from: f32,
    pub to: f32,
}

/// The pieces of dark letters on white, from left to right.
pub(super) fn pieces(letters: &Rgb8) -> Vec<Piece> {
    let width = (letters.width as f32 * HEIGHT as f32 / letters.height as f32).round().max(1.0) as usize;
    let small = resize_rgb(letters, width, HEIGHT);
    let ink = |x: usize| x < width && (0..HEIGHT).any(|y| small.at(x, y)[0] < LIGHT);
    let (mut found, mut start) = (Vec::new(), None);
    for x in 0..=width {
        match (ink(x), start) {
            (true, None) => start = Some(x),
            (false, Some(from)) => {
                found.push(Piece { from: from as f32 / width as f32, to: x as f32 / width as f32 });
                start = None;
            }
            _ => {}
        }
    }
    found
}

/// The line and its mean certainty; of `readers`, the first may write spaces. `proportion` is the line's width over its
/// height.
pub(super) fn joined_pieces(pieces: &[Piece], readers: [&[Sign]; 2], proportion: f32) -> (String, f32) {
    // Marks in the white margin before a line are none.
    let is_there = |sign: &&Sign| sign.character != ' ' && (sign.character.is_alphanumeric() || middle(sign) >= 0.0);
    let signs = readers.map(|signs| signs.iter().filter(is_there).copied().collect::<Vec<Sign>>());
    let hangul: Vec<Sign> = signs[0].iter().filter(|sign| is_hangul(sign.character)).copied().collect();
    let korean = joined(&hangul).1 >= LOOKS_KOREAN;
    let weighed = signs.each_ref().map(|signs| signs.iter().map(|sign| weighed(sign, korean)).collect::<Vec<Sign>>());
    let chosen = choose(pieces, [&weighed[0], &weighed[1]], proportion);
    let mut kept: Vec<(usize, usize, Sign)> = Vec::new();
    for (reader, signs) in signs.iter().enumerate() {
        let own = signs.iter().filter_map(|sign| Some((nearest(pieces, middle(sign))?, reader, *sign)));
        kept.extend(own.filter(|&(piece, reader, _)| chosen[piece] == reader));
    }
    for (piece, reader, sign) in &mut kept {
        if *reader == 0 && !is_hangul(sign.character) {
            replace(sign, *piece, pieces, [&signs[0], &signs[1]]);
        }
    }
    kept.sort_by(|a, b| middle(&a.2).total_cmp(&middle(&b.2)));
    let spaces: Vec<f32> = readers[0].iter().filter(|sign| sign.character == ' ').map(middle).collect();
    let gap = |before: usize, piece: usize| {
        (before..piece).map(|k| pieces[k + 1].from - pieces[k].to).fold(0.0, f32::max) * proportion
    };
    let apart = kept.windows(2).filter(|w| w[0].0 < w[1].0);
    let mut gaps: Vec<f32> = apart.clone().map(|w| gap(w[0].0, w[1].0)).collect();
    // Letters that all stand wide apart have wider spaces.
    let typical = if gaps.len() < 3 { 0.0 } else { quantile(&mut gaps, 0.5) };
    let least = if typical > SPACED { WIDER * typical } else { 0.0 };
    let mut gaps: Vec<f32> =
        apart.filter(|w| is_korean([w[0].2.character, w[1].2.character])).map(|w| gap(w[0].0, w[1].0)).collect();
    let hangul_space = if gaps.len() < 3 {
        KOREAN_SPACE.max(least)
    } else {
        HANGUL_SPACE.max(TIMES_NARROW * quantile(&mut gaps, NARROW) + MORE_THAN_NARROW)
    };
    let (mut text, mut sum) = (String::new(), 0.0);
    for (k, &(piece, reader, sign)) in kept.iter().enumerate() {
        if let Some(&(before, who, last)) = k.checked_sub(1).and_then(|k| kept.get(k)) {
            let gap = gap(before, piece);
            let both = (reader, who) == (0, 0);
            let seen = both && spaces.iter().any(|&x| x > middle(&last) && x < middle(&sign));
            let signs = [last.character, sign.character];
            let is_space = if signs.contains(&'1') && signs.iter().all(|&sign| sign.is_ascii_digit() || sign == ':') {
                gap > SPACE_AT_ONE.max(least)
            } else if is_korean(signs) {
                gap > hangul_space || (seen && gap > least)
            } else {
                gap > least && (seen || gap > if both { KOREAN_SPACE } else { SPACE })
            };
            if piece != before && is_space {
                text.push(' ');
            }
        }
        text.push(sign.character);
        sum += sign.sure;
    }
    (text, sum / kept.len().max(1) as f32)
}

/// Whether two neighbours stand as far apart as syllables do: one of them is one, the other one at least no sign.
fn is_korean(signs: [char; 2]) -> bool {
    signs.into_iter().any(is_hangul) && signs.iter().all(|&sign| sign.is_alphanumeric() && sign != '1')
}

/// Whether a character is a syllable of Hangul.
pub(super) fn is_hangul(character: char) -> bool {
    ('가'..='힣').contains(&character)
}

/// Digits and signs, which both readers know: where each reads one in a piece, the surer is right, even if the rest of
/// the line is the other's.
fn replace(sign: &mut Sign, piece: usize, pieces: &[Piece], readers: [&[Sign]; 2]) {
    let within = |sign: &&Sign| away(middle(sign), pieces[piece].from, pieces[piece].to) == 0.0;
    let alone = |signs: &[Sign]| {
        let mut own = signs.iter().filter(within);
        own.next().copied().filter(|_| own.next().is_none())
    };
    if let (Some(_), Some(other)) = (alone(readers[0]), alone(readers[1]))
        && other.character.is_ascii()
        && other.sure > sign.sure + SURER
    {
        (sign.character, sign.sure) = (other.character, other.sure);
    }
}

/// A sign as sure as it is believed, in a line that looks Korean or not.
fn weighed(sign: &Sign, korean: bool) -> Sign {
    let less = match sign.character {
        '\u{3130}'..='\u{318F}' | '\\' | '|' | '^' | '`' | '_' | '{' | '}' => LONE_LETTER,
        '\u{3400}'..='\u{9FFF}' if korean => IDEOGRAPH,
        _ => 0.0,
    };
    Sign { sure: sign.sure - less, ..*sign }
}

fn middle(sign: &Sign) -> f32 {
    (sign.from + sign.to) / 2.0
}

/// How far a place is from a range.
fn away(place: f32, from: f32, to: f32) -> f32 {
    (from - place).max(place - to).max(0.0)
}

/// The piece nearest to a place; `None` if there are none.
fn nearest(pieces: &[Piece], place: f32) -> Option<usize> {
    let distance = |k: usize| away(place, pieces[k].from, pieces[k].to);
    (0..pieces.len()).min_by(|&a, &b| distance(a).total_cmp(&distance(b)))
}

/// The reader of each piece: the most certainty over the whole line, less what changes cost (Viterbi).
fn choose(pieces: &[Piece], readers: [&[Sign]; 2], proportion: f32) -> Vec<usize> {
    let mut best = [0.0f32; 2];
    let mut came: Vec<[usize; 2]> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let stays = [0, 1].map(|reader: usize| best[reader] >= best[1 - reader] - CHANGE);
        came.push([0, 1].map(|reader: usize| if stays[reader] { reader } else { 1 - reader }));
        best = [0, 1].map(|reader: usize| {
            let before = if stays[reader] { best[reader] } else { best[1 - reader] - CHANGE };
            before + certainty(piece, readers[reader], proportion) * (piece.to - piece.from) * proportion
        });
    }
    let mut reader = usize::from(best[1] > best[0]);
    let mut chosen = vec![0; pieces.len()];
    for (k, came) in came.iter().enumerate().rev() {
        chosen[k] = reader;
        reader = came[reader];
    }
    chosen
}

/// How sure a reader is on average over a piece: at each place, as sure as of the sign nearest to it.
fn certainty(piece: &Piece, signs: &[Sign], proportion: f32) -> f32 {
    const PLACES: usize = 8;
    let at = |k: usize| piece.from + (k as f32 + 0.5) / PLACES as f32 * (piece.to - piece.from);
    let sure = (0..PLACES).map(at).map(|place| {
        let distance = |sign: &Sign| away(place, sign.from, sign.to);
        let nearest = signs.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        nearest.map_or(0.0, |sign| sign.sure * (2.0 - distance(sign) * proportion / NEAR).clamp(0.0, 1.0))
    });
    sure.sum::<f32>() / PLACES as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::Plane;

    /// Signs in pieces of a tenth of the line's width each, one in a piece.
    fn signs(text: &str, sure: impl Fn(usize) -> f32) -> Vec<Sign> {
        let place = |k: usize| (k as f32 + 0.5) / 10.0;
        let signs = text.chars().enumerate();
        signs.map(|(k, character)| Sign { character, sure: sure(k), from: place(k), to: place(k) }).collect()
    }

    fn evenly(count: usize) -> Vec<Piece> {
        (0..count).map(|k| Piece { from: (k as f32 + 0.1) / 10.0, to: (k as f32 + 0.9) / 10.0 }).collect()
    }

    #[test]
    fn each_part_of_a_mixed_line_comes_from_its_reader() {
        let korean = signs("서울3322축제", |k| if (2..6).contains(&k) { 0.7 } else { 0.98 });
        let other = signs("N号JazzIE", |k| if (2..6).contains(&k) { 0.99 } else { 0.5 });
        let (text, sure) = joined_pieces(&evenly(8), [&korean, &other], 10.0);
        assert_eq!(text, "서울Jazz축제");
        assert!((sure - 0.985).abs() < 1e-3);
    }

    #[test]
    fn of_digits_and_signs_the_surer_reading_is_taken() {
        let korean = signs("9.9원", |k| [0.99, 0.7, 0.99, 0.99][k]);
        let other = signs("9,97", |k| [0.99, 0.9, 0.99, 0.5][k]);
        assert_eq!(joined_pieces(&evenly(4), [&korean, &other], 10.0).0, "9,9원");
    }

    #[test]
    fn a_reader_that_leaves_something_out_is_not_believed_there() {
        let korean = signs("무료00", |k| if k < 2 { 0.9 } else { 0.6 });
        let place = |k: usize| (k as f32 + 0.5) / 10.0;
        let other = ['G', 'o'].iter().enumerate();
        let other: Vec<Sign> =
            other.map(|(k, &character)| Sign { character, sure: 0.99, from: place(k + 2), to: place(k + 2) }).collect();
        assert_eq!(joined_pieces(&evenly(4), [&korean, &other], 10.0).0, "무료Go");
    }

    #[test]
    fn a_narrow_doubt_does_not_change_the_reader() {
        let korean = signs("한국", |k| [0.98, 0.85][k]);
        let other = signs("王王", |k| [0.5, 0.89][k]);
        assert_eq!(joined_pieces(&evenly(2), [&korean, &other], 10.0).0, "한국");
    }

    #[test]
    fn spaces_come_from_the_reader_or_from_wide_gaps() {
        let mut korean = signs("가나다", |_| 1.0);
        let pieces = [Piece { from: 0.0, to: 0.09 }, Piece { from: 0.11, to: 0.19 }, Piece { from: 0.26, to: 0.3 }];
        assert_eq!(joined_pieces(&pieces, [&korean, &[]], 4.0).0, "가나다", "a gap of 0.28 of the height");
        assert_eq!(joined_pieces(&pieces, [&[], &signs("abc", |_| 1.0)], 4.0).0, "ab c", "narrower letters");
        assert_eq!(joined_pieces(&pieces, [&korean, &[]], 6.0).0, "가나 다");
        korean.push(Sign { character: ' ', sure: 1.0, from: 0.1, to: 0.1 });
        assert_eq!(joined_pieces(&pieces, [&korean, &[]], 4.0).0, "가 나다");
        assert_eq!(joined_pieces(&[], [&korean, &[]], 4.0), (String::new(), 0.0));
        let spaced = signs("RIDGE", |_| 1.0);
        let pieces: Vec<Piece> = evenly(5);
        assert_eq!(joined_pieces(&pieces, [&[], &spaced], 20.0).0, "RIDGE", "gaps of 0.4 everywhere");
    }

    /// Signs one after the other, each of a width of 0.8 of the height, with these gaps in between.
    fn with_gaps(text: &str, gaps: &[f32]) -> String {
        let count = text.chars().count();
        let width = 0.8 * count as f32 + gaps.iter().sum::<f32>();
        let (mut pieces, mut signs, mut from) = (Vec::new(), Vec::new(), 0.0);
        for (k, character) in text.chars().enumerate() {
            pieces.push(Piece { from: from / width, to: (from + 0.8) / width });
            let at = (from + 0.4) / width;
            signs.push(Sign { character, sure: 1.0, from: at, to: at });
            from += 0.8 + gaps.get(k).copied().unwrap_or(0.0);
        }
        joined_pieces(&pieces, [&signs, &[]], width).0
    }

    #[test]
    fn gaps_between_syllables_are_compared_with_the_lines_own() {
        assert_eq!(with_gaps("커피한잔주세요", &[0.05, 0.27, 0.3, 0.28, 0.06, 0.04]), "커피 한 잔 주세요");
        assert_eq!(with_gaps("커피한잔주세요", &[0.2, 0.27, 0.3, 0.28, 0.21, 0.2]), "커피한잔주세요", "wide letters");
        assert_eq!(with_gaps("커피한잔주세요", &[0.2, 0.5, 0.5, 0.5, 0.21, 0.2]), "커피 한 잔 주세요", "wide spaces");
        assert_eq!(with_gaps("비밥", &[0.3]), "비밥", "one gap says little");
        assert_eq!(with_gaps("오후2시반", &[0.05, 0.28, 0.06, 0.29]), "오후 2시 반");
    }

    #[test]
    fn a_one_has_room_around_it() {
        assert_eq!(
            with_gaps("02-555-01420", &[0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.36, 0.38, 0.1, 0.1]),
            "02-555-01420"
        );
        assert_eq!(with_gaps("20260415", &[0.1, 0.1, 0.1, 0.5, 0.1, 0.5, 0.38]), "2026 04 15");
    }

    #[test]
    fn columns_of_ink_are_pieces() {
        let letters = Plane::from_fn(200, 96, |x, y| match x {
            0..40 if y > 50 => [0; 3],
            60..62 | 120..200 => [0; 3],
            _ => [255; 3],
        });
        let expected = [(0.0, 0.2), (0.3, 0.31), (0.6, 1.0)].map(|(from, to)| Piece { from, to });
        assert_eq!(pieces(&letters).len(), 3);
        for (found, expected) in pieces(&letters).iter().zip(expected) {
            assert!((found.from - expected.from).abs() < 0.02 && (found.to - expected.to).abs() < 0.02, "{found:?}");
        }
    }
}
