//! Layers whose words were edited.

use layers::Rect;

use super::ComposeError;
use crate::edits::LayerEdit;
use crate::{LiveText, TextEdits};

/// Characters of a name that is made from words.
const NAME: usize = 40;

/// Whether every block that is edited is there.
///
/// # Errors
/// [`ComposeError::UnknownBlock`] for the first that is not.
pub fn check_blocks(layer: u32, live: Option<&LiveText>, edits: &TextEdits) -> Result<(), ComposeError> {
    let count = live.map_or(1, |live| live.blocks.len());
    match edits.keys().find(|block| **block as usize >= count) {
        Some(&block) => Err(ComposeError::UnknownBlock { layer, block, count }),
        None => Ok(()),
    }
}

/// The words of a layer, those that stay pixels too.
pub fn shown_words(before: Option<&str>, live: Option<&LiveText>, edits: &TextEdits) -> Option<String> {
    if edits.is_empty() {
        return before.map(str::to_owned);
    }
    let Some(live) = live else {
        return edits.values().next().map(typeset::Text::words);
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

/// Where the words of edited blocks were, and where those are that stay pixels.
pub(super) fn boxes(live: Option<&LiveText>, edits: &TextEdits) -> (Vec<Rect>, Vec<Rect>) {
    let Some(live) = live else { return (Vec::new(), Vec::new()) };
    let (replaced, kept): (Vec<_>, Vec<_>) = live.numbered().partition(|(number, _)| edits.contains_key(number));
    let area = |(_, block): &(u32, &engine::TextBlock)| block.bounding_box;
    let pixels = live.pixel_lines.iter().map(|line| line.bounding_box);
    (replaced.iter().map(area).collect(), kept.iter().map(area).chain(pixels).collect())
}
