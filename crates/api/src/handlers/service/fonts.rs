//! The fonts that words can be set in.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use typeset::{Face, Fonts, Origin, Scripts, Slant};
use utoipa::ToSchema;

use crate::http::answers::NoStore;
use crate::http::error::{Error, ErrorBody};
use crate::state::App;

/// What ships never changes under its name within a version.
const CACHED: &str = "public, max-age=86400";

/// The fonts of the service.
#[derive(Serialize, ToSchema)]
pub(crate) struct FontList {
    /// By name.
    families: Vec<Family>,
}

/// Faces that share a name.
#[derive(Serialize, ToSchema)]
struct Family {
    /// In English, or in its own language if it has no English name.
    family: String,
    /// In Korean, if it has a Korean name.
    #[serde(skip_serializing_if = "Option::is_none")]
    korean_family: Option<String>,
    /// What its first face can write.
    scripts: Scripts,
    /// From the lightest to the heaviest.
    faces: Vec<FaceInfo>,
}

/// A face of a family.
#[derive(Serialize, ToSchema)]
struct FaceInfo {
    /// How heavy, from 1 to 1000; 400 is regular, 700 bold.
    weight: u16,
    slant: Slant,
    /// How wide, in percent of normal, from 50 to 200.
    width: u16,
    /// Address of its file (WOFF), if it ships with the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

impl FontList {
    fn of(fonts: &Fonts) -> Self {
        let mut families: BTreeMap<&str, Family> = BTreeMap::new();
        for face in fonts.faces() {
            let family = families.entry(face.family()).or_insert_with(|| Family {
                family: face.family().to_owned(),
                korean_family: face.korean_family().map(str::to_owned),
                scripts: face.scripts(),
                faces: Vec::new(),
            });
            family.faces.push(FaceInfo {
                weight: face.weight(),
                slant: face.slant(),
                width: face.width(),
                url: file_of(face).map(|file| format!("/api/fonts/{file}")),
            });
        }
        let mut families: Vec<_> = families.into_values().collect();
        families.iter_mut().for_each(|family| family.faces.sort_by_key(|face| (face.weight, face.slant, face.width)));
        Self { families }
    }
}

/// The file of a face that ships.
fn file_of(face: &Face) -> Option<&str> {
    match face.origin() {
        Origin::Shipped(file) => Some(file),
        _ => None,
    }
}

/// Fonts
///
/// The families that words can be set in (`PATCH /api/jobs/{id}/layers/{n}`, `text`): those that ship with the service,
/// those of the operator and the system's.
#[utoipa::path(
    get, path = "/api/fonts", operation_id = "get_fonts", tag = "service",
    responses((status = 200, description = "The families", body = FontList))
)]
pub(crate) async fn fonts(State(app): State<App>) -> Result<NoStore<Json<FontList>>, Error> {
    // The first request may have to read every font of the system.
    let list = move || FontList::of(app.typefaces.fonts());
    Ok(NoStore(Json(tokio::task::spawn_blocking(list).await.map_err(Error::internal)?)))
}

/// The file of a font
///
/// One that ships with the service, as WOFF. All of them may be used by anybody (SIL Open Font License 1.1).
#[utoipa::path(
    get, path = "/api/fonts/{file}", operation_id = "get_font", tag = "service",
    params(("file" = String, Path, description = "The name in the `url` of a face")),
    responses(
        (status = 200, description = "The font", body = Vec<u8>, content_type = "font/woff"),
        (status = 404, description = "No font of that name ships with the service", body = ErrorBody),
    )
)]
pub(crate) async fn font_file(Path(file): Path<String>) -> Result<Response, Error> {
    let bytes = Fonts::shipped_file(&file).ok_or_else(|| {
        Error::not_found(
            "font_not_found",
            "no font of that name ships with the service; GET /api/fonts has their addresses",
        )
    })?;
    Ok(([(header::CONTENT_TYPE, "font/woff"), (header::CACHE_CONTROL, CACHED)], bytes).into_response())
}
