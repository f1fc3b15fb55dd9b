use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use reqwest::{Method, Url};
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::auth::{Auth, chain};
use crate::error::{Error, Kind, Service};
use crate::http::{Http, Request, Retry};

/// Where Cloud Storage is.
const ADDRESS: &str = "https://storage.googleapis.com";

/// For a call that moves a picture or less, each try.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A download that brings nothing for this long has failed.
const STALL: Duration = Duration::from_secs(60);

/// The address of an object, or of a folder of them: `gs://bucket/name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectUri {
    pub bucket: String,
    /// Without a slash at its start; may be empty or end in a slash for a folder.
    pub name: String,
}

impl FromStr for ObjectUri {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("gs://").ok_or_else(|| format!("an address begins with gs://, not \"{text}\""))?;
        let (bucket, name) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(format!("\"{text}\" names no bucket"));
        }
        Ok(Self { bucket: bucket.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for ObjectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gs://{}/{}", self.bucket, self.name)
    }
}

impl ObjectUri {
    /// `name` inside this folder.
    pub fn join(&self, name: &str) -> Self {
        let folder = self.name.trim_end_matches('/');
        let name = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        Self { bucket: self.bucket.clone(), name }
    }
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    pub uri: ObjectUri,
    /// In bytes.
    pub size: u64,
}

/// What an object holds, and which of its versions this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    pub bytes: Vec<u8>,
    pub generation: u64,
}

/// The few calls to Cloud Storage's JSON API that pictures on their way to Vertex AI and back need.
#[derive(Debug, Clone)]
pub struct Storage {
    http: Http,
    origin: Url,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing {
    #[serde(default)]
    items: Vec<Item>,
    next_page_token: Option<String>,
}

/// An object that was written.
#[derive(Deserialize)]
struct Written {
    /// A number as text, as the API writes 64 bits.
    generation: String,
}

#[derive(Deserialize)]
struct Item {
    name: String,
    /// A number as text, as the API writes 64 bits.
    size: String,
}

impl Storage {
    /// `address` takes the place of Google's.
    ///
    /// # Errors
    /// When no connections can be made at all, or `address` is none.
    pub fn new(auth: Auth, address: Option<&str>, retry: Retry) -> Result<Self, Error> {
        let origin = Url::parse(address.unwrap_or(ADDRESS))
            .map_err(|error| Error::new(Service::Storage, Kind::InvalidArgument, error.to_string()))?;
        Ok(Self { http: Http::new(Service::Storage, auth, retry)?, origin })
    }

    /// Writes an object, in place of one of this name.
    ///
    /// # Errors
    /// What the service answered.
    pub async fn put(&self, uri: &ObjectUri, content_type: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let mut url = self.url(&["upload", "storage", "v1", "b", &uri.bucket, "o"]);
        url.query_pairs_mut().append_pair("uploadType", "media").append_pair("name", &uri.name);
        let url = url.to_string();
        let content_type = Some(content_type);
        let request = Request { method: Method::POST, url: &url, content_type, body: bytes, timeout: TIMEOUT };
        self.http.fetch(&request).await.map(drop)
    }

    /// Writes an object if it is still of `generation` (0: if there is none), and answers with its new generation;
    /// `None`: it is another by now, and stays.
    ///
    /// # Errors
    /// What the service answered.
    pub async fn put_if(
        &self,
        uri: &ObjectUri,
        content_type: &str,
        bytes: Vec<u8>,
        generation: u64,
    ) -> Result<Option<u64>, Error> {
        let mut url = self.url(&["upload", "storage", "v1", "b", &uri.bucket, "o"]);
        url.query_pairs_mut()
            .append_pair("uploadType", "media")
            .append_pair("name", &uri.name)
            .append_pair("ifGenerationMatch", &generation.to_string());
        let url = url.to_string();
        let content_type = Some(content_type);
        let request = Request { method: Method::POST, url: &url, content_type, body: bytes, timeout: TIMEOUT };
        let answer = match self.http.fetch(&request).await {
            Ok(answer) => answer,
            Err(error) if error.kind == Kind::FailedPrecondition => return Ok(None),
            Err(error) => return Err(error),
        };
        let malformed = |detail: String| Error::new(Service::Storage, Kind::Malformed, detail);
        let written: Written = serde_json::from_slice(&answer).map_err(|error| malformed(error.to_string()))?;
        let number = written.generation.parse();
        number.map(Some).map_err(|_| malformed(format!("a generation is {:?}", written.generation)))
    }

    /// An object and its generation; `None` where there is none.
    ///
    /// # Errors
    /// What the service answered.
    pub async fn get_versioned(&self, uri: &ObjectUri) -> Result<Option<Versioned>, Error> {
        let (headers, bytes) = match self.http.fetch_with_headers(&plain(Method::GET, &self.media(uri))).await {
            Ok(found) => found,
            Err(error) if error.kind == Kind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let generation = headers.get("x-goog-generation").and_then(|value| value.to_str().ok()?.parse().ok());
        let missing = || Error::new(Service::Storage, Kind::Malformed, "the answer names no x-goog-generation");
        Ok(Some(Versioned { bytes, generation: generation.ok_or_else(missing)? }))
    }

    /// The bytes of an object.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is none; otherwise what the service answered.
    pub async fn get(&self, uri: &ObjectUri) -> Result<Vec<u8>, Error> {
        self.http.fetch(&plain(Method::GET, &self.media(uri))).await
    }

    /// Removes an object; one that is not there is removed already.
    ///
    /// # Errors
    /// What the service answered.
    pub async fn delete(&self, uri: &ObjectUri) -> Result<(), Error> {
        let url = self.url(&["storage", "v1", "b", &uri.bucket, "o", &uri.name]).to_string();
        match self.http.fetch(&plain(Method::DELETE, &url)).await {
            Err(error) if error.kind != Kind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Every object whose name begins as `folder` does, in the order of their names.
    ///
    /// # Errors
    /// What the service answered.
    pub async fn list(&self, folder: &ObjectUri) -> Result<Vec<ObjectInfo>, Error> {
        let mut found = Vec::new();
        let mut page: Option<String> = None;
        loop {
            let mut url = self.url(&["storage", "v1", "b", &folder.bucket, "o"]);
            url.query_pairs_mut().append_pair("prefix", &folder.name).append_pair("fields", FIELDS);
            if let Some(token) = &page {
                url.query_pairs_mut().append_pair("pageToken", token);
            }
            let url = url.to_string();
            let bytes = self.http.fetch(&plain(Method::GET, &url)).await?;
            let malformed = |detail: String| Error::new(Service::Storage, Kind::Malformed, detail);
            let listing: Listing = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
            for item in listing.items {
                let size = item.size.parse().map_err(|_| malformed(format!("a size is {:?}", item.size)))?;
                found.push(ObjectInfo { uri: ObjectUri { bucket: folder.bucket.clone(), name: item.name }, size });
            }
            match listing.next_page_token.filter(|token| !token.is_empty()) {
                Some(token) => page = Some(token),
                None => return Ok(found),
            }
        }
    }

    /// Writes an object to a file, whatever its size.
    ///
    /// # Errors
    /// What the service answered, or that the file cannot be written.
    pub async fn download(&self, uri: &ObjectUri, file: &Path) -> Result<(), Error> {
        let failed = |kind, detail: String| Error::new(Service::Storage, kind, detail);
        let disk = |error: std::io::Error| failed(Kind::Unknown, format!("{}: {error}", file.display()));
        let url = self.media(uri);
        let mut response = self.http.open(&plain(Method::GET, &url)).await?;
        let mut out = tokio::fs::File::create(file).await.map_err(disk)?;
        loop {
            let chunk = timeout(STALL, response.chunk()).await;
            let chunk = chunk.map_err(|_| failed(Kind::Timeout, format!("nothing came for {} s", STALL.as_secs())))?;
            match chunk.map_err(|error| failed(Kind::Network, chain(&error)))? {
                Some(bytes) => out.write_all(&bytes).await.map_err(disk)?,
                None => break,
            }
        }
        out.flush().await.map_err(disk)
    }

    fn media(&self, uri: &ObjectUri) -> String {
        let mut url = self.url(&["storage", "v1", "b", &uri.bucket, "o", &uri.name]);
        url.query_pairs_mut().append_pair("alt", "media");
        url.to_string()
    }

    /// Each part becomes one segment of the path, its slashes encoded.
    fn url(&self, parts: &[&str]) -> Url {
        let mut url = self.origin.clone();
        // Only addresses such as mailto: have no path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(parts);
        }
        url
    }
}

const FIELDS: &str = "items(name,size),nextPageToken";

fn plain(method: Method, url: &str) -> Request<'_> {
    Request { method, url, content_type: None, body: Vec::new(), timeout: TIMEOUT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_joined() {
        let folder: ObjectUri = "gs://posters/in/now/".parse().expect("an address");
        assert_eq!(folder.join("a.png").to_string(), "gs://posters/in/now/a.png");
        let bucket: ObjectUri = "gs://posters".parse().expect("an address");
        assert_eq!(bucket.join("a.png").to_string(), "gs://posters/a.png");
        for text in ["posters/a", "gs://", "gs:///a", "s3://posters/a"] {
            assert!(text.parse::<ObjectUri>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_encoded_into_one_segment() {
        let storage = Storage::new(Auth::Anonymous, None, Retry::NONE).expect("a client");
        let uri = "gs://posters/a b/c?.png".parse().expect("an address");
        assert_eq!(
            storage.media(&uri),
            "https://storage.googleapis.com/storage/v1/b/posters/o/a%20b%2Fc%3F.png?alt=media"
        );
    }
}
