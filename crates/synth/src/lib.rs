#![doc = include_str!("../README.md")]

mod background;
mod colour;
mod draw;
mod noise;
mod random;
mod text;
mod words;

use image::{Rgba, RgbaImage};
use layers::{Kind, Layer, LayerStack};

use crate::draw::{Canvas, with_shadow};
use crate::random::Random;

/// The kind of background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Background {
    Flat,
    Gradient,
    Pattern,
    Noise,
    Photo,
}

/// The script of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Script {
    Latin,
    Korean,
    Chinese,
}

/// Which layers cast a soft shadow; it is part of the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shadows {
    None,
    All,
    Shapes,
}

/// A poster and what it was made from.
pub struct Poster {
    pub background: Background,
    pub script: Script,
    pub shadows: Shadows,
    /// Background, shapes, subject, text.
    pub truth: LayerStack,
    /// The layers' composite, opaque.
    pub picture: RgbaImage,
}

/// The poster with a number, `width` x `height` pixels.
///
/// Of 15 posters in a row each kind of background has three, with each kind of shadow
/// one; of 45 in a row each of these has one in each script.
///
/// # Panics
/// When a side is 0.
pub fn poster(seed: u64, width: u32, height: u32) -> Poster {
    let mut random = Random::new(seed);
    let kinds = [Background::Flat, Background::Gradient, Background::Pattern, Background::Noise, Background::Photo];
    let background = kinds[(seed % 5) as usize];
    let shadows = [Shadows::None, Shadows::All, Shadows::Shapes][(seed % 3) as usize];
    let script = [Script::Latin, Script::Korean, Script::Chinese][((seed / 5 + seed / 15) % 3) as usize];

    let lowest = background::background(background, width, height, &mut random);
    let mean = mean(&lowest);
    let size = (width as f32, height as f32);
    let unit = size.0.min(size.1) / 1024.0;

    let mut canvas = Canvas::new(width, height);
    draw::shapes(&mut canvas, size, unit, mean, &mut random);
    let mut shapes = canvas.into_picture();

    let mut canvas = Canvas::new(width, height);
    let centre = (size.0 / 2.0 + random.between(-60.0, 60.0) * unit, 0.64 * size.1);
    draw::subject(&mut canvas, centre, unit, mean, &mut random);
    let mut subject = canvas.into_picture();

    let mut canvas = Canvas::new(width, height);
    let said = text::text(&mut canvas, size, unit, script, mean, &mut random);
    let mut text = canvas.into_picture();

    let moved = |x: f32, y: f32| ((x * unit).round() as i64, (y * unit).round() as i64);
    match shadows {
        Shadows::None => {}
        Shadows::All => {
            text = with_shadow(&text, moved(5.0, 6.0), 4.0 * unit, 0.5);
            shapes = with_shadow(&shapes, moved(6.0, 8.0), 8.0 * unit, 0.45);
            subject = with_shadow(&subject, moved(6.0, 10.0), 10.0 * unit, 0.4);
        }
        Shadows::Shapes => shapes = with_shadow(&shapes, moved(4.0, 5.0), 5.0 * unit, 0.4),
    }
    let opaque = RgbaImage::from_fn(width, height, |x, y| {
        let [r, g, b] = lowest.get_pixel(x, y).0;
        Rgba([r, g, b, 255])
    });
    let layer = |name: &str, kind, text, pixels| Layer { text, ..Layer::new(name, kind, pixels) };
    let made = vec![
        layer("Background", Kind::Background, None, opaque),
        layer("Shapes", Kind::Object, None, shapes),
        layer("Subject", Kind::Subject, None, subject),
        layer("Text", Kind::Text, Some(said), text),
    ];
    let truth = LayerStack::new(width, height, made).expect("all layers have the size of the poster");
    let picture = layers::flatten(&truth);
    Poster { background, script, shadows, truth, picture }
}

fn mean(picture: &image::RgbImage) -> [f32; 3] {
    let mut sums = [0u64; 3];
    for pixel in picture.pixels() {
        (0..3).for_each(|c| sums[c] += u64::from(pixel[c]));
    }
    sums.map(|sum| sum as f32 / 255.0 / picture.pixels().len() as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_has_something_and_a_number_gives_one_poster() {
        for seed in 0..15 {
            let one = poster(seed, 160, 200);
            assert_eq!(one.truth.layers().len(), 4);
            for layer in one.truth.layers() {
                assert!(layers::coverage(&layer.pixels) > 0.001, "{} of {seed}", layer.name);
            }
            assert!(one.picture == poster(seed, 160, 200).picture);
        }
    }

    #[test]
    fn shadows_belong_to_the_layer_that_casts_them() {
        // 1 % 3: shadows under all layers.
        let shadowed = poster(1, 256, 256);
        let text = &shadowed.truth.layers()[3].pixels;
        assert!(text.pixels().any(|pixel| pixel[3] > 20 && pixel[3] < 120 && pixel[0] == 0));
    }
}
