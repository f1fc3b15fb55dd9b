use std::path::Path;
use std::sync::Once;

use ::http::{Extensions, HeaderMap, HeaderValue};
use google_cloud_auth::credentials::{
    self, CacheableResource, Credentials, external_account, impersonated, service_account, user_account,
};
use serde_json::Value;

use crate::error::{Error, Kind, Service};

/// The scope of Vertex AI and Cloud Storage.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Credentials for Google. Cheap to clone; `Debug` omits secrets.
#[derive(Clone)]
pub enum Auth {
    /// A service account, workload identity or the metadata server. Tokens are cached and renewed.
    Google(Credentials),
    /// A key of the Gemini API.
    ApiKey(String),
    /// For servers without authentication.
    Anonymous,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Google(_) => "Google",
            Self::ApiKey(_) => "ApiKey(...)",
            Self::Anonymous => "Anonymous",
        })
    }
}

impl Auth {
    /// Credentials from a file: the key of a service account, or a configuration of workload identity federation. Without
    /// a file, the application default credentials of this machine: those of `gcloud auth application-default login`, or
    /// the metadata server of a machine, pod or job in Google Cloud.
    ///
    /// Call it within a tokio runtime that lives as long as the credentials, which renew themselves on it.
    ///
    /// # Errors
    /// [`Kind::Credentials`] when the file cannot be read or does not contain credentials.
    pub fn google(file: Option<&Path>) -> Result<Self, Error> {
        install_crypto();
        let Some(file) = file else {
            let built = credentials::Builder::default().with_scopes([SCOPE]).build();
            return built.map(Self::Google).map_err(|error| refused(&error));
        };
        let named = |problem: String| refused(&format!("{}: {problem}", file.display()));
        let text = std::fs::read(file).map_err(|error| named(error.to_string()))?;
        let json: Value = serde_json::from_slice(&text).map_err(|error| named(error.to_string()))?;
        let kind = json["type"].as_str().unwrap_or_default().to_owned();
        let built = match kind.as_str() {
            "service_account" => service_account::Builder::new(json)
                .with_access_specifier(service_account::AccessSpecifier::from_scopes([SCOPE]))
                .build(),
            "external_account" => external_account::Builder::new(json).with_scopes([SCOPE]).build(),
            "impersonated_service_account" => impersonated::Builder::new(json).with_scopes([SCOPE]).build(),
            "authorized_user" => user_account::Builder::new(json).with_scopes([SCOPE]).build(),
            _ => {
                return Err(named(format!(
                    "`type` is {kind:?}, not service_account, external_account, impersonated_service_account or \
                     authorized_user"
                )));
            }
        };
        built.map(Self::Google).map_err(|error| named(chain(&error)))
    }

    /// The authentication headers of a request. Errors contain no secrets.
    pub(crate) async fn headers(&self) -> Result<HeaderMap, Error> {
        match self {
            Self::Google(credentials) => match credentials.headers(Extensions::new()).await {
                Ok(CacheableResource::New { data, .. }) => Ok(data),
                // Answered only to a caller that passes the tag of an earlier answer.
                Ok(CacheableResource::NotModified) => Ok(HeaderMap::new()),
                // The token server is temporarily unavailable.
                Err(error) if error.is_transient() => Err(Error::new(Service::Auth, Kind::Network, chain(&error))),
                Err(error) => Err(refused(&chain(&error))),
            },
            Self::ApiKey(key) => {
                let mut value = HeaderValue::from_str(key).map_err(|_| {
                    Error::new(
                        Service::Gemini,
                        Kind::KeyInvalid,
                        "it contains characters that are not allowed in a header",
                    )
                })?;
                value.set_sensitive(true);
                Ok(HeaderMap::from_iter([(::http::HeaderName::from_static("x-goog-api-key"), value)]))
            }
            Self::Anonymous => Ok(HeaderMap::new()),
        }
    }
}

fn refused(detail: &impl ToString) -> Error {
    Error::new(Service::Auth, Kind::Credentials, detail.to_string())
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

/// Credentials and connections use the cryptography that the process has installed. `ring` is what the rest of the program
/// is built with.
pub(crate) fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Fails where another provider is installed already, which is just as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
