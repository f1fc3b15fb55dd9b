//! Pixels that go from one layer to another, while both together look as before.

use image::{GrayImage, Rgba, RgbaImage};

use super::look::INSIDE;

/// Pixels that lie somewhere on the document's canvas.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub pixels: RgbaImage,
    /// Of the upper left corner.
    pub at: (i32, i32),
}

impl Placed {
    fn end(&self) -> (i64, i64) {
        let side = |at: i32, length: u32| i64::from(at) + i64::from(length);
        (side(self.at.0, self.pixels.width()), side(self.at.1, self.pixels.height()))
    }

    /// The pixel at a place of the canvas; transparent outside.
    pub(crate) fn at(&self, x: i64, y: i64) -> Rgba<u8> {
        let inside = |at: i64, origin: i32| u32::try_from(at - i64::from(origin)).ok();
        let place = inside(x, self.at.0).zip(inside(y, self.at.1));
        place.and_then(|(x, y)| self.pixels.get_pixel_checked(x, y).copied()).unwrap_or(Rgba([0; 4]))
    }

    /// The same with transparent pixels around it, so that it is as far as `other`, too.
    fn around(&self, other: &Self) -> Self {
        let at = (self.at.0.min(other.at.0), self.at.1.min(other.at.1));
        let (end, far) = (self.end(), other.end());
        let length = |end: i64, start: i32| u32::try_from(end - i64::from(start)).unwrap_or(0);
        let (width, height) = (length(end.0.max(far.0), at.0), length(end.1.max(far.1), at.1));
        let mut pixels = RgbaImage::new(width, height);
        let from = |own: i32, all: i32| i64::from(own) - i64::from(all);
        image::imageops::replace(&mut pixels, &self.pixels, from(self.at.0, at.0), from(self.at.1, at.1));
        Self { pixels, at }
    }

    /// `above` over this, as one.
    pub(crate) fn under(&self, above: &Self) -> Self {
        let mut both = self.around(above);
        let at = both.at;
        for (x, y, pixel) in both.pixels.enumerate_pixels_mut() {
            let top = above.at(i64::from(x) + i64::from(at.0), i64::from(y) + i64::from(at.1));
            if top[3] > 0 {
                *pixel = layers::over(top, *pixel);
            }
        }
        both
    }
}

/// Gives what a mask of the canvas marks of `above` to `below`, which lies under it. Both together stay as they are within
/// 1/255 where `below` is opaque; elsewhere each pixel goes as a whole or stays.
pub(crate) fn give_back(above: &Placed, below: &Placed, mask: &GrayImage) -> (Placed, Placed) {
    let mut rest = above.clone();
    let mut given = below.around(above);
    for (x, y, pixel) in rest.pixels.enumerate_pixels_mut().filter(|(.., pixel)| pixel[3] > 0) {
        let (u, v) = (i64::from(x) + i64::from(above.at.0), i64::from(y) + i64::from(above.at.1));
        let on_mask = u32::try_from(u).ok().zip(u32::try_from(v).ok());
        let value = on_mask.and_then(|(x, y)| mask.get_pixel_checked(x, y)).map_or(0, |value| value[0]);
        let inside = |at: i64, origin: i32| u32::try_from(at - i64::from(origin)).ok();
        let place = inside(u, given.at.0).zip(inside(v, given.at.1));
        let Some(under) = place.and_then(|(x, y)| given.pixels.get_pixel_mut_checked(x, y)) else { continue };
        if value > 0 {
            (*pixel, *under) = parted(*pixel, *under, value);
        }
    }
    (rest, given)
}

/// Two pixels of which the upper one gives `share` (1 to 255) to the lower one.
fn parted(above: Rgba<u8>, below: Rgba<u8>, share: u8) -> (Rgba<u8>, Rgba<u8>) {
    let whole = layers::over(above, below);
    if share == 255 || below[3] < 255 {
        return if share >= INSIDE { (Rgba([0; 4]), whole) } else { (above, below) };
    }
    let kept = (u32::from(above[3]) * u32::from(255 - share) + 127) / 255;
    if kept == 0 {
        return (Rgba([0; 4]), whole);
    }
    let opacity = kept as f32 / 255.0;
    let exact = |c: usize| {
        let full = f32::from(above[3]) / 255.0;
        full * f32::from(above[c]) + (1.0 - full) * f32::from(below[c])
    };
    // What is below so that the two together are the whole: between the two colours.
    let solved = |c: usize| {
        let value = (exact(c) - opacity * f32::from(above[c])) / (1.0 - opacity).max(1.0 / 255.0);
        (value + 0.5).clamp(0.0, 255.0) as u8
    };
    let [r, g, b, _] = above.0;
    (Rgba([r, g, b, kept as u8]), Rgba([solved(0), solved(1), solved(2), 255]))
}

#[cfg(test)]
mod tests {
    use image::Luma;

    use super::*;

    fn noise(seed: u32, width: u32, height: u32, alpha: impl Fn(u8) -> u8) -> RgbaImage {
        let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
        let mut byte = move || {
            // xorshift32
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as u8
        };
        RgbaImage::from_fn(width, height, |_, _| {
            let colour = [byte(), byte(), byte()];
            Rgba([colour[0], colour[1], colour[2], alpha(byte())])
        })
    }

    /// The two over each other in floats, so that no rounding hides a difference.
    fn composite(above: Rgba<u8>, below: Rgba<u8>) -> [f32; 4] {
        let unit = |pixel: Rgba<u8>| pixel.0.map(|value| f32::from(value) / 255.0);
        let (a, b) = (unit(above), unit(below));
        std::array::from_fn(|c| match c {
            3 => a[3] + b[3] * (1.0 - a[3]),
            c => a[c] * a[3] + b[c] * b[3] * (1.0 - a[3]),
        })
    }

    #[test]
    fn what_is_given_back_changes_nothing_that_is_seen() {
        for seed in 1..20 {
            let opaque = seed % 2 == 0;
            let above = Placed { pixels: noise(seed, 40, 30, |a| if a < 60 { 0 } else { a }), at: (-5, 7) };
            let lower = noise(seed + 100, 50, 40, |a| if opaque { 255 } else { [0, 255, a][usize::from(a) % 3] });
            let below = Placed { pixels: lower, at: (0, 0) };
            let mask = GrayImage::from_fn(60, 50, |x, y| Luma([((x * 9 + y * 5) % 256) as u8]));
            let (rest, given) = give_back(&above, &below, &mask);
            for y in -2..60 {
                for x in -8..60 {
                    let before = composite(above.at(x, y), below.at(x, y));
                    let after = composite(rest.at(x, y), given.at(x, y));
                    for c in 0..4 {
                        let off = (before[c] - after[c]).abs() * 255.0;
                        assert!(off <= 1.01, "{off} in {c} at {x}, {y}: seed {seed}");
                    }
                }
            }
        }
    }

    #[test]
    fn one_layer_over_another_is_one_as_large_as_both() {
        let square =
            |colour: u8, at: (i32, i32)| Placed { pixels: RgbaImage::from_pixel(4, 4, Rgba([colour, 0, 0, 255])), at };
        let both = square(10, (0, 0)).under(&square(20, (-2, 3)));
        assert_eq!((both.at, both.pixels.dimensions()), ((-2, 0), (6, 7)));
        assert_eq!((both.at(0, 3)[0], both.at(3, 3)[0], both.at(3, 6)[3]), (20, 10, 0));
    }
}
