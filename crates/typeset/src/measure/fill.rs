//! The colours inside of letters.

use image::{GrayImage, RgbaImage};

use crate::text::{Colour, Fill, Gradient, Position, Stop};

/// A pixel well inside of a letter.
pub(super) struct Inside {
    x: f32,
    y: f32,
    colour: [u8; 4],
}

/// A gradient changes a channel by more than this from end to end, of 255.
const VISIBLE: f32 = 14.0;
/// And it explains this share of the variance of the colours.
const EXPLAINED: f32 = 0.75;

/// Pixels that letters cover, the best covered that there are: none at an edge if strokes are wide enough.
#[expect(clippy::cast_precision_loss, reason = "positions within a picture")]
pub(super) fn inside(pixels: &RgbaImage, letters: &GrayImage) -> Option<Vec<Inside>> {
    const ENOUGH: usize = 24;
    let (width, height) = letters.dimensions();
    let at = |x: u32, y: u32| letters.get_pixel(x, y).0[0];
    // Coverage of a pixel and its four neighbours, so that the pixels of an edge come last.
    let depth = |x: u32, y: u32| {
        let around = [
            at(x, y),
            at(x.saturating_sub(1), y),
            at((x + 1).min(width - 1), y),
            at(x, y.saturating_sub(1)),
            at(x, (y + 1).min(height - 1)),
        ];
        around.into_iter().min().unwrap_or(0)
    };
    let collect = |enough: &dyn Fn(u32, u32) -> bool| -> Vec<Inside> {
        let found = pixels.enumerate_pixels().filter(|(x, y, pixel)| pixel.0[3] > 0 && enough(*x, *y));
        let own = |(x, y, pixel): (u32, u32, &image::Rgba<u8>)| {
            // The alpha that a fully covered pixel would have.
            let [red, green, blue, alpha] = pixel.0;
            let alpha = to_byte(f32::from(alpha) * 255.0 / f32::from(at(x, y).max(1)));
            Inside { x: x as f32 + 0.5, y: y as f32 + 0.5, colour: [red, green, blue, alpha] }
        };
        found.map(own).collect()
    };
    let tries: [&dyn Fn(u32, u32) -> bool; 4] =
        [&|x, y| depth(x, y) > 250, &|x, y| at(x, y) > 250, &|x, y| at(x, y) > 190, &|x, y| at(x, y) > 110];
    let found = tries.iter().map(|enough| collect(enough));
    let mut best = Vec::new();
    for found in found {
        if found.len() >= ENOUGH {
            return Some(found);
        }
        if found.len() > best.len() {
            best = found;
        }
    }
    (!best.is_empty()).then_some(best)
}

/// One colour, or two stops on a line through the letters.
pub(super) fn measure(inside: &[Inside]) -> Fill {
    gradient(inside).map_or_else(|| Fill::Colour(median(inside.iter().map(|pixel| pixel.colour))), Fill::Gradient)
}

/// The median of each channel; the alpha is the median of the ink's own transparency.
pub(super) fn median(colours: impl Iterator<Item = [u8; 4]>) -> Colour {
    let colours: Vec<[u8; 4]> = colours.collect();
    let [red, green, blue, alpha] = std::array::from_fn(|channel| {
        let mut values: Vec<u8> = colours.iter().map(|colour| colour[channel]).collect();
        let middle = values.len() / 2;
        if values.is_empty() { 0 } else { *values.select_nth_unstable(middle).1 }
    });
    // Coverage that was rounded is opaque.
    Colour { red, green, blue, alpha: if alpha >= 250 { 255 } else { alpha } }
}

/// Fits each channel by a plane over x and y (least squares), and takes the direction in which colours change most:
/// that of the largest eigenvalue of the sum of the slopes' outer products.
#[expect(clippy::cast_precision_loss, reason = "counts of pixels")]
fn gradient(inside: &[Inside]) -> Option<Gradient> {
    const LEAST: usize = 60;
    if inside.len() < LEAST {
        return None;
    }
    let n = inside.len() as f32;
    let mean = |value: &dyn Fn(&Inside) -> f32| inside.iter().map(value).sum::<f32>() / n;
    let (x0, y0) = (mean(&|pixel| pixel.x), mean(&|pixel| pixel.y));
    let xx = mean(&|pixel| (pixel.x - x0) * (pixel.x - x0));
    let xy = mean(&|pixel| (pixel.x - x0) * (pixel.y - y0));
    let yy = mean(&|pixel| (pixel.y - y0) * (pixel.y - y0));
    let determinant = xx * yy - xy * xy;
    if determinant <= 1e-3 {
        return None;
    }
    let (mut total, mut explained) = (0.0, 0.0);
    let (mut a, mut b, mut c) = (0.0, 0.0, 0.0); // slopes' outer products: xx, xy, yy
    let channels: [(f32, f32, f32); 3] = std::array::from_fn(|channel| {
        let value = |pixel: &Inside| f32::from(pixel.colour[channel]);
        let middle = mean(&value);
        let cx = mean(&|pixel| (pixel.x - x0) * (value(pixel) - middle));
        let cy = mean(&|pixel| (pixel.y - y0) * (value(pixel) - middle));
        let (sx, sy) = ((cx * yy - cy * xy) / determinant, (cy * xx - cx * xy) / determinant);
        total += mean(&|pixel| (value(pixel) - middle) * (value(pixel) - middle));
        explained += sx * cx + sy * cy;
        a += sx * sx;
        b += sx * sy;
        c += sy * sy;
        (middle, sx, sy)
    });
    if total <= 0.0 || explained / total < EXPLAINED {
        return None;
    }
    let angle = 0.5 * libm::atan2f(2.0 * b, a - c);
    let (dx, dy) = straightened(libm::cosf(angle), libm::sinf(angle));
    let along = |pixel: &Inside| (pixel.x - x0) * dx + (pixel.y - y0) * dy;
    let (from, to) =
        inside.iter().map(along).fold((f32::MAX, f32::MIN), |(low, high), way| (low.min(way), high.max(way)));
    let colour = |way: f32| {
        let [red, green, blue] = channels.map(|(middle, sx, sy)| to_byte(middle + way * (sx * dx + sy * dy)));
        Colour::rgb(red, green, blue)
    };
    let (first, last) = (colour(from), colour(to));
    let change = first.unit().iter().zip(last.unit()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) * 255.0;
    let point = |way: f32| Position { x: x0 + way * dx, y: y0 + way * dy };
    (change > VISIBLE).then(|| Gradient {
        start: point(from),
        end: point(to),
        stops: vec![Stop { offset: 0.0, colour: first }, Stop { offset: 1.0, colour: last }],
    })
}

/// A direction within six degrees of right or down is exactly so; up and left are turned round.
fn straightened(dx: f32, dy: f32) -> (f32, f32) {
    const NEAR: f32 = 0.1;
    let (dx, dy) = if dx + dy < 0.0 { (-dx, -dy) } else { (dx, dy) };
    match (dx.abs() < NEAR, dy.abs() < NEAR) {
        (true, _) => (0.0, 1.0),
        (_, true) => (1.0, 0.0),
        _ => (dx, dy),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn to_byte(value: f32) -> u8 {
    value.clamp(0.0, 255.0).round() as u8
}
