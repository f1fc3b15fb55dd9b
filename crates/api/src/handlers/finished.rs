//! Jobs that have a result.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jobs::store::StoredResult;
use jobs::tree::{Tree, TreeLayer};
use jobs::{ChildJob, LayerInfo, Metadata};
use uuid::Uuid;

use crate::http::error::Error;
use crate::http::extract::JobId;
use crate::state::App;

/// The `{id}` of a job that has a result; otherwise the answer says why there is none.
pub(crate) struct FinishedJob {
    pub id: Uuid,
    /// Opened once for the whole request.
    pub result: StoredResult,
}

impl FromRequestParts<App> for FinishedJob {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let JobId(id) = JobId::from_request_parts(parts, app).await?;
        if let Some(result) = app.store.result(id).await? {
            return Ok(Self { id, result });
        }
        Err(match app.broker.job(id).await? {
            Some(job) => Error::no_result(&job),
            None => Error::job_not_found(),
        })
    }
}

impl FinishedJob {
    /// The metadata as it is stored: without the jobs that split layers again.
    pub(crate) async fn metadata(&self) -> Result<Metadata, Error> {
        self.result.metadata().await?.ok_or_else(Error::job_not_found)
    }
}

/// A layer's number as it is written in addresses.
pub(crate) fn layer_number(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number: &usize| number.to_string() == text)
}

/// The layer with the number `text`.
pub(crate) fn find_layer<'a>(metadata: &'a Metadata, text: &str) -> Result<&'a LayerInfo, Error> {
    layer_number(text).and_then(|number| metadata.layers.get(number)).ok_or_else(|| layer_not_found(metadata))
}

pub(crate) fn layer_not_found(metadata: &Metadata) -> Error {
    let message = format!("the result has {}, numbered from 0", service::counted(metadata.layers.len(), "layer"));
    Error::not_found("layer_not_found", message)
}

/// The jobs that split layers of a result again, by layer.
pub(crate) fn child_jobs(tree: &Tree) -> Vec<ChildJob> {
    let child_job = |layer: &TreeLayer| {
        let child = layer.child.as_ref()?;
        let children = child.tree.as_ref().map(child_jobs).unwrap_or_default();
        Some(ChildJob { layer: layer.layer, job_id: child.job_id, children })
    };
    let mut children: Vec<_> = tree.layers.iter().filter_map(child_job).collect();
    children.sort_unstable_by_key(|child| child.layer);
    children
}
