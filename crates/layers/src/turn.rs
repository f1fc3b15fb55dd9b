//! Pictures turned by any angle.

use image::{Rgba, RgbaImage};

use crate::document::{DocumentLayer, PixelSource, SourceError};
use crate::extent::crop_in_place;
use crate::{bounding_box, effects};

/// What a turned picture covers, from the corner that the picture had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnedBox {
    /// Columns to the right of the picture's first one; may be negative.
    pub x: i32,
    /// Rows below the picture's first one; may be negative.
    pub y: i32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// Edges that a rounding error moved over a pixel's edge are not taken for more pixels.
const SLACK: f64 = 1e-6;

/// What a picture of `width` x `height` pixels covers after it was turned about its middle by `degrees`, clockwise.
///
/// Quarter turns move whole pixels: where the middle would lie between two of them, the box goes half a pixel to the left
/// or up.
#[must_use]
pub fn turned_box(width: u32, height: u32, degrees: f32) -> TurnedBox {
    let middle = |inner: u32, outer: u32| (i64::from(outer) - i64::from(inner)).div_euclid(2) as i32;
    match quarters(degrees) {
        Some(0 | 2) => TurnedBox { x: 0, y: 0, width, height },
        Some(_) => TurnedBox { x: middle(height, width), y: middle(width, height), width: height, height: width },
        None => {
            let (sin, cos) = f64::from(degrees).to_radians().sin_cos();
            let (w, h) = (f64::from(width) / 2.0, f64::from(height) / 2.0);
            let span = |centre: f64, reach: f64| {
                let (start, end) = ((centre - reach + SLACK).floor(), (centre + reach - SLACK).ceil());
                (start as i32, (end - start) as u32)
            };
            let (x, width) = span(w, w * cos.abs() + h * sin.abs());
            let (y, height) = span(h, w * sin.abs() + h * cos.abs());
            TurnedBox { x, y, width, height }
        }
    }
}

/// The quarter turns clockwise that an angle is, 0 to 3; none for other angles, and 0 for what is not a number.
fn quarters(degrees: f32) -> Option<u8> {
    if !degrees.is_finite() {
        return Some(0);
    }
    let turned = degrees.rem_euclid(360.0);
    (turned % 90.0 == 0.0).then_some((turned / 90.0) as u8 % 4)
}

/// A picture turned about its middle by `degrees`, clockwise, as large as [`turned_box`] says.
///
/// Quarter turns move pixels and change none. Others are cubic convolutions (Catmull-Rom) of premultiplied colours, so
/// that no colour of transparent pixels bleeds into edges; what lies outside of the picture is transparent.
#[must_use]
pub fn turn(picture: &RgbaImage, degrees: f32) -> RgbaImage {
    match quarters(degrees) {
        Some(0) => picture.clone(),
        Some(1) => image::imageops::rotate90(picture),
        Some(2) => image::imageops::rotate180(picture),
        Some(_) => image::imageops::rotate270(picture),
        None => convolved(picture, degrees),
    }
}

fn convolved(picture: &RgbaImage, degrees: f32) -> RgbaImage {
    let (width, height) = picture.dimensions();
    let covers = turned_box(width, height, degrees);
    let (sin, cos) = f64::from(degrees).to_radians().sin_cos();
    let (w, h) = (f64::from(width) / 2.0, f64::from(height) / 2.0);
    RgbaImage::from_fn(covers.width, covers.height, |column, row| {
        let x = f64::from(covers.x) + f64::from(column) + 0.5 - w;
        let y = f64::from(covers.y) + f64::from(row) + 0.5 - h;
        // From the middles of pixels, back to where this one was.
        sample(picture, x * cos + y * sin + w - 0.5, y * cos - x * sin + h - 0.5)
    })
}

/// What a picture shows between its pixels; their middles are at whole numbers.
fn sample(picture: &RgbaImage, x: f64, y: f64) -> Rgba<u8> {
    let (left, top) = (x.floor(), y.floor());
    let (across, down) = (weights((x - left) as f32), weights((y - top) as f32));
    let mut sum = [0.0_f32; 4];
    for (row, weight) in (top as i64 - 1..).zip(down) {
        for (column, share) in (left as i64 - 1..).zip(across) {
            let place = u32::try_from(column).ok().zip(u32::try_from(row).ok());
            let Some(pixel) = place.and_then(|(x, y)| picture.get_pixel_checked(x, y)).filter(|pixel| pixel[3] > 0)
            else {
                continue;
            };
            let alpha = f32::from(pixel[3]) * weight * share;
            for (sum, value) in sum.iter_mut().zip(&pixel.0[..3]) {
                *sum += f32::from(*value) * alpha;
            }
            sum[3] += alpha;
        }
    }
    let alpha = (sum[3] + 0.5).clamp(0.0, 255.0) as u8;
    if alpha == 0 {
        return Rgba([0; 4]);
    }
    let colour = |value: f32| (value / sum[3] + 0.5).clamp(0.0, 255.0) as u8;
    Rgba([colour(sum[0]), colour(sum[1]), colour(sum[2]), alpha])
}

/// Catmull and Rom's cubic at the four pixels around a place that lies `t` after the second.
fn weights(t: f32) -> [f32; 4] {
    [
        ((2.0 - t) * t - 1.0) * t / 2.0,
        ((3.0 * t - 5.0) * t * t + 2.0) / 2.0,
        ((4.0 - 3.0 * t) * t + 1.0) * t / 2.0,
        (t - 1.0) * t * t / 2.0,
    ]
}

/// The pixels of a layer as it is seen, and where their corner lies on the canvas.
pub(crate) struct Loaded {
    pub(crate) pixels: RgbaImage,
    pub(crate) x: i32,
    pub(crate) y: i32,
}

impl Loaded {
    /// Loads, turns and draws the effects.
    pub(crate) fn of(layer: &DocumentLayer, source: &dyn PixelSource) -> Result<Self, SourceError> {
        let mut loaded = Self { pixels: source.load(layer.source)?, x: layer.x, y: layer.y };
        if quarters(layer.turn) != Some(0) {
            let covers = turned_box(loaded.pixels.width(), loaded.pixels.height(), layer.turn);
            let pixels = turn(&loaded.pixels, layer.turn);
            loaded = Self { pixels, x: layer.x.saturating_add(covers.x), y: layer.y.saturating_add(covers.y) };
        }
        if layer.effects.is_none() {
            return Ok(loaded);
        }
        let (pixels, by) = effects::apply(loaded.pixels, &layer.effects);
        let at = |start: i32, by: i64| (i64::from(start) + by).clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        Ok(Self { pixels, x: at(loaded.x, by.0), y: at(loaded.y, by.1) })
    }
}

/// The pixels of a turned layer as they are before the turn, without what is transparent around them, for formats that can
/// turn pictures themselves.
pub(crate) struct Upright {
    pub(crate) pixels: RgbaImage,
    /// Where the middle of these pixels lies on the canvas after the turn, in pixels.
    pub(crate) middle: (f64, f64),
    /// Clockwise, about that middle.
    pub(crate) degrees: f64,
}

impl Upright {
    /// `None` for layers that are not turned, and for those with effects, which do not turn with them.
    pub(crate) fn of(layer: &DocumentLayer, source: &dyn PixelSource) -> Result<Option<Self>, SourceError> {
        if quarters(layer.turn) == Some(0) || !layer.effects.is_none() {
            return Ok(None);
        }
        let pixels = source.load(layer.source)?;
        let (width, height) = pixels.dimensions();
        let Some(found) = bounding_box(&pixels) else { return Ok(None) };
        let covers = turned_box(width, height, layer.turn);
        let half = |start: i32, shift: i32, side: u32| f64::from(start) + f64::from(shift) + f64::from(side) / 2.0;
        let middle = (half(layer.x, covers.x, covers.width), half(layer.y, covers.y, covers.height));
        let off = |start: u32, length: u32, side: u32| f64::from(start) + (f64::from(length) - f64::from(side)) / 2.0;
        let (x, y) = (off(found.x, found.width, width), off(found.y, found.height, height));
        let degrees = f64::from(layer.turn);
        let (sin, cos) = degrees.to_radians().sin_cos();
        let middle = (middle.0 + x * cos - y * sin, middle.1 + x * sin + y * cos);
        Ok(Some(Self { pixels: crop_in_place(pixels, found), middle, degrees }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Difference;

    /// A picture whose corners differ, with a soft edge.
    fn picture(width: u32, height: u32) -> RgbaImage {
        RgbaImage::from_fn(width, height, |x, y| {
            Rgba([(x * 5) as u8, (y * 7) as u8, 90, if x == 0 { 80 } else { 255 }])
        })
    }

    #[test]
    fn quarter_turns_move_pixels_and_change_none() {
        let original = picture(7, 4);
        assert_eq!(turned_box(7, 4, 90.0), TurnedBox { x: 1, y: -2, width: 4, height: 7 });
        let turned = turn(&original, 90.0);
        assert_eq!(turned.get_pixel(3, 0), original.get_pixel(0, 0));
        assert_eq!(turned.get_pixel(0, 6), original.get_pixel(6, 3));
        assert_eq!(turn(&turned, -90.0), original);
        assert_eq!(turn(&turn(&original, 180.0), -180.0), original);
        for whole in [0.0, 360.0, -360.0, f32::NAN, f32::INFINITY] {
            assert_eq!(turn(&original, whole), original, "{whole}");
            assert_eq!(turned_box(7, 4, whole), TurnedBox { x: 0, y: 0, width: 7, height: 4 });
        }
    }

    #[test]
    fn there_and_back_is_the_picture_again() {
        // Smooth, so that only the edges suffer.
        let original = RgbaImage::from_fn(60, 40, |x, y| Rgba([(x * 4) as u8, (y * 6) as u8, 90, 255]));
        for angle in [15.0, -33.5, 89.0, 181.0] {
            let back = turn(&turn(&original, angle), -angle);
            let (x, y) = ((back.width() - 60) / 2, (back.height() - 40) / 2);
            let inner = |picture: &RgbaImage, x, y| image::imageops::crop_imm(picture, x, y, 52, 32).to_image();
            let difference = Difference::between(&inner(&back, x + 4, y + 4), &inner(&original, 4, 4)).unwrap();
            assert!(difference.max <= 3 && difference.mean < 1.0, "{angle}: {difference:?}");
        }
    }

    #[test]
    fn what_is_turned_is_as_large_as_before_and_bleeds_no_colour() {
        let red = RgbaImage::from_pixel(40, 20, Rgba([255, 0, 0, 255]));
        let mut framed = RgbaImage::from_pixel(44, 24, Rgba([0, 255, 0, 0]));
        image::imageops::replace(&mut framed, &red, 2, 2);
        for picture in [&red, &framed] {
            let turned = turn(picture, 30.0);
            let area: f64 = turned.pixels().map(|pixel| f64::from(pixel[3]) / 255.0).sum();
            assert!((area - 800.0).abs() < 6.0, "{area}");
            assert!(turned.pixels().all(|pixel| pixel[3] == 0 || pixel.0[..3] == [255, 0, 0]));
        }
        // 40 cos 30 + 20 sin 30, and the other way round.
        let covers = turned_box(40, 20, 30.0);
        assert_eq!((covers.width, covers.height), (46, 38));
    }
}
