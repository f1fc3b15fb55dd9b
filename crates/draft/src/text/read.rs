//! What lifted letters say. Korean is read from the letters alone, black on white, and Latin and Chinese most surely so
//! too. Each piece of a line is taken from the reader that is surer there, so that mixed lines are read whole.

use crate::colour::distance_squared;
use crate::monitor::Monitor;
use crate::networks::{NetworkError, Sign, joined, read_korean, read_signs};
use crate::plane::{Mask, Plane, Rect, Rgb8};
use crate::text::detect::side_by_side;
use crate::text::glyphs::Letters;
use crate::text::paper::{COLOUR_REACH, NARROW_REACH, in_one_row, in_own_colour, levelled};
use crate::text::pieces::{is_hangul, joined_pieces, pieces};
use crate::text::rows::{apart, short_rows};
use crate::text::soft::softened;
use crate::text::writing::looks_written;

/// White around the letters, as a share of their height, as the readers like it. More of it makes the letters smaller in
/// the network's input; measured on lines in nine typefaces.
const KOREAN_MARGIN: f32 = 0.3;
const OTHER_MARGIN: f32 = 0.1;

/// Certainty from which Korean counts as read; a single syllable has to be surer, what the detector takes for a line of
/// several need not.
const KOREAN: f32 = 0.8;
const KOREAN_LINE: f32 = 0.7;
const SYLLABLE: f32 = 0.93;
/// Certainty from which a reading in other scripts does.
const OTHER: f32 = 0.9;
/// Certainty from which an ideograph is none of Hangul's syllables.
const IDEOGRAPH: f32 = 0.99;
/// Certainty from which a second look is not worth its time.
const NO_DOUBT: f32 = 0.97;
/// How much less sure a longer reading may be.
const LENGTH_PAYS: f32 = 0.05;
/// Shapes that both readers find less like writing than this are none.
const NO_WRITING: f32 = 0.4;
/// Share of shapes in a salient figure from which they belong to it where nobody can read them.
const MOST_IN_FIGURE: f32 = 0.5;
/// Signs up to which a reading may be of drawn things.
const FEW_SIGNS: usize = 2;
/// How far a single character may be from a line that it could stand in, in heights of the smaller.
const BESIDE: f32 = 0.8;
/// How far its middle is above or below that of words in the same row, in the same heights.
const IN_ROW: f32 = 0.2;
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

/// Reads dark letters on white in their tight box; without any, nothing.
fn read_paper(letters: Option<Rgb8>, monitor: &Monitor) -> Result<Reading, NetworkError> {
    let Some(letters) = letters else {
        return Ok(Reading { text: String::new(), sure: 0.0, script: Script::Other });
    };
    let other = read_within(&letters, OTHER_MARGIN, |line| read_signs(line, monitor))?;
    let korean = if is_no_hangul(&other) {
        Vec::new()
    } else {
        read_within(&letters, KOREAN_MARGIN, |line| read_korean(line, monitor))?
    };
    let proportion = letters.width as f32 / letters.height as f32;
    let (text, sure) = joined_pieces(&pieces(&letters), [&korean, &other], proportion);
    let script = if text.chars().any(is_hangul) { Script::Korean } else { Script::Other };
    let text = if script == Script::Korean { text.trim_matches(is_crumb).to_owned() } else { text };
    Ok(Reading { text, sure, script })
}

/// Whether the reader that knows no Hangul is so sure of words that there is none: of Hangul it is never as sure, but
/// for the digits beside it.
fn is_no_hangul(signs: &[Sign]) -> bool {
    let words = signs.iter().filter(|sign| sign.character.is_alphabetic());
    // It sees ideographs in Hangul.
    let needed = |sign: &Sign| if is_ideograph(sign.character) { IDEOGRAPH } else { OTHER };
    words.clone().count() >= 3 && words.clone().all(|sign| sign.sure > needed(sign)) && joined(signs).1 >= NO_DOUBT
}

/// Signs that specks beside a line are read as.
fn is_crumb(character: char) -> bool {
    matches!(character, ' ' | '\'' | '"' | '`' | ';' | ',' | '^' | '_' | '|' | '·')
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
pub(crate) fn read_all(picture: &Rgb8, found: Vec<Letters>, monitor: &Monitor) -> Result<Vec<Letters>, NetworkError> {
    let found = apart(found);
    let pairs = side_by_side(&found, |line| read_rows(picture, line, monitor))?.into_iter().flatten();
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
    // A single character is believed where it could stand in another line, which icons rarely could.
    let single: Vec<bool> = (0..lines.len())
        .map(|k| {
            let alone = lines[k].text.chars().count() == 1;
            alone && !lines.iter().enumerate().any(|(j, known)| j != k && goes_with(&lines[k], known))
        })
        .collect();
    let mut single = single.into_iter();
    lines.retain(|_| single.next() != Some(true));
    // Birds, seeds and disks look like single characters: one is believed only beside real lines.
    if lines.iter().all(|line| line.certain && line.text.chars().count() <= 1) {
        lines.clear();
    }
    // Beside a script that nobody can read, what seems to be read is often a guess; so is Chinese beside Korean.
    let unread = lines.iter().any(|line| !line.certain);
    let korean = lines.iter().any(|line| line.text.chars().any(is_hangul));
    for line in lines.iter_mut().filter(|line| line.sure < SURELY_READ) {
        let hangul = line.text.chars().any(is_hangul);
        if (unread && !hangul) || (korean && line.text.chars().any(is_ideograph)) {
            line.text.clear();
        }
    }
    Ok(lines)
}

/// What a line says; where that cannot be read, its rows with what they say, if all of them can.
fn read_rows(
    picture: &Rgb8,
    line: &Letters,
    monitor: &Monitor,
) -> Result<Vec<(Letters, Option<Reading>)>, NetworkError> {
    if is_plain(line) {
        return Ok(vec![(line.clone(), None)]);
    }
    let whole = read_twice(picture, line, monitor)?;
    let rows = if line.certain || whole.sure >= KOREAN { None } else { short_rows(line) };
    if let Some(rows) = rows {
        let read = rows.iter().map(|row| read_twice(picture, row, monitor)).collect::<Result<Vec<_>, _>>()?;
        let is_read = |reading: &Reading| {
            reading.sure >= if reading.script == Script::Korean { KOREAN_LINE } else { OTHER } && is_word(&reading.text)
        };
        let signs = read.iter().map(|reading| reading.text.chars().filter(|sign| sign.is_alphanumeric()).count());
        if read.iter().all(is_read) && signs.sum::<usize>() > FEW_SIGNS {
            return Ok(rows.into_iter().zip(read.into_iter().map(Some)).collect());
        }
    }
    Ok(vec![(line.clone(), Some(whole))])
}

/// Whether a line that nobody can read looks like one that is text: it has its colour, and about its size.
pub(super) fn like(line: &Letters, known: &Letters) -> bool {
    let sized = (0.45..2.2).contains(&(line.size / known.size.max(1.0)));
    sized && distance_squared(line.colour, known.colour) < SAME_COLOUR * SAME_COLOUR
}

/// Whether a single character could stand in or beside another line: it is like it, and near it or in one row with
/// its words.
fn goes_with(single: &Letters, known: &Letters) -> bool {
    let ends = |line: &Letters| {
        let tight = line.tight();
        [[tight.x0, tight.x1], [tight.y0, tight.y1]]
    };
    let (a, b) = (ends(single), ends(known));
    let gap = |k: usize| a[k][0].max(b[k][0]).saturating_sub(a[k][1].min(b[k][1])) as f32;
    let size = single.size.min(known.size);
    let off = (a[1][0] + a[1][1]).abs_diff(b[1][0] + b[1][1]) as f32 / 2.0;
    let in_row = off < IN_ROW * size && known.text.chars().count() > 1;
    like(single, known) && (in_row || gap(0).max(gap(1)) < BESIDE * size)
}

pub(super) fn is_ideograph(character: char) -> bool {
    ('\u{3400}'..='\u{9FFF}').contains(&character)
}

/// Reads the letters; where they are not read surely, without their soft edges, which texture spoils, and then what has
/// their colour.
pub(super) fn read_twice(picture: &Rgb8, line: &Letters, monitor: &Monitor) -> Result<Reading, NetworkError> {
    let length = |text: &str| text.chars().count();
    let mut best = read_paper(levelled(&softened(picture, line), line.along), monitor)?;
    if line.certain && line.sure >= NO_DOUBT && line.text.is_ascii() {
        return Ok(best);
    }
    let own = |lifted: bool, reach: f32| in_own_colour(picture, line, lifted, reach);
    let in_row = |lifted: bool, reach: f32| own(lifted, reach).map(|paper| in_one_row(&paper, line));
    let papers: [(&dyn Fn() -> Option<Rgb8>, f32); 6] = [
        (&|| (!line.smooth).then(|| line.plain().map(|letter| if letter { [0; 3] } else { [255; 3] })), NO_DOUBT),
        (&|| own(false, COLOUR_REACH), NO_DOUBT),
        (&|| own(true, COLOUR_REACH), NO_DOUBT),
        (&|| in_row(false, COLOUR_REACH), OTHER),
        (&|| in_row(false, NARROW_REACH), OTHER),
        (&|| in_row(true, NARROW_REACH), OTHER),
    ];
    for (paper, enough) in papers {
        let whole = length(&best.text) + 1 >= length(&line.text) && is_whole(line);
        if best.sure >= enough && (whole || enough < NO_DOUBT) {
            break;
        }
        let Some(paper) = paper() else { continue };
        let other = read_paper(levelled(&paper, line.along), monitor)?;
        let longer = length(&other.text) > length(&best.text);
        if other.sure > best.sure || (longer && other.sure > best.sure - LENGTH_PAYS) {
            best = other;
        }
    }
    Ok(best)
}

/// Whether the lifted letters reach from one end of the line's region to the other.
fn is_whole(line: &Letters) -> bool {
    let size = |mask: &Mask| mask.bounds().map_or([0, 0], |bounds| [bounds.width(), bounds.height()]);
    let (letters, region) = (size(&line.mask), size(&line.inside));
    let room = region[0].min(region[1]);
    (0..2).all(|k| letters[k] + room >= region[k])
}

/// Whether two readings of several letters differ in one of them at most, such as in an accent.
fn one_differs(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let differ = a.iter().zip(&b).filter(|(a, b)| a != b).count();
    a.len() == b.len() && a.len() > 1 && differ <= 1 && b.iter().all(|c| c.is_alphabetic())
}

/// Whether a reading is mostly one and the same sign.
fn is_pattern(text: &str) -> bool {
    let signs: Vec<char> = text.chars().filter(|c| c.is_alphanumeric()).collect();
    let most = signs.iter().map(|sign| signs.iter().filter(|other| *other == sign).count()).max().unwrap_or(0);
    signs.len() >= 8 && most * 10 > signs.len() * 7
}

/// Whether a reading is one or two signs twice: eyes and limbs come in pairs.
fn is_pair(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.len() == 2 && words[0] == words[1] && words[0].chars().count() <= FEW_SIGNS
}

/// Whether a reading is not just of a few shapes: dashes, stars, brackets and rings are drawn as well.
fn is_word(text: &str) -> bool {
    if text.chars().all(|sign| matches!(sign, '0' | 'O' | 'o' | ' ')) && text.len() <= FEW_SIGNS + 1 {
        return false;
    }
    let signs: Vec<char> = text.chars().filter(|sign| !sign.is_whitespace()).collect();
    signs.len() > FEW_SIGNS || signs.iter().all(|sign| sign.is_alphanumeric())
}

/// Whether the picture was read so surely in Latin that the letters would say nothing else.
fn is_plain(line: &Letters) -> bool {
    let letters = line.text.chars().filter(char::is_ascii_alphabetic).count();
    line.certain && line.sure > 0.98 && line.text.is_ascii() && letters >= 3
}

/// A line with what it says; `None` if it is no text.
fn believed(line: Letters, reading: Option<Reading>) -> Option<Letters> {
    let Some(reading) = reading else { return Some(line) };
    // Uprights and bars alone are read as single vowels, and crumbs as signs.
    let is_sign = |c: &char| c.is_alphanumeric() && !('\u{3131}'..='\u{318e}').contains(c);
    let length = reading.text.chars().filter(is_sign).count();
    let korean = reading.script == Script::Korean;
    let needed = match (reading.script, length) {
        // Windows and beads in a row look like one sign again and again.
        _ if is_pattern(&reading.text) && reading.sure < OTHER => f32::INFINITY,
        _ if is_pair(&reading.text) && reading.sure < NO_DOUBT => f32::INFINITY,
        (Script::Korean, 0 | 1) => SYLLABLE,
        (Script::Korean, 4..) if line.marked => KOREAN_LINE,
        (Script::Korean, _) => KOREAN,
        // An icon looks like a letter, hardly ever like two.
        (Script::Other, 0 | 1) if !line.certain => f32::INFINITY,
        (Script::Other, _) if !is_word(&reading.text) => f32::INFINITY,
        (Script::Other, _) => OTHER,
    };
    // The picture has letters that were not lifted, so that it is believed first where it is as sure.
    let better =
        !line.certain || reading.sure > line.sure || (korean && (line.sure < OTHER || reading.sure >= NO_DOUBT));
    // Figures look like a sign or two by themselves.
    let is_figure = !line.certain && line.in_figure >= MOST_IN_FIGURE;
    // Alone on paper, letters look like digits, seldom the other way round.
    let letters = |text: &str| text.chars().filter(char::is_ascii_alphabetic).count();
    let better =
        better && !(line.certain && line.text.is_ascii() && letters(&reading.text) < letters(&line.text) && !korean);
    if length > 0 && reading.sure >= needed && better && (!is_figure || length > FEW_SIGNS) {
        return Some(Letters { text: reading.text, sure: reading.sure, certain: true, ..line });
    }
    if line.certain {
        // A face, an icon or two drawn things that look like characters look like others by themselves.
        let few = line.text.chars().count() <= FEW_SIGNS;
        let alike = line.sure >= NO_DOUBT && one_differs(&reading.text, &line.text);
        let agreed = alike || reading.text == line.text && (line.marked || reading.sure >= KOREAN);
        let doubtful = (few && !agreed && (line.sure < SURELY_READ || !line.marked))
            || (is_pair(&line.text) && line.sure < NO_DOUBT);
        // Limbs in a figure make several signs, of which the letters alone say something else.
        let limbs = line.in_figure >= MOST_IN_FIGURE && line.sure < KOREAN && reading.text != line.text;
        return (!doubtful && !limbs && is_word(&line.text)).then_some(line);
    }
    let written = line.marked && (reading.sure >= NO_WRITING || line.bent) && looks_written(&line.mask);
    (written && !is_figure).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars() -> Mask {
        Plane::from_fn(300, 240, |x, y| x % 50 < 20 && y < 40)
    }

    #[test]
    fn what_is_read_surely_is_text_and_what_is_no_writing_is_not() {
        let line = |text: &str, sure: f32, marked| Letters {
            text: text.to_owned(),
            certain: !text.is_empty(),
            sure,
            marked,
            ..Letters::sample(bars())
        };
        let reading = |text: &str, sure, script| Some(Reading { text: text.to_owned(), sure, script });
        let said = |line, reading| believed(line, reading).map(|line: Letters| (line.text, line.certain));
        let korean = |sure| reading("밤하늘", sure, Script::Korean);
        assert_eq!(said(line("", 0.5, false), korean(0.85)), Some(("밤하늘".to_owned(), true)));
        assert_eq!(said(line("", 0.5, false), korean(0.7)), None);
        assert_eq!(said(line("", 0.5, true), reading("Q", 0.95, Script::Other)), None, "an icon looks like one letter");
        assert_eq!(said(line("e", 0.87, true), reading("노", 0.45, Script::Korean)), None, "two readers disagree");
        assert_eq!(said(line("", 0.5, false), reading("이", 0.85, Script::Korean)), None, "any upright is a syllable");
        assert_eq!(said(line("計言叟", 0.7, true), korean(0.85)), Some(("밤하늘".to_owned(), true)));
        assert_eq!(said(line("Jazz", 0.95, true), korean(0.85)), Some(("Jazz".to_owned(), true)));
        assert_eq!(
            said(line("Jozz", 0.91, true), reading("Jazz", 0.97, Script::Other)),
            Some(("Jazz".to_owned(), true))
        );
        assert_eq!(said(line("", 0.2, true), reading("T", 0.3, Script::Other)), None, "nobody finds writing");
        assert_eq!(said(line("", 0.2, true), reading("를00000000000", 0.8, Script::Korean)), None);
        assert_eq!(said(line("Gg", 0.99, false), reading("Gğ", 0.7, Script::Other)), Some(("Gg".to_owned(), true)));
        let in_figure = Letters { in_figure: 0.7, ..line("rO rO", 0.73, true) };
        assert_eq!(said(in_figure, reading("ㄱ", 0.8, Script::Other)), None, "limbs");
        assert_eq!(said(line("0 0", 0.99, true), reading("0 0", 0.99, Script::Other)), None, "eyes");
        assert_eq!(said(line("rO rO", 0.73, true), reading("rO rO", 0.8, Script::Other)), None, "arms");
        assert_eq!(said(line("Jazz", 0.99, true), None), Some(("Jazz".to_owned(), true)));
    }
}
