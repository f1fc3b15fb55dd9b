//! The words of a result.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use engine::TextBlock;
use jobs::LayerInfo;
use jobs::document::{Document, LayerRef};
use jobs::tree::words;
use layers::Rect;
use serde::{Deserialize, Serialize};
use service::hex;
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};

use super::reading_order::{Passage, passages};
use crate::handlers::edits::document::document_of;
use crate::handlers::finished::FinishedJob;
use crate::http::answers::NotModified;
use crate::http::caching::{REVALIDATE, not_modified};
use crate::http::error::{Error, ErrorBody};
use crate::http::extract::Query;
use crate::http::responses::ResultFaults;
use crate::state::App;

/// A format of the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
enum TextFormat {
    Json,
    Txt,
    Md,
}

impl TextFormat {
    const ALL: [(&'static str, Self); 3] = [("json", Self::Json), ("txt", Self::Txt), ("md", Self::Md)];

    fn parse(name: &str) -> Result<Self, Error> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, format)| *format).ok_or_else(|| {
            let message = format!("there is no format \"{name}\" of the text; use json, txt or md");
            Error::bad_request("unknown_format", message).about("format")
        })
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TextQuery {
    /// `json` (the default), `txt` or `md`.
    #[param(value_type = Option<TextFormat>, inline)]
    format: Option<String>,
}

/// The words of a result.
#[derive(Serialize, ToSchema)]
pub(crate) struct PosterText {
    /// In reading order: from the top to the bottom, columns from the left to the right.
    blocks: Vec<BlockText>,
}

/// Words that stand together.
#[derive(Serialize, ToSchema)]
pub(crate) struct BlockText {
    /// The layer that they are in; 0 is the lowest.
    z_index: u32,
    /// The layer's name.
    layer: String,
    /// What they say, line by line.
    words: String,
    /// Where their letters are; absent for an empty layer.
    bounding_box: Option<Rect>,
    /// The same as text that can be drawn and edited; absent for words that are only in the layer's pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<TextBlock>,
}

impl From<Passage<'_>> for BlockText {
    fn from(passage: Passage<'_>) -> Self {
        Self {
            z_index: passage.layer.z_index,
            layer: passage.layer.name.clone(),
            words: passage.words,
            bounding_box: passage.bounding_box,
            live: passage.block.cloned(),
        }
    }
}

/// The words, unless the client has them already.
pub(crate) enum TextAnswer {
    Json { etag: String, text: PosterText },
    Plain { etag: String, content_type: &'static str, text: String },
    NotModified(NotModified),
}

impl IntoResponse for TextAnswer {
    fn into_response(self) -> Response {
        let headers = |etag| [(header::CACHE_CONTROL, REVALIDATE.to_owned()), (header::ETAG, etag)];
        match self {
            Self::Json { etag, text } => (headers(etag), Json(text)).into_response(),
            Self::Plain { etag, content_type, text } => {
                (headers(etag), [(header::CONTENT_TYPE, content_type)], text).into_response()
            }
            Self::NotModified(answer) => answer.into_response(),
        }
    }
}

/// The words of a result
///
/// In reading order, with edits of the words: as JSON with fonts, sizes, colours and places (`live`), so that they can be
/// drawn again; as plain text; or as Markdown, in which large lines are headings. Layers that were split again count as
/// they were before.
#[utoipa::path(
    get, path = "/api/jobs/{id}/text", operation_id = "get_text", tag = "results",
    params(("id" = Uuid, Path, description = "The job"), TextQuery),
    responses(
        (status = 200, description = "The words",
            content((PosterText = "application/json"), (String = "text/plain"), (String = "text/markdown"))),
        (status = 304, description = "As in If-None-Match"),
        (status = 400, description = "No such format", body = ErrorBody),
        ResultFaults,
    )
)]
pub(crate) async fn text(
    State(app): State<App>,
    finished: FinishedJob,
    Query(query): Query<TextQuery>,
    headers: HeaderMap,
) -> Result<TextAnswer, Error> {
    let format = TextFormat::parse(query.format.as_deref().unwrap_or("json"))?;
    let stored = document_of(&app, &finished).await?;
    // Results change by edits alone; another version of the service may write them differently.
    let shown = format!("{} {} {} {format:?}", env!("CARGO_PKG_VERSION"), finished.id, stored.stored.edits.revision);
    let etag = format!("W/\"{}\"", &hex(&Sha256::digest(shown))[..32]);
    if not_modified(&headers, &etag) {
        return Ok(TextAnswer::NotModified(NotModified { etag, cache_control: Some(REVALIDATE) }));
    }
    let metadata = finished.metadata().await?;
    let job_id = finished.id;
    let edited = |layer: LayerInfo| {
        let reference = LayerRef { job_id, layer: layer.z_index };
        edited(layer, reference, &stored.document)
    };
    let layers: Vec<LayerInfo> = metadata.layers.into_iter().map(edited).collect();
    let passages = passages(&layers);
    Ok(match format {
        TextFormat::Json => {
            let blocks = passages.into_iter().map(BlockText::from).collect();
            TextAnswer::Json { etag, text: PosterText { blocks } }
        }
        TextFormat::Txt => {
            TextAnswer::Plain { etag, content_type: "text/plain; charset=utf-8", text: plain(&passages) }
        }
        TextFormat::Md => {
            TextAnswer::Plain { etag, content_type: "text/markdown; charset=utf-8", text: markdown(&passages) }
        }
    })
}

/// A layer with the words and the name that it has now.
fn edited(mut layer: LayerInfo, reference: LayerRef, document: &Document) -> LayerInfo {
    let Some(edit) = document.of_layer(reference).map(|element| &element.edit) else { return layer };
    layer.name = words::shown_name(&layer.name, layer.live_text.as_ref(), edit);
    layer.text = words::shown_words(layer.text.as_deref(), layer.live_text.as_ref(), &edit.text);
    for (number, text) in &edit.text {
        let block = layer.live_text.as_mut().and_then(|live| live.blocks.get_mut(*number as usize));
        if let Some(block) = block {
            block.text = text.clone();
            // They tell of what was read.
            block.lines.clear();
        }
    }
    layer
}

/// Blocks with an empty line between them.
fn plain(passages: &[Passage<'_>]) -> String {
    passages.iter().map(|passage| format!("{}\n", passage.words)).collect::<Vec<_>>().join("\n")
}

/// The same, with headings by size.
fn markdown(passages: &[Passage<'_>]) -> String {
    /// A heading is so many times as large as the usual text, and a main one about as large as the largest.
    const HEADING: f32 = 1.4;
    const MAIN: f32 = 0.8;
    let mut sizes: Vec<f32> = passages.iter().map(Passage::size).collect();
    sizes.sort_by(f32::total_cmp);
    let usual = sizes.get(sizes.len() / 2).copied().unwrap_or(0.0);
    let largest = sizes.last().copied().unwrap_or(0.0);
    let paragraph = |passage: &Passage<'_>| {
        let lines: Vec<String> = passage.words.lines().map(escaped).collect();
        match passage.size() {
            // With two blocks the usual one is the larger.
            size if size >= MAIN * largest && (size > HEADING * sizes[0] || sizes.len() == 1) => {
                format!("# {}\n", lines.join(" "))
            }
            size if size > HEADING * usual => format!("## {}\n", lines.join(" ")),
            _ => format!("{}\n", lines.join("\\\n")),
        }
    };
    passages.iter().map(paragraph).collect::<Vec<_>>().join("\n")
}

/// A line without marks of Markdown (CommonMark 0.31, 2.4): those that count anywhere, and those at its start.
fn escaped(line: &str) -> String {
    let mut text = String::new();
    for character in line.trim().chars() {
        if matches!(character, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '~' | '|') {
            text.push('\\');
        }
        text.push(character);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let mark = text.as_bytes().get(digits).is_some_and(|mark| matches!(mark, b'.' | b')'));
    let ends = text.as_bytes().get(digits + 1).is_none_or(u8::is_ascii_whitespace);
    if text.starts_with(['#', '+', '-', '=']) {
        text.insert(0, '\\');
    } else if digits > 0 && mark && ends {
        text.insert(digits, '\\');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_markdown_are_escaped() {
        for (line, expected) in [
            ("50 % * off_now", "50 % \\* off\\_now"),
            ("# 1", "\\# 1"),
            ("1. May", "1\\. May"),
            ("2026.05.01", "2026.05.01"),
            ("- 10 -", "\\- 10 -"),
            ("봄날 [A]", "봄날 \\[A\\]"),
        ] {
            assert_eq!(escaped(line), expected);
        }
    }
}
