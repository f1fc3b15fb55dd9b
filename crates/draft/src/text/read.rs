//! What lifted letters say. Korean is read from the letters alone, black on white, and Latin and Chinese most surely so
//! too. Each piece of a line is taken from the reader that is surer there, so that mixed lines are read whole.

use crate::colour::distance_squared;
use crate::filter::resize_rgb;
use crate::monitor::Monitor;
use crate::networks::{NetworkError, Sign, read_korean, read_signs};
use crate::plane::{Mask, Plane, Rect, Rgb8};
use crate::text::detect::side_by_side;
use crate::text::glyphs::Letters;
use crate::text::outline::Oriented;
use crate::text::pieces::{is_hangul, joined_pieces, pieces};
use crate::text::writing::looks_written;

/// White around the letters, as a share of their height, as the readers like it. More of it makes the letters smaller in
/// the network's input; measured on lines in nine typefaces.
const KOREAN_MARGIN: f32 = 0.3;
const OTHER_MARGIN: f32 = 0.1;
/// Letters are brought to this height before they are read, at most.
const WORKING_HEIGHT: usize = 96;
/// Cosine of the angle from which a line is turned before it is read: four degrees.
const LEVEL: f32 = 0.9976;
/// How much higher than wide a line is that runs from top to bottom.
const UPRIGHT: f32 = 1.5;

/// Certainty from which Korean counts as read; a single syllable has to be surer.
const KOREAN: f32 = 0.8;
const SYLLABLE: f32 = 0.93;
/// Certainty from which a reading in other scripts does.
const OTHER: f32 = 0.9;
/// Shapes that both readers find less like writing than this are none.
const NO_WRITING: f32 = 0.4;
/// Share of shapes in a salient figure from which they belong to it where nobody can read them.
const MOST_IN_FIGURE: f32 = 0.5;
/// Oklab distance up to which two lines have one colour.
const SAME_COLOUR: f32 = 0.08;
/// Confidence of the recogniser that is believed beside lines that nobody can read.
const SURELY_READ: f32 = 0.9;

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    pub text: String,
    /// How sure the readers are, 0 to 1.
    pub sure: f32,
    pub script: Script,
}

/// What a line is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    /// With at least one syllable of Hangul.
    Korean,
    Other,
}

/// Reads letters; `along` is the direction in which the line runs (right, down).
///
/// # Errors
/// When the caller stopped, or a network cannot be run.
pub(crate) fn read_letters(mask: &Mask, along: [f32; 2], monitor: &Monitor) -> Result<Reading, NetworkError> {
    let nothing = Reading { text: String::new(), sure: 0.0, script: Script::Other };
    let Some(letters) = levelled(mask, along) else { return Ok(nothing) };
    let korean = read_within(&letters, KOREAN_MARGIN, |line| read_korean(line, monitor))?;
    let other = read_within(&letters, OTHER_MARGIN, |line| read_signs(line, monitor))?;
    let (text, sure) =
        joined_pieces(&pieces(&letters), [&korean, &other], letters.width as f32 / letters.height as f32);
    let script = if text.chars().any(is_hangul) { Script::Korean } else { Script::Other };
    Ok(Reading { text, sure, script })
}

/// Black letters on white in their tight box, running from left to right, at most [`WORKING_HEIGHT`] high. `None` if
/// there are no letters.
fn levelled(mask: &Mask, along: [f32; 2]) -> Option<Rgb8> {
    let bounds = mask.bounds()?;
    let paper = |mask: &Mask| mask.map(|letter| if letter { [0; 3] } else { [255; 3] });
    let long = bounds.width().max(bounds.height()) as f32 > UPRIGHT * bounds.width().min(bounds.height()) as f32;
    let tight = if along[0] < LEVEL && long {
        let (rows, columns) = (mask.height as f32, mask.width as f32);
        let whole = Oriented { centre: [columns / 2.0, rows / 2.0], u: along, width: columns, height: rows };
        // Beyond the edges the outermost pixels are repeated: they must be white.
        let (width, height) = (mask.width + 2, mask.height + 2);
        let mut padded = Plane::new(width, height, false);
        padded.paste(Rect { x0: 1, y0: 1, x1: width - 1, y1: height - 1 }, mask, mask);
        let turned = whole.grown(rows.max(columns) / 2.0).cut_out(&paper(&padded), f32::INFINITY);
        let dark = turned.map(|pixel| pixel[0] < 128);
        turned.crop(dark.bounds()?)
    } else {
        paper(&in_a_row(&mask.crop(bounds)))
    };
    let height = tight.height.min(WORKING_HEIGHT);
    let width = (tight.width as f32 * height as f32 / tight.height as f32).round().max(1.0) as usize;
    Some(resize_rgb(&tight, width, height))
}

/// A line that runs from top to bottom, cut between its characters, which are put side by side; any other as it is.
fn in_a_row(mask: &Mask) -> Mask {
    if mask.height as f32 <= UPRIGHT * mask.width as f32 {
        return mask.clone();
    }
    let mut cells: Vec<(usize, usize)> = Vec::new();
    let mut below = false;
    for y in 0..mask.height {
        let ink = mask.row(y).iter().any(|&letter| letter);
        if ink {
            match cells.last_mut() {
                Some((_, end)) if below => *end = y + 1,
                // Parts of one character: what they reach together is about as high as wide.
                Some((start, end)) if (y + 1 - *start) * 4 <= mask.width * 3 => *end = y + 1,
                _ => cells.push((y, y + 1)),
            }
        }
        below = ink;
    }
    let highest = cells.iter().map(|(start, end)| end - start).max().unwrap_or(0);
    if cells.len() < 2 || highest * 2 > mask.width * 3 {
        return mask.clone();
    }
    let gap = mask.width / 8 + 1;
    let mut row = Plane::new(cells.len() * (mask.width + gap) - gap, highest, false);
    for (k, &(start, end)) in cells.iter().enumerate() {
        let x0 = k * (mask.width + gap);
        let top = (highest - (end - start)) / 2;
        let cell = mask.crop(Rect { x0: 0, y0: start, x1: mask.width, y1: end });
        row.paste(Rect { x0, y0: top, x1: x0 + mask.width, y1: top + end - start }, &cell, &cell);
    }
    row
}

/// Reads letters with a white margin of a share of their height; places are shares of the letters' width.
fn read_within(
    letters: &Rgb8,
    margin: f32,
    read: impl Fn(&Rgb8) -> Result<Vec<Sign>, NetworkError>,
) -> Result<Vec<Sign>, NetworkError> {
    let pad = ((margin * letters.height as f32).round() as usize).max(2);
    let (width, height) = (letters.width + 2 * pad, letters.height + 2 * pad);
    let mut line = Plane::new(width, height, [255; 3]);
    line.put(Rect { x0: pad, y0: pad, x1: width - pad, y1: height - pad }, letters);
    let place = |share: f32| (share * width as f32 - pad as f32) / letters.width as f32;
    Ok(read(&line)?.into_iter().map(|sign| Sign { from: place(sign.from), to: place(sign.to), ..sign }).collect())
}

/// Reads lines and leaves out what is no text: shapes in which nobody finds writing.
///
/// # Errors
/// When the caller stopped, or a network cannot be run.
pub(crate) fn read_all(found: Vec<Letters>, monitor: &Monitor) -> Result<Vec<Letters>, NetworkError> {
    let readings = side_by_side(&found, |line| {
        if is_plain(line) { Ok(None) } else { read_letters(&line.mask, line.along, monitor).map(Some) }
    })?;
    let pairs = found.into_iter().zip(readings);
    let (mut lines, mut doubtful) = (Vec::new(), Vec::new());
    for (line, reading) in pairs {
        let spare = (line.marked && line.in_figure < MOST_IN_FIGURE).then(|| line.clone());
        match believed(line, reading) {
            Some(line) => lines.push(line),
            None => doubtful.extend(spare),
        }
    }
    doubtful.retain(|line| lines.iter().any(|known| like(line, known)));
    lines.extend(doubtful);
    // Birds, seeds and disks look like single characters: one is believed only beside real lines.
    if lines.iter().all(|line| line.certain && line.text.chars().count() <= 1) {
        lines.clear();
    }
    // Beside a script that nobody can read, what seems to be read is often a guess.
    if lines.iter().any(|line| !line.certain) {
        lines.iter_mut().filter(|line| line.sure < SURELY_READ).for_each(|line| line.text.clear());
    }
    Ok(lines)
}

/// Whether a line that nobody can read looks like one that is text: it has its colour, and about its size.
fn like(line: &Letters, known: &Letters) -> bool {
    let sized = (0.45..2.2).contains(&(line.size / known.size.max(1.0)));
    sized && distance_squared(line.colour, known.colour) < SAME_COLOUR * SAME_COLOUR
}

/// Whether the picture was read so surely in Latin that the letters would say nothing else.
fn is_plain(line: &Letters) -> bool {
    let letters = line.text.chars().filter(char::is_ascii_alphabetic).count();
    line.certain && line.sure > 0.98 && line.text.is_ascii() && letters >= 3
}

/// A line with what it says; `None` if it is no text.
fn believed(line: Letters, reading: Option<Reading>) -> Option<Letters> {
    let Some(reading) = reading else { return Some(line) };
    // Uprights and bars alone are read as single vowels.
    let length = reading.text.chars().filter(|c| !('\u{3131}'..='\u{318e}').contains(c)).count();
    let needed = match reading.script {
        Script::Korean if length > 1 => KOREAN,
        Script::Korean => SYLLABLE,
        Script::Other => OTHER,
    };
    // The picture has letters that were not lifted, so that it is believed first where both say the same script.
    let better = !line.certain || reading.sure > line.sure || (reading.script == Script::Korean && line.sure < OTHER);
    if length > 0 && reading.sure >= needed && better {
        return Some(Letters { text: reading.text, sure: reading.sure, certain: true, ..line });
    }
    if line.certain {
        return Some(line);
    }
    (line.marked && reading.sure >= NO_WRITING && looks_written(&line.mask)).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four upright bars in a row, the first half as high as the others, running downhill at `angle`.
    fn bars(angle: f32) -> Mask {
        let (sine, cosine) = (libm::sinf(angle), libm::cosf(angle));
        Plane::from_fn(300, 240, |x, y| {
            let (dx, dy) = (x as f32 - 150.0, y as f32 - 120.0);
            let (a, b) = (dx * cosine + dy * sine + 100.0, dy * cosine - dx * sine + 20.0);
            let within = (0.0..200.0).contains(&a) && (0.0..40.0).contains(&b);
            within && a % 50.0 < 20.0 && (a > 50.0 || b > 20.0)
        })
    }

    #[test]
    fn letters_are_turned_level() {
        let level = levelled(&bars(0.0), [1.0, 0.0]).expect("letters");
        let turned = levelled(&bars(0.4), [libm::cosf(0.4), libm::sinf(0.4)]).expect("letters");
        assert!(level.height == 40 && level.width.abs_diff(170) < 3, "{} x {}", level.width, level.height);
        assert!(
            turned.height.abs_diff(40) < 4 && turned.width.abs_diff(170) < 5,
            "{} x {}",
            turned.width,
            turned.height
        );
        let dark = |picture: &Rgb8| picture.data.iter().filter(|pixel| pixel[0] < 128).count();
        assert!(dark(&turned).abs_diff(dark(&level)) * 20 < dark(&level));
        // The first bar is the low one.
        assert!(turned.at(8, 6)[0] > 200 && turned.at(8, 32)[0] < 60 && turned.at(60, 6)[0] < 60);
        assert!(levelled(&Plane::new(40, 40, false), [1.0, 0.0]).is_none());
    }

    #[test]
    fn a_line_from_top_to_bottom_is_put_in_a_row() {
        // Three characters of two strokes each, the last a little lower.
        let upright = Plane::from_fn(40, 160, |x, y| {
            let (character, y) = (y / 50, y % 50);
            character < 3 && x < 38 && ((2..8).contains(&y) || (character + 20..character + 30).contains(&y))
        });
        let row = in_a_row(&upright);
        assert!(row.width > 3 * 40 && row.height < 40, "{} x {}", row.width, row.height);
        assert_eq!(row.count(), upright.count());
        let bar = Plane::from_fn(10, 80, |_, y| !(60..=70).contains(&y));
        assert_eq!(in_a_row(&bar), bar, "an exclamation mark is one character");
    }

    #[test]
    fn what_is_read_surely_is_text_and_what_is_no_writing_is_not() {
        let line = |text: &str, sure: f32, marked| Letters {
            rect: Rect { x0: 0, y0: 0, x1: 300, y1: 240 },
            mask: bars(0.0),
            text: text.to_owned(),
            size: 40.0,
            certain: !text.is_empty(),
            sure,
            marked,
            along: [1.0, 0.0],
            colour: [0.5; 3],
            smooth: true,
            in_figure: 0.0,
            number: 0,
        };
        let reading = |text: &str, sure, script| Some(Reading { text: text.to_owned(), sure, script });
        let said = |line, reading| believed(line, reading).map(|line: Letters| (line.text, line.certain));
        let korean = |sure| reading("밤하늘", sure, Script::Korean);
        assert_eq!(said(line("", 0.5, false), korean(0.85)), Some(("밤하늘".to_owned(), true)));
        assert_eq!(said(line("", 0.5, false), korean(0.7)), None);
        assert_eq!(said(line("", 0.5, false), reading("이", 0.85, Script::Korean)), None, "any upright is a syllable");
        assert_eq!(said(line("計言叟", 0.7, true), korean(0.85)), Some(("밤하늘".to_owned(), true)));
        assert_eq!(said(line("Jazz", 0.95, true), korean(0.85)), Some(("Jazz".to_owned(), true)));
        assert_eq!(
            said(line("Jozz", 0.91, true), reading("Jazz", 0.97, Script::Other)),
            Some(("Jazz".to_owned(), true))
        );
        assert_eq!(said(line("", 0.2, true), reading("T", 0.3, Script::Other)), None, "nobody finds writing");
        assert_eq!(said(line("Jazz", 0.99, true), None), Some(("Jazz".to_owned(), true)));
    }
}
