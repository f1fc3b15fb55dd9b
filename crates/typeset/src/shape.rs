//! From words to glyphs on a baseline: direction (UAX #9), script (UAX #24), the face of each cluster (UAX #29),
//! then HarfBuzz's shaping.

use std::ops::Range;

use harfrust::{Buffer, Direction, Feature, Language, Script, ShapeOptions, ShaperFont, Tag, shape};
use unicode_bidi::{BidiInfo, Level};
use unicode_script::{Script as UnicodeScript, UnicodeScript as _};
use unicode_segmentation::UnicodeSegmentation;

use crate::fonts::{Face, Fonts, is_ignorable};

/// Words of one face and size.
#[derive(Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub(crate) text: &'a str,
    pub(crate) face: &'a Face,
    /// px an em.
    pub(crate) size: f32,
    /// px after each letter.
    pub(crate) letter_spacing: f32,
    /// Whether letters may be joined where the face has a sign for it: fi.
    pub(crate) ligatures: bool,
}

/// A glyph on the baseline of its line.
#[derive(Clone, Copy)]
pub(crate) struct Placed<'a> {
    /// The number of its piece.
    pub(crate) piece: usize,
    pub(crate) face: &'a Face,
    pub(crate) id: u32,
    /// px from the line's left end to its origin, and down from the baseline.
    pub(crate) x: f32,
    pub(crate) y: f32,
    /// Letters to its left after which there is letter spacing.
    pub(crate) gaps: u32,
}

/// What shaping makes of a line, from left to right.
#[derive(Default)]
pub(crate) struct Shaped<'a> {
    pub(crate) glyphs: Vec<Placed<'a>>,
    /// px, without the spacing after the last letter.
    pub(crate) width: f32,
    /// Clusters that their piece's face lacks, and the face that stands in, if any has them.
    pub(crate) missing: Vec<(String, Option<&'a Face>)>,
}

/// A stretch of text of one piece, direction, script and face.
struct Item<'a> {
    range: Range<usize>,
    piece: usize,
    level: Level,
    script: UnicodeScript,
    face: &'a Face,
}

/// Lays out one line. What a piece's face lacks, another of the collection draws.
pub(crate) fn shape_line<'a>(pieces: &[Piece<'a>], fonts: &'a Fonts) -> Shaped<'a> {
    let text: String = pieces.iter().map(|piece| piece.text).collect();
    let bidi = BidiInfo::new(&text, None);
    let mut shaped = Shaped::default();
    let items = itemize(&text, pieces, &bidi.levels, fonts, &mut shaped.missing);
    let Some(paragraph) = bidi.paragraphs.first() else { return shaped };
    let (levels, runs) = bidi.visual_runs(paragraph, paragraph.range.clone());
    let mut pen = Pen::default();
    let mut buffer = Buffer::new();
    for run in runs {
        let inside = |item: &&Item<'a>| item.range.start >= run.start && item.range.start < run.end;
        let mut inside: Vec<&Item<'a>> = items.iter().filter(inside).collect();
        if levels.get(run.start).is_some_and(Level::is_rtl) {
            inside.reverse();
        }
        for item in inside {
            buffer = shape_item(&text, item, &pieces[item.piece], buffer, &mut pen, &mut shaped.glyphs);
        }
    }
    shaped.width = pen.x - pen.last_spacing;
    shaped
}

fn itemize<'a>(
    text: &str,
    pieces: &[Piece<'a>],
    levels: &[Level],
    fonts: &'a Fonts,
    missing: &mut Vec<(String, Option<&'a Face>)>,
) -> Vec<Item<'a>> {
    let mut items: Vec<Item<'a>> = Vec::new();
    let (mut piece, mut end) = (0, pieces.first().map_or(0, |piece| piece.text.len()));
    for (at, cluster) in text.grapheme_indices(true) {
        while at >= end && piece + 1 < pieces.len() {
            piece += 1;
            end += pieces[piece].text.len();
        }
        let own = pieces[piece].face;
        let mut face = own;
        let emoji = cluster.contains('\u{fe0f}');
        if emoji || !own.has_all(cluster) {
            let other = fonts.fallback(cluster, own);
            if !own.has_all(cluster) && !missing.iter().any(|(known, _)| known == cluster) {
                missing.push((cluster.to_owned(), other));
            }
            face = other.unwrap_or(own);
        }
        let level = levels.get(at).copied().unwrap_or_else(Level::ltr);
        let script = cluster.chars().map(|character| character.script()).find(|script| is_real(*script));
        // Spaces, digits and marks go with what stands before them.
        let joins = |last: &Item<'a>| {
            let same_script = script.is_none_or(|script| script == last.script || !is_real(last.script));
            last.piece == piece && last.level == level && std::ptr::eq(last.face, face) && same_script
        };
        match items.last_mut() {
            Some(last) if joins(last) => {
                last.range.end = at + cluster.len();
                last.script = script.unwrap_or(last.script);
            }
            _ => {
                let script = script.unwrap_or(UnicodeScript::Common);
                items.push(Item { range: at..at + cluster.len(), piece, level, script, face });
            }
        }
    }
    items
}

fn is_real(script: UnicodeScript) -> bool {
    !matches!(script, UnicodeScript::Common | UnicodeScript::Inherited | UnicodeScript::Unknown)
}

#[derive(Default)]
struct Pen {
    x: f32,
    gaps: u32,
    last_spacing: f32,
}

/// Shapes one item at the pen; gives the buffer back for the next.
fn shape_item<'a>(
    text: &str,
    item: &Item<'a>,
    piece: &Piece<'a>,
    mut buffer: Buffer,
    pen: &mut Pen,
    glyphs: &mut Vec<Placed<'a>>,
) -> Buffer {
    buffer.reset();
    let Some(font) = item.face.font() else { return buffer };
    for (at, character) in text[item.range.clone()].char_indices() {
        buffer.push(u32::from(character), u32::try_from(item.range.start + at).unwrap_or(u32::MAX));
    }
    let rtl = item.level.is_rtl();
    buffer.set_direction(if rtl { Direction::RightToLeft } else { Direction::LeftToRight });
    buffer.set_script(Script::from_iso15924_tag(Tag::from_be_bytes(tag_of(item.script))));
    if matches!(item.script, UnicodeScript::Hangul | UnicodeScript::Han) {
        buffer.set_language(Language::new("ko"));
    }
    // Letters that join are not spaced.
    let spacing = if is_joined(item.script) { 0.0 } else { piece.letter_spacing };
    let apart = [Feature::new(Tag::new(b"liga"), 0, ..), Feature::new(Tag::new(b"clig"), 0, ..)];
    let features = if piece.ligatures { [].as_slice() } else { &apart };
    if shape(&ShaperFont::new(font), &mut buffer, ShapeOptions::new().features(features)).is_err() {
        return buffer;
    }
    let scale = piece.size / f32::from(font.units_per_em().max(1));
    #[expect(clippy::cast_precision_loss, reason = "font units are small")]
    let px = |units: i32| units as f32 * scale;
    let mut cluster = None;
    for (info, position) in buffer.glyph_infos().iter().zip(buffer.glyph_positions()) {
        if cluster.is_some_and(|cluster| cluster != info.cluster) {
            space(pen, spacing, item.script);
        }
        cluster = Some(info.cluster);
        let (x, y) = (pen.x + px(position.x_offset), -px(position.y_offset));
        glyphs.push(Placed { piece: item.piece, face: item.face, id: info.glyph_id, x, y, gaps: pen.gaps });
        pen.x += px(position.x_advance);
    }
    if cluster.is_some() {
        space(pen, spacing, item.script);
    }
    buffer
}

fn space(pen: &mut Pen, spacing: f32, script: UnicodeScript) {
    pen.x += spacing;
    pen.last_spacing = spacing;
    pen.gaps += u32::from(!is_joined(script));
}

fn is_joined(script: UnicodeScript) -> bool {
    use UnicodeScript::{Arabic, Devanagari, Mongolian, Nko, Syriac};
    matches!(script, Arabic | Syriac | Mongolian | Nko | Devanagari)
}

fn tag_of(script: UnicodeScript) -> [u8; 4] {
    script.short_name().as_bytes().try_into().unwrap_or(*b"Zyyy")
}

/// Whether a text leaves ink in some face.
pub(crate) fn has_ink(text: &str) -> bool {
    text.chars().any(|character| !is_ignorable(character) && !character.is_control())
}
