//! Changes of a result by people. The stored result stays as it is.

pub mod whole;

use std::collections::BTreeMap;

use layers::{Blend, Recolour};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::document::{Document, Step, Version};
use crate::{JobId, ParamsError, TextEdits};

/// How a layer is shown. The default is the layer as the engine made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LayerEdit {
    /// Absent: the engine's name.
    #[schema(max_length = 200)]
    pub name: Option<String>,
    pub visible: bool,
    /// 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    pub opacity: f32,
    /// How its colours mix with those below it.
    pub blend: Blend,
    /// Offset to the right and down, in pixels of the canvas.
    #[schema(minimum = -100_000, maximum = 100_000)]
    #[serde(deserialize_with = "whole::number")]
    pub x: i32,
    #[schema(minimum = -100_000, maximum = 100_000)]
    #[serde(deserialize_with = "whole::number")]
    pub y: i32,
    /// Scale factor, about the centre of the layer's bounding box.
    #[schema(minimum = 0.01, maximum = 16)]
    pub scale: f32,
    /// Hue rotation in degrees, as CSS `hue-rotate()`.
    #[schema(minimum = -360, maximum = 360)]
    pub hue: f32,
    /// Factor, as CSS `saturate()`.
    #[schema(minimum = 0, maximum = 4)]
    pub saturation: f32,
    /// Factor, as CSS `brightness()`.
    #[schema(minimum = 0, maximum = 4)]
    pub lightness: f32,
    /// Blocks of the layer's `live_text` that are drawn in place of their pixels, by their number in `blocks`: as they are
    /// on the result's canvas before the layer is moved, scaled and recoloured. A layer without `live_text` has one, 0.
    #[serde(skip_serializing_if = "TextEdits::is_empty")]
    #[schema(value_type = std::collections::HashMap<String, typeset::Text>)]
    pub text: TextEdits,
}

impl Default for LayerEdit {
    fn default() -> Self {
        Self {
            name: None,
            visible: true,
            opacity: 1.0,
            blend: Blend::Normal,
            x: 0,
            y: 0,
            scale: 1.0,
            hue: 0.0,
            saturation: 1.0,
            lightness: 1.0,
            text: TextEdits::new(),
        }
    }
}

impl LayerEdit {
    const MAX_NAME_CHARS: usize = 200;
    pub(crate) const MAX_OFFSET: i32 = 100_000;
    const MAX_TEXT_RUNS: usize = 2000;

    /// The colour changes of the layer.
    pub fn recolour(&self) -> Recolour {
        Recolour { hue: self.hue, saturation: self.saturation, lightness: self.lightness }
    }

    /// Checks every range.
    ///
    /// # Errors
    /// The first field that is out of its range.
    pub fn validate(&self) -> Result<(), ParamsError> {
        if let Some(name) = &self.name
            && (!(1..=Self::MAX_NAME_CHARS).contains(&name.trim().chars().count())
                || name.chars().any(char::is_control))
        {
            let problem = format!(
                "must have 1 to {} characters without control characters such as line breaks",
                Self::MAX_NAME_CHARS
            );
            return Err(ParamsError::new("name", problem));
        }
        let offset = Self::MAX_OFFSET;
        for (field, value) in [("x", self.x), ("y", self.y)] {
            if !(-offset..=offset).contains(&value) {
                return Err(ParamsError::new(
                    field,
                    format!("must be a number from -{offset} to {offset}, not {value}"),
                ));
            }
        }
        let ranges = [
            ("opacity", self.opacity, 0.0, 1.0),
            ("scale", self.scale, 0.01, 16.0),
            ("hue", self.hue, -360.0, 360.0),
            ("saturation", self.saturation, 0.0, 4.0),
            ("lightness", self.lightness, 0.0, 4.0),
        ];
        for (field, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(ParamsError::new(field, format!("must be a number from {least} to {most}, not {value}")));
            }
        }
        for (number, text) in &self.text {
            text.validate()
                .map_err(|error| ParamsError::new("text", format!("cannot be drawn: block {number}: {error}")))?;
        }
        if self.text_runs() > Self::MAX_TEXT_RUNS {
            let most = Self::MAX_TEXT_RUNS;
            return Err(ParamsError::new(
                "text",
                format!("has too many pieces: at most {most} lines and runs are allowed"),
            ));
        }
        Ok(())
    }

    /// Lines and runs of all its words, which bound the time to draw and the bytes to keep them.
    pub(crate) fn text_runs(&self) -> usize {
        self.text.values().flat_map(|text| &text.lines).map(|line| 1 + line.runs.len()).sum()
    }
}

/// All edits of one result, and the jobs that split its layers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Edits {
    /// Incremented by every change.
    pub revision: u64,
    /// Absent while nobody has edited it. Results that a layer was split into have none: it is in that of the layer's result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<Document>,
    /// What takes the latest changes back, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<Step>,
    /// What makes the changes again that were taken back, the one that was taken back last at the end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub future: Vec<Step>,
    /// The oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<Version>,
    /// How many versions were ever made.
    pub versions_made: u32,
    /// The result stays until then, if it would not stay longer anyway.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub keep_until: Option<OffsetDateTime>,
    /// The job that splits a layer, by layer number.
    pub children: BTreeMap<u32, JobId>,
    /// The result is about to be deleted: no further layer can be split.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_closed: bool,
}

impl Edits {
    /// The largest number of layers that can be split.
    const MAX_CHILDREN: usize = 1000;
    /// The most bytes of all of it, so that the file can be read again.
    pub const MAX_BYTES: usize = 6 << 20;

    /// Whether the document has more elements or words than any poster, or all of it more bytes than may be stored.
    pub(crate) fn is_too_large(&self) -> bool {
        let is_large = |document: &Document| {
            document.elements.len() > Document::MAX_ELEMENTS || document.text_runs() > Document::MAX_TEXT_RUNS
        };
        self.children.len() > Self::MAX_CHILDREN
            || self.document.as_ref().is_some_and(is_large)
            || serde_json::to_vec(self).map_or(0, |json| json.len()) > Self::MAX_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked() {
        assert_eq!(LayerEdit::default().validate(), Ok(()));
        let same = LayerEdit::default;
        let bad = [
            LayerEdit { name: Some(" ".to_owned()), ..same() },
            LayerEdit { name: Some("a\nb".to_owned()), ..same() },
            LayerEdit { opacity: 1.1, ..same() },
            LayerEdit { opacity: f32::NAN, ..same() },
            LayerEdit { scale: 0.0, ..same() },
            LayerEdit { x: 1_000_000, ..same() },
            LayerEdit { hue: 361.0, ..same() },
        ];
        for edit in bad {
            assert!(edit.validate().is_err(), "{edit:?} was taken");
        }
    }
}
