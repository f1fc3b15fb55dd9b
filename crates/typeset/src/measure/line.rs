//! From what was measured back to text.

use super::Paint;
use crate::fonts::{Fonts, Wanted};
use crate::identify::Match;
use crate::text::{Align, Fill, Line, Position, Run, Style, Text};

/// A line as text: what a match and a paint say together. Its position is px from the upper left corner of the picture
/// in which both were measured. `None` if the match's face is not the collection's.
pub fn line_text(words: &str, found: &Match, paint: &Paint, fonts: &Fonts) -> Option<Text> {
    let face = fonts.face(found.face)?;
    let (weight, slant, width) = (face.weight(), face.slant(), face.width());
    let named =
        |family: &str| fonts.find(&Wanted { family, weight, slant, width }).is_some_and(|one| one.id() == face.id());
    // The family's name, unless that means another of its faces.
    let family = if named(face.family()) { face.family() } else { face.postscript() };
    let position = Position { x: found.x, y: found.baseline };
    let from = |point: Position| Position { x: point.x - position.x, y: point.y - position.y };
    let fill = match paint.fill.clone() {
        Fill::Gradient(mut gradient) => {
            (gradient.start, gradient.end) = (from(gradient.start), from(gradient.end));
            Fill::Gradient(gradient)
        }
        colour => colour,
    };
    let style = Style {
        family: family.to_owned(),
        weight,
        slant,
        width,
        size: found.size,
        line_height: 1.2 * found.size,
        letter_spacing: found.letter_spacing,
        fill,
        outline: paint.outline,
        shadow: paint.shadow,
    };
    let run = Run { text: words.trim().to_owned(), style };
    Some(Text { lines: vec![Line { runs: vec![run] }], align: Align::Left, angle: 0.0, position })
}
