//! A Hugging Face hub and its local cache.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::{Cache, Repo, RepoType};
use serde::Deserialize;
use service::Failure;
use ureq::config::{Config, RedirectAuthHeaders};
use ureq::http::Response;
use ureq::http::header::{AUTHORIZATION, RANGE};
use ureq::{Agent, Body};

/// A client of the hub, and its cache. The requests are our own: hf-hub 0.5 lets the server choose file names on this
/// disk, and sends the token to any host that it redirects to.
#[derive(Clone)]
pub(super) struct Hub {
    agent: Agent,
    cache: Cache,
    endpoint: String,
    token: Option<String>,
}

/// Timeout of connecting, and of the start of a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum size of a listing in bytes.
const LISTING_BYTES: u64 = 32 << 20;

/// A commit of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    /// `owner/name`.
    pub repository: String,
    /// The hash of the commit.
    pub sha: String,
}

/// A file as the hub lists it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListedFile {
    /// The path in the repository.
    #[serde(rename = "rfilename")]
    pub path: String,
    /// In bytes.
    pub size: Option<u64>,
    /// The Git hash: SHA-1 over a header and the content.
    pub blob_id: Option<String>,
    /// Set for files in Git LFS.
    pub lfs: Option<LfsFile>,
}

/// A file in Git LFS.
#[derive(Debug, Deserialize)]
pub(super) struct LfsFile {
    /// The checksum in hexadecimal.
    pub sha256: String,
    /// In bytes.
    pub size: u64,
}

#[derive(Deserialize)]
struct Listing {
    sha: String,
    siblings: Vec<ListedFile>,
}

impl Hub {
    /// A client of `endpoint` with the cache in `dir`.
    ///
    /// # Errors
    /// When the endpoint is not an HTTP address.
    pub(super) fn new(endpoint: &str, token: Option<String>, dir: &Path) -> Result<Self, Failure> {
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let address = endpoint.parse::<ureq::http::Uri>().ok();
        let is_http = |uri: &ureq::http::Uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
        };
        if !address.as_ref().is_some_and(is_http) {
            return Err(Failure::BadUse(format!(
                "HF_ENDPOINT=\"{endpoint}\" is not a valid address; use one such as https://huggingface.co"
            )));
        }
        // Content servers with signed addresses must not get the token.
        let config = Config::builder()
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .timeout_connect(Some(RESPONSE_TIMEOUT))
            .timeout_recv_response(Some(RESPONSE_TIMEOUT))
            .user_agent(concat!("unflatten/", env!("CARGO_PKG_VERSION")));
        Ok(Self { agent: config.build().into(), cache: Cache::new(dir.to_owned()), endpoint, token })
    }

    fn get(&self, address: &str, from: Option<u64>) -> Result<Response<Body>, ureq::Error> {
        let mut request = self.agent.get(address);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        match from {
            Some(0) => {}
            Some(from) => request = request.header(RANGE, format!("bytes={from}-")),
            // Only listings have a total timeout; content is watched for stalls.
            None => request = request.config().timeout_global(Some(2 * RESPONSE_TIMEOUT)).build(),
        }
        request.call()
    }

    /// The folder of the cache.
    pub(super) fn dir(&self) -> &Path {
        self.cache.path()
    }

    /// Lists the files of the newest commit of `repository`.
    ///
    /// # Errors
    /// When the hub cannot be reached, or does not have the repository or denies access.
    pub(super) fn list(&self, repository: &str) -> Result<(Commit, Vec<ListedFile>), Failure> {
        let address = format!("{}/api/models/{repository}/revision/main?blobs=true", self.endpoint);
        let answer = self.get(&address, None).map_err(|error| self.request_failure(repository, &error))?;
        let mut body = answer.into_body();
        let listing: Listing = body.with_config().limit(LISTING_BYTES).read_json().map_err(|error| {
            Failure::Failed(format!(
                "{} did not answer like a Hugging Face hub ({error}); check HF_ENDPOINT and any proxy",
                self.endpoint
            ))
        })?;
        // It becomes the name of a folder on this disk.
        if !is_hex(&listing.sha) {
            let text = format!(
                "{} lists the impossible commit {:?} of {repository}; check HF_ENDPOINT",
                self.endpoint, listing.sha
            );
            return Err(Failure::Failed(text));
        }
        Ok((Commit { repository: repository.to_owned(), sha: listing.sha }, listing.siblings))
    }

    /// Requests a file from byte `from` on. The response has all of it if its status is not 206.
    ///
    /// # Errors
    /// When the request fails.
    pub(super) fn open(&self, commit: &Commit, path: &str, from: u64) -> Result<Response<Body>, ureq::Error> {
        let path: Vec<_> = path.split('/').map(escape).collect();
        let address = format!("{}/{}/resolve/{}/{}", self.endpoint, commit.repository, commit.sha, path.join("/"));
        self.get(&address, Some(from))
    }

    /// The path of the content with this checksum in the cache.
    pub(super) fn blob(&self, commit: &Commit, checksum: &str) -> PathBuf {
        self.dir().join(pinned(commit).folder_name()).join("blobs").join(checksum)
    }

    /// The path of a file of the commit in the cache.
    pub(super) fn place(&self, commit: &Commit, path: &str) -> PathBuf {
        self.cache.repo(pinned(commit)).pointer_path(&commit.sha).join(path)
    }

    /// Makes the commit the current one.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub(super) fn finish(&self, commit: &Commit) -> std::io::Result<()> {
        self.cache.model(commit.repository.clone()).create_ref(&commit.sha)
    }

    /// Converts the error of a request, with advice.
    pub(super) fn request_failure(&self, repository: &str, error: &ureq::Error) -> Failure {
        let endpoint = &self.endpoint;
        Failure::Failed(match error {
            ureq::Error::StatusCode(401 | 403) if self.token.is_some() => {
                format!(
                    "{endpoint} denies HF_TOKEN access to {repository}; open the repository's page and accept its terms"
                )
            }
            // The hub also answers like this for repositories that do not exist.
            ureq::Error::StatusCode(401 | 403 | 404) => format!(
                "{endpoint} does not have {repository}, or requires a token for it; check MODEL_NAME, and set HF_TOKEN \
                 if the repository is not public"
            ),
            ureq::Error::StatusCode(429) => {
                format!("{endpoint} limits the rate of requests; try again in a few minutes")
            }
            ureq::Error::StatusCode(code) => format!("{endpoint} answered {code} for {repository}; try again later"),
            other => format!("{endpoint} cannot be reached: {other}; check the network and HF_ENDPOINT"),
        })
    }
}

fn pinned(commit: &Commit) -> Repo {
    Repo::with_revision(commit.repository.clone(), RepoType::Model, commit.sha.clone())
}

/// Whether a text has the form of a checksum or a commit hash.
pub(super) fn is_hex(text: &str) -> bool {
    (4..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Percent-encodes a part of a path.
fn escape(part: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    part.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
