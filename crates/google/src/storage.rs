//! Cloud Storage through `object_store`, which speaks its XML API. [`Transport`] sends the requests, so that credentials,
//! retries, redirects and errors are those of the other clients.

use std::error::Error as _;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    StaticCredentialProvider,
};
use object_store::gcp::{GcpCredential, GoogleCloudStorage, GoogleCloudStorageBuilder};
use object_store::{
    Attribute, BackoffConfig, ClientOptions, GetResult, ObjectStore, ObjectStoreExt, PutOptions, RetryConfig,
};
use reqwest::Url;
use reqwest::header::AUTHORIZATION;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::auth::{Auth, chain};
use crate::error::{Error, Kind, Service};
use crate::http::{Http, Repeat, Retry};

const ADDRESS: &str = "https://storage.googleapis.com";

/// For one try of a call, and for the body of an object that is read into memory.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A download that receives nothing for this long has failed.
const STALL: Duration = Duration::from_secs(60);

/// A download that breaks off is resumed for this long at most.
const RESUME: Duration = Duration::from_secs(24 * 3600);

/// The address of an object, or of a folder of them: `gs://bucket/name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectUri {
    pub bucket: String,
    /// Does not start with a slash. A folder may be empty or end with a slash.
    pub name: String,
}

impl FromStr for ObjectUri {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("gs://").ok_or_else(|| format!("\"{text}\" does not start with gs://"))?;
        let (bucket, name) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(format!("\"{text}\" contains no bucket"));
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

/// A client of Cloud Storage, for any bucket.
#[derive(Debug, Clone)]
pub struct Storage {
    transport: Transport,
    address: String,
    retry: Retry,
}

impl Storage {
    /// `address` replaces Google's address.
    ///
    /// # Errors
    /// When the HTTP client cannot be built, or `address` is not a URL.
    pub fn new(auth: Auth, address: Option<&str>, retry: Retry) -> Result<Self, Error> {
        let address = address.unwrap_or(ADDRESS).trim_end_matches('/').to_owned();
        Url::parse(&address).map_err(|error| failed(Kind::InvalidArgument, error.to_string()))?;
        Ok(Self { transport: Transport(Http::new(Service::Storage, auth, retry)?), address, retry })
    }

    /// Writes an object, or replaces it.
    ///
    /// # Errors
    /// The error of the service.
    pub async fn put(&self, uri: &ObjectUri, content_type: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let attributes = [(Attribute::ContentType, content_type.to_owned())].into_iter().collect();
        let options = PutOptions { attributes, ..PutOptions::default() };
        self.bucket(uri)?.put_opts(&key(uri)?, bytes.into(), options).await.map(drop).map_err(of_store)
    }

    /// The content of an object.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if it does not exist; otherwise the error of the service.
    pub async fn get(&self, uri: &ObjectUri) -> Result<Vec<u8>, Error> {
        content(self.open(uri).await?).await
    }

    /// Deletes an object; succeeds if it does not exist.
    ///
    /// # Errors
    /// The error of the service.
    pub async fn delete(&self, uri: &ObjectUri) -> Result<(), Error> {
        match self.bucket(uri)?.delete(&key(uri)?).await.map_err(of_store) {
            Err(error) if error.kind != Kind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The objects in `folder` and the folders in it, in the order of their names. Empty objects are left out: consoles
    /// create them in place of folders, and `object_store` answers their names without the slash that would tell.
    ///
    /// # Errors
    /// The error of the service.
    pub async fn list(&self, folder: &ObjectUri) -> Result<Vec<ObjectInfo>, Error> {
        let objects: Vec<_> = self.bucket(folder)?.list(Some(&key(folder)?)).try_collect().await.map_err(of_store)?;
        let info = |object: object_store::ObjectMeta| ObjectInfo {
            uri: ObjectUri { bucket: folder.bucket.clone(), name: object.location.into() },
            size: object.size,
        };
        Ok(objects.into_iter().filter(|object| object.size > 0).map(info).collect())
    }

    /// Writes an object of any size to a file. A connection that breaks is resumed where it was.
    ///
    /// # Errors
    /// The error of the service, or of the file.
    pub async fn download(&self, uri: &ObjectUri, file: &Path) -> Result<(), Error> {
        let disk = |error: std::io::Error| failed(Kind::Unknown, format!("{}: {error}", file.display()));
        let mut chunks = self.open(uri).await?.into_stream();
        let mut out = tokio::fs::File::create(file).await.map_err(disk)?;
        let stalled = |_| failed(Kind::Timeout, format!("no data for {} s", STALL.as_secs()));
        while let Some(chunk) = timeout(STALL, chunks.next()).await.map_err(stalled)? {
            out.write_all(&chunk.map_err(of_store)?).await.map_err(disk)?;
        }
        out.flush().await.map_err(disk)
    }

    async fn open(&self, uri: &ObjectUri) -> Result<GetResult, Error> {
        self.bucket(uri)?.get(&key(uri)?).await.map_err(of_store)
    }

    fn bucket(&self, uri: &ObjectUri) -> Result<GoogleCloudStorage, Error> {
        // These retries only resume downloads; `Transport` has its own.
        let retry = RetryConfig {
            backoff: BackoffConfig { init_backoff: self.retry.first, max_backoff: self.retry.longest, base: 2.0 },
            max_retries: self.retry.times as usize,
            retry_timeout: RESUME,
        };
        // `Transport` authenticates. Without any credentials `object_store` would search the machine for some.
        let none = Arc::new(StaticCredentialProvider::new(GcpCredential { bearer: String::new() }));
        let builder = GoogleCloudStorageBuilder::new()
            .with_base_url(&self.address)
            .with_bucket_name(&uri.bucket)
            .with_credentials(none)
            .with_http_connector(self.transport.clone())
            .with_retry(retry);
        builder.build().map_err(of_store)
    }
}

/// Sends the requests of `object_store` as every other client of this crate does.
#[derive(Debug, Clone)]
struct Transport(Http);

impl HttpConnector for Transport {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let sent = self.0.with_retries(Repeat::Harmless, || self.send(&request)).await;
        // `object_store` does not retry errors of an unknown kind. `of_store` finds ours inside its own.
        sent.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))
    }
}

impl Transport {
    async fn send(&self, request: &HttpRequest) -> Result<HttpResponse, Error> {
        let attempt = async {
            let mut request = request.clone();
            // In place of the empty token of `Storage::bucket`.
            request.headers_mut().remove(AUTHORIZATION);
            request.headers_mut().extend(self.0.auth.headers().await?);
            let response = self.0.client.call(request).await.map_err(|error| of_connection(&error))?;
            if response.status().is_success() {
                return Ok(response);
            }
            let (parts, body) = response.into_parts();
            Err(self.0.rejection(parts.status, &parts.headers, &body.bytes().await.unwrap_or_default()))
        };
        let sent = timeout(TIMEOUT, attempt).await.unwrap_or_else(|_| Err(self.0.timed_out(TIMEOUT)));
        sent.map_err(|error| error.of_request(request.method(), request.uri()))
    }
}

fn failed(kind: Kind, detail: impl Into<String>) -> Error {
    Error::new(Service::Storage, kind, detail)
}

fn key(uri: &ObjectUri) -> Result<object_store::path::Path, Error> {
    object_store::path::Path::parse(&uri.name).map_err(|error| failed(Kind::InvalidArgument, error.to_string()))
}

async fn content(object: GetResult) -> Result<Vec<u8>, Error> {
    let bytes = timeout(TIMEOUT, object.bytes()).await;
    let bytes = bytes.map_err(|_| failed(Kind::Timeout, format!("{} s", TIMEOUT.as_secs())))?;
    Ok(bytes.map_err(of_store)?.into())
}

/// The error of this crate inside one of `object_store`; otherwise what `object_store` itself found wrong.
fn of_store(error: object_store::Error) -> Error {
    if let Some(own) = cause::<Error>(&error) {
        return own.clone();
    }
    if let Some(connection) = cause::<HttpError>(&error) {
        return of_connection(connection);
    }
    let kind = match &error {
        object_store::Error::InvalidPath { .. } => Kind::InvalidArgument,
        _ => Kind::Malformed,
    };
    failed(kind, chain(&error))
}

/// The error or the cause of it that is a `T`.
fn cause<'a, T: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a T> {
    error.downcast_ref().or_else(|| cause(error.source()?))
}

fn of_connection(error: &HttpError) -> Error {
    let kind = match error.kind() {
        HttpErrorKind::Connect => Kind::Unreachable,
        HttpErrorKind::Timeout => Kind::Timeout,
        _ => Kind::Network,
    };
    failed(kind, error.source().map_or_else(|| error.to_string(), chain))
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
}
