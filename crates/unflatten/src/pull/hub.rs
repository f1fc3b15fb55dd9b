//! A Hugging Face hub, and the cache that holds what came from it.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};
use serde::Deserialize;

use crate::failure::Failure;

#[derive(Clone)]
pub struct Hub {
    api: Api,
    cache: Cache,
    endpoint: String,
    has_token: bool,
}

/// A commit of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub repository: String,
    pub sha: String,
}

/// A file as the hub lists it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    #[serde(rename = "rfilename")]
    pub path: String,
    pub size: Option<u64>,
    /// Git's name of the content: SHA-1 over a header and the bytes.
    pub blob_id: Option<String>,
    /// For large files, which Git only points to.
    pub lfs: Option<Large>,
}

#[derive(Debug, Deserialize)]
pub struct Large {
    pub sha256: String,
    pub size: u64,
}

#[derive(Deserialize)]
struct Listing {
    sha: String,
    siblings: Vec<Listed>,
}

impl Hub {
    /// # Errors
    /// When the endpoint is no HTTP address.
    pub fn new(endpoint: &str, token: Option<String>, dir: &Path) -> Result<Self, Failure> {
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let address = endpoint.parse::<ureq::http::Uri>().ok();
        let is_http = |uri: &ureq::http::Uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
        };
        if !address.as_ref().is_some_and(is_http) {
            return Err(Failure::BadUse(format!(
                "HF_ENDPOINT=\"{endpoint}\" is not an address such as https://huggingface.co"
            )));
        }
        let cache = Cache::new(dir.to_owned());
        let has_token = token.is_some();
        let builder = ApiBuilder::from_cache(cache.clone()).with_endpoint(endpoint.clone()).with_token(token);
        let builder = builder.with_progress(false).with_user_agent("unflatten", env!("CARGO_PKG_VERSION"));
        let api = builder.build().map_err(|error| Failure::Failed(format!("HTTP cannot be used: {error}")))?;
        Ok(Self { api, cache, endpoint, has_token })
    }

    /// The folder of the cache.
    pub fn dir(&self) -> &Path {
        self.cache.path()
    }

    /// The newest commit of `repository` and its files.
    ///
    /// # Errors
    /// When the hub cannot be reached, or does not know or give it.
    pub fn list(&self, repository: &str) -> Result<(Commit, Vec<Listed>), Failure> {
        let request = self.api.model(repository.to_owned()).info_request().query("blobs", "true");
        let answer = request.call().map_err(|error| self.explain(repository, &error))?;
        let listing: Listing = answer.into_body().read_json().map_err(|error| self.explain(repository, &error))?;
        Ok((Commit { repository: repository.to_owned(), sha: listing.sha }, listing.siblings))
    }

    /// The commit on the hub.
    pub fn remote(&self, commit: &Commit) -> ApiRepo {
        self.api.repo(pinned(commit))
    }

    /// The commit in the cache.
    pub fn local(&self, commit: &Commit) -> CacheRepo {
        self.cache.repo(pinned(commit))
    }

    /// Where a file of the commit is once it has arrived.
    pub fn place(&self, commit: &Commit, path: &str) -> PathBuf {
        self.local(commit).pointer_path(&commit.sha).join(path)
    }

    /// Makes the commit the one that is used.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub fn finish(&self, commit: &Commit) -> std::io::Result<()> {
        self.cache.model(commit.repository.clone()).create_ref(&commit.sha)
    }

    /// What a failed request means, and what to do.
    pub fn explain(&self, repository: &str, error: &ureq::Error) -> Failure {
        let endpoint = &self.endpoint;
        Failure::Failed(match error {
            ureq::Error::StatusCode(401 | 403) if self.has_token => {
                format!(
                    "{endpoint} refuses {repository}: HF_TOKEN has no right to it; open its page and accept its terms"
                )
            }
            // The hub answers so for repositories that do not exist as well.
            ureq::Error::StatusCode(401 | 403 | 404) => format!(
                "{endpoint} has no {repository}, or wants a token for it; check MODEL_NAME, and set HF_TOKEN if it is \
                 not public"
            ),
            ureq::Error::StatusCode(429) => format!("{endpoint} is asked too often; wait a little, then try again"),
            ureq::Error::StatusCode(code) => format!("{endpoint} answered {code} for {repository}; try again later"),
            other => format!("{endpoint} cannot be reached: {other}; check the network and HF_ENDPOINT"),
        })
    }
}

fn pinned(commit: &Commit) -> Repo {
    Repo::with_revision(commit.repository.clone(), RepoType::Model, commit.sha.clone())
}

/// The request behind an error of the client, where there is one.
pub fn request_error(error: &ApiError) -> Option<&ureq::Error> {
    match error {
        ApiError::RequestError(error) => Some(error),
        _ => None,
    }
}
