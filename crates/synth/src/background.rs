//! The five kinds of background.

use image::{Rgb, RgbImage, imageops};

use crate::Background;
use crate::colour::{Colour, hsv, mix};
use crate::noise::{fractal, grain};
use crate::random::{Random, hash};

pub(crate) fn background(kind: Background, width: u32, height: u32, random: &mut Random) -> RgbImage {
    match kind {
        Background::Flat => {
            let colour = hsv(random.unit(), random.between(0.2, 0.8), random.between(0.4, 0.98));
            paint(width, height, |_, _| colour)
        }
        Background::Gradient => gradient(width, height, random),
        Background::Pattern => pattern(width, height, random),
        Background::Noise => {
            let (light, dark) = (hsv(random.unit(), 0.5, 0.95), hsv(random.unit(), 0.5, 0.35));
            let (scale, seed) = (4.0 / width as f32, hash(random.below(1 << 30) as u64));
            paint(width, height, |x, y| mix(light, dark, stretch(fractal(x * scale, y * scale, 6, 0.55, seed))))
        }
        Background::Photo => {
            let scene = match random.below(4) {
                0 => landscape(width, height, random),
                1 => wall(width, height, random),
                2 => foliage(width, height, random),
                _ => lights(width, height, random),
            };
            photographed(&scene, random)
        }
    }
}

fn paint(width: u32, height: u32, colour: impl Fn(f32, f32) -> Colour) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(colour(x as f32, y as f32).map(|v| (v * 255.0 + 0.5).clamp(0.0, 255.0) as u8))
    })
}

/// Noise lies around the middle: spread to 0 to 1.
fn stretch(value: f32) -> f32 {
    ((value - 0.25) * 2.0).clamp(0.0, 1.0)
}

fn gradient(width: u32, height: u32, random: &mut Random) -> RgbImage {
    let (from, to) = (hsv(random.unit(), 0.6, 0.9), hsv(random.unit(), 0.6, 0.4));
    let (w, h) = (width as f32, height as f32);
    if random.chance(0.4) {
        return paint(width, height, |x, y| mix(from, to, (x / w - 0.5).hypot(y / h - 0.5) / 0.75));
    }
    let slope = random.between(-1.0, 1.0);
    let (low, span) = (slope.min(0.0), 1.0 + slope.abs());
    paint(width, height, |x, y| mix(from, to, (slope * x / w + y / h - low) / span))
}

fn pattern(width: u32, height: u32, random: &mut Random) -> RgbImage {
    let base = hsv(random.unit(), 0.5, 0.85);
    let other = base.map(|v| v * 0.82 + 0.08);
    let period = *random.pick(&[48.0f32, 64.0, 96.0]);
    let dots = random.chance(0.6);
    let cover = |x: f32, y: f32| {
        if dots {
            let (dx, dy) = (x.rem_euclid(period) - period / 2.0, y.rem_euclid(period) - period / 2.0);
            (period * 0.22 + 0.5 - dx.hypot(dy)).clamp(0.0, 1.0)
        } else {
            let place = (x + y).rem_euclid(2.0 * period);
            let edge = place.min((place - period).abs()).min(2.0 * period - place);
            let side = if place < period { 1.0 } else { -1.0 };
            (0.5 + side * edge * 0.7).clamp(0.0, 1.0)
        }
    };
    paint(width, height, |x, y| mix(base, other, cover(x, y)))
}

/// Sky with clouds, ranges of hills, textured ground.
fn landscape(width: u32, height: u32, random: &mut Random) -> RgbImage {
    let (w, h) = (width as f32, height as f32);
    let sky = hsv(random.between(0.52, 0.65), random.between(0.25, 0.6), 0.92);
    let low_sky = mix(sky, hsv(random.between(0.03, 0.15), 0.25, 0.98), 0.7);
    let ground = hsv(random.between(0.08, 0.35), random.between(0.25, 0.6), random.between(0.35, 0.6));
    let far = hsv(random.between(0.5, 0.65), 0.3, 0.6);
    let horizon = random.between(0.45, 0.7);
    let seed = hash(random.below(1 << 30) as u64);
    let ranges = 3;
    paint(width, height, |x, y| {
        let mut colour = mix(sky, low_sky, y / h / horizon);
        let cloud = fractal(x / w * 4.0, y / h * 9.0, 5, 0.55, seed);
        colour = mix(colour, [0.97; 3], ((cloud - 0.52) * 5.0).clamp(0.0, 0.85));
        for range in 0..ranges {
            let depth = range as f32 / ranges as f32;
            let ridge = horizon - 0.16 * (1.0 - depth)
                + 0.22 * (fractal(x / w * (2.0 + depth * 3.0) + depth * 31.0, 0.5, 6, 0.5, seed ^ 77) - 0.5)
                + 0.12 * depth;
            if y / h > ridge {
                let base = mix(far, ground, depth + 0.34);
                let texture = fractal(x * 0.03, y * 0.06, 5, 0.65, seed ^ (range as u64 + 5));
                colour = base.map(|v| v * (0.55 + 0.9 * texture));
            }
        }
        colour
    })
}

/// Brick or plaster, lit from one side.
fn wall(width: u32, height: u32, random: &mut Random) -> RgbImage {
    let base = hsv(random.between(0.0, 0.12), random.between(0.2, 0.55), random.between(0.5, 0.8));
    let mortar = mix(base, [0.75; 3], 0.6);
    let (brick_width, brick_height) = (random.between(70.0, 120.0), random.between(26.0, 44.0));
    let bricks = random.chance(0.6);
    let seed = hash(random.below(1 << 30) as u64);
    let (w, h) = (width as f32, height as f32);
    paint(width, height, |x, y| {
        let rough = fractal(x * 0.05, y * 0.05, 5, 0.7, seed);
        let light = 1.1 - 0.45 * (x / w) - 0.2 * (y / h);
        let mut colour = base;
        if bricks {
            let (sx, sy) = (x + 6.0 * (rough - 0.5), y + 5.0 * (rough - 0.5));
            let row = (sy / brick_height).floor();
            let shifted = sx + if row as i64 % 2 == 0 { 0.0 } else { brick_width / 2.0 };
            let tone = grain((shifted / brick_width).floor() as i64, row as i64, seed);
            colour = base.map(|v| v * (0.75 + 0.4 * tone));
            let inside = shifted.rem_euclid(brick_width).min(sy.rem_euclid(brick_height));
            colour = mix(mortar, colour, ((inside - 3.0) / 2.0).clamp(0.0, 1.0));
        }
        colour.map(|v| v * light * (0.7 + 0.6 * rough))
    })
}

/// Leaves in many shades, the upper ones lighter.
fn foliage(width: u32, height: u32, random: &mut Random) -> RgbImage {
    let hue = random.between(0.2, 0.4);
    let seed = hash(random.below(1 << 30) as u64);
    let mut picture =
        paint(width, height, |x, y| hsv(hue, 0.5, 0.15 + 0.2 * fractal(x * 0.02, y * 0.02, 4, 0.6, seed)));
    let size = random.between(10.0, 22.0);
    let count = (width * height) as f32 / (size * size) * 1.4;
    for leaf in 0..count as usize {
        let depth = leaf as f32 / count;
        let (cx, cy) = (random.between(0.0, width as f32), random.between(0.0, height as f32));
        let (long, thin) = (size * random.between(0.7, 1.4), size * random.between(0.25, 0.5));
        let (sin, cos) = random.between(0.0, std::f32::consts::PI).sin_cos();
        let colour =
            hsv(hue + random.between(-0.05, 0.05), random.between(0.4, 0.7), 0.2 + 0.5 * depth * random.unit());
        let reach = long.ceil() as i64;
        for y in (cy as i64 - reach).max(0)..(cy as i64 + reach).min(i64::from(height)) {
            for x in (cx as i64 - reach).max(0)..(cx as i64 + reach).min(i64::from(width)) {
                let (dx, dy) = (x as f32 - cx, y as f32 - cy);
                let (u, v) = (dx * cos + dy * sin, dy * cos - dx * sin);
                let inside = 1.0 - (u / long).powi(2) - (v / thin).powi(2);
                if inside > 0.0 {
                    let shade = 0.8 + 0.4 * (v / thin).clamp(-1.0, 1.0) * 0.5;
                    let pixel = colour.map(|c| (c * shade * 255.0).clamp(0.0, 255.0) as u8);
                    picture.put_pixel(x as u32, y as u32, Rgb(pixel));
                }
            }
        }
    }
    picture
}

/// A street at night out of focus: disks of light on a dark background.
fn lights(width: u32, height: u32, random: &mut Random) -> RgbImage {
    let seed = hash(random.below(1 << 30) as u64);
    let dark = hsv(random.between(0.55, 0.75), 0.5, 0.2);
    let warm = hsv(random.between(0.02, 0.1), 0.5, 0.35);
    let (w, h) = (width as f32, height as f32);
    let disks: Vec<(f32, f32, f32, Colour)> = (0..40 + random.below(40))
        .map(|_| {
            let colour = hsv(*random.pick(&[0.08, 0.12, 0.0, 0.55, 0.9]) + random.between(-0.02, 0.02), 0.55, 0.9);
            (random.between(0.0, w), random.between(0.0, h), random.between(0.015, 0.06) * w, colour)
        })
        .collect();
    paint(width, height, |x, y| {
        let mut colour = mix(dark, warm, stretch(fractal(x / w * 3.0, y / h * 3.0, 5, 0.6, seed)));
        for &(cx, cy, radius, light) in &disks {
            let cover = ((radius - (x - cx).hypot(y - cy)) / 3.0).clamp(0.0, 1.0) * 0.3;
            colour = std::array::from_fn(|c| colour[c] + light[c] * cover);
        }
        colour
    })
}

/// What a camera adds: blur and grain.
fn photographed(scene: &RgbImage, random: &mut Random) -> RgbImage {
    let blurred = imageops::fast_blur(scene, random.between(0.5, 2.0));
    let strength = random.between(3.0, 9.0);
    let seed = hash(random.below(1 << 30) as u64);
    RgbImage::from_fn(scene.width(), scene.height(), |x, y| {
        let (x64, y64) = (i64::from(x), i64::from(y));
        let noise = grain(x64, y64, seed) + grain(x64, y64, seed ^ 9) - 1.0;
        Rgb(blurred.get_pixel(x, y).0.map(|v| (f32::from(v) + strength * noise).round().clamp(0.0, 255.0) as u8))
    })
}
