//! Lines of text as the readers want them: dark letters on white, level, in their tight box.

use crate::filter::resize_rgb;
use crate::morphology::{components, dilate, erode};
use crate::numeric::quantile;
use crate::plane::{Mask, Plane, Rect, Rgb8};
use crate::text::glyphs::Letters;
use crate::text::outline::Oriented;

/// Letters are brought to this height before they are read, at most.
const WORKING_HEIGHT: usize = 96;
/// Cosine of the angle from which a line is turned before it is read: four degrees.
const LEVEL: f32 = 0.9976;
/// How much higher than wide a line is that runs from top to bottom.
const UPRIGHT: f32 = 1.5;
/// Share of a line that is surely covered by letters.
const INK_SHARE: f32 = 0.12;
/// Share of the way from the letters' colour to the background's at which a pixel is as light as paper: for letters
/// with soft edges, and where something behind them has almost their colour.
pub(super) const COLOUR_REACH: f32 = 0.7;
pub(super) const NARROW_REACH: f32 = 0.4;
/// Height of the detector's lines, in heights of their letters.
pub(super) const DETECTED: f32 = 1.3;
/// How far letters reach across the strip of their height that has most of a line's ink, in such heights, and the share
/// of what lies in the line that is within it, at least.
const ACROSS: f32 = 0.15;
const WITHIN: f32 = 0.6;
/// Distance of the two colours, in steps of 8-bit values, at least.
const LEAST_CONTRAST: f32 = 20.0;

/// The line's part of the picture: black where it has the colour of the letters, white from `reach` of the way to the
/// background's on. `None` where the two colours cannot be told.
///
/// With `lifted`, the colour of the letters is that of the mask; otherwise, for masks that have little of the letters,
/// what differs most from the background.
pub(super) fn in_own_colour(picture: &Rgb8, line: &Letters, lifted: bool, reach: f32) -> Option<Rgb8> {
    let crop = picture.crop(line.rect);
    let (ink, ground) = if lifted {
        let letters = line.plain();
        let middle = erode(&letters, 1);
        let ink = typical(&crop, if middle.any() { &middle } else { &letters })?;
        (ink, typical(&crop, &line.inside.minus(&dilate(&line.mask, 2)))?)
    } else {
        let ground = typical(&crop, &line.inside.minus(&erode(&line.inside, 2)))?;
        let contrast = crop.map(|pixel| distance(pixel, ground));
        let inside = contrast.data.iter().zip(&line.inside.data).filter(|(_, inside)| **inside);
        let mut inner: Vec<f32> = inside.map(|(value, _)| *value).collect();
        let limit = quantile(&mut inner, 1.0 - INK_SHARE);
        (typical(&crop, &contrast.map(|value| value >= limit).and(&line.inside))?, ground)
    };
    let white = reach * distance(ground.map(|value| value as u8), ink);
    (white > LEAST_CONTRAST).then(|| {
        crop.zip(&line.inside, |pixel, inside| {
            let value = if inside { 255.0 * distance(pixel, ink) / white } else { 255.0 };
            [value.min(255.0) as u8; 3]
        })
    })
}

/// The paper with the row that has most of the ink: what is above and below it, such as specks and parts of other lines,
/// is white.
pub(super) fn in_one_row(paper: &Rgb8, line: &Letters) -> Rgb8 {
    let dark = paper.map(|pixel| pixel[0] < 128);
    let across = |x: usize, y: usize| y as f32 * line.along[0] - x as f32 * line.along[1];
    let height = (line.size / DETECTED).max(1.0);
    let ink: Vec<f32> = dark.places().map(|(x, y)| across(x, y)).collect();
    let Some(first) = ink.iter().copied().reduce(f32::min) else { return paper.clone() };
    let mut rows = vec![0_usize; ink.iter().map(|t| (t - first) as usize + 1).max().unwrap_or(0)];
    for t in &ink {
        rows[(t - first) as usize] += 1;
    }
    let strip = |from: usize| rows[from..(from + height as usize + 1).min(rows.len())].iter().sum::<usize>();
    // The first of equally full strips.
    let fullest = (0..rows.len()).max_by_key(|&from| (strip(from), rows.len() - from)).unwrap_or(0);
    let (low, high) = (first + fullest as f32, first + fullest as f32 + height);
    let parts = components(&dark);
    let mut within = vec![0_usize; parts.areas.len()];
    for (x, y) in dark.places().filter(|&(x, y)| (low..=high).contains(&across(x, y))) {
        within[parts.labels.at(x, y) as usize] += 1;
    }
    let own: Vec<bool> = (0..within.len()).map(|k| within[k] as f32 >= WITHIN * parts.areas[k] as f32).collect();
    let reach = low - ACROSS * height..high + ACROSS * height;
    let kept = dilate(&parts.select(&own), 1);
    Plane::from_fn(paper.width, paper.height, |x, y| {
        if kept.at(x, y) && reach.contains(&across(x, y)) { paper.at(x, y) } else { [255; 3] }
    })
}

fn distance(pixel: [u8; 3], colour: [f32; 3]) -> f32 {
    (0..3).map(|c| (f32::from(pixel[c]) - colour[c]).powi(2)).sum::<f32>().sqrt()
}

/// The middle value of each channel under a mask.
fn typical(picture: &Rgb8, mask: &Mask) -> Option<[f32; 3]> {
    let pixels: Vec<[u8; 3]> =
        picture.data.iter().zip(&mask.data).filter(|(_, wanted)| **wanted).map(|(p, _)| *p).collect();
    (!pixels.is_empty()).then(|| {
        std::array::from_fn(|c| quantile(&mut pixels.iter().map(|pixel| f32::from(pixel[c])).collect::<Vec<_>>(), 0.5))
    })
}

/// Dark letters on white in their tight box, running from left to right, at most [`WORKING_HEIGHT`] high. `None` if
/// there are no letters.
pub(super) fn levelled(paper: &Rgb8, along: [f32; 2]) -> Option<Rgb8> {
    let dark = |paper: &Rgb8| paper.map(|pixel| pixel[0] < 128);
    let bounds = dark(paper).bounds()?;
    let long = bounds.width().max(bounds.height()) as f32 > UPRIGHT * bounds.width().min(bounds.height()) as f32;
    let tight = if along[0] < LEVEL && long {
        // Beyond the edges the outermost pixels are repeated: they must be white.
        let (width, height) = (paper.width + 2, paper.height + 2);
        let mut padded = Plane::new(width, height, [255; 3]);
        padded.put(Rect { x0: 1, y0: 1, x1: width - 1, y1: height - 1 }, paper);
        let (width, height) = (width as f32, height as f32);
        let whole = Oriented { centre: [width / 2.0, height / 2.0], u: along, width, height };
        let turned = whole.grown(width.max(height) / 2.0).cut_out(&padded, f32::INFINITY);
        turned.crop(dark(&turned).bounds()?)
    } else {
        in_a_row(&paper.crop(bounds))
    };
    let height = tight.height.min(WORKING_HEIGHT);
    let width = (tight.width as f32 * height as f32 / tight.height as f32).round().max(1.0) as usize;
    Some(resize_rgb(&tight, width, height))
}

/// A line that runs from top to bottom, cut between its characters, which are put side by side; any other as it is.
fn in_a_row(paper: &Rgb8) -> Rgb8 {
    let (width, height) = (paper.width, paper.height);
    if height as f32 <= UPRIGHT * width as f32 {
        return paper.clone();
    }
    let mut cells: Vec<(usize, usize)> = Vec::new();
    let mut below = false;
    for y in 0..height {
        let ink = paper.row(y).iter().any(|pixel| pixel[0] < 128);
        if ink {
            match cells.last_mut() {
                Some((_, end)) if below => *end = y + 1,
                // Parts of one character: what they reach together is about as high as wide.
                Some((start, end)) if (y + 1 - *start) * 4 <= width * 3 => *end = y + 1,
                _ => cells.push((y, y + 1)),
            }
        }
        below = ink;
    }
    let highest = cells.iter().map(|(start, end)| end - start).max().unwrap_or(0);
    if cells.len() < 2 || highest * 2 > width * 3 {
        return paper.clone();
    }
    let gap = width / 8 + 1;
    let mut row = Plane::new(cells.len() * (width + gap) - gap, highest, [255; 3]);
    for (k, &(start, end)) in cells.iter().enumerate() {
        let x0 = k * (width + gap);
        let top = (highest - (end - start)) / 2;
        let cell = paper.crop(Rect { x0: 0, y0: start, x1: width, y1: end });
        row.put(Rect { x0, y0: top, x1: x0 + width, y1: top + end - start }, &cell);
    }
    row
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
        let paper = |mask: &Mask| mask.map(|letter| if letter { [0; 3] } else { [255; 3] });
        let level = levelled(&paper(&bars(0.0)), [1.0, 0.0]).expect("letters");
        let turned = levelled(&paper(&bars(0.4)), [libm::cosf(0.4), libm::sinf(0.4)]).expect("letters");
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
        assert!(levelled(&Plane::new(40, 40, [255; 3]), [1.0, 0.0]).is_none());
    }

    #[test]
    fn a_line_from_top_to_bottom_is_put_in_a_row() {
        // Three characters of two strokes each, the last a little lower.
        let upright = Plane::from_fn(40, 160, |x, y| {
            let (character, y) = (y / 50, y % 50);
            let ink = character < 3 && x < 38 && ((2..8).contains(&y) || (character + 20..character + 30).contains(&y));
            [if ink { 0 } else { 255 }; 3]
        });
        let dark = |paper: &Rgb8| paper.data.iter().filter(|pixel| pixel[0] == 0).count();
        let row = in_a_row(&upright);
        assert!(row.width > 3 * 40 && row.height < 40, "{} x {}", row.width, row.height);
        assert_eq!(dark(&row), dark(&upright));
        let bar = Plane::from_fn(10, 80, |_, y| if (60..70).contains(&y) { [255; 3] } else { [0; 3] });
        assert_eq!(in_a_row(&bar), bar, "an exclamation mark is one character");
    }

    /// White letters over two shades, of which the mask has only a part.
    #[test]
    fn letters_are_told_by_their_colour() {
        let letter = |x: usize, y: usize| (20..180).contains(&x) && (20..60).contains(&y) && x % 40 < 12;
        let picture =
            Plane::from_fn(200, 80, |x, y| if letter(x, y) { [250; 3] } else { [80 + (x / 4) as u8, 60, 50] });
        let line = Letters {
            inside: Plane::from_fn(200, 80, |x, y| (5..195).contains(&x) && (10..70).contains(&y)),
            ..Letters::sample(Plane::from_fn(200, 80, |x, y| letter(x, y) && x < 100))
        };
        for lifted in [false, true] {
            let paper = in_own_colour(&picture, &line, lifted, COLOUR_REACH).expect("two colours");
            let wrong = (0..80).flat_map(|y| (0..200).map(move |x| (x, y)));
            let wrong = wrong.filter(|&(x, y)| (paper.at(x, y)[0] < 128) != letter(x, y)).count();
            assert_eq!(wrong, 0, "lifted: {lifted}");
        }
        assert!(in_own_colour(&picture.map(|_| [80; 3]), &line, false, COLOUR_REACH).is_none());
    }

    #[test]
    fn a_row_is_told_from_what_is_above_and_below_it() {
        let letter = |x: usize, y: usize| (60..90).contains(&y) && (20..180).contains(&x) && x % 40 < 24;
        let speck = |x: usize, y: usize| y.abs_diff(20) + x.abs_diff(70) < 12;
        let below = |x: usize, y: usize| y > 110 && x % 50 < 10;
        let paper = |wanted: &(dyn Fn(usize, usize) -> bool + Sync)| {
            Plane::from_fn(200, 130, |x, y| [if wanted(x, y) { 0 } else { 255 }; 3])
        };
        let line = Letters::sample(Plane::new(200, 130, true));
        let all = |x: usize, y: usize| letter(x, y) || speck(x, y) || below(x, y);
        assert_eq!(in_one_row(&paper(&all), &line), paper(&letter));
        assert_eq!(in_one_row(&paper(&|_, _| false), &line), paper(&|_, _| false));
    }
}
