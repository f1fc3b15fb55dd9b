//! Spaces between words, which readers lose and invent, put where the ink has gaps.

use image::GrayImage;
use typeset::{Colour, Fill, Fonts, Match, Paint, Text, line_boxes, line_text};
use unicode_script::{Script, UnicodeScript};

/// Gaps that may be spaces, in heights of the ink: wide ones only, and narrow ones too.
const GAPS: [f32; 3] = [0.32, 0.24, 0.17];
/// Letters beyond which nobody sets one line.
const MOST: usize = 120;

/// The words with their spaces where the mask has gaps of some width, if that differs; several guesses. `found` says
/// how wide the letters are.
pub(crate) fn respaced(mask: &GrayImage, words: &str, found: &Match, fonts: &Fonts) -> Vec<String> {
    let letters: Vec<char> = words.chars().filter(|letter| !letter.is_whitespace()).collect();
    // The first letter has to be the leftmost.
    let leftward = |letter: &char| matches!(letter.script(), Script::Hebrew | Script::Arabic);
    if !(2..=MOST).contains(&letters.len()) || letters.iter().any(leftward) {
        return Vec::new();
    }
    let Some(ends) = ends(&letters, found, fonts) else { return Vec::new() };
    let runs = runs(mask);
    let height = height(mask);
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return Vec::new() };
    let mut guesses: Vec<String> = Vec::new();
    for least in GAPS.map(|share| share * height) {
        let gaps = || runs.windows(2).map(|pair| (pair[0].1, pair[1].0)).filter(|(from, to)| to - from > least);
        let spaces: f32 = gaps().map(|(from, to)| to - from).sum();
        let inked = last.1 - first.0 - spaces;
        let mut before = 0.0;
        let mut after: Vec<usize> = Vec::new();
        for (from, to) in gaps() {
            let share = (from - first.0 - before) / inked.max(1.0);
            before += to - from;
            let apart = |index: &usize| (ends[*index] - share).abs();
            after.extend((0..letters.len() - 1).min_by(|a, b| apart(a).total_cmp(&apart(b))));
        }
        let mut guess = String::new();
        for (index, letter) in letters.iter().enumerate() {
            guess.push(*letter);
            if after.contains(&index) {
                guess.push(' ');
            }
        }
        if guess != words.trim() && !guesses.contains(&guess) {
            guesses.push(guess);
        }
    }
    guesses
}

/// Where each letter ends where all are set without spaces, as a share of the whole.
fn ends(letters: &[char], found: &Match, fonts: &Fonts) -> Option<Vec<f32>> {
    let paint = Paint { fill: Fill::Colour(Colour::rgb(0, 0, 0)), outline: None, shadow: None };
    let mut text = line_text("x", &Match { letter_spacing: 0.0, ..*found }, &paint, fonts)?;
    let width = |text: &mut Text, words: String| {
        text.lines.first_mut()?.runs.first_mut()?.text = words;
        Some(line_boxes(text, fonts).ok()?.first()?.width)
    };
    let all = width(&mut text, letters.iter().collect())?.max(1e-3);
    (1..=letters.len()).map(|count| Some(width(&mut text, letters[..count].iter().collect())? / all)).collect()
}

/// Columns with ink: from, to.
fn runs(mask: &GrayImage) -> Vec<(f32, f32)> {
    let inked = |x: u32| (0..mask.height()).any(|y| mask.get_pixel(x, y).0[0] > 60);
    let mut runs: Vec<(f32, f32)> = Vec::new();
    for x in (0..mask.width()).filter(|x| inked(*x)).map(|x| x as f32) {
        match runs.last_mut() {
            Some((_, to)) if *to == x => *to = x + 1.0,
            _ => runs.push((x, x + 1.0)),
        }
    }
    runs
}

fn height(mask: &GrayImage) -> f32 {
    let rows = mask.rows().enumerate().filter(|(_, row)| row.clone().any(|value| value.0[0] > 60)).map(|(y, _)| y);
    let (low, high) = rows.fold((usize::MAX, 0), |(low, high), y| (low.min(y), high.max(y + 1)));
    high.saturating_sub(low).max(1) as f32
}

#[cfg(test)]
mod tests {
    use typeset::{Bounds, Options, Position, Sources, Style, identify, render};

    use super::*;

    #[test]
    fn lost_and_invented_spaces_are_put_right() {
        let fonts = Fonts::load(&Sources::default());
        for (words, read) in [("전 품목 최대 70% 할인", "전품목최대70%할인"), ("Call 02-555-0192", "Ca ll 02-555-0192")]
        {
            let style = Style::new("Noto Sans KR", 30.0, Colour::rgb(0, 0, 0));
            let run = typeset::Run { text: words.to_owned(), style };
            let text = Text {
                lines: vec![typeset::Line { runs: vec![run] }],
                align: typeset::Align::Left,
                angle: 0.0,
                position: Position { x: 10.0, y: 40.0 },
            };
            let drawn = render(&text, &fonts, Bounds { x: 0, y: 0, width: 500, height: 60 }).expect("drawn").picture;
            let mask =
                GrayImage::from_fn(drawn.width(), drawn.height(), |x, y| image::Luma([drawn.get_pixel(x, y).0[3]]));
            let found = identify(&mask, read, &fonts, &Options::default()).expect("some face")[0];
            let guesses = respaced(&mask, read, &found, &fonts);
            assert!(guesses.iter().any(|guess| guess == words), "{guesses:?}");
        }
    }
}
