//! Rows of small print that the detector took for one line.

use crate::plane::Plane;
use crate::text::glyphs::Letters;
use crate::text::paper::DETECTED;

/// Cosine of the angle from which a line does not run level enough to be divided by its rows: two degrees.
const LEVEL: f32 = 0.9994;
/// Share of the mean row's letters that a row between two lines has at most: a comma, a tail of a letter.
const BETWEEN: f32 = 0.04;
/// A line is this many times as long as high, at least, and as many times as high as another one, at most.
const LONG: f32 = 5.0;
/// The same for rows that have to be read afterwards, of which one may be a single sign, and degrees by which they are
/// turned to find them.
const SHORT: f32 = 0.8;
const TURNS: [f32; 7] = [0.0, -2.0, 2.0, -4.0, 4.0, -6.0, 6.0];
const ALIKE: f32 = 1.6;
/// Height of a line's letters in pixels, at least.
const LEAST_HEIGHT: usize = 6;

/// The lines, those that are several rows divided into them.
pub(crate) fn apart(lines: Vec<Letters>) -> Vec<Letters> {
    lines.into_iter().flat_map(divided).collect()
}

fn divided(line: Letters) -> Vec<Letters> {
    // What was read was one line.
    if line.along[0] < LEVEL || line.certain {
        return vec![line];
    }
    split(&line, [1.0, 0.0], LONG).map_or_else(|| vec![line], |(rows, _)| rows)
}

/// The rows of a line that nobody can read, however short and a little tilted; `None` if it has but one.
pub(super) fn short_rows(line: &Letters) -> Option<Vec<Letters>> {
    let [x, y] = line.along;
    // A pile of short rows is higher than wide, so that the detector takes it for an upright line.
    let tilt = if x.abs() < y.abs() { -libm::atan2f(x, y) } else { libm::atan2f(y, x) };
    let tilt =
        if tilt.abs() > std::f32::consts::FRAC_PI_2 { tilt - tilt.signum() * std::f32::consts::PI } else { tilt };
    let ways = TURNS.iter().filter_map(|turn| {
        let (sine, cosine) = (libm::sinf(tilt + turn.to_radians()), libm::cosf(tilt + turn.to_radians()));
        split(line, [cosine, sine], SHORT)
    });
    ways.min_by_key(|(_, between)| *between).map(|(rows, _)| rows)
}

/// The rows of a line that runs `along`, each `long` times as long as high or more, and how many pixels of the letters
/// lie between them.
fn split(line: &Letters, along: [f32; 2], long: f32) -> Option<(Vec<Letters>, usize)> {
    let letters = line.plain();
    let (width, height) = (letters.width, letters.height);
    // Rows across, the first one touching the rectangle.
    let across = |x: usize, y: usize| y as f32 * along[0] - x as f32 * along[1];
    let corners = [across(0, 0), across(width, 0), across(0, height), across(width, height)];
    let first = corners.into_iter().fold(f32::INFINITY, f32::min);
    let row_of = |x: usize, y: usize| (across(x, y) - first) as usize;
    let mut counts = vec![0_usize; width + height + 1];
    for (x, y) in letters.places() {
        counts[row_of(x, y)] += 1;
    }
    let rows = rows(&counts);
    let size = |&(from, to): &(usize, usize)| {
        let along = |(x, y): (usize, usize)| x as f32 * along[0] + y as f32 * along[1];
        let own = letters.places().filter(|&(x, y)| (from..to).contains(&row_of(x, y))).map(along);
        let ends = own.fold((f32::INFINITY, f32::NEG_INFINITY), |ends, s| (ends.0.min(s), ends.1.max(s)));
        (ends.1 - ends.0 + 1.0, to - from)
    };
    let sizes: Vec<(f32, usize)> = rows.iter().map(size).collect();
    let heights = || sizes.iter().map(|size| size.1);
    let (low, high) = (heights().min()?, heights().max()?);
    let are_long = sizes.iter().all(|&(length, height)| length >= long * height as f32);
    if rows.len() < 2 || low < LEAST_HEIGHT || high as f32 > ALIKE * low as f32 || !are_long {
        return None;
    }
    // Each takes what is up to the middle of the space to the next.
    let middle = |k: usize| (rows[k - 1].1 + rows[k].0) / 2;
    let row = |k: usize| {
        let from = if k == 0 { 0 } else { middle(k) };
        let to = if k + 1 == rows.len() { usize::MAX } else { middle(k + 1) };
        let strip = Plane::from_fn(width, height, |x, y| (from..to).contains(&row_of(x, y)));
        let part = strip.bounds()?;
        Some(Letters {
            rect: part.moved(line.rect.x0, line.rect.y0),
            mask: line.mask.and(&strip).crop(part),
            edging: line.edging.and(&strip).crop(part),
            inside: line.inside.and(&strip).crop(part),
            text: String::new(),
            sure: 0.0,
            certain: false,
            // Two rows look like one that bends.
            bent: false,
            along,
            size: DETECTED * sizes[k].1 as f32,
            ..line.clone()
        })
    };
    let between = rows.windows(2).map(|pair| counts[pair[0].1..pair[1].0].iter().sum::<usize>()).sum();
    Some(((0..rows.len()).filter_map(row).collect(), between))
}

/// Runs of rows with letters, from one to the one after the last, of the letters' pixels in each.
fn rows(counts: &[usize]) -> Vec<(usize, usize)> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::Rect;

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

    /// Words of three, two and one sign above each other, turned by five degrees.
    #[test]
    fn a_pile_of_short_words_is_several_rows() {
        let (sine, cosine) = (libm::sinf(0.087), libm::cosf(0.087));
        let sign = |x: usize, y: usize| {
            let (x, y) = (x as f32 - 40.0, y as f32 - 40.0);
            let (s, t) = (x * cosine + y * sine, y * cosine - x * sine);
            let row = (t / 50.0).floor();
            s >= 0.0 && (0.0..3.0).contains(&row) && t % 50.0 < 36.0 && s % 40.0 < 34.0 && s < 120.0 - 40.0 * row
        };
        for along in [[1.0, 0.0], [0.0, 1.0]] {
            let unread = Letters { along, text: String::new(), ..line(220, sign) };
            let rows = short_rows(&unread).expect("rows");
            let widths: Vec<usize> = rows.iter().map(|row| row.mask.bounds().expect("signs").width()).collect();
            assert!(widths.len() == 3 && widths[0] > 110 && (70..90).contains(&widths[1]) && widths[2] < 45);
        }
        let word = |x: usize, y: usize| (4..40).contains(&y) && x % 40 < 34 && x < 160;
        assert!(short_rows(&line(60, word)).is_none());
    }
}
