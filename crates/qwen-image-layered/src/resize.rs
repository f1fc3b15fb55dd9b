//! Lanczos resampling with the arithmetic of Pillow (`src/libImaging/{Resample.c, Convert.c}`, version 13):
//! premultiplied 8-bit pixels, 22-bit fixed-point weights, two passes, each rounded to 8 bits.

use std::f64::consts::PI;

use image::RgbaImage;

use crate::{Error, Result};

/// Width and height at which the model works on a picture of the given size:
/// about `resolution`^2 pixels, both multiples of 32, ties rounded to even.
///
/// # Errors
/// When the picture is so narrow that a side would become 0, or has no pixels.
pub fn working_size(width: u32, height: u32, resolution: u32) -> Result<(u32, u32)> {
    let too_narrow = || {
        Error::Input(format!(
            "a picture of {width} x {height} pixels is too narrow for resolution {resolution}; crop it or choose a larger one"
        ))
    };
    if width == 0 || height == 0 {
        return Err(too_narrow());
    }
    let ratio = f64::from(width) / f64::from(height);
    let exact_width = (f64::from(resolution) * f64::from(resolution) * ratio).sqrt();
    let round = |value: f64| (value / 32.0).round_ties_even() as u32 * 32;
    match (round(exact_width), round(exact_width / ratio)) {
        (0, _) | (_, 0) => Err(too_narrow()),
        size => Ok(size),
    }
}

/// `PIL.Image.resize((width, height), LANCZOS)` of an RGBA picture, bit for bit.
///
/// # Errors
/// When either picture has no pixels.
pub fn lanczos(source: &RgbaImage, width: u32, height: u32) -> Result<RgbaImage> {
    if source.width() == 0 || source.height() == 0 || width == 0 || height == 0 {
        return Err(Error::Input("a picture without pixels cannot be resized; check the input file".into()));
    }
    if source.dimensions() == (width, height) {
        return Ok(source.clone());
    }
    let mut picture = source.clone();
    picture.pixels_mut().for_each(|pixel| premultiply(&mut pixel.0));
    if vertical_first(source.dimensions(), (width, height)) {
        picture = horizontal(&vertical(&picture, height), width);
    } else {
        picture = vertical(&horizontal(&picture, width), height);
    }
    picture.pixels_mut().for_each(|pixel| unmultiply(&mut pixel.0));
    Ok(picture)
}

fn premultiply([colours @ .., alpha]: &mut [u8; 4]) {
    for colour in colours {
        let product = u32::from(*colour) * u32::from(*alpha) + 128;
        *colour = (((product >> 8) + product) >> 8) as u8;
    }
}

fn unmultiply([colours @ .., alpha]: &mut [u8; 4]) {
    if *alpha != 0 && *alpha != 255 {
        for colour in colours {
            *colour = (255 * u32::from(*colour) / u32::from(*alpha)).min(255) as u8;
        }
    }
}

/// Since version 13 Pillow takes the vertical pass first where the height shrinks much more than the width.
fn vertical_first((width, height): (u32, u32), (to_width, to_height): (u32, u32)) -> bool {
    let [width, height, to_width, to_height] = [width, height, to_width, to_height].map(i64::from);
    to_height < height && height - to_height > 2 * (width - to_width)
}

fn horizontal(source: &RgbaImage, width: u32) -> RgbaImage {
    if source.width() == width {
        return source.clone();
    }
    let taps = taps(source.width(), width);
    RgbaImage::from_fn(width, source.height(), |x, y| {
        let Taps { first, weights } = &taps[x as usize];
        image::Rgba(blend(weights, |i| source.get_pixel(first + i, y).0))
    })
}

fn vertical(source: &RgbaImage, height: u32) -> RgbaImage {
    if source.height() == height {
        return source.clone();
    }
    let taps = taps(source.height(), height);
    RgbaImage::from_fn(source.width(), height, |x, y| {
        let Taps { first, weights } = &taps[y as usize];
        image::Rgba(blend(weights, |i| source.get_pixel(x, first + i).0))
    })
}

const PRECISION_BITS: u32 = 32 - 8 - 2;

fn blend(weights: &[i32], pixel: impl Fn(u32) -> [u8; 4]) -> [u8; 4] {
    let mut sums = [1 << (PRECISION_BITS - 1); 4];
    for (i, weight) in (0..).zip(weights) {
        for (sum, value) in sums.iter_mut().zip(pixel(i)) {
            *sum += i32::from(value) * weight;
        }
    }
    sums.map(|sum| (sum >> PRECISION_BITS).clamp(0, 255) as u8)
}

/// The source pixels that one target pixel is made of.
struct Taps {
    first: u32,
    weights: Vec<i32>,
}

fn taps(from: u32, to: u32) -> Vec<Taps> {
    let scale = f64::from(from) / f64::from(to);
    let filter_scale = scale.max(1.0);
    let support = 3.0 * filter_scale;
    let inverse = 1.0 / filter_scale;
    let one = |target: u32| {
        let centre = (f64::from(target) + 0.5) * scale;
        let first = ((centre - support + 0.5) as i64).max(0);
        let end = ((centre + support + 0.5) as i64).min(i64::from(from));
        let exact: Vec<f64> =
            (0..end - first).map(|i| lanczos3(((i + first) as f64 - centre + 0.5) * inverse)).collect();
        let total: f64 = exact.iter().sum();
        let fixed = |weight: f64| {
            let scaled = if total == 0.0 { weight } else { weight / total } * f64::from(1 << PRECISION_BITS);
            if scaled < 0.0 { (scaled - 0.5) as i32 } else { (scaled + 0.5) as i32 }
        };
        Taps { first: first as u32, weights: exact.into_iter().map(fixed).collect() }
    };
    (0..to).map(one).collect()
}

fn lanczos3(x: f64) -> f64 {
    if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) }
}
