//! What to pick, as a request gives it.

use draft::{Edge, Prompt};
use jobs::JobId;
use jobs::document::{Document, LayerRef};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::error::Error;
use crate::lifting::mask::MaskImage;

const MAX_POINTS: usize = 200;
const MAX_BOXES: usize = 32;

/// A point of the document's canvas, in pixels.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PickPoint {
    x: f32,
    y: f32,
    /// What is there belongs to the part (the default), or must not.
    #[serde(default = "yes")]
    include: bool,
}

fn yes() -> bool {
    true
}

/// A box on the document's canvas, in pixels.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PickBox {
    x: f32,
    y: f32,
    #[schema(exclusive_minimum = 0)]
    width: f32,
    #[schema(exclusive_minimum = 0)]
    height: f32,
}

/// How the edge of the part is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PickEdge {
    /// Where the thing's edge is, a few pixels around the mask's, and as soft (the default for points and boxes).
    Found,
    /// As the mask has it (the default for masks).
    Drawn,
}

/// What to pick: points and boxes, which a network makes a mask of, or a mask.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PickRequest {
    #[serde(default)]
    #[schema(max_items = 200)]
    points: Vec<PickPoint>,
    /// Around what is wanted; of several, what is in any of them.
    #[serde(default)]
    #[schema(max_items = 32)]
    boxes: Vec<PickBox>,
    pub(super) mask: Option<MaskImage>,
    edge: Option<PickEdge>,
    /// The element to lift it off, by its id. Absent: the one that is seen in most of the mask.
    element: Option<u64>,
    /// The same by the number of a layer of the result.
    layer: Option<u32>,
    /// Only say what would be lifted.
    #[serde(default)]
    pub(super) preview: bool,
    /// The part's name. Absent: what it looks like.
    #[schema(max_length = 200)]
    pub(super) name: Option<String>,
}

impl PickRequest {
    pub(super) fn check(&self, (width, height): (u32, u32)) -> Result<(), Error> {
        let wrong = |message: String, field: &str| Err(Error::unprocessable("invalid_parameter", message).about(field));
        if self.points.len() > MAX_POINTS {
            return wrong(format!("at most {MAX_POINTS} points are allowed, not {}", self.points.len()), "points");
        }
        if self.boxes.len() > MAX_BOXES {
            return wrong(format!("at most {MAX_BOXES} boxes are allowed, not {}", self.boxes.len()), "boxes");
        }
        let prompts = !self.points.is_empty() || !self.boxes.is_empty();
        if prompts && self.mask.is_some() {
            return wrong("send points and boxes, or a mask, not both".to_owned(), "mask");
        }
        if self.mask.is_none() && self.boxes.is_empty() && !self.points.iter().any(|point| point.include) {
            let message = "send a point to include, a box or a mask";
            return Err(Error::unprocessable("prompt_missing", message));
        }
        let (width, height) = (width as f32, height as f32);
        let is_inside = |x: f32, y: f32| (0.0..=width).contains(&x) && (0.0..=height).contains(&y);
        if let Some(point) = self.points.iter().find(|point| !is_inside(point.x, point.y)) {
            let message =
                format!("the point {}, {} lies outside the canvas of {width} x {height} pixels", point.x, point.y);
            return wrong(message, "points");
        }
        let is_wrong = |one: &&PickBox| {
            let is_sized = one.width > 0.0 && one.height > 0.0;
            !is_sized || !is_inside(one.x, one.y) || !is_inside(one.x + one.width, one.y + one.height)
        };
        if let Some(PickBox { x, y, width: across, height: down }) = self.boxes.iter().find(is_wrong) {
            let message = format!(
                "the box {across} x {down} at {x}, {y} is empty or not within the canvas of {width} x {height}"
            );
            return wrong(message, "boxes");
        }
        if self.element.is_some() && self.layer.is_some() {
            return wrong("say \"element\" or \"layer\", not both".to_owned(), "layer");
        }
        Ok(())
    }

    /// The element that was asked for, if one was.
    pub(super) fn element(&self, document: &Document, job_id: JobId) -> Result<Option<u64>, Error> {
        let found = match (self.element, self.layer) {
            (None, None) => return Ok(None),
            (Some(id), _) => document.element(id),
            (None, Some(layer)) => document.of_layer(LayerRef { job_id, layer }),
        };
        let none = || {
            let message = "the document has no such element; GET /api/jobs/{id}/document lists them";
            Error::not_found("element_not_found", message)
        };
        let element = found.ok_or_else(none)?;
        if element.is_group() {
            let message = format!("element {} is a group; choose a layer in it, or leave \"element\" out", element.id);
            return Err(Error::unprocessable("element_is_group", message).about("element"));
        }
        Ok(Some(element.id))
    }

    pub(super) fn prompt(&self) -> Prompt {
        Prompt {
            points: self.points.iter().map(|point| (point.x, point.y, point.include)).collect(),
            boxes: self.boxes.iter().map(|one| [one.x, one.y, one.x + one.width, one.y + one.height]).collect(),
        }
    }

    pub(super) fn edge(&self) -> Edge {
        match self.edge {
            Some(PickEdge::Found) => Edge::Found,
            Some(PickEdge::Drawn) => Edge::Drawn,
            None if self.mask.is_some() => Edge::Drawn,
            None => Edge::Found,
        }
    }
}
