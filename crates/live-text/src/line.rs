//! A fitted line as text on the canvas.

use engine::{FontInfo, FontMatch, LineInfo};
use layers::{ReadLine, Rect};
use typeset::{
    Face, Fill, Fonts, LineBox, Match, Paint, Position, Text, line_boxes, line_text, match_coverage, measure,
};

use crate::assign::Cutout;
use crate::fit::Fit;
use crate::script::script;
use crate::weakest::weakest_part;

/// A line that can stand alone or in a block.
#[derive(Debug, Clone)]
pub(crate) struct TextLine {
    /// The line alone, aligned left: its position is where its baseline starts.
    pub(crate) text: Text,
    pub(crate) info: LineInfo,
}

/// `corner` is where the layer that the line was cut from lies on the canvas. `None` if the line has no ink after all.
pub(crate) fn text_line(
    fit: &Fit,
    cut: &Cutout,
    line: &ReadLine,
    corner: (u32, u32),
    fonts: &Fonts,
) -> Option<TextLine> {
    let found = fit.best();
    let paint = paint(fit, fonts)?;
    let mut text = line_text(&fit.words, found, &paint, fonts)?;
    let origin = [cut.x as f32 + corner.0 as f32, cut.y as f32 + corner.1 as f32];
    let [x, y] = fit.level.back(text.position.x, text.position.y);
    text.position = Position { x: origin[0] + x, y: origin[1] + y };
    text.angle = fit.level.angle;
    let style = &mut text.lines.first_mut()?.runs.first_mut()?.style;
    if let Some(shadow) = &mut style.shadow {
        // Shadows do not turn with their block.
        [shadow.dx, shadow.dy] = fit.level.turned(shadow.dx, shadow.dy);
    }
    text.validate().ok()?;
    let LineBox { width, ascent, descent, .. } = line_boxes(&text, fonts).ok()?.first().copied()?;
    let (script, language) = script(&fit.words);
    let face = fonts.face(found.face)?;
    let info = LineInfo {
        words: fit.words.clone(),
        bounding_box: ink_box(cut, corner)?,
        origin: text.position,
        width,
        ascent,
        descent,
        script: script.to_owned(),
        language: language.map(str::to_owned),
        confidence: line.confidence,
        similarity: found.similarity,
        overlap: found.overlap,
        weakest: weakest_part(fit, fonts),
        font: font(face, found, fit, fonts),
        alternatives: fit.matches.iter().skip(1).filter_map(|found| alternative(found, fonts)).collect(),
    };
    Some(TextLine { text, info })
}

/// The letters are those of the face where it is the line's own, which tells them from their outline; else the ink.
fn paint(fit: &Fit, fonts: &Fonts) -> Option<Paint> {
    let found = fit.best();
    let (width, height) = fit.level.pixels.dimensions();
    let coverage = || match_coverage(found, &fit.words, fonts, width, height);
    let letters = if found.is_approximate() { None } else { coverage() };
    let of_face = letters.and_then(|letters| measure(&fit.level.pixels, &letters).ok());
    of_face.or_else(|| measure(&fit.level.pixels, &fit.mask).ok())
}

fn font(face: &Face, found: &Match, fit: &Fit, fonts: &Fonts) -> FontInfo {
    let approximate = found.is_approximate();
    let generic = || typeset::nearest_generic(&fit.mask, &fit.words, fonts).ok().flatten();
    FontInfo {
        family: face.family().to_owned(),
        korean_family: face.korean_family().map(str::to_owned),
        postscript: postscript(face),
        weight: face.weight(),
        slant: face.slant(),
        width: face.width(),
        approximate,
        generic: if approximate { generic() } else { None },
    }
}

fn alternative(found: &Match, fonts: &Fonts) -> Option<FontMatch> {
    let face = fonts.face(found.face)?;
    Some(FontMatch {
        family: face.family().to_owned(),
        postscript: postscript(face),
        weight: face.weight(),
        slant: face.slant(),
        width: face.width(),
        similarity: found.similarity,
    })
}

fn postscript(face: &Face) -> Option<String> {
    Some(face.postscript().to_owned()).filter(|name| !name.is_empty())
}

/// The box of a cutout's pixels on the canvas.
fn ink_box(cut: &Cutout, corner: (u32, u32)) -> Option<Rect> {
    let found = layers::bounding_box(&cut.pixels)?;
    let place = |at: u32, cut: i64, corner: u32| u32::try_from(i64::from(at) + cut + i64::from(corner)).ok();
    Some(Rect { x: place(found.x, cut.x, corner.0)?, y: place(found.y, cut.y, corner.1)?, ..found })
}

/// Moves the ends of a gradient, which are px from the block's position.
pub(crate) fn move_fill(fill: &mut Fill, dx: f32, dy: f32) {
    if let Fill::Gradient(gradient) = fill {
        for end in [&mut gradient.start, &mut gradient.end] {
            (end.x, end.y) = (end.x + dx, end.y + dy);
        }
    }
}
