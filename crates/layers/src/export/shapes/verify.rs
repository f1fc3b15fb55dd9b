//! Whether a path looks like a picture: drawn, and compared pixel by pixel.

use ab_glyph_rasterizer::{Rasterizer, point};
use image::RgbaImage;
use kurbo::{BezPath, PathEl, Point, Shape as _};

use super::flat::Flat;
use super::{ACCURACY, TOLERANCE};

/// How far the colour of an edge may be off, weighed with its alpha, of 255.
const EDGE_COLOUR: u8 = 16;
/// An edge that is off by this part of a pixel is within 1 px, whatever is beside it: the ends of thin lines.
const EDGE_PART: u8 = 5;
/// How far the contour may be off on average, in pixels.
const MEAN_DISTANCE: f64 = 0.2;
/// Rows that are drawn at once, so that a large picture needs no second one.
const BAND: u32 = 64;
/// Pixels around the picture that are compared too.
const MARGIN: u32 = 2;
/// The longest line that the rasterizer draws with its 24 bits, in pixels.
const LONGEST: f64 = 32.0;

/// Whether the picture is the path, filled with one colour: inside and outside within [`TOLERANCE`], along the contour
/// within 1 px. `length` is that of the contour.
pub(super) fn is_within_tolerance(path: &BezPath, picture: &RgbaImage, flat: &Flat, length: f64) -> bool {
    let bounds = path.bounding_box();
    let (width, height) = picture.dimensions();
    let most = f64::from(MARGIN) - 0.5;
    let is_near = bounds.x0 >= -most && bounds.y0 >= -most;
    if !(is_near && bounds.x1 <= f64::from(width) + most && bounds.y1 <= f64::from(height) + most) {
        return false;
    }
    let lines = lines(path);
    let mut drawn =
        Drawn { rasterizer: Rasterizer::new(0, 0), width: width + 2 * MARGIN, mask: Vec::new(), alpha: flat.alpha };
    let mut off = 0.0;
    for top in (0..height).step_by(BAND as usize) {
        let rows = BAND.min(height - top);
        drawn.draw(&lines, top, rows + 2 * MARGIN);
        for row in 0..rows + 2 * MARGIN {
            // Rows of the margin belong to the neighbouring bands, but at the ends of the picture.
            let is_first = row + 1 == MARGIN && top == 0;
            let is_last = row == rows + MARGIN && top + rows == height;
            if (row < MARGIN && !is_first) || (row >= rows + MARGIN && !is_last) {
                continue;
            }
            match drawn.compare(row, picture, i64::from(top + row) - i64::from(MARGIN), flat) {
                Some(difference) => off += difference,
                None => return false,
            }
        }
    }
    off / f64::from(flat.alpha) <= MEAN_DISTANCE * length
}

/// A band of the path as it is drawn, with a margin around.
struct Drawn {
    rasterizer: Rasterizer,
    width: u32,
    /// 0 to the shape's alpha.
    mask: Vec<u8>,
    alpha: u8,
}

impl Drawn {
    fn draw(&mut self, lines: &[[Point; 2]], top: u32, height: u32) {
        self.rasterizer.reset(self.width as usize, height as usize);
        let (right, down) = (f64::from(MARGIN), f64::from(MARGIN) - f64::from(top));
        for [from, to] in lines.iter().filter(|[from, to]| from.y.max(to.y) + down > 0.0) {
            let place = |p: &Point| point((p.x + right) as f32, (p.y + down) as f32);
            self.rasterizer.draw_line(place(from), place(to));
        }
        self.mask.clear();
        let full = f32::from(self.alpha);
        let mask = &mut self.mask;
        self.rasterizer.for_each_pixel(|_, covered| mask.push((covered.min(1.0) * full).round() as u8));
    }

    /// The sum of the differences in a row; none where one is too large. `y` is the row of the picture.
    fn compare(&self, row: u32, picture: &RgbaImage, y: i64, flat: &Flat) -> Option<f64> {
        let alpha = |x: i64, y: i64| {
            let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return 0 };
            picture.get_pixel_checked(x, y).map_or(0, |pixel| pixel[3])
        };
        let width = self.width as usize;
        let start = row as usize * width;
        let line = u32::try_from(y).ok().filter(|y| *y < picture.height());
        let pixels = line.map(|y| {
            let bytes = picture.width() as usize * 4;
            &picture.as_raw()[y as usize * bytes..][..bytes]
        });
        let mut sum = 0_u64;
        for column in 1..width - 1 {
            let at = start + column;
            let x = column as i64 - i64::from(MARGIN);
            let index = column.wrapping_sub(MARGIN as usize).wrapping_mul(4);
            let pixel = pixels.and_then(|pixels| pixels.get(index..)?.first_chunk::<4>()).copied().unwrap_or_default();
            let (own, found) = (self.mask[at], pixel[3]);
            let difference = own.abs_diff(found);
            sum += u64::from(difference);
            if own == found && own == 0 {
                continue;
            }
            // Within 1 px of the contour, either of the two may be what the other one is beside.
            let beside =
                [at - 1, at + 1, at.wrapping_sub(width), at + width].map(|at| self.mask.get(at).copied().unwrap_or(0));
            let varies = beside.iter().any(|value| value.abs_diff(own) > TOLERANCE);
            let is_small = difference <= if varies { self.alpha / EDGE_PART } else { TOLERANCE };
            if !is_small {
                let others = [(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)].map(|(x, y)| alpha(x, y));
                if !is_between(found, own, beside) || !is_between(own, found, others) {
                    return None;
                }
            }
            let is_inside = !varies && own.abs_diff(self.alpha) <= TOLERANCE;
            let most = if is_inside { TOLERANCE } else { EDGE_COLOUR };
            let wrong = (0..3).map(|channel| pixel[channel].abs_diff(flat.colour[channel])).max().unwrap_or(0);
            if u32::from(wrong) * u32::from(found) > u32::from(most) * 255 {
                return None;
            }
        }
        Some(sum as f64)
    }
}

fn is_between(value: u8, own: u8, beside: [u8; 4]) -> bool {
    let least = beside.into_iter().fold(own, u8::min).saturating_sub(TOLERANCE);
    let most = beside.into_iter().fold(own, u8::max).saturating_add(TOLERANCE);
    (least..=most).contains(&value)
}

/// Short lines along a path.
fn lines(path: &BezPath) -> Vec<[Point; 2]> {
    let (mut out, mut start, mut last) = (Vec::new(), Point::ZERO, Point::ZERO);
    let line = |from: Point, to: Point, out: &mut Vec<[Point; 2]>| {
        let parts = (from.distance(to) / LONGEST).ceil().clamp(1.0, 1e4) as u32;
        let at = |n: u32| from.lerp(to, f64::from(n) / f64::from(parts));
        out.extend((0..parts).map(|n| [at(n), at(n + 1)]));
    };
    kurbo::flatten(path, ACCURACY, |element| match element {
        PathEl::MoveTo(to) => (start, last) = (to, to),
        PathEl::LineTo(to) => {
            line(last, to, &mut out);
            last = to;
        }
        PathEl::ClosePath => {
            line(last, start, &mut out);
            last = start;
        }
        // A flattened path has no curves.
        PathEl::QuadTo(..) | PathEl::CurveTo(..) => {}
    });
    out
}
