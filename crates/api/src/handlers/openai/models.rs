//! `GET /v1/models` of OpenAI's API.

use axum::Json;
use axum::extract::State;
use jobs::EngineChoice;
use serde::Serialize;
use utoipa::ToSchema;

use super::errors::OpenAiErrorBody;
use super::fields;
use crate::config::Config;
use crate::http::error::Error;
use crate::http::extract::Segments;
use crate::state::App;

/// The names that `model` may have.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModelList {
    /// `list`
    object: &'static str,
    data: Vec<Model>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Model {
    id: String,
    /// `model`
    object: &'static str,
    /// Seconds since 1970; 0, as engines have no such date.
    created: i64,
    /// `unflatten`
    owned_by: &'static str,
    /// The engine that does its jobs.
    #[schema(value_type = EngineChoice)]
    engine: &'static str,
}

impl Model {
    fn new(id: &str, engine: EngineChoice) -> Self {
        Self { id: id.to_owned(), object: "model", created: 0, owned_by: "unflatten", engine: engine.as_str() }
    }
}

/// The models
///
/// `unflatten` and the engines, and the names of `OPENAI_MODEL_ALIASES`.
#[utoipa::path(
    get, path = "/v1/models", operation_id = "openai_models", tag = "openai",
    responses((status = 200, description = "The models", body = ModelList))
)]
pub(crate) async fn list(State(app): State<App>) -> Json<ModelList> {
    Json(ModelList { object: "list", data: models(&app.config) })
}

/// One model
#[utoipa::path(
    get, path = "/v1/models/{model}", operation_id = "openai_model", tag = "openai",
    params(("model" = String, Path, description = "Its name")),
    responses(
        (status = 200, description = "The model", body = Model),
        (status = 404, description = "No such model", body = OpenAiErrorBody),
    )
)]
pub(crate) async fn one(State(app): State<App>, Segments(name): Segments<String>) -> Result<Json<Model>, Error> {
    let engine = fields::engine(&name, &app.config)
        .map_err(|error| Error::not_found("model_not_found", error.to_string()).about("model"))?;
    Ok(Json(Model::new(name.trim(), engine)))
}

fn models(config: &Config) -> Vec<Model> {
    let engines = EngineChoice::ALL.iter().map(|engine| Model::new(engine.as_str(), *engine));
    let aliases = config.openai_models.iter().map(|(name, engine)| Model::new(name, *engine));
    [Model::new(fields::OURS, EngineChoice::Auto)].into_iter().chain(engines).chain(aliases).collect()
}
