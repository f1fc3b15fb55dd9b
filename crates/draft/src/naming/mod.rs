//! Names of layers: what is written, what is shown, or colour and shape; each name once.

mod colour;
mod shape;
mod words;

use std::collections::HashSet;

use image::RgbaImage;
use layers::{Kind, Label, Layer};

use crate::morphology::components;
use crate::plane::{Mask, Plane};
use crate::structure::Unit;
pub(crate) use words::joined_text;

/// Largest number of pixels that are sampled along the longer side of a layer.
const SAMPLED_SIDE: usize = 256;

/// A piece smaller than this share of the largest does not count as another object.
const ORNAMENT_SHARE: f32 = 0.05;

/// Names the layers above the background, which come lowest first; `long` is the long side of the picture. Siblings
/// are numbered from the top of the stack: "Person", "Person 2".
pub(crate) fn name(layers: &mut [Layer], units: &[Unit], long: usize) {
    let mut taken = HashSet::from([BACKGROUND.to_owned()]);
    for (layer, unit) in layers.iter_mut().zip(units).rev() {
        let label = label(layer, unit, long);
        let words = if unit.kind == Kind::Text { words::first_words(&unit.lines) } else { None };
        let (plain, label) = words.map_or_else(|| (label.to_string(), Some(label.clone())), |words| (words, None));
        let mut number = 1;
        let mut full = plain.clone();
        while !taken.insert(full.clone()) {
            number += 1;
            full = format!("{plain} {number}");
        }
        layer.name = full;
        layer.label = label.map(|label| Label { number: (number > 1).then_some(number), ..label });
    }
}

/// Name of the lowest layer.
pub(crate) const BACKGROUND: &str = "Background";

/// What a layer shows, in codes.
fn label(layer: &Layer, unit: &Unit, long: usize) -> Label {
    match (unit.thing, unit.kind) {
        (Some("person"), _) if unit.joined => Label::new("people"),
        (Some(_), _) if unit.joined => Label::new("objects"),
        (Some(thing), _) => Label::new(thing),
        (None, Kind::Text) => Label::new(words::thing(&unit.lines, long)),
        (None, Kind::Subject) => plain_shape(&layer.pixels).unwrap_or_else(|| Label::new("subject")),
        // What was joined from words and things.
        _ if !unit.lines.is_empty() => Label::new("objects"),
        _ => object(&layer.pixels),
    }
}

/// "Yellow circle" for a subject that is nothing but that.
fn plain_shape(pixels: &RgbaImage) -> Option<Label> {
    let (seen, colours) = sampled(pixels);
    let colour = colour::main_colour(&colours).filter(|_| colour::is_flat(&colours))?;
    let thing = shape::shape(&largest_of_few(&seen)?)?;
    Some(Label { colour: Some(colour.to_owned()), ..Label::new(thing) })
}

/// "Yellow circle", "Red shapes", or "Objects" if they have many colours.
pub(crate) fn object(pixels: &RgbaImage) -> Label {
    let (seen, colours) = sampled(pixels);
    let colour = colour::main_colour(&colours);
    let flat = colour.is_some() && colour::is_flat(&colours);
    let thing = match largest_of_few(&seen) {
        Some(piece) => {
            shape::shape(&piece).filter(|_| colour.is_some()).unwrap_or(if flat { "shape" } else { "object" })
        }
        None if flat => "shapes",
        None => "objects",
    };
    Label { colour: colour.map(str::to_owned), ..Label::new(thing) }
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

/// The largest piece if the others are ornaments beside it; `None` where there are several, or none.
fn largest_of_few(seen: &Mask) -> Option<Mask> {
    let parts = components(seen);
    let largest = (1..=parts.len()).max_by_key(|&k| (parts.areas[k], std::cmp::Reverse(k)))?;
    let least = (ORNAMENT_SHARE * parts.areas[largest] as f32) as usize;
    let many = (1..=parts.len()).filter(|&k| parts.areas[k] > least).count() > 1;
    (!many).then(|| parts.labels.map(|label| label as usize == largest))
}

#[cfg(test)]
mod tests {
    use image::Rgba;

    use super::*;
    use crate::layer::{Part, TextLine};
    use crate::plane::Rect;
    use crate::structure::Look;

    fn layer(colour: impl Fn(u32, u32) -> Option<[u8; 3]>) -> Layer {
        let pixels =
            RgbaImage::from_fn(600, 400, |x, y| colour(x, y).map_or(Rgba([0; 4]), |[r, g, b]| Rgba([r, g, b, 255])));
        Layer::new("", Kind::Object, pixels)
    }

    fn unit(part: Part) -> Unit {
        Unit::new(vec![0], &[part], &[Look::default()], 600)
    }

    fn text(words: &str, size: f32) -> Unit {
        let rect = Rect { x0: 0, y0: 0, x1: 9, y1: 9 };
        unit(Part {
            lines: vec![TextLine { text: words.to_owned(), ..TextLine::unread(rect, size) }],
            ..Part::new(Kind::Text)
        })
    }

    /// Names, the highest first.
    fn named(made: Vec<(Layer, Unit)>) -> Vec<(String, Option<Label>)> {
        let (mut layers, units): (Vec<Layer>, Vec<Unit>) = made.into_iter().rev().unzip();
        name(&mut layers, &units, 600);
        layers.into_iter().rev().map(|layer| (layer.name, layer.label)).collect()
    }

    const RED: Option<[u8; 3]> = Some([214, 40, 40]);

    #[test]
    fn objects_are_named_by_colour_and_shape() {
        let square = |x: u32, y: u32| if x.abs_diff(200) < 90 && y.abs_diff(150) < 90 { RED } else { None };
        // Beside the one that counts, a dot.
        let dotted = |x: u32, y: u32| if x > 580 && y > 380 { RED } else { square(x, y) };
        let two = |x: u32, y: u32| if x.abs_diff(450) < 60 && y < 200 { RED } else { square(x, y) };
        let sun = |x: u32, y: u32| {
            let shade = [[240, 100, 72], [245, 138, 92], [252, 184, 120]][x as usize / 200];
            Some(shade).filter(|_| x.abs_diff(300).pow(2) + y.abs_diff(200).pow(2) < 150 * 150)
        };
        let mixed = |x: u32, y: u32| Some(if x < 300 { [0, 160, 60] } else { [24, 70, 170] }).filter(|_| y < 200);
        let object = || unit(Part::new(Kind::Object));
        let made = vec![
            (layer(square), object()),
            (layer(dotted), object()),
            (layer(two), object()),
            (layer(sun), object()),
            (layer(mixed), object()),
            (layer(|x, y| RED.filter(|_| x < 100 || y > 300)), object()),
            (layer(|_, _| None), object()),
        ];
        let names: Vec<String> = named(made).into_iter().map(|(name, _)| name).collect();
        let expected = ["Red square", "Red square 2", "Red shapes", "Orange circle", "Object", "Red shape", "Objects"];
        assert_eq!(names, expected);
    }

    #[test]
    fn siblings_are_numbered_and_words_need_no_label() {
        let person = || unit(Part { thing: Some("person"), ..Part::new(Kind::Subject) });
        let nothing = || layer(|_, _| None);
        let mut both = person();
        both.join(person());
        let made = vec![
            (nothing(), text("SALE", 90.0)),
            (nothing(), text("", 90.0)),
            (nothing(), text("SALE", 20.0)),
            (nothing(), text("", 9.0)),
            (nothing(), text("Background", 9.0)),
            (nothing(), person()),
            (nothing(), person()),
            (nothing(), both),
            (nothing(), unit(Part { thing: Some("traffic_light"), ..Part::new(Kind::Object) })),
            (nothing(), unit(Part::new(Kind::Subject))),
        ];
        let label = |thing: &str, number| Some(Label { number, ..Label::new(thing) });
        let expected = [
            ("SALE", None),
            ("Headline", label("headline", None)),
            ("SALE 2", None),
            ("Small print", label("small_print", None)),
            ("Background 2", None),
            ("Person", label("person", None)),
            ("Person 2", label("person", Some(2))),
            ("People", label("people", None)),
            ("Traffic light", label("traffic_light", None)),
            ("Subject", label("subject", None)),
        ];
        assert_eq!(named(made), expected.map(|(name, label)| (name.to_owned(), label)));
    }
}
