//! Letters told from what lies around them by colour, where `typeset::ink` takes one for the other: a shadow of small
//! letters has more pixels than they have.

use image::{GrayImage, Luma, RgbaImage};

/// Alpha from which a pixel tells its own colour.
const OPAQUE: u8 = 160;
/// Colours that differ by less in every channel, of 255, are one.
const ONE_COLOUR: f32 = 40.0;
const ROUNDS: usize = 8;

type Colour = [f32; 3];

/// The coverage of what has the one and what has the other of a line's two main colours; nothing if it has one.
pub(crate) fn masks(pixels: &RgbaImage) -> Vec<GrayImage> {
    let Some([one, two]) = main_colours(pixels) else { return Vec::new() };
    let mask = |own: Colour, other: Colour| {
        GrayImage::from_fn(pixels.width(), pixels.height(), |x, y| {
            let [red, green, blue, alpha] = pixels.get_pixel(x, y).0;
            let colour = [red, green, blue].map(f32::from);
            // Where on the way from the other colour to its own.
            let way: Colour = std::array::from_fn(|c| own[c] - other[c]);
            let (length, along) = (dot(way, way), dot(std::array::from_fn(|c| colour[c] - other[c]), way));
            Luma([(f32::from(alpha) * (along / length).clamp(0.0, 1.0)).round() as u8])
        })
    };
    vec![mask(one, two), mask(two, one)]
}

/// Two-means (Lloyd), from the darkest and the lightest.
fn main_colours(pixels: &RgbaImage) -> Option<[Colour; 2]> {
    let mut colours: Vec<Colour> =
        pixels.pixels().filter(|p| p.0[3] >= OPAQUE).map(|p| [p.0[0], p.0[1], p.0[2]].map(f32::from)).collect();
    colours.sort_by(|a, b| luma(*a).total_cmp(&luma(*b)));
    let at = |share: usize| colours.get(colours.len() * share / 100).copied();
    let mut means = [at(3)?, at(97)?];
    for _ in 0..ROUNDS {
        let mut sums = [[0.0; 4]; 2];
        for colour in &colours {
            let apart = means.map(|mean| {
                let way: Colour = std::array::from_fn(|c| colour[c] - mean[c]);
                dot(way, way)
            });
            let sum = &mut sums[usize::from(apart[1] < apart[0])];
            (0..3).for_each(|c| sum[c] += colour[c]);
            sum[3] += 1.0;
        }
        if sums.iter().any(|sum| sum[3] == 0.0) {
            return None;
        }
        means = sums.map(|[r, g, b, count]| [r / count, g / count, b / count]);
    }
    let differ = (0..3).any(|c| (means[0][c] - means[1][c]).abs() > ONE_COLOUR);
    differ.then_some(means)
}

fn luma(colour: Colour) -> f32 {
    dot(colour, [0.2, 0.7, 0.1])
}

fn dot(a: Colour, b: Colour) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

#[cfg(test)]
mod tests {
    use image::Rgba;

    use super::*;

    #[test]
    fn two_colours_give_a_mask_each_and_one_gives_none() {
        let drawn = RgbaImage::from_fn(40, 20, |x, _| match x {
            0..10 => Rgba([20, 30, 40, 255]),
            10..35 => Rgba([170, 180, 170, 255]),
            _ => Rgba([0; 4]),
        });
        let [dark, light] = &masks(&drawn)[..] else { panic!("two masks") };
        let at = |mask: &GrayImage, x| mask.get_pixel(x, 5).0[0];
        assert_eq!([at(dark, 5), at(dark, 20), at(dark, 38)], [255, 0, 0]);
        assert_eq!([at(light, 5), at(light, 20), at(light, 38)], [0, 255, 0]);
        assert!(masks(&RgbaImage::from_pixel(9, 9, Rgba([90, 90, 90, 255]))).is_empty());
    }
}
