//! Which pixels of a layer belong to which of its lines.

use image::{Rgba, RgbaImage};
use layers::ReadLine;

use crate::frame::Frame;

/// Alpha from which pixels that touch are one shape; fainter ones are soft edges.
const SOLID: u8 = 32;
/// How far from a line's box what belongs to it may be, in heights of the line: outlines, shadows, marks above letters.
const REACH: f32 = 0.8;
/// Share of a shape that has to be nearest to one line to belong to it as a whole. Otherwise it is letters of several
/// lines that touch, and each pixel goes to the nearest.
const WHOLE: f32 = 0.75;
/// Transparent pixels around a line.
const MARGIN: u32 = 4;

/// The pixels of one line.
pub(crate) struct Cutout {
    /// The line's own pixels, with a transparent margin.
    pub(crate) pixels: RgbaImage,
    /// Where their upper left corner is in the layer; the margin may reach beyond it.
    pub(crate) x: i64,
    pub(crate) y: i64,
}

/// Of pixels that are in no line.
const NONE: usize = usize::MAX;

/// Each line's pixels, in the lines' order; `None` for one that has none. Lines are in the layer's own pixels.
pub(crate) fn cutouts(pixels: &RgbaImage, lines: &[ReadLine]) -> Vec<Option<Cutout>> {
    let frames: Vec<Frame> = lines.iter().map(Frame::of).collect();
    let owners = owners(pixels, &frames);
    let (width, _) = pixels.dimensions();
    let mut boxes: Vec<Option<[u32; 4]>> = vec![None; lines.len()];
    let at = |index: usize| (index as u32 % width, index as u32 / width);
    for (index, &owner) in owners.iter().enumerate() {
        if let Some(found) = boxes.get_mut(owner) {
            let (x, y) = at(index);
            let [x0, y0, x1, y1] = found.unwrap_or([x, y, x, y]);
            *found = Some([x0.min(x), y0.min(y), x1.max(x), y1.max(y)]);
        }
    }
    let mut cut: Vec<Option<Cutout>> = boxes
        .iter()
        .map(|found| {
            let [x0, y0, x1, y1] = (*found)?;
            let side = |from: u32, to: u32| to - from + 1 + 2 * MARGIN;
            let pixels = RgbaImage::new(side(x0, x1), side(y0, y1));
            let corner = |at: u32| i64::from(at) - i64::from(MARGIN);
            Some(Cutout { pixels, x: corner(x0), y: corner(y0) })
        })
        .collect();
    for (index, (&owner, pixel)) in owners.iter().zip(pixels.pixels()).enumerate() {
        let (x, y) = at(index);
        if let (Some(Some(cut)), Some(Some([x0, y0, ..]))) = (cut.get_mut(owner), boxes.get(owner)) {
            cut.pixels.put_pixel(x - x0 + MARGIN, y - y0 + MARGIN, *pixel);
        }
    }
    cut
}

/// The share of a layer's alpha that lies within the boxes of lines, 0 to 1. Lines are in the layer's own pixels.
pub(crate) fn share_within(pixels: &RgbaImage, lines: &[ReadLine]) -> f32 {
    let frames: Vec<Frame> = lines.iter().map(Frame::of).collect();
    let (mut within, mut all) = (0_u64, 0_u64);
    for (x, y, Rgba([.., alpha])) in pixels.enumerate_pixels().filter(|(.., pixel)| pixel.0[3] > 0) {
        // An outline of a tenth of the height belongs to the letters.
        let inside = frames.iter().any(|frame| frame.distance(x, y) <= 0.1 * frame.height());
        all += u64::from(*alpha);
        within += if inside { u64::from(*alpha) } else { 0 };
    }
    within as f32 / all.max(1) as f32
}

/// The line that each pixel belongs to.
fn owners(pixels: &RgbaImage, frames: &[Frame]) -> Vec<usize> {
    let (width, _) = pixels.dimensions();
    let width = width as usize;
    let nearest = |index: usize| {
        let (x, y) = ((index % width) as u32, (index / width) as u32);
        let distances = frames.iter().map(|frame| frame.distance(x, y) / frame.height().max(1.0));
        let found = distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
        found.filter(|(_, distance)| *distance <= REACH).map_or(NONE, |(line, _)| line)
    };
    let alphas: Vec<u8> = pixels.pixels().map(|pixel| pixel.0[3]).collect();
    let mut owners: Vec<usize> =
        alphas.iter().enumerate().map(|(index, alpha)| if *alpha > 0 { nearest(index) } else { NONE }).collect();
    if frames.len() < 2 {
        return owners;
    }
    let mut seen = vec![false; alphas.len()];
    let mut shape = Vec::new();
    for start in 0..alphas.len() {
        if seen[start] || alphas[start] < SOLID {
            continue;
        }
        shape.clear();
        shape.push(start);
        seen[start] = true;
        let mut next = 0;
        while let Some(&index) = shape.get(next) {
            next += 1;
            for neighbour in neighbours(index, width, alphas.len()) {
                if !seen[neighbour] && alphas[neighbour] >= SOLID {
                    seen[neighbour] = true;
                    shape.push(neighbour);
                }
            }
        }
        let mut votes = vec![0_usize; frames.len()];
        shape.iter().filter_map(|&index| owners.get(index)).for_each(|&owner| {
            if let Some(count) = votes.get_mut(owner) {
                *count += 1;
            }
        });
        let (line, most) = votes.iter().copied().enumerate().max_by_key(|(_, count)| *count).unwrap_or((NONE, 0));
        if most as f32 >= WHOLE * shape.len() as f32 {
            shape.iter().for_each(|&index| owners[index] = line);
        }
    }
    // Soft edges go with the shape that they touch.
    let solid = owners.clone();
    for index in (0..alphas.len()).filter(|&index| (1..SOLID).contains(&alphas[index])) {
        if let Some(beside) = neighbours(index, width, alphas.len()).find(|&other| alphas[other] >= SOLID) {
            owners[index] = solid[beside];
        }
    }
    owners
}

/// The eight pixels around one.
fn neighbours(index: usize, width: usize, count: usize) -> impl Iterator<Item = usize> {
    let (x, y, height) = (index % width, index / width, count / width);
    let near = |at: usize, side: usize| at.saturating_sub(1)..(at + 2).min(side);
    near(y, height).flat_map(move |y| near(x, width).map(move |x| y * width + x)).filter(move |&other| other != index)
}

#[cfg(test)]
mod tests {
    use layers::Rect;

    use super::*;

    fn line(y: u32) -> ReadLine {
        let rect = Rect { x: 0, y, width: 60, height: 20 };
        ReadLine { words: "a".to_owned(), rect, angle: 0.0, confidence: 1.0, bent: false }
    }

    #[test]
    fn a_letter_that_reaches_into_the_next_line_stays_whole() {
        // A descender from the first line into the second, whose own letter is beside it.
        let drawn = RgbaImage::from_fn(60, 46, |x, y| {
            let first = (4..10).contains(&x) && y < 27;
            let second = (30..40).contains(&x) && (24..44).contains(&y);
            Rgba([0, 0, 0, if first || second { 255 } else { 0 }])
        });
        let cut = cutouts(&drawn, &[line(0), line(24)]);
        let heights: Vec<u32> = cut.iter().flatten().map(|cut| cut.pixels.height() - 2 * MARGIN).collect();
        assert_eq!(heights, [27, 20]);
        let second = cut[1].as_ref().expect("it has pixels");
        assert_eq!((second.x, second.y), (30 - i64::from(MARGIN), 24 - i64::from(MARGIN)));
    }

    #[test]
    fn letters_of_two_lines_that_touch_are_divided_and_far_things_are_in_no_line() {
        let drawn = RgbaImage::from_fn(60, 120, |x, y| {
            let bar = (10..14).contains(&x) && y < 44;
            let far = (40..50).contains(&x) && y > 100;
            Rgba([0, 0, 0, if bar || far { 255 } else { 0 }])
        });
        let cut = cutouts(&drawn, &[line(0), line(24)]);
        let heights: Vec<u32> = cut.iter().flatten().map(|cut| cut.pixels.height() - 2 * MARGIN).collect();
        assert_eq!(heights, [22, 22]);
        assert!((share_within(&drawn, &[line(0), line(24)]) - 176.0 / (176.0 + 190.0)).abs() < 0.02);
    }
}
