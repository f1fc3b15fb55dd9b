//! Layers whose words were edited.

use layers::Rect;
use typeset::Text;

use crate::edits::LayerEdit;
use crate::{LiveText, TextEdits};

/// Degrees up to which the boxes of a block's lines share nothing.
const LEVEL: f32 = 1.0;
/// Characters of a name that is made from words.
const NAME: usize = 40;

/// A block of words that a layer does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("layer {layer} has no block {block} of text: it has {count}, numbered from 0, as in its live_text")]
pub struct UnknownBlock {
    pub layer: u32,
    pub block: u32,
    pub count: usize,
}

/// Whether every block that is edited is there.
///
/// # Errors
/// The first that is not.
pub fn check_blocks(layer: u32, live: Option<&LiveText>, edits: &TextEdits) -> Result<(), UnknownBlock> {
    let count = live.map_or(1, |live| live.blocks.len());
    match edits.keys().find(|block| **block as usize >= count) {
        Some(&block) => Err(UnknownBlock { layer, block, count }),
        None => Ok(()),
    }
}

/// The words of a layer, those that stay pixels too.
pub fn shown_words(before: Option<&str>, live: Option<&LiveText>, edits: &TextEdits) -> Option<String> {
    if edits.is_empty() {
        return before.map(str::to_owned);
    }
    let Some(live) = live else {
        return edits.values().next().map(Text::words);
    };
    let block = |(number, block): (u32, &engine::TextBlock)| edits.get(&number).unwrap_or(&block.text).words();
    let pixels = live.pixel_lines.iter().map(|line| line.words.clone());
    Some(live.numbered().map(block).chain(pixels).collect::<Vec<_>>().join("\n"))
}

/// The name of a layer: the given one, or what it says now, or the engine's.
pub fn shown_name(before: &str, live: Option<&LiveText>, edit: &LayerEdit) -> String {
    if let Some(given) = &edit.name {
        return given.clone();
    }
    let words = shown_words(None, live, &edit.text).unwrap_or_default();
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(NAME) {
        _ if words.is_empty() => before.to_owned(),
        Some((end, _)) => format!("{}…", words[..end].trim_end()),
        None => words,
    }
}

/// What edits replace of a layer's pixels, on the canvas of its result.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Replacement {
    /// The words to draw; lines that stay pixels are empty in them.
    pub texts: Vec<Text>,
    /// Where these words were, and where those are that stay pixels.
    pub replaced: Vec<Rect>,
    pub kept: Vec<Rect>,
}

/// The edited lines of a layer in place of their pixels; the other lines of their blocks keep theirs, which may have
/// more than was read: a line through a price, letters that were misread.
pub(super) fn replacement(live: Option<&LiveText>, edits: &TextEdits) -> Replacement {
    let Some(live) = live else {
        return Replacement { texts: edits.values().cloned().collect(), ..Replacement::default() };
    };
    let mut found =
        Replacement { kept: live.pixel_lines.iter().map(|line| line.bounding_box).collect(), ..Default::default() };
    for (number, block) in live.numbered() {
        let Some(text) = edits.get(&number) else {
            found.kept.push(block.bounding_box);
            continue;
        };
        let mut text = text.clone();
        if keeps_places(&text, block) {
            for ((line, before), info) in text.lines.iter_mut().zip(&block.text.lines).zip(&block.lines) {
                if line == before {
                    line.runs.iter_mut().for_each(|run| run.text.clear());
                    found.kept.push(info.bounding_box);
                } else {
                    found.replaced.push(info.bounding_box);
                }
            }
        } else {
            found.replaced.push(block.bounding_box);
        }
        found.texts.push(text);
    }
    found
}

/// Whether each line of an edited block is where it was, in a box of its own.
fn keeps_places(text: &Text, block: &engine::TextBlock) -> bool {
    let before = &block.text;
    let step = |line: &typeset::Line| line.runs.iter().map(|run| run.style.line_height).fold(0.0, f32::max);
    let steps = |text: &Text| text.lines.iter().skip(1).map(step).collect::<Vec<f32>>();
    (text.align, text.angle, text.position) == (before.align, before.angle, before.position)
        && text.angle.abs() < LEVEL
        && text.lines.len() == before.lines.len()
        && block.lines.len() == before.lines.len()
        && steps(text) == steps(before)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn text(words: [&str; 2]) -> Value {
        let style = json!({ "family": "Jua", "size": 20.0, "line_height": 30.0, "fill": { "colour": "#102030" } });
        let lines = words.map(|words| json!({ "runs": [{ "text": words, "style": style }] }));
        json!({ "lines": lines, "position": { "x": 10.0, "y": 40.0 } })
    }

    /// One block of two lines, and a line that is only pixels.
    fn live() -> LiveText {
        let area = |y: u32, height: u32| json!({ "x": 10, "y": y, "width": 80, "height": height });
        let line = |words: &str, y: u32| {
            json!({
                "words": words, "bounding_box": area(y, 20), "origin": { "x": 10.0, "y": y + 20 }, "width": 80.0,
                "ascent": 16.0, "descent": 4.0, "script": "Hang", "confidence": 0.9, "similarity": 0.9, "overlap": 0.9,
                "weakest": 0.9, "font": { "family": "Jua", "weight": 400, "slant": "upright", "width": 100, "approximate": false },
            })
        };
        let block = json!({
            "text": text(["3입/망", "11,900"]), "bounding_box": area(20, 50),
            "lines": [line("3입/망", 20), line("11,900", 50)],
        });
        let pixels = json!({ "words": "?", "bounding_box": area(90, 10), "reason": "curved" });
        serde_json::from_value(json!({ "blocks": [block], "pixel_lines": [pixels], "overlap": 0.9 }))
            .expect("live text")
    }

    fn boxes(edited: Value) -> (Vec<u32>, Vec<u32>, Vec<String>) {
        let edits = TextEdits::from([(0, serde_json::from_value(edited).expect("text"))]);
        let found = replacement(Some(&live()), &edits);
        let tops = |boxes: &[Rect]| boxes.iter().map(|area| area.y).collect();
        (tops(&found.replaced), tops(&found.kept), found.texts.iter().map(Text::words).collect())
    }

    #[test]
    fn lines_of_an_edited_block_that_stay_keep_their_pixels() {
        assert_eq!(boxes(text(["3입/망", "9,900"])), (vec![50], vec![90, 20], vec!["\n9,900".to_owned()]));
        assert_eq!(boxes(text(["3입/망", "11,900"])), (vec![], vec![90, 20, 50], vec!["\n".to_owned()]));
        let mut moved = text(["3입/망", "9,900"]);
        moved["position"]["x"] = json!(12.0);
        assert_eq!(boxes(moved), (vec![20], vec![90], vec!["3입/망\n9,900".to_owned()]));
        let mut closer = text(["3입/망", "9,900"]);
        closer["lines"][1]["runs"][0]["style"]["line_height"] = json!(25.0);
        assert_eq!(boxes(closer).1, vec![90]);
        let mut one = text(["3입/망", "9,900"]);
        one["lines"].as_array_mut().expect("lines").pop();
        assert_eq!(boxes(one), (vec![20], vec![90], vec!["3입/망".to_owned()]));
    }
}
