//! A part of what is seen, lifted off its layer.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use draft::{Edge, Prompt};
use image::GrayImage;
use jobs::document::{Document, LayerRef, LiftedPart, Picture};
use jobs::edits::Edits;
use jobs::store::StoredDocument;
use jobs::tree::{Composition, Output, Tree};
use layers::Kind;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::document::{
    DocumentAnswer, DocumentInfo, change_document, changed_meanwhile, document_answer, document_headers,
    expected_or_any, whole_document_of,
};
use crate::auth::caller::Caller;
use crate::export::OpenLeaves;
use crate::handlers::finished::FinishedJob;
use crate::http::answers::NoStore;
use crate::http::error::{Error, ErrorBody};
use crate::http::extract;
use crate::http::responses::{JsonFaults, StorageFaults};
use crate::intake::own_picture::{self, WrittenPicture};
use crate::lifting::cut::{Cut, cut, nothing};
use crate::lifting::mask::MaskImage;
use crate::lifting::{self, look::Look};
use crate::state::App;

/// The most bytes of a request: of masks as large as the largest picture.
const MAX_REQUEST: usize = 24 << 20;
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
    mask: Option<MaskImage>,
    edge: Option<PickEdge>,
    /// The element to lift it off, by its id. Absent: the one that is seen in most of the mask.
    element: Option<u64>,
    /// The same by the number of a layer of the result.
    layer: Option<u32>,
    /// Only say what would be lifted.
    #[serde(default)]
    preview: bool,
    /// The part's name. Absent: what it looks like.
    #[schema(max_length = 200)]
    name: Option<String>,
}

/// What a pick would lift.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PickPreview {
    /// The element that it would be lifted off.
    element: u64,
    /// How well the network expects the mask to fit what is meant, 0 to about 1; absent for a mask that was sent.
    score: Option<f32>,
    /// Cut to what belongs to it. It can be sent back as `mask`, with `edge` `found`.
    mask: MaskImage,
    /// Size of the mask.
    width: u32,
    height: u32,
}

/// What was lifted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Picked {
    /// The part's element; the source if all of that was picked.
    element: u64,
    /// The element that it was lifted off.
    source: u64,
    /// Whether there is a new element.
    lifted: bool,
    /// Whether the source was completed behind the part. Otherwise it is transparent there.
    completed: bool,
    score: Option<f32>,
    document: Box<DocumentInfo>,
}

/// The answer to a pick.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub(crate) enum PickAnswer {
    Preview(PickPreview),
    Picked(Picked),
}

impl IntoResponse for PickAnswer {
    fn into_response(self) -> Response {
        match self {
            Self::Preview(preview) => NoStore(Json(preview)).into_response(),
            Self::Picked(picked) => (document_headers(picked.document.revision()), Json(picked)).into_response(),
        }
    }
}

/// Pick a part of what is seen
///
/// Finds what points and boxes show on the document as it is seen, the background included, or takes a mask, and makes it
/// an element of its own, right above the one that it is lifted off. That shows a picture from then on: completed behind
/// the part where it goes on there. Both together look as before, within 1/255. It is one step, which can be undone. With
/// `preview`, nothing changes, and the answer is the mask. The first prompt for what is seen takes some seconds, further
/// ones a tenth of a second.
#[utoipa::path(
    post, path = "/api/jobs/{id}/pick", operation_id = "pick", tag = "results",
    params(
        ("id" = Uuid, Path, description = "The job"),
        ("If-Match" = Option<String>, Header, description = "The revision that was seen, as the ETag has it; absent for any"),
    ),
    request_body = PickRequest,
    responses(
        (status = 200, description = "The mask, or the document after it", body = PickAnswer),
        (status = 400, description = "The body is not a JSON object, or If-Match is not a revision", body = ErrorBody),
        (status = 404, description = "No such job or element", body = ErrorBody),
        (status = 409, description = "The job has no result, or its result is part of another one's document", body = ErrorBody),
        (status = 412, description = "Others changed the document since; its revision is in the ETag", body = ErrorBody),
        JsonFaults,
        (status = 422, description = "Nothing is there, a point lies outside the canvas, the mask does not fit, the element is a group, or the document is too large", body = ErrorBody),
        (status = 429, description = "This client has stored too much", body = ErrorBody),
        StorageFaults,
    )
)]
pub(crate) async fn pick(
    State(app): State<App>,
    finished: FinishedJob,
    caller: Caller,
    request: Request,
) -> Result<PickAnswer, Error> {
    let expected = expected_or_any(request.headers())?;
    let request: PickRequest = extract::json_up_to(request, MAX_REQUEST).await?;
    let shown = whole_document_of(&app, &finished).await?;
    if let Some(expected) = expected
        && expected != shown.stored.edits.revision
    {
        return Err(changed_meanwhile(shown.stored.edits.revision));
    }
    let (tree, document) = (shown.tree(), &shown.document);
    request.check((tree.width, tree.height))?;
    let asked = request.element(document, shown.stored.tree.job_id)?;
    let composition = document.composition(tree, &Output::default());
    let needs_network = request.mask.is_none();
    let look = lifting::look(&app, &caller, &shown, &composition, needs_network).await?;
    if !request.preview {
        app.auth.quotas.check_room(&app.store, &caller).await?;
    }
    let task = PickTask { look, request, asked };
    let scratch = if task.request.preview {
        None
    } else {
        Some((app.store.make_picture_scratch().await?, app.store.make_picture_scratch().await?))
    };
    let name = task.request.name.clone();
    let memory = draft::memory_bytes(tree.width, tree.height, 2);
    let of = composition.clone();
    let work = move |leaves: &OpenLeaves, stop: &CancellationToken| match scratch {
        None => task.preview(&of, stop).map(Found::Preview),
        Some((rest, part)) => {
            let (found, score) = task.found(&of, leaves, stop)?;
            found.written(rest, part, score).map(Found::Lifted)
        }
    };
    match lifting::run(&app, &caller, &shown, &composition, memory, work).await? {
        Found::Preview(preview) => Ok(PickAnswer::Preview(preview)),
        Found::Lifted(written) => lift(&app, &caller, shown, expected, written, name).await.map(PickAnswer::Picked),
    }
}

impl PickRequest {
    fn check(&self, (width, height): (u32, u32)) -> Result<(), Error> {
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
    fn element(&self, document: &Document, job_id: jobs::JobId) -> Result<Option<u64>, Error> {
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

    fn prompt(&self) -> Prompt {
        Prompt {
            points: self.points.iter().map(|point| (point.x, point.y, point.include)).collect(),
            boxes: self.boxes.iter().map(|one| [one.x, one.y, one.x + one.width, one.y + one.height]).collect(),
        }
    }

    fn edge(&self) -> Edge {
        match self.edge {
            Some(PickEdge::Found) => Edge::Found,
            Some(PickEdge::Drawn) => Edge::Drawn,
            None if self.mask.is_some() => Edge::Drawn,
            None => Edge::Found,
        }
    }
}

/// What the thread of a pick needs.
struct PickTask {
    look: std::sync::Arc<Look>,
    request: PickRequest,
    asked: Option<u64>,
}

enum Found {
    Preview(PickPreview),
    Lifted(WrittenCut),
}

impl PickTask {
    /// The mask, its score, and the element that it is lifted off.
    fn mask(&self, size: (u32, u32), stop: &CancellationToken) -> Result<(GrayImage, Option<f32>, u64), Error> {
        let (mask, score) = match &self.request.mask {
            Some(mask) => (mask.read(size)?, None),
            None => {
                let segment = self.look.segment(&self.request.prompt(), stop)?;
                (segment.mask, Some(segment.score))
            }
        };
        let owner = self.asked.or_else(|| self.look.owner(&mask)).ok_or_else(nothing)?;
        Ok((mask, score, owner))
    }

    fn preview(&self, of: &Composition, stop: &CancellationToken) -> Result<PickPreview, Error> {
        let (mask, score, element) = self.mask((of.document.width, of.document.height), stop)?;
        let (mask, area) = MaskImage::write(&mask)?.ok_or_else(nothing)?;
        Ok(PickPreview { element, score, mask, width: area.width, height: area.height })
    }

    fn found(
        &self,
        of: &Composition,
        leaves: &OpenLeaves,
        stop: &CancellationToken,
    ) -> Result<(FoundCut, Option<f32>), Error> {
        let (mask, score, element) = self.mask((of.document.width, of.document.height), stop)?;
        let source = of.elements.iter().position(|id| *id == element).ok_or_else(nothing)?;
        let cut = cut(leaves, &of.document, source, (&mask, self.request.edge()), stop)?;
        Ok((FoundCut { element, cut }, score))
    }
}

struct FoundCut {
    element: u64,
    cut: Cut,
}

/// A part and the rest, ready to be stored.
struct WrittenCut {
    element: u64,
    score: Option<f32>,
    parts: Option<WrittenParts>,
}

struct WrittenParts {
    rest: WrittenPicture,
    part: WrittenPicture,
    rest_at: (i32, i32),
    part_at: (i32, i32),
    completed: bool,
    label: layers::Label,
}

impl FoundCut {
    fn written(
        self,
        rest: tempfile::NamedTempFile,
        part: tempfile::NamedTempFile,
        score: Option<f32>,
    ) -> Result<WrittenCut, Error> {
        let Self { element, cut } = self;
        let Cut::Part { mut lifted, at } = cut else { return Ok(WrittenCut { element, score, parts: None }) };
        let place = |inside: u32, origin: i32| origin.saturating_add_unsigned(inside);
        let parts = WrittenParts {
            rest: own_picture::write(rest, &mut lifted.rest)?,
            part: own_picture::write(part, &mut lifted.part)?,
            rest_at: at,
            part_at: (place(lifted.rect.x, at.0), place(lifted.rect.y, at.1)),
            completed: lifted.completed,
            label: lifted.label,
        };
        Ok(WrittenCut { element, score, parts: Some(parts) })
    }
}

/// Stores the pictures and changes the document, if it still shows what the part was lifted off.
async fn lift(
    app: &App,
    caller: &Caller,
    shown: StoredDocument,
    expected: Option<u64>,
    written: WrittenCut,
    name: Option<String>,
) -> Result<Picked, Error> {
    let WrittenCut { element: source, score, parts } = written;
    let Some(WrittenParts { rest, part, rest_at, part_at, completed, label }) = parts else {
        let DocumentAnswer(document) = document_answer(app, &shown)?;
        return Ok(Picked { element: source, source, lifted: false, completed: false, score, document });
    };
    let job_id = shown.stored.tree.job_id;
    let rest = own_picture::keep(app, caller, job_id, rest).await?;
    let part = own_picture::keep(app, caller, job_id, part).await?;
    let before = shown.document.element(source).cloned();
    let lifted = LiftedPart {
        part: Picture { kind: Kind::Object, label: Some(label), ..Picture::at(part, part_at.0, part_at.1) },
        rest: Picture::at(rest, rest_at.0, rest_at.1),
        name,
    };
    let made = std::sync::Arc::new(std::sync::Mutex::new(0));
    let told = std::sync::Arc::clone(&made);
    let change = move |edits: &mut Edits, tree: &Tree| {
        let now = edits.take_splits(tree);
        if now.element(source) != before.as_ref() {
            return Err(changed_meanwhile(edits.revision));
        }
        let (document, id) = now.with_lifted(source, lifted.clone(), tree).ok_or_else(nothing)?;
        edits.put(&now, document.checked(tree)?, false);
        *told.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = id;
        Ok(())
    };
    let DocumentAnswer(document) = change_document(app, shown, expected, change).await?;
    let element = *made.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(Picked { element, source, lifted: true, completed, score, document })
}
