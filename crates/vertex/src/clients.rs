//! Creates the clients of crate `google` from the settings.

use std::sync::OnceLock;
use std::time::Duration;

use google::{Auth, Endpoint, Error, Method, Predictor, Retry, Storage};
use tokio::sync::OnceCell;

use crate::CloudConfig;

/// The runtime on which the engine thread, which is not asynchronous, calls Google, and on which tokens are renewed. It is
/// started once and lives as long as the process.
pub(crate) fn runtime() -> std::io::Result<&'static tokio::runtime::Runtime> {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let built =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().thread_name("google").build()?;
    Ok(RUNTIME.get_or_init(|| built))
}

impl CloudConfig {
    fn retry(&self) -> Retry {
        Retry { times: self.retries, first: Duration::from_secs(1), longest: Duration::from_secs(30) }
    }

    /// The credentials. Call it within a runtime that outlives them, since they are renewed there.
    pub(crate) fn auth(&self) -> Result<Auth, Error> {
        Auth::google(self.credentials.as_deref())
    }

    pub(crate) fn storage(&self, auth: Auth) -> Result<Storage, Error> {
        Storage::new(auth, self.storage_endpoint.as_deref(), self.retry())
    }

    /// Cloud Storage with the container's service account; the credentials are looked up on first use.
    pub(crate) async fn storage_in<'a>(&self, cell: &'a OnceCell<Storage>) -> Result<&'a Storage, Error> {
        cell.get_or_try_init(|| async { self.storage(self.auth()?) }).await
    }

    /// The endpoint; `None` if project or endpoint are not set.
    pub(crate) fn endpoint(&self) -> Option<Endpoint> {
        Some(Endpoint {
            project: self.project.clone()?,
            location: self.location.clone(),
            id: self.endpoint_id.clone()?,
            domain: self.endpoint_domain.clone(),
            method: if self.raw_predict { Method::RawPredict } else { Method::Predict },
        })
    }

    pub(crate) fn predictor(&self, endpoint: Endpoint, auth: Auth) -> Result<Predictor, Error> {
        Predictor::new(endpoint, auth, self.retry())
    }
}
