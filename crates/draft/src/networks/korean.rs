//! Tesseract's network for Korean, which reads dark letters on a clean light ground, not pictures. It writes Hangul
//! letter by letter (lead, vowel, tail), so that it can write all syllables.

use std::sync::LazyLock;

use ::networks::{Network, NetworkError};

use super::beam::{Code, best_runs, syllable};
use super::pairs;
use super::reading::{LINE_HEIGHT, Run, Sign};
use crate::filter::resize_rgb;
use crate::monitor::Monitor;
use crate::plane::Rgb8;

static KOREAN: Network = Network::new(include_bytes!("../../models/korean.onnx"));

/// What the network's classes stand for: signs and conjoining jamo; the last is "nothing".
static CODES: LazyLock<Vec<Code>> = LazyLock::new(|| {
    include_str!("../../models/korean-codes.txt").lines().map(|line| code(line.chars().next())).collect()
});

/// Letters are stretched by this: read so, lines in nine typefaces had a third fewer errors, narrow ones half.
const STRETCHED: f32 = 1.15;
/// Width of the input, at least and at most; a longer line is squeezed.
const WIDTHS: (f32, f32) = (12.0, 2400.0);
/// Pixels of the input for one step of the output.
const STRIDE: usize = 3;

/// First and last conjoining letters of each kind; the first tail stands for "no tail".
const LEADS: (char, char) = ('\u{1100}', '\u{1112}');
const VOWELS: (char, char) = ('\u{1161}', '\u{1175}');
const TAILS: (char, char) = ('\u{11A7}', '\u{11C2}');

fn code(letter: Option<char>) -> Code {
    let place = |kind: (char, char)| {
        let letter = letter.filter(|letter| (kind.0..=kind.1).contains(letter))?;
        Some(u32::from(letter) - u32::from(kind.0))
    };
    match (place(LEADS), place(VOWELS), place(TAILS)) {
        (Some(lead), ..) => Code::Lead(lead),
        (_, Some(vowel), _) => Code::Vowel(vowel),
        (.., Some(tail)) => Code::Tail(tail),
        _ => Code::Sign(letter.map(narrow)),
    }
}

pub(super) fn prepare() {
    KOREAN.prepare();
    pairs::prepare();
}

/// Reads a line of dark letters on white from left to right.
///
/// # Errors
/// When the caller stopped, or the network cannot be run.
pub(crate) fn read_korean(line: &Rgb8, monitor: &Monitor) -> Result<Vec<Sign>, NetworkError> {
    let natural = STRETCHED * LINE_HEIGHT as f32 * line.width as f32 / line.height as f32;
    let width = natural.clamp(WIDTHS.0, WIDTHS.1).round() as usize;
    let small = resize_rgb(line, width, LINE_HEIGHT);
    let input = small.data.iter().map(|pixel| f32::from(pixel[1]) / 127.5 - 1.0).collect();
    let (shape, data) = KOREAN.run(&[1, 1, LINE_HEIGHT, width], input, &|| monitor.check().is_err())?;
    if shape[2] != CODES.len() {
        return Err(NetworkError::Failed("the Korean network has other classes".to_owned()));
    }
    Ok(composed(&best_runs(&data, &CODES, CODES.len() - 1), width))
}

/// Signs as they are, and syllables from their letters; letters that make no syllable are left out.
fn composed(runs: &[Run], width: usize) -> Vec<Sign> {
    let across = |step: usize| ((step * STRIDE + STRIDE / 2) as f32 / width as f32).min(1.0);
    let mut signs = Vec::new();
    let mut rest = runs;
    while let Some(first) = rest.first() {
        let code = |k: usize| CODES.get(rest.get(k)?.class).copied();
        let (character, used) = match (code(0), code(1), code(2)) {
            (Some(Code::Lead(lead)), Some(Code::Vowel(vowel)), Some(Code::Tail(tail))) => {
                (syllable(lead, vowel, tail), 3)
            }
            (Some(Code::Lead(lead)), Some(Code::Vowel(vowel)), _) => (syllable(lead, vowel, 0), 2),
            (Some(Code::Sign(sign)), ..) => (sign, 1),
            _ => (None, 1),
        };
        if let Some(character) = character {
            let sure = rest[..used].iter().map(|run| run.sure).fold(1.0, f32::min);
            signs.push(Sign { character, sure, from: across(first.from), to: across(rest[used - 1].to) });
        }
        rest = &rest[used..];
    }
    signs
}

/// Some signs are known to the network as wide ones only.
fn narrow(sign: char) -> char {
    match sign {
        'Ｌ' => 'L',
        'ｌ' => 'l',
        '＊' => '*',
        '：' => ':',
        '，' | '、' => ',',
        '。' => '.',
        '｜' => '|',
        'ㆍ' => '·',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(character: char) -> usize {
        CODES.iter().position(|&known| known == code(Some(character))).expect("the network knows it")
    }

    fn read(letters: &str) -> String {
        let letters: Vec<char> = letters.chars().collect();
        let runs: Vec<Run> = letters
            .iter()
            .enumerate()
            .map(|(k, &letter)| Run { class: class(letter), sure: 0.5, from: 2 * k, to: 2 * k })
            .collect();
        composed(&runs, 600).iter().map(|sign| sign.character).collect()
    }

    #[test]
    fn there_is_a_code_for_each_class() {
        assert_eq!(CODES.len(), 144);
        assert_eq!((CODES[0], CODES[143]), (Code::Sign(Some(' ')), Code::Sign(None)));
    }

    #[test]
    fn letters_become_syllables() {
        // With a tail, with "no tail", with the tail missing; a digit and a sign between them.
        assert_eq!(read("\u{1112}\u{1161}\u{11AB}7\u{1109}\u{1175}\u{11A7}\u{1100}\u{1161}%"), "한7시가%");
        // Letters alone say nothing.
        assert_eq!(read("\u{1112}\u{11AB}7\u{1161}"), "7");
    }

    #[test]
    fn a_syllable_is_as_sure_as_its_least_sure_letter() {
        let run = |letter, sure, step| Run { class: class(letter), sure, from: step, to: step };
        let signs = composed(&[run('\u{1112}', 0.9, 3), run('\u{1161}', 0.4, 5), run('\u{11AB}', 0.8, 7)], 100);
        assert_eq!(signs, [Sign { character: '한', sure: 0.4, from: 0.1, to: 0.22 }]);
    }
}
