//! The words of a text layer, with what formats need to know of their fonts.

use typeset::{Fonts, LineBox, Run, Text, Wanted};

use super::{ExportOptions, TextMode};
use crate::document::DocumentLayer;

/// Words that a format writes as words.
pub(super) struct Words<'a> {
    pub(super) text: &'a Text,
    /// As many as the text has.
    pub(super) lines: Vec<WordLine<'a>>,
}

pub(super) struct WordLine<'a> {
    /// From the text's position, before its turn.
    pub(super) bounds: LineBox,
    pub(super) runs: Vec<StyledRun<'a>>,
}

pub(super) struct StyledRun<'a> {
    pub(super) run: &'a Run,
    /// The family as other programs know it.
    pub(super) family: String,
    /// The face's PostScript name.
    pub(super) postscript: String,
    /// The family of at most four styles that the face belongs to, and whether it is a bold one of them.
    pub(super) styled_family: String,
    pub(super) bold: bool,
}

/// Weight from which a face counts as bold.
const BOLD: u16 = 600;

impl<'a> Words<'a> {
    /// The blocks of a layer. None for layers without words, for words that cannot be set (too many, out of range), and
    /// where only pixels are wanted.
    pub(super) fn of(layer: &'a DocumentLayer, options: &ExportOptions) -> Vec<Self> {
        let Some(fonts) = options.fonts.as_deref().filter(|_| options.text != TextMode::Pixels) else {
            return Vec::new();
        };
        // All or nothing: the pixels of what could not be set would be hidden with the others.
        let blocks: Option<Vec<Self>> = layer.live_text.iter().map(|text| Self::set(text, fonts)).collect();
        blocks.unwrap_or_default()
    }

    fn set(text: &'a Text, fonts: &Fonts) -> Option<Self> {
        let boxes = typeset::line_boxes(text, fonts).ok()?;
        let line = |(bounds, line): (LineBox, &'a typeset::Line)| WordLine {
            bounds,
            runs: line.runs.iter().map(|run| StyledRun::of(run, fonts)).collect(),
        };
        Some(Self { text, lines: boxes.into_iter().zip(&text.lines).map(line).collect() })
    }
}

impl<'a> StyledRun<'a> {
    /// A family that is not there keeps the name that was asked for: another machine may have it.
    fn of(run: &'a Run, fonts: &Fonts) -> Self {
        let style = &run.style;
        let wanted = Wanted { family: &style.family, weight: style.weight, slant: style.slant, width: style.width };
        match fonts.find(&wanted) {
            Some(face) => Self {
                run,
                family: face.family().to_owned(),
                postscript: face.postscript().to_owned(),
                styled_family: face.styled_family().to_owned(),
                bold: face.weight() >= BOLD && face.styled_family() == face.family(),
            },
            None => Self {
                run,
                family: style.family.clone(),
                postscript: style.family.clone(),
                styled_family: style.family.clone(),
                bold: style.weight >= BOLD,
            },
        }
    }
}

/// A point from the text's position, turned with the text, as a place on the canvas.
pub(super) fn on_canvas(text: &Text, x: f32, y: f32) -> (f64, f64) {
    let (sin, cos) = f64::from(text.angle).to_radians().sin_cos();
    let (x, y) = (f64::from(x), f64::from(y));
    (f64::from(text.position.x) + x * cos - y * sin, f64::from(text.position.y) + x * sin + y * cos)
}
