//! Changes of a result by people. The stored result stays as it is.

mod earlier;
pub mod whole;

use std::collections::{BTreeMap, BTreeSet};

use layers::{Blend, Effects, Recolour};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::document::{Document, Step, Version};
use crate::tree::Tree;
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
    /// Scale factor of the width, about the centre of the layer's bounding box.
    #[schema(minimum = 0.01, maximum = 16)]
    pub scale_x: f32,
    /// The same of the height.
    #[schema(minimum = 0.01, maximum = 16)]
    pub scale_y: f32,
    /// Degrees clockwise by which the layer is turned about that centre, after it was scaled.
    #[schema(minimum = -360, maximum = 360)]
    pub rotation: f32,
    /// An outline and a shadow, which follow what the layer shows once it is scaled and turned.
    #[serde(skip_serializing_if = "Effects::is_none")]
    pub effects: Effects,
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
    /// on the result's canvas before the layer is moved, scaled, turned and recoloured. A layer without `live_text` has one, 0.
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
            scale_x: 1.0,
            scale_y: 1.0,
            rotation: 0.0,
            effects: Effects::default(),
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
            ("scale_x", self.scale_x, 0.01, 16.0),
            ("scale_y", self.scale_y, 0.01, 16.0),
            ("rotation", self.rotation, -360.0, 360.0),
            ("hue", self.hue, -360.0, 360.0),
            ("saturation", self.saturation, 0.0, 4.0),
            ("lightness", self.lightness, 0.0, 4.0),
        ];
        for (field, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(ParamsError::new(field, format!("must be a number from {least} to {most}, not {value}")));
            }
        }
        self.validate_effects()?;
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

    fn validate_effects(&self) -> Result<(), ParamsError> {
        let Effects { outline, shadow } = self.effects;
        let (width, offset) = (Effects::MAX_WIDTH, Effects::MAX_OFFSET);
        let outline = outline.map(|outline| [("outline.width", outline.width, 0.0, width)]);
        let shadow = shadow.map(|shadow| {
            [
                ("shadow.dx", shadow.dx, -offset, offset),
                ("shadow.dy", shadow.dy, -offset, offset),
                ("shadow.blur", shadow.blur, 0.0, width),
                ("shadow.opacity", shadow.opacity, 0.0, 1.0),
            ]
        });
        for (field, value, least, most) in outline.into_iter().flatten().chain(shadow.into_iter().flatten()) {
            if !(least..=most).contains(&value) {
                let problem = format!("has {field} {value}; it must be a number from {least} to {most}");
                return Err(ParamsError::new("effects", problem));
            }
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
    /// Edits of layers by their numbers, and the order of the layers, as they were stored before there were documents. Only
    /// read, and gone when the document is stored.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub layers: BTreeMap<u32, LayerEdit>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<u32>,
    /// The job that splits a layer, by layer number.
    pub children: BTreeMap<u32, JobId>,
    /// Jobs that split a layer of the document, nested ones too, whose parts took its place by a step. The layer may be back.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub splits: BTreeSet<JobId>,
    /// The result is about to be deleted: no further layer can be split.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_closed: bool,
}

impl Edits {
    /// The largest number of layers that can be split.
    const MAX_CHILDREN: usize = 1000;
    /// The most bytes of all of it, so that the file can be read again.
    pub const MAX_BYTES: usize = 6 << 20;

    /// Reads what was stored, by earlier versions too.
    ///
    /// # Errors
    /// When it is not JSON of edits.
    pub fn from_json(json: &[u8]) -> serde_json::Result<Self> {
        earlier::read(json)
    }

    /// The document of the result with this tree as it is now.
    pub fn shown(&self, tree: &Tree) -> Document {
        self.shown_with(tree, &self.splits)
    }

    /// The same without the parts of layers that jobs of `known` split since the document was stored.
    fn shown_with(&self, tree: &Tree, known: &BTreeSet<JobId>) -> Document {
        match &self.document {
            Some(document) => document.settled(tree, known),
            None => earlier::arranged(Document::unedited_but(tree, known), tree.job_id, &self.layers, &self.order),
        }
    }

    /// The document without what layers were split into since the last change.
    pub fn shown_before_splits(&self, tree: &Tree) -> Document {
        self.shown_with(tree, &tree.splits())
    }

    /// Whether a layer was split since the last change. Documents that earlier versions stored have their parts already.
    pub fn has_new_splits(&self, tree: &Tree) -> bool {
        !tree.splits().is_subset(&self.splits) && self.shown(tree) != self.shown_before_splits(tree)
    }

    /// Makes a step of what layers were split into since the last change, so that it can be taken back, and answers with the
    /// document that is shown.
    pub fn take_splits(&mut self, tree: &Tree) -> Document {
        let shown = self.shown(tree);
        if self.has_new_splits(tree) {
            let before = self.shown_before_splits(tree);
            self.splits.extend(tree.splits());
            self.put(&before, shown.clone(), false);
        }
        shown
    }

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
    use layers::Kind;

    use super::*;
    use crate::document::LayerRef;
    use crate::tree::TreeLayer;

    /// As it was written then.
    #[test]
    fn edits_from_before_documents_are_shown_until_the_document_is_stored() {
        let stored = r#"{"revision":4,"layers":{"0":{"name":"Sky","visible":true,"opacity":0.5,"x":3,"y":-2,"scale":1.5,
            "hue":0.0,"saturation":1.0,"lightness":1.0,"text":{}},"7":{"visible":false}},"order":[1,0],"children":{}}"#;
        let mut edits = Edits::from_json(stored.as_bytes()).expect("an older file");
        let layer = |layer: u32| TreeLayer {
            layer,
            name: format!("Layer {layer}"),
            kind: Kind::Unknown,
            text: None,
            group: None,
            bounding_box: None,
            child: None,
            live_text: None,
            file: format!("layer_{layer}.png"),
        };
        let layers = vec![layer(0), layer(1), layer(2)];
        let job_id = JobId::from_u128(7);
        let tree = Tree { job_id, width: 9, height: 9, layers, title: "Poster".to_owned(), density: None };
        let shown = edits.shown(&tree);
        let order: Vec<u32> = shown.elements.iter().filter_map(|one| Some(one.layer?.layer)).collect();
        assert_eq!(order, [1, 0, 2]);
        let sky = shown.of_layer(LayerRef { job_id, layer: 0 }).expect("it is there");
        assert_eq!((sky.edit.name.as_deref(), sky.edit.opacity, sky.edit.x), (Some("Sky"), 0.5, 3));
        assert_eq!((sky.edit.scale_x, sky.edit.scale_y, sky.edit.rotation), (1.5, 1.5, 0.0));
        let mut kept = edits.clone();
        kept.children.insert(2, job_id);
        assert!(serde_json::to_string(&kept).expect("JSON").contains("Sky"), "other changes keep them");
        edits.put(&shown, Document { elements: shown.elements[1..].to_vec() }, false);
        assert!(edits.layers.is_empty() && edits.order.is_empty());
        assert_eq!(edits.shown(&tree).elements.len(), 2);
    }

    #[test]
    fn documents_from_before_layers_could_be_stretched_are_read_with_their_steps_and_versions() {
        let element = |scale: f32| format!(r#"{{"id":1,"edit":{{"name":"\"scale\"","scale":{scale},"hue":5.0}}}}"#);
        let stored = format!(
            r#"{{"revision":2,"document":[{}],"past":[{{"elements":{{"1":{}}}}}],"versions":[{{"number":1,"name":"v",
            "created_at":"2026-01-01T00:00:00Z","document":[{}]}}],"versions_made":1,"children":{{}}}}"#,
            element(2.0),
            element(0.3),
            element(0.5)
        );
        let edits = Edits::from_json(stored.as_bytes()).expect("an older file");
        let scales = |document: &Document| {
            let edit = &document.elements[0].edit;
            (edit.scale_x, edit.scale_y, edit.name.clone())
        };
        let name = Some("\"scale\"".to_owned());
        assert_eq!(scales(edits.document.as_ref().expect("a document")), (2.0, 2.0, name.clone()));
        assert_eq!(scales(&edits.versions[0].document), (0.5, 0.5, name));
        let json = serde_json::to_string(&edits).expect("JSON");
        assert!(json.contains("\"scale_y\":0.3") && !json.contains("\"scale\":"), "{json}");
        assert_eq!(Edits::from_json(json.as_bytes()).expect("what was stored"), edits);
        assert!(Edits::from_json(b"{\"scale\":").is_err());
    }

    fn outlined(width: f32) -> Effects {
        Effects { outline: Some(typeset::Outline { width, colour: typeset::Colour::rgb(0, 0, 0) }), shadow: None }
    }

    #[test]
    fn ranges_are_checked() {
        assert_eq!(LayerEdit::default().validate(), Ok(()));
        let same = LayerEdit::default;
        let bad = [
            LayerEdit { name: Some(" ".to_owned()), ..same() },
            LayerEdit { name: Some("a\nb".to_owned()), ..same() },
            LayerEdit { opacity: 1.1, ..same() },
            LayerEdit { opacity: f32::NAN, ..same() },
            LayerEdit { scale_x: 0.0, ..same() },
            LayerEdit { scale_y: 16.5, ..same() },
            LayerEdit { scale_y: f32::NAN, ..same() },
            LayerEdit { rotation: 360.5, ..same() },
            LayerEdit { effects: outlined(200.5), ..same() },
            LayerEdit { effects: outlined(f32::NAN), ..same() },
            LayerEdit { effects: outlined(-1.0), ..same() },
            LayerEdit { rotation: f32::INFINITY, ..same() },
            LayerEdit { x: 1_000_000, ..same() },
            LayerEdit { hue: 361.0, ..same() },
        ];
        for edit in bad {
            assert!(edit.validate().is_err(), "{edit:?} was taken");
        }
    }
}
