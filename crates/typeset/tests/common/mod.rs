//! What several tests need.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use image::{GrayImage, Luma, RgbaImage};
use typeset::{Align, Bounds, Colour, Fonts, Line, Position, Rendered, Run, Style, Text, render};

pub(crate) fn line(words: &str, style: &Style) -> Line {
    Line { runs: vec![Run { text: words.into(), style: style.clone() }] }
}

pub(crate) fn text(lines: Vec<Line>, x: f32, y: f32) -> Text {
    Text { lines, align: Align::Left, angle: 0.0, position: Position { x, y } }
}

pub(crate) fn bounds(width: u32, height: u32) -> Bounds {
    Bounds { x: 0, y: 0, width, height }
}

pub(crate) fn black(family: &str, size: f32) -> Style {
    Style::new(family, size, Colour::rgb(0, 0, 0))
}

pub(crate) fn draw(text: &Text, fonts: &Fonts) -> Rendered {
    render(text, fonts, bounds(8000, 1200)).unwrap()
}

/// The drawn pixels on a canvas of a size, where they belong.
pub(crate) fn on_canvas(drawn: &Rendered, width: u32, height: u32) -> RgbaImage {
    let mut canvas = RgbaImage::new(width, height);
    image::imageops::replace(&mut canvas, &drawn.picture, drawn.x.into(), drawn.y.into());
    canvas
}

/// The alpha of a picture.
pub(crate) fn alpha(picture: &RgbaImage) -> GrayImage {
    GrayImage::from_fn(picture.width(), picture.height(), |x, y| Luma([picture.get_pixel(x, y).0[3]]))
}

/// How many pixels are at least half opaque.
pub(crate) fn ink(picture: &RgbaImage) -> usize {
    picture.pixels().filter(|pixel| pixel.0[3] > 127).count()
}
