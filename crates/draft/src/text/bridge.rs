//! Lines of which the detector saw the ends and not the middle, because something shows through behind it.

use crate::monitor::Monitor;
use crate::networks::NetworkError;
use crate::plane::{Mask, Plane, Rect, Rgb8};
use crate::text::glyphs::Letters;
use crate::text::paper::{COLOUR_REACH, in_one_row, in_own_colour};
use crate::text::read::{like, read_twice};

/// Cosine of the angle up to which lines are level: four degrees, as short ones are not marked exactly.
const LEVEL: f32 = 0.9976;
/// Gap between two parts of a line, in heights of the smaller: words are nearer, columns are farther.
const GAP: std::ops::Range<f32> = 0.5..7.0;
/// How far their middles may be apart, in the same heights.
const IN_ROW: f32 = 0.25;
/// Share of the gap that letters cover, at least.
const INK: f32 = 0.04;
/// Signs that a line has more than its parts, at least, and how sure its reading is.
const MORE: usize = 2;
const SURE: f32 = 0.85;
/// Share of a part's box that lies in that of the line.
const WITHIN: f32 = 0.7;

/// Joins lines that are parts of one, if what stands between them can be read with them.
///
/// # Errors
/// When the caller stopped, or the network cannot be run.
pub(crate) fn close_gaps(picture: &Rgb8, found: &mut Vec<Letters>, monitor: &Monitor) -> Result<(), NetworkError> {
    let mut boxes: Vec<Rect> = found.iter().map(Letters::tight).collect();
    let mut first = 0;
    while first < found.len() {
        // Past the next one there is no looking: columns of a table are in one row.
        let is_next = |&k: &usize| k != first && is_next((&found[first], boxes[first]), (&found[k], boxes[k]));
        let next = (0..found.len()).filter(is_next).min_by_key(|&k| boxes[k].x0);
        let whole = next.map(|k| spanned(picture, &found[first], &found[k], monitor)).transpose()?.flatten();
        let Some(line) = whole else {
            first += 1;
            continue;
        };
        // What it now contains is no line of its own, and it may go on.
        let area = line.tight();
        let kept: Vec<bool> = (0..found.len()).map(|k| k != first && !is_within(boxes[k], area)).collect();
        first = kept[..first].iter().filter(|kept| **kept).count();
        retain(found, &kept);
        retain(&mut boxes, &kept);
        found.insert(first, line);
        boxes.insert(first, area);
    }
    Ok(())
}

fn retain<T>(items: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    items.retain(|_| kept.next() == Some(&true));
}

/// Whether most of one box lies in another one.
fn is_within(a: Rect, b: Rect) -> bool {
    let shared = |from: usize, to: usize| to.saturating_sub(from);
    let width = shared(a.x0.max(b.x0), a.x1.min(b.x1)) as f32;
    let height = shared(a.y0.max(b.y0), a.y1.min(b.y1)) as f32;
    width * height > WITHIN * (a.width() * a.height()) as f32
}

/// Whether `right` could go on where `left` ends, by the lines and the boxes of their letters.
fn is_next((left, a): (&Letters, Rect), (right, b): (&Letters, Rect)) -> bool {
    let level = |line: &Letters| line.along[0] >= LEVEL && line.certain;
    let size = a.height().min(b.height()) as f32;
    let apart = (a.y0 + a.y1).abs_diff(b.y0 + b.y1) as f32 / 2.0;
    let gap = b.x0 as f32 - a.x1 as f32;
    level(left)
        && level(right)
        && like(left, right)
        && apart < IN_ROW * size
        && (GAP.start * size..GAP.end * size).contains(&gap)
}

/// The line from `left` to `right` with what stands between them; `None` if they are not one.
fn spanned(
    picture: &Rgb8,
    left: &Letters,
    right: &Letters,
    monitor: &Monitor,
) -> Result<Option<Letters>, NetworkError> {
    let (a, b) = (left.tight(), right.tight());
    let rect = left.rect.union(&right.rect);
    let gap = Rect { x0: a.x1, x1: b.x0, y0: a.y0.min(b.y0), y1: a.y1.max(b.y1) };
    let both = |a: &Mask, b: &Mask| a.on(left.rect, rect).or(&b.on(right.rect, rect));
    let between = Plane::new(gap.width(), gap.height(), true).on(gap, rect);
    let larger = if left.text.chars().count() < right.text.chars().count() { right } else { left };
    let mut line = Letters {
        rect,
        mask: both(&left.mask, &right.mask),
        edging: both(&left.edging, &right.edging),
        inside: both(&left.inside, &right.inside).or(&between),
        ..larger.clone()
    };
    let Some(paper) = in_own_colour(picture, &line, true, COLOUR_REACH) else { return Ok(None) };
    let letters = in_one_row(&paper, &line).map(|pixel| pixel[0] < 128).and(&between);
    if (letters.count() as f32) < INK * between.count() as f32 {
        return Ok(None);
    }
    line.mask = line.mask.or(&letters);
    let reading = read_twice(picture, &line, monitor)?;
    let signs = |text: &str| text.chars().filter(|sign| sign.is_alphanumeric()).count();
    if reading.sure < SURE || signs(&reading.text) < signs(&left.text) + signs(&right.text) + MORE {
        return Ok(None);
    }
    Ok(Some(Letters { text: reading.text, sure: reading.sure, ..line }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of letters 30 px high at (x, y).
    fn line(x: usize, y: usize, width: usize) -> Letters {
        let rect = Rect { x0: x, y0: y, x1: x + width, y1: y + 30 };
        Letters { rect, certain: true, text: "word".to_owned(), ..Letters::sample(Plane::new(width, 30, true)) }
    }

    #[test]
    fn a_line_goes_on_in_its_row_and_colour() {
        let left = line(100, 50, 200);
        let is_next = |left: &Letters, right: &Letters| is_next((left, left.tight()), (right, right.tight()));
        assert!(is_next(&left, &line(380, 52, 100)));
        assert!(!is_next(&left, &line(305, 50, 100)), "the next word");
        assert!(!is_next(&left, &line(600, 50, 100)), "too far away");
        assert!(!is_next(&left, &line(380, 62, 100)), "lower");
        assert!(!is_next(&line(380, 52, 100), &left), "to the left");
        assert!(!is_next(&left, &Letters { colour: [0.9; 3], ..line(380, 52, 100) }), "another colour");
        assert!(!is_next(&left, &Letters { certain: false, ..line(380, 52, 100) }), "unread");
    }

    #[test]
    fn what_a_line_contains_is_a_part_of_it() {
        let within = |part: Letters| is_within(part.tight(), line(100, 50, 400).tight());
        assert!(within(line(250, 55, 60)));
        assert!(!within(line(250, 85, 60)) && !within(line(480, 50, 100)));
    }
}
