use std::path::PathBuf;
use std::time::Duration;

use service::{SettingError, Settings, Variable};

const GOOGLE_APPLICATION_CREDENTIALS: Variable = Variable {
    name: "GOOGLE_APPLICATION_CREDENTIALS",
    default: "",
    about: "Key file of a service account, or a workload identity file; empty: what this machine has in Google Cloud",
};
const GOOGLE_CLOUD_PROJECT: Variable =
    Variable { name: "GOOGLE_CLOUD_PROJECT", default: "", about: "Project of Vertex AI" };
const VERTEX_AI_LOCATION: Variable =
    Variable { name: "VERTEX_AI_LOCATION", default: "us-central1", about: "Region of the endpoint" };
const VERTEX_ENDPOINT_ID: Variable = Variable {
    name: "VERTEX_ENDPOINT_ID",
    default: "",
    about: "Endpoint that runs Unflatten's container (docs/vertex.md); with it and a project there is a vertex engine",
};
const VERTEX_ENDPOINT_DOMAIN: Variable = Variable {
    name: "VERTEX_ENDPOINT_DOMAIN",
    default: "",
    about: "Domain of a dedicated endpoint, such as 1234.us-central1-5678.prediction.vertexai.goog",
};
const VERTEX_PREDICT_METHOD: Variable = Variable {
    name: "VERTEX_PREDICT_METHOD",
    default: "predict",
    about: "How the endpoint is called: predict or rawPredict",
};
const VERTEX_STAGING_URI: Variable = Variable {
    name: "VERTEX_STAGING_URI",
    default: "",
    about: "Folder in Cloud Storage for pictures that are too large for a request, such as gs://bucket/unflatten",
};
const VERTEX_WAIT_S: Variable = Variable {
    name: "VERTEX_WAIT_S",
    default: "10",
    about: "Seconds that one call waits for the layers before the next one asks how far they are",
};
const VERTEX_RETRIES: Variable = Variable {
    name: "VERTEX_RETRIES",
    default: "5",
    about: "How often a call is repeated after a 429, a 5xx or a broken connection, with growing pauses",
};
const GOOGLE_STORAGE_ENDPOINT: Variable = Variable {
    name: "GOOGLE_STORAGE_ENDPOINT",
    default: "",
    about: "Another address in place of https://storage.googleapis.com",
};

const GEMINI_API_KEY: Variable = Variable {
    name: "GEMINI_API_KEY",
    default: "",
    about: "Key of the Gemini API for ANALYZER=gemini; empty: Gemini on Vertex AI in GOOGLE_CLOUD_PROJECT",
};
const GEMINI_MODEL: Variable =
    Variable { name: "GEMINI_MODEL", default: "gemini-2.5-flash", about: "Model of ANALYZER=gemini" };
const GEMINI_LOCATION: Variable =
    Variable { name: "GEMINI_LOCATION", default: "global", about: "Region of Gemini on Vertex AI, or global" };
const GEMINI_ENDPOINT: Variable = Variable {
    name: "GEMINI_ENDPOINT",
    default: "",
    about: "Another address in place of Google's for Gemini, such as a proxy",
};

const AIP_HTTP_PORT: Variable =
    Variable { name: "AIP_HTTP_PORT", default: "8080", about: "Port of unflatten-worker --vertex; Vertex AI sets it" };
const AIP_HEALTH_ROUTE: Variable = Variable {
    name: "AIP_HEALTH_ROUTE",
    default: "/health",
    about: "Path of the health check of unflatten-worker --vertex; Vertex AI sets it",
};
const AIP_PREDICT_ROUTE: Variable = Variable {
    name: "AIP_PREDICT_ROUTE",
    default: "/predict",
    about: "Path of the predictions of unflatten-worker --vertex; Vertex AI sets it",
};
const AIP_STORAGE_URI: Variable = Variable {
    name: "AIP_STORAGE_URI",
    default: "",
    about: "Folder in Cloud Storage with the weights for unflatten-worker --vertex; Vertex AI sets it; empty: MODEL_NAME",
};

/// Every variable about Google Cloud.
pub const VARIABLES: &[Variable] = &[
    GOOGLE_APPLICATION_CREDENTIALS,
    GOOGLE_CLOUD_PROJECT,
    VERTEX_AI_LOCATION,
    VERTEX_ENDPOINT_ID,
    VERTEX_ENDPOINT_DOMAIN,
    VERTEX_PREDICT_METHOD,
    VERTEX_STAGING_URI,
    VERTEX_WAIT_S,
    VERTEX_RETRIES,
    GOOGLE_STORAGE_ENDPOINT,
    GEMINI_API_KEY,
    GEMINI_MODEL,
    GEMINI_LOCATION,
    GEMINI_ENDPOINT,
    AIP_HTTP_PORT,
    AIP_HEALTH_ROUTE,
    AIP_PREDICT_ROUTE,
    AIP_STORAGE_URI,
];

/// Where Google Cloud is, and as whom to call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudConfig {
    /// `GOOGLE_APPLICATION_CREDENTIALS`.
    pub credentials: Option<PathBuf>,
    /// `GOOGLE_CLOUD_PROJECT`.
    pub project: Option<String>,
    /// `VERTEX_AI_LOCATION`.
    pub location: String,
    /// `VERTEX_ENDPOINT_ID`.
    pub endpoint_id: Option<String>,
    /// `VERTEX_ENDPOINT_DOMAIN`.
    pub endpoint_domain: Option<String>,
    /// `VERTEX_PREDICT_METHOD`.
    pub raw_predict: bool,
    /// `VERTEX_STAGING_URI`.
    pub staging_uri: Option<String>,
    /// `VERTEX_WAIT_S`.
    pub wait: Duration,
    /// `VERTEX_RETRIES`.
    pub retries: u32,
    /// `GOOGLE_STORAGE_ENDPOINT`.
    pub storage_endpoint: Option<String>,
}

impl CloudConfig {
    /// # Errors
    /// The first setting that cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let method: String = settings.require(&VERTEX_PREDICT_METHOD)?;
        let raw_predict = match method.to_ascii_lowercase().as_str() {
            "predict" => false,
            "rawpredict" => true,
            _ => return Err(VERTEX_PREDICT_METHOD.refuse(method, "is predict or rawPredict")),
        };
        let staging_uri = settings.text(&VERTEX_STAGING_URI);
        if let Some(uri) = staging_uri.as_ref().filter(|uri| !is_folder(uri)) {
            return Err(VERTEX_STAGING_URI.refuse(uri, "is a folder such as gs://bucket/unflatten"));
        }
        Ok(Self {
            credentials: settings.parse(&GOOGLE_APPLICATION_CREDENTIALS)?,
            project: settings.text(&GOOGLE_CLOUD_PROJECT),
            location: settings.require(&VERTEX_AI_LOCATION)?,
            endpoint_id: settings.text(&VERTEX_ENDPOINT_ID),
            endpoint_domain: settings.text(&VERTEX_ENDPOINT_DOMAIN),
            raw_predict,
            staging_uri,
            wait: Duration::from_secs(settings.number(&VERTEX_WAIT_S, 1..=500)?),
            retries: settings.require(&VERTEX_RETRIES)?,
            storage_endpoint: settings.text(&GOOGLE_STORAGE_ENDPOINT),
        })
    }
}

/// How Gemini is called (`ANALYZER=gemini`).
#[derive(Clone, PartialEq, Eq)]
pub struct GeminiConfig {
    /// `GEMINI_API_KEY`.
    pub api_key: Option<String>,
    /// `GEMINI_MODEL`.
    pub model: String,
    /// `GEMINI_LOCATION`.
    pub location: String,
    /// `GEMINI_ENDPOINT`.
    pub endpoint: Option<String>,
}

impl std::fmt::Debug for GeminiConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = self.api_key.as_ref().map(|_| "...");
        f.debug_struct("GeminiConfig")
            .field("api_key", &key)
            .field("model", &self.model)
            .field("location", &self.location)
            .field("endpoint", &self.endpoint)
            .finish()
    }
}

impl GeminiConfig {
    /// # Errors
    /// The first setting that cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self {
            api_key: settings.text(&GEMINI_API_KEY),
            model: settings.require(&GEMINI_MODEL)?,
            location: settings.require(&GEMINI_LOCATION)?,
            endpoint: settings.text(&GEMINI_ENDPOINT),
        })
    }
}

/// What Vertex AI tells a container that it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerConfig {
    /// `AIP_HTTP_PORT`.
    pub port: u16,
    /// `AIP_HEALTH_ROUTE`.
    pub health_route: String,
    /// `AIP_PREDICT_ROUTE`.
    pub predict_route: String,
    /// `AIP_STORAGE_URI`.
    pub storage_uri: Option<String>,
}

impl ContainerConfig {
    /// # Errors
    /// The first setting that cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let route = |variable: &Variable| {
            let route: String = settings.require(variable)?;
            // Vertex AI does not send paths that axum would read as a pattern.
            if !route.starts_with('/') || route.contains(['{', '}', '*']) || route.contains("/:") {
                return Err(variable.refuse(route, "is a path such as /health"));
            }
            Ok(route)
        };
        let (health_route, predict_route) = (route(&AIP_HEALTH_ROUTE)?, route(&AIP_PREDICT_ROUTE)?);
        if health_route == predict_route {
            return Err(AIP_PREDICT_ROUTE.refuse(predict_route, "has to differ from AIP_HEALTH_ROUTE"));
        }
        let storage_uri = settings.text(&AIP_STORAGE_URI);
        if let Some(uri) = storage_uri.as_ref().filter(|uri| !is_folder(uri)) {
            return Err(AIP_STORAGE_URI.refuse(uri, "is a folder such as gs://bucket/weights"));
        }
        Ok(Self { port: settings.require(&AIP_HTTP_PORT)?, health_route, predict_route, storage_uri })
    }
}

fn is_folder(uri: &str) -> bool {
    uri.strip_prefix("gs://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_checked() {
        let read = |pairs: &[(&str, &str)]| CloudConfig::from_settings(&Settings::from_pairs(pairs.iter().copied()));
        let config = read(&[("VERTEX_PREDICT_METHOD", "rawPredict"), ("VERTEX_STAGING_URI", "gs://b/f")]);
        let config = config.expect("good settings");
        assert!(config.raw_predict && config.endpoint_id.is_none() && config.location == "us-central1");
        for (name, value) in [
            ("VERTEX_PREDICT_METHOD", "explain"),
            ("VERTEX_STAGING_URI", "/tmp/x"),
            ("VERTEX_STAGING_URI", "gs://"),
            ("VERTEX_WAIT_S", "0"),
            ("VERTEX_RETRIES", "-1"),
        ] {
            assert_eq!(read(&[(name, value)]).expect_err(value).name, name);
        }
    }

    #[test]
    fn a_container_reads_what_vertex_ai_sets() {
        let read = |name, value| ContainerConfig::from_settings(&Settings::from_pairs([(name, value)]));
        let route = "/v1/projects/p/locations/l/endpoints/42:predict";
        assert_eq!(read("AIP_PREDICT_ROUTE", route).expect("a path").predict_route, route);
        for (name, value) in [
            ("AIP_PREDICT_ROUTE", "predict"),
            ("AIP_PREDICT_ROUTE", "/health"),
            ("AIP_HEALTH_ROUTE", "/{any}"),
            ("AIP_HTTP_PORT", "99999"),
            ("AIP_STORAGE_URI", "s3://b"),
        ] {
            assert_eq!(read(name, value).expect_err(value).name, name);
        }
    }
}
