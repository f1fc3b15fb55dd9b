//! The protocol between a worker and the container on Vertex AI, inside `instances` and `predictions`.
//!
//! A call names a job and waits a while; the answer has the layers or the progress. The next call names the job again. A
//! repeated call (another worker after a crash) finds the same run or its result. A call that reaches another container
//! of the endpoint gets the answer `unknown` and is repeated.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::{Analysis, BackgroundReport, EngineName, Failure, Message, Params, Stage};
use jobs::JobId;
use layers::{Group, Kind, Label};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One element of `instances`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Instance {
    pub(crate) job_id: JobId,
    /// Absent if the container already has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<Blob>,
    #[serde(default)]
    pub(crate) params: Params,
    /// Whether the container also describes the layers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) describe: bool,
    /// How long to wait for the layers, in seconds.
    #[serde(default)]
    pub(crate) wait_s: u64,
    /// The largest answer that the endpoint forwards, in bytes.
    #[serde(default = "unlimited")]
    pub(crate) max_answer_bytes: usize,
    /// The job's folder in Cloud Storage, for layers that exceed that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) output_uri: Option<String>,
    /// Cancels the job.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) cancel: bool,
}

fn unlimited() -> usize {
    usize::MAX
}

/// A picture: PNG bytes, or their address in Cloud Storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Blob {
    #[serde(rename = "b64")]
    Inline(#[serde(serialize_with = "to_base64", deserialize_with = "from_base64")] Vec<u8>),
    #[serde(rename = "uri")]
    Uri(String),
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(serde::de::Error::custom)
}

/// The length in base64 of `count` bytes.
pub(crate) fn encoded_len(count: usize) -> usize {
    count.div_ceil(3) * 4
}

/// One element of `predictions`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Prediction {
    pub(crate) job_id: JobId,
    /// A random number that identifies the answering container.
    pub(crate) replica: u64,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum Outcome {
    Running {
        progress: Option<RemoteStep>,
    },
    Succeeded(Box<RemoteResult>),
    Failed {
        error: Failure,
    },
    Cancelled,
    /// This container does not have the job.
    Unknown,
}

/// See [`engine::Step`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RemoteStep {
    pub(crate) stage: Stage,
    pub(crate) step: u32,
    pub(crate) total: u32,
    pub(crate) fraction: f32,
}

/// The layers, the lowest first, and the engine that made them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RemoteResult {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) layers: Vec<RemoteLayer>,
    pub(crate) notes: Vec<Message>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) analysis: Option<Analysis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) background: Option<BackgroundReport>,
    pub(crate) engine: EngineName,
    pub(crate) version: String,
    pub(crate) model: Option<String>,
    pub(crate) model_revision: Option<String>,
    pub(crate) device: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RemoteLayer {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<Group>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<Label>,
    /// Where the picture's top left corner lies on the canvas.
    #[serde(default)]
    pub(crate) x: u32,
    #[serde(default)]
    pub(crate) y: u32,
    pub(crate) png: Blob,
}

/// The request body of an endpoint.
#[derive(Debug, Deserialize)]
pub(crate) struct PredictRequest {
    pub(crate) instances: Vec<Instance>,
}

/// The response body of an endpoint.
#[derive(Debug, Serialize)]
pub(crate) struct PredictResponse {
    pub(crate) predictions: [Prediction; 1],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_a_round_trip() {
        let text = r#"{"instances": [{"job_id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "image": {"b64": "AQID"},
                       "params": {"num_layers": 3}, "wait_s": 5}]}"#;
        let request: PredictRequest = serde_json::from_str(text).expect("an instance");
        let instance = &request.instances[0];
        assert_eq!(instance.image, Some(Blob::Inline(vec![1, 2, 3])));
        assert!(!instance.cancel && instance.output_uri.is_none());
        let again: Instance = serde_json::from_value(serde_json::to_value(instance).expect("JSON")).expect("read");
        assert_eq!((again.job_id, again.wait_s, again.params), (instance.job_id, 5, instance.params.clone()));
        for bad in [r#"{"job_id": "x"}"#, r#"{"image": {"b64": "AQID"}}"#] {
            assert!(serde_json::from_str::<Instance>(bad).is_err(), "{bad}");
        }
        let failed = Outcome::Failed {
            error: Failure { code: engine::FailureCode::OutOfMemory, message: "too large".to_owned() },
        };
        let prediction = Prediction { job_id: instance.job_id, replica: 9, outcome: failed };
        let json = serde_json::to_value(&prediction).expect("JSON");
        assert_eq!((json["state"].as_str(), json["error"]["code"].as_str()), (Some("failed"), Some("out_of_memory")));
        assert!(serde_json::from_value::<Prediction>(json).is_ok());
    }
}
