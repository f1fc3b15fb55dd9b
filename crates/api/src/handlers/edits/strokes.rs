//! Strokes of a brush that move pixels between layers.

use std::sync::Arc;

use axum::extract::{Request, State};
use draft::{Edge, LiftError};
use image::{GrayImage, Luma};
use jobs::document::{Document, Picture};
use jobs::edits::Edits;
use jobs::store::StoredDocument;
use jobs::tree::{Composition, Output, Tree};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::document::{
    DocumentAnswer, DocumentInfo, change_document, changed_meanwhile, expected_or_any, whole_document_of,
};
use crate::auth::caller::Caller;
use crate::export::OpenLeaves;
use crate::handlers::finished::FinishedJob;
use crate::http::error::{Error, ErrorBody};
use crate::http::extract;
use crate::http::responses::{JsonFaults, StorageFaults};
use crate::intake::own_picture::{self, WrittenPicture};
use crate::lifting::cut::{layer_of, nothing, on_layer};
use crate::lifting::exchange::{Placed, give_back};
use crate::lifting::look::Look;
use crate::lifting::mask::MaskImage;
use crate::lifting::stroke::Brush;
use crate::lifting::{self, stopped};
use crate::state::App;

/// The most bytes of a request.
const MAX_REQUEST: usize = 24 << 20;
const MAX_POINTS: usize = 10_000;
const MAX_SIZE: f32 = 2000.0;
/// How far from the canvas a stroke may go, in pixels.
const MAX_OFFSET: f32 = 100_000.0;

/// A point of a stroke on the document's canvas, in pixels; it may lie outside.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StrokePoint {
    x: f32,
    y: f32,
}

/// What a stroke does with the pixels under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StrokeMode {
    /// They go from another element to `to`, and the other one is completed behind them.
    #[default]
    Add,
    /// They go from `to` back to the element below it.
    Erase,
}

/// A stroke: the way of a round brush, or a mask.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StrokeRequest {
    /// The element that is painted on, by its id.
    to: u64,
    /// The other element. Absent: to add, the one that is seen under most of the stroke; to erase, the first one below `to`
    /// that is under most of it.
    from: Option<u64>,
    #[serde(default)]
    mode: StrokeMode,
    #[serde(default)]
    #[schema(max_items = 10_000)]
    points: Vec<StrokePoint>,
    /// Diameter of the brush in pixels.
    #[serde(default = "usual_size")]
    #[schema(minimum = 1, maximum = 2000)]
    size: f32,
    /// Share of the brush's radius from which it fades: 1 for a sharp edge.
    #[serde(default = "usual_hardness")]
    #[schema(minimum = 0, maximum = 1)]
    hardness: f32,
    mask: Option<MaskImage>,
}

fn usual_size() -> f32 {
    40.0
}

fn usual_hardness() -> f32 {
    0.8
}

/// Paint on a layer
///
/// Moves the pixels under a stroke between two elements, which show pictures from then on. What is seen stays as it was,
/// within 1/255, where elements are opaque and mix normally; what other elements cover between the two does not move. It
/// is one step, which can be undone.
#[utoipa::path(
    post, path = "/api/jobs/{id}/strokes", operation_id = "paint", tag = "results",
    params(
        ("id" = Uuid, Path, description = "The job"),
        ("If-Match" = Option<String>, Header, description = "The revision that was seen, as the ETag has it; absent for any"),
    ),
    request_body = StrokeRequest,
    responses(
        (status = 200, description = "The document after it", body = DocumentInfo),
        (status = 400, description = "The body is not a JSON object, or If-Match is not a revision", body = ErrorBody),
        (status = 404, description = "No such job or element", body = ErrorBody),
        (status = 409, description = "The job has no result, or its result is part of another one's document", body = ErrorBody),
        (status = 412, description = "Others changed the document since; its revision is in the ETag", body = ErrorBody),
        JsonFaults,
        (status = 422, description = "Nothing is there, the stroke or the mask does not fit, an element is a group, or the document is too large", body = ErrorBody),
        (status = 429, description = "This client has stored too much", body = ErrorBody),
        StorageFaults,
    )
)]
pub(crate) async fn paint(
    State(app): State<App>,
    finished: FinishedJob,
    caller: Caller,
    request: Request,
) -> Result<DocumentAnswer, Error> {
    let expected = expected_or_any(request.headers())?;
    let request: StrokeRequest = extract::json_up_to(request, MAX_REQUEST).await?;
    let shown = whole_document_of(&app, &finished).await?;
    if let Some(expected) = expected
        && expected != shown.stored.edits.revision
    {
        return Err(changed_meanwhile(shown.stored.edits.revision));
    }
    request.check(&shown.document)?;
    app.auth.quotas.check_room(&app.store, &caller).await?;
    let composition = shown.document.composition(shown.tree(), &Output::default());
    let look = match (request.mode, request.from) {
        (StrokeMode::Add, None) => Some(lifting::look(&app, &caller, &shown, &composition, false).await?),
        _ => None,
    };
    let scratch = [app.store.make_picture_scratch().await?, app.store.make_picture_scratch().await?];
    let memory = draft::memory_bytes(composition.document.width, composition.document.height, 2);
    let of = composition.clone();
    let work = move |leaves: &OpenLeaves, stop: &CancellationToken| {
        let exchange = Exchange { of: &of, leaves, request: &request, stop };
        let changed = exchange.run(look)?;
        let [first, second] = scratch;
        let mut written = Vec::new();
        for (file, (element, mut placed)) in [first, second].into_iter().zip(changed) {
            let picture = own_picture::write(file, &mut placed.pixels)?;
            written.push(WrittenChange { element, picture, at: placed.at });
        }
        Ok(written)
    };
    let written = lifting::run(&app, &caller, &shown, &composition, memory, work).await?;
    store(&app, &caller, shown, expected, written).await
}

/// What an element is to show.
struct WrittenChange {
    element: u64,
    picture: WrittenPicture,
    at: (i32, i32),
}

/// Stores pictures and changes the document, if the elements still show what they were made from.
async fn store(
    app: &App,
    caller: &Caller,
    shown: StoredDocument,
    expected: Option<u64>,
    written: Vec<WrittenChange>,
) -> Result<DocumentAnswer, Error> {
    let job_id = shown.stored.tree.job_id;
    let mut changes = Vec::new();
    for WrittenChange { element, picture, at } in written {
        let id = own_picture::keep(app, caller, job_id, picture).await?;
        changes.push((element, Picture::at(id, at.0, at.1)));
    }
    let before = shown.document.clone();
    let change = move |edits: &mut Edits, tree: &Tree| {
        let now = edits.take_splits(tree);
        if changes.iter().any(|(id, _)| now.element(*id) != before.element(*id)) {
            return Err(changed_meanwhile(edits.revision));
        }
        edits.put(&now, now.showing(&changes, tree).checked(tree)?, false);
        Ok(())
    };
    change_document(app, shown, expected, change).await
}

impl StrokeRequest {
    fn check(&self, document: &Document) -> Result<(), Error> {
        let wrong = |message: String, field: &str| Err(Error::unprocessable("invalid_parameter", message).about(field));
        if self.points.is_empty() == self.mask.is_none() {
            return wrong("send the points of a stroke, or a mask".to_owned(), "points");
        }
        if self.points.len() > MAX_POINTS {
            return wrong(format!("at most {MAX_POINTS} points are allowed, not {}", self.points.len()), "points");
        }
        let is_near = |at: f32| (-MAX_OFFSET..=MAX_OFFSET).contains(&at);
        if self.points.iter().any(|point| !is_near(point.x) || !is_near(point.y)) {
            return wrong(format!("points must have x and y from -{MAX_OFFSET} to {MAX_OFFSET}"), "points");
        }
        if !(1.0..=MAX_SIZE).contains(&self.size) {
            return wrong(format!("size must be a number from 1 to {MAX_SIZE}, not {}", self.size), "size");
        }
        if !(0.0..=1.0).contains(&self.hardness) {
            return wrong(format!("hardness must be a number from 0 to 1, not {}", self.hardness), "hardness");
        }
        if self.from == Some(self.to) {
            return wrong("from and to must be two elements".to_owned(), "from");
        }
        for (id, field) in [(Some(self.to), "to"), (self.from, "from")] {
            let Some(id) = id else { continue };
            let none = || {
                let message = format!("the document has no element {id}; GET /api/jobs/{{id}}/document lists them");
                Error::not_found("element_not_found", message)
            };
            if document.element(id).ok_or_else(none)?.is_group() {
                let message = format!("element {id} is a group; choose a layer in it");
                return Err(Error::unprocessable("element_is_group", message).about(field));
            }
        }
        Ok(())
    }

    fn mask(&self, size: (u32, u32)) -> Result<GrayImage, Error> {
        if let Some(mask) = &self.mask {
            return mask.read(size);
        }
        let points: Vec<(f32, f32)> = self.points.iter().map(|point| (point.x, point.y)).collect();
        Brush { size: self.size, hardness: self.hardness }.mask(&points, size)
    }
}

/// Pixels that go from one layer to another.
struct Exchange<'a> {
    of: &'a Composition,
    leaves: &'a OpenLeaves,
    request: &'a StrokeRequest,
    stop: &'a CancellationToken,
}

impl Exchange<'_> {
    /// What the two elements show after it.
    fn run(&self, look: Option<Arc<Look>>) -> Result<Vec<(u64, Placed)>, Error> {
        let document = &self.of.document;
        let mut mask = self.request.mask((document.width, document.height))?;
        let to = self.source(self.request.to)?;
        let own = self.placed(to)?;
        match self.request.mode {
            StrokeMode::Add => {
                let seen = || look.and_then(|look| look.owner_but(&mask, self.request.to));
                let from = self.request.from.or_else(seen).ok_or_else(nothing)?;
                self.add((to, own), from, &mut mask)
            }
            StrokeMode::Erase => self.erase((to, own), &mut mask),
        }
    }

    fn add(&self, (to, own): (usize, Placed), from: u64, mask: &mut GrayImage) -> Result<Vec<(u64, Placed)>, Error> {
        let source = self.source(from)?;
        self.leave_covered(mask, source.min(to), source.max(to))?;
        let other = self.placed(source)?;
        let marks = on_layer(mask, &other.pixels, other.at);
        let lifted = draft::lift(&other.pixels, &marks, Edge::Drawn, &|| self.stop.is_cancelled());
        let lifted = lifted.map_err(|error| match error {
            LiftError::Stopped => stopped(),
            LiftError::Nothing => nothing(),
            LiftError::Size { .. } => Error::internal(error),
        })?;
        let at = |inside: u32, origin: i32| origin.saturating_add_unsigned(inside);
        let part = Placed { pixels: lifted.part, at: (at(lifted.rect.x, other.at.0), at(lifted.rect.y, other.at.1)) };
        let both = if to > source { part.under(&own) } else { own.under(&part) };
        Ok(vec![(from, Placed { pixels: lifted.rest, at: other.at }), (self.request.to, both)])
    }

    fn erase(&self, (to, own): (usize, Placed), mask: &mut GrayImage) -> Result<Vec<(u64, Placed)>, Error> {
        let source = match self.request.from {
            Some(from) => self.source(from)?,
            None => self.below(to, mask)?,
        };
        if source > to {
            let message = "pixels are given back to an element below; choose another one, or leave \"from\" out";
            return Err(Error::unprocessable("invalid_parameter", message).about("from"));
        }
        self.leave_covered(mask, source, to)?;
        if on_layer(mask, &own.pixels, own.at)
            .pixels()
            .zip(own.pixels.pixels())
            .all(|(mark, pixel)| mark[0] == 0 || pixel[3] == 0)
        {
            return Err(nothing());
        }
        let (rest, given) = give_back(&own, &self.placed(source)?, mask);
        let below = self.of.elements.get(source).copied().ok_or_else(nothing)?;
        Ok(vec![(below, given), (self.request.to, rest)])
    }

    fn source(&self, element: u64) -> Result<usize, Error> {
        self.of.elements.iter().position(|id| *id == element).ok_or_else(nothing)
    }

    fn placed(&self, source: usize) -> Result<Placed, Error> {
        let layer = layer_of(&self.of.document.nodes, source).ok_or_else(nothing)?;
        let pixels = self.leaves.layer(source)?;
        if pixels.width() == 0 || pixels.height() == 0 {
            return Err(nothing());
        }
        Ok(Placed { pixels, at: (layer.x, layer.y) })
    }

    /// What is covered by layers between two does not move: it would come before them or go behind them.
    fn leave_covered(&self, mask: &mut GrayImage, low: usize, high: usize) -> Result<(), Error> {
        for source in low + 1..high {
            let Ok(between) = self.placed(source) else { continue };
            for (x, y, mark) in mask.enumerate_pixels_mut().filter(|(.., mark)| mark[0] > 0) {
                if between.at(x.into(), y.into())[3] > 0 {
                    *mark = Luma([0]);
                }
            }
        }
        Ok(())
    }

    /// The highest layer below another that is under most of a mask, or the lowest that is seen.
    fn below(&self, to: usize, mask: &GrayImage) -> Result<usize, Error> {
        let marked: Vec<(u32, u32)> =
            mask.enumerate_pixels().filter(|(.., mark)| mark[0] >= 128).map(|(x, y, _)| (x, y)).step_by(7).collect();
        let mut lowest = None;
        for source in (0..to).rev() {
            let Ok(layer) = self.placed(source) else { continue };
            let under = marked.iter().filter(|(x, y)| layer.at((*x).into(), (*y).into())[3] >= 128).count();
            if 2 * under > marked.len() {
                return Ok(source);
            }
            lowest = Some(source);
        }
        lowest.ok_or_else(|| {
            let message = "there is no element below that could take the pixels; say \"from\", or move this one up";
            Error::unprocessable("nothing_below", message)
        })
    }
}
