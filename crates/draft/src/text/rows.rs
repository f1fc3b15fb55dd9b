//! Rows of small print that the detector took for one line.

use crate::plane::{Mask, Rect};
use crate::text::glyphs::Letters;

/// Cosine of the angle from which a line does not run level enough to be divided by its rows: two degrees.
const LEVEL: f32 = 0.9994;
/// Share of the mean row's letters that a row between two lines has at most: a comma, a tail of a letter.
const BETWEEN: f32 = 0.04;
/// A line is this many times as long as high, at least, and as many times as high as another one, at most.
const LONG: usize = 5;
const ALIKE: f32 = 1.6;
/// Height of a line's letters in pixels, at least.
const LEAST_HEIGHT: usize = 6;
/// Height of the detector's lines, in heights of their letters.
const DETECTED: f32 = 1.3;

/// The lines, those that are several rows divided into them.
pub(crate) fn apart(lines: Vec<Letters>) -> Vec<Letters> {
    lines.into_iter().flat_map(divided).collect()
}

fn divided(line: Letters) -> Vec<Letters> {
    // What was read was one line.
    if line.along[0] < LEVEL || line.certain {
        return vec![line];
    }
    let letters = line.plain();
    let rows = rows(&letters);
    let boxes: Vec<Rect> = rows.iter().filter_map(|&(from, to)| within(&letters, from, to).bounds()).collect();
    let heights: Vec<usize> = boxes.iter().map(Rect::height).collect();
    let (low, high) = (heights.iter().min().copied().unwrap_or(0), heights.iter().max().copied().unwrap_or(0));
    let lines = boxes.iter().all(|rect| rect.width() >= LONG * rect.height());
    if rows.len() < 2 || low < LEAST_HEIGHT || high as f32 > ALIKE * low as f32 || !lines {
        return vec![line];
    }
    // Each takes what is up to the middle of the space to the next.
    let middle = |k: usize| (rows[k - 1].1 + rows[k].0) / 2;
    let row = |k: usize| {
        let from = if k == 0 { 0 } else { middle(k) };
        let to = if k + 1 == rows.len() { letters.height } else { middle(k + 1) };
        let part = Rect { x0: 0, y0: from, x1: letters.width, y1: to };
        let rect = Rect { y0: line.rect.y0 + from, y1: line.rect.y0 + to, ..line.rect };
        Letters {
            rect,
            mask: line.mask.crop(part),
            edging: line.edging.crop(part),
            inside: line.inside.crop(part),
            text: String::new(),
            sure: 0.0,
            // Two rows look like one that bends.
            bent: false,
            size: DETECTED * heights[k] as f32,
            ..line.clone()
        }
    };
    (0..rows.len()).map(row).collect()
}

/// Runs of rows with letters, from one to the one after the last.
fn rows(letters: &Mask) -> Vec<(usize, usize)> {
    let counts: Vec<usize> =
        (0..letters.height).map(|y| letters.row(y).iter().filter(|letter| **letter).count()).collect();
    let inked = counts.iter().filter(|&&count| count > 0).count().max(1);
    let least = BETWEEN * counts.iter().sum::<usize>() as f32 / inked as f32;
    let mut rows: Vec<(usize, usize)> = Vec::new();
    let mut inside = false;
    for (y, &count) in counts.iter().enumerate() {
        let has = count as f32 > least;
        match rows.last_mut() {
            Some((_, end)) if has && inside => *end = y + 1,
            _ if has => rows.push((y, y + 1)),
            _ => {}
        }
        inside = has;
    }
    rows
}

fn within(letters: &Mask, from: usize, to: usize) -> Mask {
    crate::plane::Plane::from_fn(letters.width, letters.height, |x, y| (from..to).contains(&y) && letters.at(x, y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::Plane;

    fn line(height: usize, letter: impl Fn(usize, usize) -> bool + Sync) -> Letters {
        let rect = Rect { x0: 10, y0: 20, x1: 310, y1: 20 + height };
        Letters { rect, text: "?".to_owned(), ..Letters::sample(Plane::from_fn(300, height, letter)) }
    }

    #[test]
    fn two_rows_of_small_print_are_two_lines() {
        let tail = |x: usize, y: usize| (200..203).contains(&x) && (18..26).contains(&y);
        let both = |x: usize, y: usize| {
            (x % 12 < 8 && ((4..18).contains(&y) || (x < 250 && (26..40).contains(&y)))) || tail(x, y)
        };
        let found = apart(vec![line(44, both)]);
        assert_eq!(found.iter().map(|line| (line.rect.y0, line.rect.y1)).collect::<Vec<_>>(), [(20, 42), (42, 64)]);
        assert!(found.iter().all(|line| line.mask.any() && line.text.is_empty() && (15.0..20.0).contains(&line.size)));
    }

    #[test]
    fn strokes_above_each_other_are_one() {
        // Bars below letters, as in 으 and 그, and a short word above a long one.
        let vowels = |x: usize, y: usize| x % 24 < 18 && ((4..18).contains(&y) || (22..25).contains(&y));
        assert_eq!(apart(vec![line(30, vowels)]).len(), 1);
        let title = |x: usize, y: usize| (4..24).contains(&y) && x < 60 || (30..50).contains(&y) && x % 20 < 12;
        assert_eq!(apart(vec![line(54, title)]).len(), 1);
    }
}
