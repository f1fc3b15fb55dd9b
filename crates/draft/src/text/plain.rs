//! Text without networks: shapes of one colour and an even stroke that stand in rows.

use rayon::prelude::*;

use crate::colour::oklab_plane;
use crate::filter::{resize_gray, resize_rgb};
use crate::kmeans::{closest, kmeans};
use crate::monitor::{Monitor, Stopped};
use crate::morphology::{components, distance_to};
use crate::numeric::quantile;
use crate::plane::{Gray, Mask, Plane, Rect, Rgb8};
use crate::segments::Sets;

/// Long side at which letters are looked for.
const SIDE: f32 = 900.0;
const COLOURS: usize = 12;
/// Least number of shapes in a row: shorter rows are dots and windows as often as letters.
const FEWEST: usize = 3;

/// Text that was found, but not read.
pub(crate) struct PlainText {
    /// Pixels that are letters, at the picture's size.
    pub mask: Mask,
    /// Box and height of each row of letters, in the picture's pixels.
    pub rows: Vec<(Rect, f32)>,
}

/// A shape that could be a letter.
struct Shape {
    rect: Rect,
    /// Half the width of its strokes.
    stroke: f32,
    colour: usize,
    pixels: Mask,
}

/// Finds rows of letters.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(crate) fn find(image: &Rgb8, monitor: &Monitor) -> Result<PlainText, Stopped> {
    let scale = (SIDE / image.width.max(image.height) as f32).min(1.0);
    let side = |length: usize| ((length as f32 * scale).round() as usize).max(1);
    let lab = oklab_plane(&resize_rgb(image, side(image.width), side(image.height)));
    let samples: Vec<[f32; 3]> = lab.data.iter().copied().step_by(37).collect();
    let centres = kmeans(&samples, COLOURS, 12, 2);
    let labels = lab.map(|colour| closest(&centres, colour).0);
    let shapes: Vec<Vec<Shape>> = (0..centres.len())
        .into_par_iter()
        .map(|colour| {
            monitor.check()?;
            Ok(shapes(&labels.map(|l| l == colour), colour))
        })
        .collect::<Result<_, Stopped>>()?;
    let shapes: Vec<Shape> = shapes.into_iter().flatten().collect();
    let mut mask = Plane::new(lab.width, lab.height, false);
    let mut found = Vec::new();
    for row in rows(&shapes) {
        let mut heights: Vec<f32> = row.iter().map(|&k| shapes[k].rect.height() as f32).collect();
        let height = quantile(&mut heights, 0.5);
        let Some(rect) = row.iter().map(|&k| shapes[k].rect).reduce(|a, b| a.union(&b)) else { continue };
        if row.len() < FEWEST || (rect.width() as f32) < 2.0 * height {
            continue;
        }
        row.iter().for_each(|&k| mask.paste(shapes[k].rect, &shapes[k].pixels, &shapes[k].pixels));
        found.push((full(rect, (lab.width, lab.height), image), height / scale));
    }
    found.sort_by_key(|(rect, _)| (rect.y0, rect.x0));
    let soft: Gray = mask.map(|set| if set { 1.0 } else { 0.0 });
    Ok(PlainText { mask: resize_gray(&soft, image.width, image.height).map(|v| v > 0.5), rows: found })
}

/// A rectangle of the small picture in the large one.
fn full(rect: Rect, small: (usize, usize), image: &Rgb8) -> Rect {
    Rect {
        x0: rect.x0 * image.width / small.0,
        y0: rect.y0 * image.height / small.1,
        x1: (rect.x1 * image.width).div_ceil(small.0).min(image.width),
        y1: (rect.y1 * image.height).div_ceil(small.1).min(image.height),
    }
}

/// Shapes of one colour that could be letters by size and stroke.
fn shapes(mask: &Mask, colour: usize) -> Vec<Shape> {
    let parts = components(mask);
    let (width, height) = (mask.width as f32, mask.height as f32);
    let mut found = Vec::new();
    for label in 1..=parts.len() {
        let (rect, area) = (parts.boxes[label], parts.areas[label] as f32);
        let (w, h) = (rect.width() as f32, rect.height() as f32);
        let share = area / (w * h);
        let inner = rect.x0 > 1 && rect.y0 > 1 && rect.x1 + 1 < mask.width && rect.y1 + 1 < mask.height;
        let sized = (0.012 * height..0.25 * height).contains(&h) && w <= 0.3 * width && w >= 3.0 && area >= 30.0;
        if !inner || !sized || !(0.15..0.95).contains(&share) {
            continue;
        }
        // A rim of one pixel outside, so that strokes end at the box.
        let padded = rect.padded(1, mask.width, mask.height);
        let own = parts.labels.crop(padded).map(|l| l as usize == label);
        let Some(stroke) = even_stroke(&own) else { continue };
        if 2.0 * stroke > 0.5 * w.min(h) + 2.0 || !(2.2..24.0).contains(&(h / stroke)) {
            continue;
        }
        let pixels = parts.labels.crop(rect).map(|l| l as usize == label);
        found.push(Shape { rect, stroke, colour, pixels });
    }
    found
}

/// Mean half width along the middle of the strokes; `None` where it varies too much.
fn even_stroke(shape: &Mask) -> Option<f32> {
    let depth = distance_to(&shape.not());
    let mut middles = Vec::new();
    for y in 0..shape.height {
        for x in 0..shape.width {
            let here = depth.at(x, y);
            let rows = y.saturating_sub(1)..(y + 2).min(shape.height);
            let ridge = || {
                rows.clone()
                    .all(|v| (x.saturating_sub(1)..(x + 2).min(shape.width)).all(|u| depth.at(u, v) <= here + 0.01))
            };
            if here >= 1.0 && here.is_finite() && ridge() {
                middles.push(here);
            }
        }
    }
    if middles.len() < 5 {
        return None;
    }
    let count = middles.len() as f32;
    let mean = middles.iter().sum::<f32>() / count;
    let variance = middles.iter().map(|m| (m - mean).powi(2)).sum::<f32>() / count;
    (variance.sqrt() <= 0.5 * mean).then_some(mean)
}

/// Shapes of similar size and stroke side by side.
fn rows(shapes: &[Shape]) -> Vec<Vec<usize>> {
    let mut sets = Sets::new(shapes.len());
    for i in 0..shapes.len() {
        for j in i + 1..shapes.len() {
            if beside(&shapes[i], &shapes[j]) {
                let (a, b) = (sets.find(i as u32), sets.find(j as u32));
                sets.join(a, b);
            }
        }
    }
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); shapes.len()];
    (0..shapes.len()).for_each(|k| rows[sets.find(k as u32) as usize].push(k));
    rows.retain(|row| !row.is_empty());
    rows
}

fn beside(a: &Shape, b: &Shape) -> bool {
    let alike = |x: f32, y: f32| x > 0.5 * y && y > 0.5 * x;
    let (ha, hb) = (a.rect.height() as f32, b.rect.height() as f32);
    if a.colour != b.colour || !alike(ha, hb) || !alike(a.stroke, b.stroke) {
        return false;
    }
    let gap = a.rect.x0.max(b.rect.x0) as f32 - a.rect.x1.min(b.rect.x1) as f32;
    let middle = |rect: &Rect| (rect.y0 + rect.y1) as f32 / 2.0;
    let apart = (middle(&a.rect) - middle(&b.rect)).abs();
    let narrow = a.rect.width().min(b.rect.width()) as f32;
    gap < 0.9 * ha.max(hb) && gap > -0.3 * narrow && apart < 0.45 * ha.max(hb)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::monitor;

    /// Five letters H in a row, and a disk.
    #[test]
    fn letters_in_a_row_are_text_and_a_disk_is_not() {
        let letter = |x: usize, y: usize| {
            let (u, v) = ((x.wrapping_sub(60)) % 40, y.wrapping_sub(50));
            (60..260).contains(&x) && v < 40 && (u < 7 || (18..25).contains(&u) || (u < 25 && (16..23).contains(&v)))
        };
        let disk = |x: usize, y: usize| x.abs_diff(200).pow(2) + y.abs_diff(200).pow(2) < 1600;
        let image = Plane::from_fn(400, 300, |x, y| match (letter(x, y), disk(x, y)) {
            (true, _) => [20, 20, 60],
            (_, true) => [200, 40, 40],
            _ => [240, 235, 220],
        });
        let (monitor, _reporter) = monitor();
        let found = find(&image, &monitor).expect("nobody stops it");
        assert_eq!(found.rows.len(), 1);
        let wrong = (0..300)
            .flat_map(|y| (0..400).map(move |x| (x, y)))
            .filter(|&(x, y)| found.mask.at(x, y) != letter(x, y))
            .count();
        assert!(wrong < 40, "{wrong} pixels");
    }
}
