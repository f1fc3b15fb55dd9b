//! Names of object layers: by number and colour, each name once.

use std::collections::HashSet;

use image::RgbaImage;
use layers::{Kind, Layer};

use crate::colour::{WIDER, distance_squared, oklab};
use crate::layer::TextLine;
use crate::morphology::components;
use crate::plane::{Mask, Plane};

/// Name of an object layer until its colours are known.
pub(crate) const OBJECTS: &str = "Objects";

/// Largest number of pixels that are sampled along the longer side of a layer.
const SAMPLED_SIDE: usize = 256;

/// A layer is named after a colour that more than this share of its pixels has.
const MAIN_COLOUR_SHARE: f32 = 0.6;

/// Otherwise it is named after its mean colour, if pixels closer to the mean than this, in the units of [`oklab`],
const SHADE_DISTANCE: f32 = 0.22;
/// are more than this share of it.
const SHADES_SHARE: f32 = 0.9;

/// A piece smaller than this share of the largest does not count as another object.
const ORNAMENT_SHARE: f32 = 0.05;

/// Names object layers, and numbers layers that would have the same name.
pub(crate) fn name(layers: &mut [Layer]) {
    for layer in layers.iter_mut().filter(|layer| layer.kind == Kind::Object && layer.name == OBJECTS) {
        layer.name = objects(&layer.pixels);
    }
    let mut taken = HashSet::new();
    for layer in layers {
        let numbered = (2..).map(|number| format!("{} {number}", layer.name));
        let free = std::iter::once(layer.name.clone()).chain(numbered).find(|name| !taken.contains(name));
        layer.name = free.unwrap_or_default();
        taken.insert(layer.name.clone());
    }
}

/// "Red object", "Blue objects", or "Objects" if they have many colours.
fn objects(pixels: &RgbaImage) -> String {
    let (seen, colours) = sampled(pixels);
    let noun = if is_one(&seen) { "object" } else { "objects" };
    let word = main_colour(&colours).map_or_else(|| noun.to_owned(), |colour| format!("{colour} {noun}"));
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A sample of the pixels: where the layer is visible, and its colours there.
fn sampled(pixels: &RgbaImage) -> (Mask, Vec<[u8; 3]>) {
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    let step = width.max(height).div_ceil(SAMPLED_SIDE).max(1);
    let at = |x: usize, y: usize| {
        let (x, y) = ((x * step + step / 2).min(width - 1), (y * step + step / 2).min(height - 1));
        pixels.get_pixel(x as u32, y as u32).0
    };
    let samples = Plane::from_fn(width.div_ceil(step), height.div_ceil(step), at);
    let colours = samples.data.iter().filter(|[.., alpha]| *alpha >= 128).map(|&[r, g, b, _]| [r, g, b]).collect();
    (samples.map(|[.., alpha]| alpha >= 128), colours)
}

fn is_one(seen: &Mask) -> bool {
    let parts = components(seen);
    let pieces = parts.areas.get(1..).unwrap_or_default();
    let least = (ORNAMENT_SHARE * pieces.iter().max().copied().unwrap_or(0) as f32) as usize;
    pieces.iter().filter(|area| **area > least).count() <= 1
}

/// The colour of most pixels, or their mean if they are shades of it; `None` for several colours.
fn main_colour(colours: &[[u8; 3]]) -> Option<&'static str> {
    let words: Vec<_> = colours.iter().map(|colour| colour_word(*colour)).collect();
    let count = |word: &str| words.iter().filter(|one| **one == word).count();
    let most = WORDS.into_iter().max_by_key(|word| count(word))?;
    if count(most) as f32 > MAIN_COLOUR_SHARE * words.len() as f32 {
        return Some(most);
    }
    let sum = |channel: usize| colours.iter().map(|colour| u64::from(colour[channel])).sum::<u64>();
    let mean = [0, 1, 2].map(|channel| (sum(channel) / colours.len().max(1) as u64) as u8);
    let middle = oklab(mean);
    let shades = colours
        .iter()
        .filter(|colour| distance_squared(oklab(**colour), middle) < SHADE_DISTANCE * SHADE_DISTANCE)
        .count();
    (shades as f32 > SHADES_SHARE * colours.len() as f32).then(|| colour_word(mean))
}

const WORDS: [&str; 13] = [
    "black",
    "white",
    "grey",
    "beige",
    "brown",
    "red",
    "orange",
    "yellow",
    "green",
    "turquoise",
    "blue",
    "purple",
    "pink",
];

/// One of [`WORDS`] for an sRGB colour: the eleven basic ones of Berlin and Kay (1969), with beige and turquoise, which
/// posters are full of. The bounds are in Oklab's lightness, chroma and hue, set by eye.
fn colour_word(rgb: [u8; 3]) -> &'static str {
    let [lightness, a, b] = oklab(rgb);
    let chroma = (a * a + b * b).sqrt() / WIDER;
    if chroma < 0.03 {
        return match lightness {
            dark if dark < 0.3 => "black",
            light if light > 0.93 => "white",
            _ => "grey",
        };
    }
    if lightness < 0.2 {
        return "black";
    }
    let hue = libm::atan2f(b, a).to_degrees().rem_euclid(360.0);
    match hue {
        hue if hue < 15.0 => "pink",
        hue if hue < 42.0 && lightness > 0.72 => "pink",
        hue if hue < 42.0 && lightness > 0.4 && chroma > 0.1 => "red",
        hue if hue < 100.0 && lightness < 0.55 => "brown",
        hue if (42.0..105.0).contains(&hue) && chroma < 0.09 && lightness > 0.7 => "beige",
        hue if hue < 42.0 => "red",
        hue if hue < 80.0 => "orange",
        hue if hue < 115.0 => "yellow",
        hue if hue < 172.0 => "green",
        hue if hue < 220.0 => "turquoise",
        hue if hue < 290.0 => "blue",
        hue if hue < 328.0 => "purple",
        _ => "pink",
    }
}

/// What a text layer says, line by line; `None` where no line was read.
pub(crate) fn joined_text(lines: &[TextLine]) -> Option<String> {
    let lines: Vec<&str> = lines.iter().map(|line| line.text.trim()).filter(|line| !line.is_empty()).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Name of a text layer: its lines on one line, at most 48 characters; where nothing could
/// be read, how large it is and where it stands on a picture `height` pixels high.
pub(crate) fn text_name(lines: &[TextLine], height: usize) -> String {
    let line = lines.iter().map(|line| line.text.trim()).filter(|t| !t.is_empty()).collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return unread_name(lines, height);
    }
    if line.chars().count() <= 48 { line } else { line.chars().take(47).chain(['…']).collect() }
}

fn unread_name(lines: &[TextLine], height: usize) -> String {
    let Some(rect) = lines.iter().map(|line| line.rect).reduce(|a, b| a.union(&b)) else { return "Text".to_owned() };
    let middle = (rect.y0 + rect.y1) as f32 / 2.0 / height.max(1) as f32;
    let place = match middle {
        m if m < 0.35 => "top",
        m if m > 0.65 => "bottom",
        _ => "middle",
    };
    let largest = lines.iter().map(|line| line.size).fold(0.0, f32::max) / height.max(1) as f32;
    let size = match largest {
        s if s > 0.07 => "large",
        s if s < 0.035 => "small",
        _ => "medium",
    };
    format!("Text ({size}, {place})")
}

#[cfg(test)]
mod tests {
    use image::Rgba;

    use super::*;

    fn layer(name: &str, colour: impl Fn(u32, u32) -> Option<[u8; 3]>) -> Layer {
        let pixels =
            RgbaImage::from_fn(600, 400, |x, y| colour(x, y).map_or(Rgba([0; 4]), |[r, g, b]| Rgba([r, g, b, 255])));
        Layer::new(name, Kind::Object, pixels)
    }

    fn named(mut layers: Vec<Layer>) -> Vec<String> {
        name(&mut layers);
        layers.into_iter().map(|layer| layer.name).collect()
    }

    #[test]
    fn colours_have_the_words_that_people_use() {
        for (word, examples) in [
            ("black", &[[0, 0, 0], [20, 24, 30], [10, 10, 40]][..]),
            ("white", &[[255, 255, 255], [250, 248, 244]]),
            ("grey", &[[128, 128, 128], [200, 202, 198]]),
            ("beige", &[[230, 205, 170], [235, 220, 190], [226, 180, 150]]),
            ("brown", &[[110, 70, 40], [92, 51, 23], [120, 90, 40]]),
            ("red", &[[255, 0, 0], [214, 40, 40], [160, 20, 30]]),
            ("orange", &[[255, 140, 0], [240, 120, 40]]),
            ("yellow", &[[255, 230, 0], [250, 210, 60]]),
            ("green", &[[0, 160, 60], [60, 120, 50], [120, 200, 80]]),
            ("turquoise", &[[0, 170, 170], [64, 224, 208]]),
            ("blue", &[[24, 70, 170], [0, 0, 255], [90, 160, 230]]),
            ("purple", &[[120, 40, 160], [150, 90, 200]]),
            ("pink", &[[255, 105, 180], [250, 170, 180], [230, 30, 120]]),
        ] {
            assert!(WORDS.contains(&word));
            for example in examples {
                assert_eq!(colour_word(*example), word, "{example:?}");
            }
        }
    }

    #[test]
    fn objects_are_named_by_colour_and_number() {
        let red = Some([214, 40, 40]);
        let one = |x: u32, y: u32| if x.abs_diff(200) < 90 && y.abs_diff(150) < 90 { red } else { None };
        // Beside the one that counts, a dot.
        let dotted = |x: u32, y: u32| if x > 580 && y > 380 { red } else { one(x, y) };
        let two = |x: u32, y: u32| if x.abs_diff(450) < 60 && y < 200 { red } else { one(x, y) };
        let mixed = |x: u32, y: u32| Some(if x < 300 { [0, 160, 60] } else { [24, 70, 170] }).filter(|_| y < 200);
        let layers = vec![
            layer("Background", |_, _| red),
            layer(OBJECTS, one),
            layer(OBJECTS, two),
            layer(OBJECTS, dotted),
            layer(OBJECTS, mixed),
            layer(OBJECTS, |_, _| None),
            layer(OBJECTS, |x, y| Some([24, 70, 170]).filter(|_| x % 60 < 30 && y % 60 < 30)),
            Layer { kind: Kind::Text, ..layer(OBJECTS, one) },
            // A sun in three shades.
            layer(OBJECTS, |x, _| Some([[240, 100, 72], [245, 138, 92], [252, 184, 120]][x as usize / 200])),
            layer("SALE", one),
            layer("SALE 2", one),
            layer("SALE", one),
        ];
        let expected = [
            "Background",
            "Red object",
            "Red objects",
            "Red object 2",
            "Object",
            "Object 2",
            "Blue objects",
            "Objects",
            "Orange object",
            "SALE",
            "SALE 2",
            "SALE 3",
        ];
        assert_eq!(named(layers), expected);
    }
}
