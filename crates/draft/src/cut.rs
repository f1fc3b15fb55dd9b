//! From solved sheets to layers: each cut to its pixels.

use image::{Rgba, RgbaImage};
use layers::Layer;

use crate::layer::TextLine;
use crate::naming::joined_text;
use crate::plane::{Plane, Rect, Rgb8};
use crate::structure::{Arranged, Unit};

/// The layers of a solved sheet, lowest first, and what they were made of; layers without a pixel are left out. Names
/// are still to be given.
pub(crate) fn cut(arranged: Arranged) -> Vec<(Layer, Unit)> {
    let of_part = arranged.unit_of_part();
    let sheet = &arranged.sheet;
    let unit = |owner: u8| of_part.get(usize::from(owner.max(1)) - 1).copied().unwrap_or(0);
    let mut boxes: Vec<Option<Rect>> = vec![None; arranged.units.len()];
    for y in 0..sheet.alpha.height {
        let row = sheet.alpha.row(y).iter().zip(sheet.owner.row(y));
        for (x, (_, &owner)) in row.enumerate().filter(|(_, (alpha, _))| **alpha > 0) {
            let here = Rect { x0: x, y0: y, x1: x + 1, y1: y + 1 };
            if let Some(found) = boxes.get_mut(unit(owner)) {
                *found = Some(found.map_or(here, |rect| rect.union(&here)));
            }
        }
    }
    let empty = |rect: Option<Rect>| rect.map_or((0, 0), |rect| (rect.width() as u32, rect.height() as u32));
    let mut pictures: Vec<RgbaImage> = boxes
        .iter()
        .map(|&rect| {
            let (width, height) = empty(rect);
            RgbaImage::new(width, height)
        })
        .collect();
    for y in 0..sheet.alpha.height {
        let row = sheet.alpha.row(y).iter().zip(sheet.owner.row(y));
        for (x, (&alpha, &owner)) in row.enumerate().filter(|(_, (alpha, _))| **alpha > 0) {
            let unit = unit(owner);
            if let Some(rect) = boxes.get(unit).copied().flatten() {
                let [r, g, b] = sheet.above.at(x, y);
                pictures[unit].put_pixel((x - rect.x0) as u32, (y - rect.y0) as u32, Rgba([r, g, b, alpha]));
            }
        }
    }
    let all = arranged.units.into_iter().zip(boxes).zip(pictures);
    all.filter_map(|((unit, rect), pixels)| {
        let rect = rect?;
        let layer = Layer {
            text: joined_text(&unit.lines),
            lines: unit.lines.iter().filter_map(TextLine::for_layer).collect(),
            group: unit.group,
            x: rect.x0 as u32,
            y: rect.y0 as u32,
            ..Layer::new("", unit.kind, pixels)
        };
        Some((layer, unit))
    })
    .collect()
}

/// The picture of the background.
pub(crate) fn background(colours: &Rgb8, alpha: Option<&Plane<u8>>) -> RgbaImage {
    let mut picture = RgbaImage::new(colours.width as u32, colours.height as u32);
    for (k, (pixel, &[r, g, b])) in picture.pixels_mut().zip(&colours.data).enumerate() {
        *pixel = Rgba([r, g, b, alpha.map_or(255, |alpha| alpha.data[k])]);
    }
    picture
}
