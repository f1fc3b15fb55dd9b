//! A part of what is seen, lifted off its layer.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use image::GrayImage;
use jobs::document::{LiftedPart, Picture};
use jobs::edits::Edits;
use jobs::store::StoredDocument;
use jobs::tree::{Composition, Output, Tree};
use layers::Kind;
use serde::Serialize;
use tempfile::NamedTempFile;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::document::{
    DocumentAnswer, DocumentInfo, change_document, changed_meanwhile, document_answer, document_headers,
    expected_or_any, whole_document_of,
};
use super::pick_request::PickRequest;
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

/// What the thread of a pick needs.
struct PickTask {
    look: Arc<Look>,
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
    fn written(self, rest: NamedTempFile, part: NamedTempFile, score: Option<f32>) -> Result<WrittenCut, Error> {
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
    let made = Arc::new(Mutex::new(0));
    let told = Arc::clone(&made);
    let change = move |edits: &mut Edits, tree: &Tree| {
        let now = edits.take_splits(tree);
        if now.element(source) != before.as_ref() {
            return Err(changed_meanwhile(edits.revision));
        }
        let (document, id) = now.with_lifted(source, lifted.clone(), tree).ok_or_else(nothing)?;
        edits.put(&now, document.checked(tree)?, false);
        *told.lock().unwrap_or_else(PoisonError::into_inner) = id;
        Ok(())
    };
    let DocumentAnswer(document) = change_document(app, shown, expected, change).await?;
    let element = *made.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Picked { element, source, lifted: true, completed, score, document })
}
