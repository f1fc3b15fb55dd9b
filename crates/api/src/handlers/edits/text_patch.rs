//! Words of a layer as a request gives them.

use std::collections::BTreeMap;
use std::fmt;

use jobs::{LayerInfo, ParamsError, TextEdits};
use serde::Serialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use typeset::Text;
use utoipa::ToSchema;

/// Other words of a layer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum TextPatch {
    /// The words of a layer with one block, line by line.
    Words(String),
    /// Blocks by their number in the layer's `live_text.blocks`; `null` takes the edit of a block back. Others stay as they
    /// are.
    #[schema(value_type = std::collections::HashMap<String, BlockPatch>)]
    Blocks(BTreeMap<u32, Option<BlockPatch>>),
}

/// A block of words.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum BlockPatch {
    /// The words, line by line, each in the style of the line that is in its place now, or in that of the last.
    Words(String),
    /// Words with their style and place.
    Text(Text),
}

impl<'de> Deserialize<'de> for TextPatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Patch;
        impl<'de> Visitor<'de> for Patch {
            type Value = TextPatch;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("words, an object with blocks by their number, or null")
            }

            fn visit_str<E: serde::de::Error>(self, words: &str) -> Result<TextPatch, E> {
                Ok(TextPatch::Words(words.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TextPatch, A::Error> {
                let mut blocks = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    let number = key.parse().map_err(|_| {
                        let what = "is no number of a block: those of live_text.blocks are numbered from \"0\"";
                        A::Error::custom(format!("\"{key}\" {what}"))
                    })?;
                    blocks.insert(number, map.next_value()?);
                }
                Ok(TextPatch::Blocks(blocks))
            }
        }
        deserializer.deserialize_any(Patch)
    }
}

impl<'de> Deserialize<'de> for BlockPatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Block;
        impl<'de> Visitor<'de> for Block {
            type Value = BlockPatch;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the words of a block, its text with lines, runs and position, or null")
            }

            fn visit_str<E: serde::de::Error>(self, words: &str) -> Result<BlockPatch, E> {
                Ok(BlockPatch::Words(words.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BlockPatch, A::Error> {
                Text::deserialize(MapAccessDeserializer::new(map)).map(BlockPatch::Text)
            }
        }
        deserializer.deserialize_any(Block)
    }
}

impl TextPatch {
    /// What is edited of a layer after this, where `before` was edited.
    ///
    /// # Errors
    /// Words alone for a layer with none or with several blocks, or for a block that the layer does not have.
    pub(super) fn applied(&self, before: &TextEdits, layer: &LayerInfo) -> Result<TextEdits, ParamsError> {
        let blocks = layer.live_text.as_ref().map_or(&[][..], |live| &live.blocks);
        let reworded = |number: u32, words: &str| {
            let text = before.get(&number).or_else(|| Some(&blocks.get(number as usize)?.text));
            let none = || format!("has no block {number} with a style; give lines with runs, each with its style");
            text.map(|text| text.clone().reworded(words)).ok_or_else(|| ParamsError::new("text", none()))
        };
        let mut edits = before.clone();
        match self {
            Self::Words(words) => {
                if blocks.len() > 1 {
                    let count = blocks.len();
                    let problem = format!(
                        "has {count} blocks in this layer; say which: {{\"0\": \"words\"}}, by their number in live_text.blocks"
                    );
                    return Err(ParamsError::new("text", problem));
                }
                edits.insert(0, reworded(0, words)?);
            }
            Self::Blocks(patches) => {
                for (&number, patch) in patches {
                    match patch {
                        None => _ = edits.remove(&number),
                        Some(BlockPatch::Text(text)) => _ = edits.insert(number, text.clone()),
                        Some(BlockPatch::Words(words)) => _ = edits.insert(number, reworded(number, words)?),
                    }
                }
            }
        }
        // A block that is again as it was read shows its pixels.
        edits.retain(|number, text| blocks.get(*number as usize).is_none_or(|block| block.text != *text));
        Ok(edits)
    }
}
