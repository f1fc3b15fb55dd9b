use std::collections::BTreeMap;

use layers::Rect;
use serde::{Deserialize, Serialize};
use typeset::{Generic, Position, Slant, Text};
use utoipa::ToSchema;

/// The words of a layer as text that can be drawn, edited and set again. All lengths are in px of the canvas, x to the
/// right, y downwards, from its upper left corner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LiveText {
    /// At least one, from the top to the bottom. Lines are in one block if they run at one angle, follow one another
    /// and are aligned; others are in blocks of their own.
    pub blocks: Vec<TextBlock>,
    /// Lines that were read but that no text can stand for; they are still only in the layer's pixels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pixel_lines: Vec<PixelLine>,
    /// Soft intersection over union, 0 to 1, of the drawn blocks with all of the layer but its pixel lines: how well
    /// the text can stand in for the pixels. What the layer has beside its letters counts against it.
    pub overlap: f32,
}

/// Lines that are edited as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TextBlock {
    /// What draws the block: words, font, size, line height, letter spacing, alignment, angle, fill, outline, shadow.
    pub text: Text,
    /// The box of its letters as they are in the layer.
    pub bounding_box: Rect,
    /// What is known of each line of `text`, in the same order; nothing if it was edited.
    pub lines: Vec<LineInfo>,
}

impl LiveText {
    /// Overlap of all blocks and of the weakest part of each line from which they can stand in for the layer's pixels.
    const STANDS_IN: f32 = 0.6;
    const WEAKEST: f32 = 0.65;

    /// The blocks, with `edits` in place of those with their numbers, if an export can have them instead of the pixels:
    /// they say all that was read in the layer, and lines that were not edited, in edited blocks too, look like their
    /// pixels and in no part misread. A wrong price in a neat font is worse than pixels.
    pub fn stand_in(&self, edits: &TextEdits) -> Vec<Text> {
        let kept: Vec<&LineInfo> = self
            .numbered()
            .flat_map(|(number, block)| {
                let edited = edits.get(&number);
                let is_kept = move |at: usize| edited.is_none_or(|text| text.lines.get(at) == block.text.lines.get(at));
                block.lines.iter().enumerate().filter(move |(at, _)| is_kept(*at)).map(|(_, line)| line)
            })
            .collect();
        let read = self.pixel_lines.is_empty() && kept.iter().all(|line| line.weakest >= Self::WEAKEST);
        if read && (kept.is_empty() || self.overlap >= Self::STANDS_IN) {
            self.numbered().map(|(number, block)| edits.get(&number).unwrap_or(&block.text).clone()).collect()
        } else {
            Vec::new()
        }
    }

    /// The blocks, each with its number.
    pub fn numbered(&self) -> impl Iterator<Item = (u32, &TextBlock)> {
        (0..).zip(&self.blocks)
    }
}

/// Blocks of a layer's live text with other words or another look, by their number in [`LiveText::blocks`]. Of a layer
/// without live text there is one, 0.
pub type TextEdits = BTreeMap<u32, Text>;

impl TextBlock {
    /// What it says, line by line.
    pub fn words(&self) -> String {
        self.text.words()
    }
}

/// A line of a block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LineInfo {
    /// What it says.
    pub words: String,
    /// The box of its letters as they are in the layer.
    pub bounding_box: Rect,
    /// Where its baseline starts, after the block is turned.
    pub origin: Position,
    /// px from there along the baseline to its end, by the advances of the letters.
    pub width: f32,
    /// px by which its font rises above the baseline.
    pub ascent: f32,
    /// px by which its font falls below the baseline.
    pub descent: f32,
    /// The script of its letters, by ISO 15924: `Hang`, `Latn`; `Zyyy` if it has none, such as "10:30". A line with
    /// Hangul is `Hang` (with Chinese characters too `Kore`), whatever else is in it; one with kana is `Jpan`.
    pub script: String,
    /// The language, as a BCP 47 tag such as `ko`, where the script leaves no doubt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// How sure the reader is of the words, 0 to 1.
    pub confidence: f32,
    /// How alike ink and drawn words are, 0 to 1, allowing for blur and damage: the measure by which fonts are ranked.
    pub similarity: f32,
    /// Soft intersection over union of ink and drawn words, 0 to 1, allowing for nothing.
    pub overlap: f32,
    /// The overlap where it is least, 0 to 1, in a part of half an em, both softened by a pixel: a misread letter shows
    /// here in a line that is right otherwise.
    #[serde(default)]
    pub weakest: f32,
    /// The font that comes closest.
    pub font: FontInfo,
    /// The runners-up, the best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<FontMatch>,
}

/// A face of the fonts that the worker has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FontInfo {
    /// The name of the family in English, or in its own language if it has no English one.
    pub family: String,
    /// The name of the family in Korean, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub korean_family: Option<String>,
    /// The PostScript name, such as `NanumGothicBold`; absent if the file has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postscript: Option<String>,
    /// How heavy, from 1 to 1000; 400 is regular, 700 bold.
    pub weight: u16,
    /// Upright or italic.
    pub slant: Slant,
    /// How wide, in percent of normal, from 50 to 200.
    pub width: u16,
    /// The similarity is below 0.85: the line's own font is probably not among those that the worker has.
    pub approximate: bool,
    /// The kind of the letters; only where the font is approximate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generic: Option<Generic>,
}

/// Another face that the line might be set in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FontMatch {
    /// As in `FontInfo`.
    pub family: String,
    /// As in `FontInfo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postscript: Option<String>,
    /// As in `FontInfo`.
    pub weight: u16,
    /// As in `FontInfo`.
    pub slant: Slant,
    /// As in `FontInfo`.
    pub width: u16,
    /// How alike ink and drawn words are, 0 to 1.
    pub similarity: f32,
}

/// A line that stays pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PixelLine {
    /// What was read.
    pub words: String,
    /// The box of its letters.
    pub bounding_box: Rect,
    /// Why no text stands for it.
    pub reason: PixelReason,
}

/// Why a line stays pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PixelReason {
    /// It runs along a curve.
    Curved,
    /// Its words lie on its pixels in no font: it is misread, or its letters are drawn by hand.
    NoFont,
    /// It has no solid pixels.
    NoInk,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(overlap: f32, weakest: &[f32]) -> LiveText {
        let area = Rect { x: 0, y: 0, width: 10, height: 10 };
        let at = Position { x: 0.0, y: 8.0 };
        let font = FontInfo {
            family: "Jua".to_owned(),
            korean_family: None,
            postscript: None,
            weight: 400,
            slant: Slant::Upright,
            width: 100,
            approximate: false,
            generic: None,
        };
        let line = |&weakest: &f32| LineInfo {
            words: "a".to_owned(),
            bounding_box: area,
            origin: at,
            width: 10.0,
            ascent: 8.0,
            descent: 2.0,
            script: "Latn".to_owned(),
            language: None,
            confidence: 0.9,
            similarity: 0.9,
            overlap: 0.9,
            weakest,
            font: font.clone(),
            alternatives: Vec::new(),
        };
        let style = typeset::Style::new("Jua", 10.0, typeset::Colour::rgb(0, 0, 0));
        let run = typeset::Run { text: "a".to_owned(), style };
        let lines = weakest.iter().map(|_| typeset::Line { runs: vec![run.clone()] }).collect();
        let text = Text { lines, align: typeset::Align::Left, angle: 0.0, position: at };
        let block = TextBlock { text, bounding_box: area, lines: weakest.iter().map(line).collect() };
        LiveText { blocks: vec![block], pixel_lines: Vec::new(), overlap }
    }

    #[test]
    fn words_that_may_be_misread_stay_pixels() {
        let as_read = TextEdits::new();
        assert_eq!(text(0.9, &[0.8, 0.9]).stand_in(&as_read).len(), 1);
        assert_eq!(text(0.9, &[0.8, 0.3]).stand_in(&as_read), [], "a misread letter");
        assert_eq!(text(0.4, &[0.8]).stand_in(&as_read), [], "it looks otherwise");
        let area = Rect { x: 0, y: 0, width: 1, height: 1 };
        let left = PixelLine { words: "b".to_owned(), bounding_box: area, reason: PixelReason::Curved };
        assert_eq!(LiveText { pixel_lines: vec![left], ..text(0.9, &[0.8]) }.stand_in(&as_read), [], "not all of it");
        let bad = text(0.4, &[0.3]);
        let edits = TextEdits::from([(0, bad.blocks[0].text.clone().reworded("b"))]);
        assert_eq!(bad.stand_in(&edits)[0].words(), "b", "somebody wrote it");
        // Of two lines, somebody wrote the first.
        let first = |weakest: &[f32]| {
            let mut two = text(0.9, weakest).blocks.remove(0).text;
            two.lines[0].runs[0].text = "b".to_owned();
            text(0.9, weakest).stand_in(&TextEdits::from([(0, two)]))
        };
        assert_eq!(first(&[0.3, 0.9])[0].words(), "b\na");
        assert_eq!(first(&[0.3, 0.3]), [], "the other is as it was read");
    }
}
