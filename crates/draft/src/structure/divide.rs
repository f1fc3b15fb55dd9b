//! Dividing the parts of a sheet into the least that can be a layer: lines of text and connected pieces.

use std::collections::BTreeMap;

use layers::Kind;

use super::look::{SOLID, gap};
use crate::layer::{Part, Sheet, TextLine};
use crate::morphology::{components, dilate};
use crate::plane::{Mask, Plane};

/// Most parts of a sheet: owners are bytes.
const MOST_PARTS: usize = 255;
/// Pieces up to twice this far apart are one, in pixels: edges of compressed pictures crumble.
const TOGETHER: usize = 2;
/// Share of a shape within the boxes of two lines from which it is divided between them: letters that touch. Below it,
/// it is a letter of one that reaches into the other's box.
const TOUCHING: f32 = 0.25;
/// Distance of the spread that stands for "not reached".
const FAR: u16 = u16::MAX;

/// Divides the parts that are not one thing. Returns, for each part of the sheet as it is then, which of the old parts
/// it was in. There are no owners of 0 afterwards.
pub(crate) fn divide(sheet: &mut Sheet) -> Vec<usize> {
    let old = std::mem::take(&mut sheet.parts);
    let things = old.iter().filter(|part| part.thing.is_some() || part.whole).count();
    let budget = (MOST_PARTS - things.min(MOST_PARTS)) / (old.len() - things.min(old.len())).max(1);
    let mut seeds = sheet.owner.same_size(0u8);
    let (mut parts, mut origins) = (Vec::new(), Vec::new());
    for (k, part) in old.into_iter().enumerate().take(MOST_PARTS) {
        let first = parts.len();
        let number = k as u8 + 1;
        let own = |least: u8| sheet.alpha.zip(&sheet.owner, move |alpha, owner| owner == number && alpha >= least);
        // What is one thing keeps its soft edge.
        let (found, labels) = match part.kind {
            _ if part.thing.is_some() || part.whole => (vec![part.clone()], own(1).map(u8::from)),
            Kind::Text if part.lines.len() > 1 => lines_of(&part, &own(SOLID), budget.max(1)),
            Kind::Text => (vec![part.clone()], own(SOLID).map(u8::from)),
            _ => pieces_of(&part, &own(SOLID), budget.max(1)),
        };
        for (seed, &label) in seeds.data.iter_mut().zip(&labels.data) {
            if label > 0 {
                *seed = (first + usize::from(label)) as u8;
            }
        }
        origins.extend(std::iter::repeat_n(k, found.len()));
        parts.extend(found);
    }
    sheet.parts = parts;
    sheet.owner = spread(seeds);
    origins
}

/// Gives each pixel without an owner that of the nearest with one (by chamfer distance, Borgefors 1986); 1 if there is
/// no owner at all.
pub(crate) fn spread(mut owner: Plane<u8>) -> Plane<u8> {
    let (width, height) = (owner.width, owner.height);
    let mut distance = owner.map(|o| if o == 0 { FAR } else { 0 });
    let mut look = |x: usize, y: usize, (u, v): (usize, usize), step: u16| {
        let through = distance.at(u, v).saturating_add(step);
        if through < distance.at(x, y) {
            distance.set(x, y, through);
            owner.set(x, y, owner.at(u, v));
        }
    };
    for y in 0..height {
        for x in 0..width {
            if x > 0 {
                look(x, y, (x - 1, y), 3);
            }
            if y > 0 {
                look(x, y, (x, y - 1), 3);
                if x > 0 {
                    look(x, y, (x - 1, y - 1), 4);
                }
                if x + 1 < width {
                    look(x, y, (x + 1, y - 1), 4);
                }
            }
        }
    }
    for y in (0..height).rev() {
        for x in (0..width).rev() {
            if x + 1 < width {
                look(x, y, (x + 1, y), 3);
            }
            if y + 1 < height {
                look(x, y, (x, y + 1), 3);
                if x > 0 {
                    look(x, y, (x - 1, y + 1), 4);
                }
                if x + 1 < width {
                    look(x, y, (x + 1, y + 1), 4);
                }
            }
        }
    }
    // Also what is so far away that the distance has no number for it.
    owner.data.iter_mut().for_each(|o| *o = (*o).max(1));
    owner
}

/// Connected pieces, the `most` largest; pixels of others have label 0.
fn pieces_of(part: &Part, own: &Mask, most: usize) -> (Vec<Part>, Plane<u8>) {
    let found = components(&dilate(own, TOGETHER));
    let areas = found.count_in(own);
    let mut ranked: Vec<usize> = (1..areas.len()).filter(|&k| areas[k] > 0).collect();
    ranked.sort_by_key(|&k| (std::cmp::Reverse(areas[k]), k));
    ranked.truncate(most);
    let mut number = vec![0u8; areas.len()];
    ranked.iter().enumerate().for_each(|(rank, &k)| number[k] = rank as u8 + 1);
    let labels = found.labels.zip(own, |label, own| if own { number[label as usize] } else { 0 });
    (vec![part.clone(); ranked.len().max(1)], labels)
}

/// A part for each line, and whose each pixel is. A shape goes whole to the line whose box most of it is in, so that
/// no letter is cut; what is in no box goes to the nearest.
fn lines_of(part: &Part, own: &Mask, most: usize) -> (Vec<Part>, Plane<u8>) {
    let lines = limited(&part.lines, most);
    let boxes = boxes_of(&lines, own.width, own.height);
    let found = components(own);
    let mut inside: BTreeMap<(u32, u8), usize> = BTreeMap::new();
    for y in 0..own.height {
        for (from, to) in own.runs(y) {
            let mut x = from;
            while x < to {
                let line = boxes.at(x, y);
                let end = (x..to).find(|&u| boxes.at(u, y) != line).unwrap_or(to);
                *inside.entry((found.labels.at(x, y), line)).or_default() += end - x;
                x = end;
            }
        }
    }
    // The line of each shape; 0 where each pixel decides for itself.
    let mut owner = vec![0u8; found.areas.len()];
    for (k, owner) in owner.iter_mut().enumerate().skip(1) {
        let mut votes: Vec<(usize, u8)> =
            inside.range((k as u32, 1)..=(k as u32, u8::MAX)).map(|(&(_, line), &count)| (count, line)).collect();
        votes.sort_by_key(|&(count, line)| (std::cmp::Reverse(count), line));
        *owner = match votes[..] {
            [] => nearest_line(&lines, found.boxes[k]),
            [(first, _), (second, _), ..] if second as f32 > TOUCHING * (first + second) as f32 => 0,
            [(_, line), ..] => line,
        };
    }
    let labels = Plane::from_fn(own.width, own.height, |x, y| match found.labels.at(x, y) {
        0 => 0,
        k if owner[k as usize] > 0 => owner[k as usize],
        _ => boxes.at(x, y),
    });
    let parts = lines.into_iter().map(|line| Part { lines: vec![line], ..part.clone() }).collect();
    (parts, labels)
}

fn nearest_line(lines: &[TextLine], rect: crate::plane::Rect) -> u8 {
    let nearest = (0..lines.len()).min_by(|&a, &b| gap(lines[a].rect, rect).total_cmp(&gap(lines[b].rect, rect)));
    nearest.map_or(1, |k| k as u8 + 1)
}

/// At most `most` lines: what is more goes with the nearest of the same size.
fn limited(lines: &[TextLine], most: usize) -> Vec<TextLine> {
    let mut kept = lines.to_vec();
    let rest = kept.split_off(kept.len().min(most));
    for line in rest {
        let cost = |k: &TextLine| gap(k.rect, line.rect) + (k.size - line.size).abs();
        if let Some(best) = kept.iter_mut().min_by(|a, b| cost(a).total_cmp(&cost(b))) {
            best.rect = best.rect.union(&line.rect);
            if !line.text.is_empty() {
                best.text = format!("{} {}", best.text, line.text).trim().to_owned();
            }
        }
    }
    kept
}

/// The line in whose box each pixel is, the smallest of several; 0 outside of all.
fn boxes_of(lines: &[TextLine], width: usize, height: usize) -> Plane<u8> {
    let mut boxes = Plane::new(width, height, 0u8);
    let mut order: Vec<usize> = (0..lines.len()).collect();
    let area = |k: usize| lines[k].rect.width() * lines[k].rect.height();
    order.sort_by_key(|&k| (std::cmp::Reverse(area(k)), k));
    for k in order {
        let rect = lines[k].rect;
        for y in rect.y0..rect.y1.min(height) {
            for x in rect.x0..rect.x1.min(width) {
                boxes.set(x, y, k as u8 + 1);
            }
        }
    }
    boxes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::Rect;

    fn sheet(part: Part, solid: impl Fn(usize, usize) -> bool + Sync) -> Sheet {
        let alpha = Plane::from_fn(120, 80, |x, y| if solid(x, y) { 255 } else { 0 });
        Sheet::whole(part, alpha, Plane::new(120, 80, [0; 3]))
    }

    fn line(x0: usize, y0: usize, x1: usize, y1: usize) -> TextLine {
        TextLine::unread(Rect { x0, y0, x1, y1 }, (y1 - y0) as f32)
    }

    #[test]
    fn a_letter_that_reaches_into_the_next_line_is_not_cut() {
        // A descender from the first line through most of the second one's box, and a letter of the second.
        let solid = |x: usize, y: usize| {
            (10..16).contains(&x) && (10..44).contains(&y) || (40..60).contains(&x) && (42..60).contains(&y)
        };
        let part = Part { lines: vec![line(5, 8, 100, 38), line(5, 40, 100, 62)], ..Part::new(Kind::Text) };
        let mut sheet = sheet(part, solid);
        assert_eq!(divide(&mut sheet), [0, 0]);
        assert!((10..44).all(|y| sheet.owner.at(12, y) == 1));
        assert!((42..60).all(|y| sheet.owner.at(50, y) == 2));
        // Rounding beside a letter has that letter's owner.
        assert_eq!((sheet.owner.at(8, 43), sheet.owner.at(70, 79)), (1, 2));
    }

    #[test]
    fn letters_that_touch_are_divided_between_their_lines() {
        let solid = |x: usize, y: usize| (10..16).contains(&x) && (10..60).contains(&y);
        let part = Part { lines: vec![line(5, 8, 100, 35), line(5, 35, 100, 62)], ..Part::new(Kind::Text) };
        let mut sheet = sheet(part, solid);
        divide(&mut sheet);
        assert_eq!((sheet.owner.at(12, 20), sheet.owner.at(12, 50)), (1, 2));
    }

    #[test]
    fn pieces_are_connected_and_things_stay_whole() {
        let solid = |x: usize, y: usize| y < 20 && (x < 30 || (33..60).contains(&x) || x > 100) || y > 70;
        let mut one = sheet(Part::new(Kind::Object), solid);
        // Three pixels apart is together.
        assert_eq!(divide(&mut one).len(), 3);
        assert_eq!(one.owner.at(10, 5), one.owner.at(50, 5));
        assert_ne!(one.owner.at(10, 5), one.owner.at(110, 5));
        let mut thing = sheet(Part { thing: Some("bus"), ..Part::new(Kind::Object) }, solid);
        assert_eq!(divide(&mut thing).len(), 1);
    }

    #[test]
    fn more_pieces_than_bytes_go_with_the_nearest() {
        // 20 x 14 dots.
        let mut sheet = sheet(Part::new(Kind::Object), |x, y| x % 6 == 0 && y % 6 == 0);
        assert_eq!(divide(&mut sheet).len(), 255);
        assert!(sheet.owner.data.iter().all(|&owner| owner > 0));
    }

    #[test]
    fn an_empty_part_stays_one() {
        let mut sheet = sheet(Part::new(Kind::Object), |_, _| false);
        assert_eq!(divide(&mut sheet), [0]);
        assert!(sheet.owner.data.iter().all(|&owner| owner == 1));
    }
}
