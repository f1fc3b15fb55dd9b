//! Headline and small print.

use tiny_skia::{Path, PathBuilder};
use ttf_parser::{Face, OutlineBuilder};

use crate::Script;
use crate::colour::{Colour, contrasting};
use crate::draw::Canvas;
use crate::random::Random;
use crate::words::{details, headlines};

const LATIN: [&[u8]; 3] = [
    include_bytes!("../fonts/latin-sans.ttf"),
    include_bytes!("../fonts/latin-serif.ttf"),
    include_bytes!("../fonts/latin-mono.ttf"),
];
const KOREAN: [&[u8]; 2] = [include_bytes!("../fonts/korean-sans.otf"), include_bytes!("../fonts/korean-serif.otf")];
const CHINESE: [&[u8]; 2] = [include_bytes!("../fonts/chinese-sans.otf"), include_bytes!("../fonts/chinese-serif.otf")];

pub(crate) fn fonts(script: Script) -> &'static [&'static [u8]] {
    match script {
        Script::Latin => &LATIN,
        Script::Korean => &KOREAN,
        Script::Chinese => &CHINESE,
    }
}

/// # Panics
/// When a font of this crate is broken.
pub(crate) fn face(bytes: &'static [u8]) -> Face<'static> {
    Face::parse(bytes, 0).expect("a font of this crate")
}

struct Pen {
    path: PathBuilder,
    x: f32,
    baseline: f32,
    scale: f32,
}

impl Pen {
    fn place(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.scale, self.baseline - y * self.scale)
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.place(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.place(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.place(x1, y1), self.place(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.place(x1, y1), self.place(x2, y2), self.place(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

/// Width of a line in font units.
fn advance(face: &Face, text: &str) -> f32 {
    text.chars().map(|c| f32::from(face.glyph_index(c).and_then(|g| face.glyph_hor_advance(g)).unwrap_or(0))).sum()
}

/// A line set centred on `middle`, `size` pixels to the em.
fn set(face: &Face, text: &str, size: f32, middle: f32, baseline: f32) -> Option<Path> {
    let scale = size / f32::from(face.units_per_em());
    let mut pen = Pen { path: PathBuilder::new(), x: middle - advance(face, text) * scale / 2.0, baseline, scale };
    for character in text.chars() {
        if let Some(glyph) = face.glyph_index(character) {
            face.outline_glyph(glyph, &mut pen);
            pen.x += f32::from(face.glyph_hor_advance(glyph).unwrap_or(0)) * scale;
        }
    }
    pen.path.finish()
}

/// Draws headline and small print; gives what they say, line by line.
pub(crate) fn text(
    canvas: &mut Canvas,
    size: (f32, f32),
    unit: f32,
    script: Script,
    background: Colour,
    random: &mut Random,
) -> String {
    let font: &&[u8] = random.pick(fonts(script));
    let face = face(font);
    let (colour, outline) = (contrasting(background, random), contrasting(background, random));
    let outlined = random.chance(0.3);
    let (lines, detail) = (*random.pick(headlines(script)), *random.pick(details(script)));
    let mut bottom = 50.0 * unit;
    for (k, line) in lines.iter().enumerate() {
        let widest = 0.86 * size.0 / advance(&face, line) * f32::from(face.units_per_em());
        let em = widest.min(if k == 0 { 150.0 } else { 112.0 } * unit);
        let path = set(&face, line, em, size.0 / 2.0, bottom + 0.9 * em);
        if outlined {
            canvas.stroke(path.clone(), 12.0 * unit, outline);
        }
        canvas.fill(path, colour);
        bottom += 1.15 * em;
    }
    let widest = 0.9 * size.0 / advance(&face, detail) * f32::from(face.units_per_em());
    canvas.fill(set(&face, detail, widest.min(34.0 * unit), size.0 / 2.0, size.1 - 36.0 * unit), colour);
    lines.iter().chain([&detail]).copied().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fonts_have_every_character() {
        for script in [Script::Latin, Script::Korean, Script::Chinese] {
            for font in fonts(script) {
                let face = face(font);
                let words = headlines(script).iter().flat_map(|lines| lines.iter()).chain(details(script));
                for character in words.flat_map(|word| word.chars()) {
                    assert!(face.glyph_index(character).is_some(), "{character} in a font for {script:?}");
                }
            }
        }
    }
}
