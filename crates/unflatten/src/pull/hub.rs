//! A Hugging Face hub, and the cache that holds what came from it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::{Cache, Repo, RepoType};
use serde::Deserialize;
use service::Failure;
use ureq::config::{Config, RedirectAuthHeaders};
use ureq::http::Response;
use ureq::http::header::{AUTHORIZATION, RANGE};
use ureq::{Agent, Body};

/// The hub's side is our own few requests: hf-hub 0.5 lets the server choose file names on this disk, and sends the
/// token to whatever host it redirects to.
#[derive(Clone)]
pub struct Hub {
    agent: Agent,
    cache: Cache,
    endpoint: String,
    token: Option<String>,
}

/// How long a server may take to let us in, and to begin its answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest listing that is read.
const LISTING_BYTES: u64 = 32 << 20;

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
        // Signed addresses of content servers must not see the token.
        let config = Config::builder()
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
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
            // A listing is small; content takes as long as it takes, and its own watch looks after it.
            None => request = request.config().timeout_global(Some(2 * PATIENCE)).build(),
        }
        request.call()
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
        let address = format!("{}/api/models/{repository}/revision/main?blobs=true", self.endpoint);
        let answer = self.get(&address, None).map_err(|error| self.explain(repository, &error))?;
        let mut body = answer.into_body();
        let listing: Listing = body.with_config().limit(LISTING_BYTES).read_json().map_err(|error| {
            Failure::Failed(format!(
                "{} did not answer like a Hugging Face hub ({error}); check HF_ENDPOINT and any proxy",
                self.endpoint
            ))
        })?;
        // It becomes the name of a folder.
        if !is_hex(&listing.sha) {
            let text = format!("{} names the impossible commit {:?} of {repository}", self.endpoint, listing.sha);
            return Err(Failure::Failed(text));
        }
        Ok((Commit { repository: repository.to_owned(), sha: listing.sha }, listing.siblings))
    }

    /// The content of a file from byte `from` on, or all of it where the answer's status is not 206.
    ///
    /// # Errors
    /// When the request fails.
    pub fn open(&self, commit: &Commit, path: &str, from: u64) -> Result<Response<Body>, ureq::Error> {
        let path: Vec<_> = path.split('/').map(escape).collect();
        let address = format!("{}/{}/resolve/{}/{}", self.endpoint, commit.repository, commit.sha, path.join("/"));
        self.get(&address, Some(from))
    }

    /// Where the cache keeps the content of this checksum.
    pub fn blob(&self, commit: &Commit, checksum: &str) -> PathBuf {
        self.dir().join(pinned(commit).folder_name()).join("blobs").join(checksum)
    }

    /// Where a file of the commit is once it has arrived.
    pub fn place(&self, commit: &Commit, path: &str) -> PathBuf {
        self.cache.repo(pinned(commit)).pointer_path(&commit.sha).join(path)
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
            ureq::Error::StatusCode(401 | 403) if self.token.is_some() => {
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

/// Whether a text is a checksum or a commit, and nothing else.
pub fn is_hex(text: &str) -> bool {
    (4..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A part of a path as it stands in an address.
fn escape(part: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    part.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
