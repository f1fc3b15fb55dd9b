//! Lines to glyphs, placed about the block's position.

use crate::Error;
use crate::fonts::{Face, FaceId, Fonts, Wanted};
use crate::render::{LineBox, Replaced};
use crate::shape::{Piece, Placed, shape_line};
use crate::text::{Align, Style, Text};

/// A glyph with its origin in px from the block's position.
pub(super) struct Set<'a> {
    pub(super) face: &'a Face,
    pub(super) id: u32,
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) style: &'a Style,
}

/// A block whose glyphs are placed.
pub(super) struct Laid<'a> {
    pub(super) glyphs: Vec<Set<'a>>,
    pub(super) boxes: Vec<LineBox>,
    pub(super) replaced: Vec<Replaced>,
}

impl Laid<'_> {
    pub(super) fn faces(&self) -> Vec<FaceId> {
        let mut faces: Vec<FaceId> = self.glyphs.iter().map(|glyph| glyph.face.id()).collect();
        faces.sort_unstable();
        faces.dedup();
        faces
    }
}

pub(super) fn lay_out<'a>(text: &'a Text, fonts: &'a Fonts) -> Result<Laid<'a>, Error> {
    let mut laid = Laid { glyphs: Vec::new(), boxes: Vec::new(), replaced: Vec::new() };
    let mut baseline = 0.0;
    for (number, line) in text.lines.iter().enumerate() {
        let tallest = line.runs.iter().map(|run| run.style.line_height).fold(0.0, f32::max);
        if number > 0 {
            baseline += tallest;
        }
        let mut pieces = Vec::new();
        for run in &line.runs {
            let style = &run.style;
            let face = face_for(style, fonts, &mut laid.replaced)?;
            // CSS Text 3, section 8.2: no optional ligatures where letters are spaced.
            let (letter_spacing, ligatures) = (style.letter_spacing, style.letter_spacing == 0.0);
            pieces.push(Piece { text: &run.text, face, size: style.size, letter_spacing, ligatures });
        }
        let shaped = shape_line(&pieces, fonts);
        for (letter, by) in shaped.missing {
            note(&mut laid.replaced, Replaced::Letter { wanted: letter, by: by.map(Face::id) });
        }
        let x = match text.align {
            Align::Left => 0.0,
            Align::Centre => -shaped.width / 2.0,
            Align::Right => -shaped.width,
        };
        let set = |glyph: &Placed<'a>| Set {
            face: glyph.face,
            id: glyph.id,
            x: x + glyph.x,
            y: baseline + glyph.y,
            style: &line.runs[glyph.piece].style,
        };
        laid.glyphs.extend(shaped.glyphs.iter().map(set));
        let reach = |of: fn(&Face) -> f32| pieces.iter().map(|piece| of(piece.face) * piece.size).fold(0.0, f32::max);
        let (ascent, descent) = (reach(Face::ascent), reach(Face::descent));
        laid.boxes.push(LineBox { x, baseline, width: shaped.width, ascent, descent });
    }
    Ok(laid)
}

fn face_for<'a>(style: &Style, fonts: &'a Fonts, replaced: &mut Vec<Replaced>) -> Result<&'a Face, Error> {
    let wanted = Wanted { family: &style.family, weight: style.weight, slant: style.slant, width: style.width };
    let (face, stands_in) = fonts.find_or_default(&wanted).ok_or(Error::NoFonts)?;
    if stands_in {
        note(replaced, Replaced::Family { wanted: style.family.clone(), by: face.id() });
    }
    Ok(face)
}

fn note(replaced: &mut Vec<Replaced>, what: Replaced) {
    if !replaced.contains(&what) {
        replaced.push(what);
    }
}
