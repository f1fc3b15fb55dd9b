use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::auth::Auth;
use crate::error::{Error, Kind, Service};
use crate::http::{Http, Repeat, Retry};

/// The documented size limit of a request with pictures, in bytes.
pub const MAX_REQUEST_BYTES: usize = 20_000_000;

/// For the answer and the model's thoughts before it.
const MAX_OUTPUT_TOKENS: u32 = 16_384;

/// How to reach Gemini.
#[derive(Debug, Clone)]
pub enum Access {
    /// The Gemini API, with a key.
    ApiKey(String),
    /// Vertex AI; `location` may be `global`.
    Vertex { project: String, location: String, auth: Auth },
}

/// A part of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    Text(String),
    /// An encoded picture.
    Picture {
        mime_type: &'static str,
        bytes: Vec<u8>,
    },
}

/// A client of a Gemini model that answers in JSON.
#[derive(Debug, Clone)]
pub struct Gemini {
    http: Http,
    url: String,
}

impl Gemini {
    /// `address` replaces Google's address: `https://...` without a path.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(access: Access, model: &str, address: Option<&str>, retry: Retry) -> Result<Self, Error> {
        let (service, auth, usual, path) = match access {
            Access::ApiKey(key) => {
                let path = format!("v1beta/models/{model}:generateContent");
                let usual = "https://generativelanguage.googleapis.com".to_owned();
                (Service::Gemini, Auth::ApiKey(key), usual, path)
            }
            Access::Vertex { project, location, auth } => {
                let path = format!(
                    "v1/projects/{project}/locations/{location}/publishers/google/models/{model}:generateContent"
                );
                let usual = match location.as_str() {
                    "global" => "https://aiplatform.googleapis.com".to_owned(),
                    region => format!("https://{region}-aiplatform.googleapis.com"),
                };
                (Service::VertexGemini, auth, usual, path)
            }
        };
        let origin = address.map_or(usual, |address| address.trim_end_matches('/').to_owned());
        Ok(Self { http: Http::new(service, auth, retry)?, url: format!("{origin}/{path}") })
    }

    /// Asks for JSON that matches `schema` (the subset of OpenAPI that Gemini supports). `timeout` is that of each try.
    ///
    /// # Errors
    /// The error of the service; [`Kind::PromptBlocked`], [`Kind::AnswerBlocked`], [`Kind::Truncated`] and
    /// [`Kind::Malformed`] for answers without such JSON.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        instruction: &str,
        parts: &[Part],
        schema: &Value,
        timeout: Duration,
    ) -> Result<T, Error> {
        let parts: Vec<Value> = parts.iter().map(part).collect();
        let body = json!({
            "systemInstruction": { "parts": [{ "text": instruction }] },
            "contents": [{ "role": "user", "parts": parts }],
            "generationConfig": {
                "temperature": 0,
                "maxOutputTokens": MAX_OUTPUT_TOKENS,
                "responseMimeType": "application/json",
                "responseSchema": schema,
            },
        });
        let answer: Answer = self.http.post(&self.url, &body, MAX_REQUEST_BYTES, timeout, Repeat::Harmless).await?;
        self.read(answer)
    }

    fn read<T: DeserializeOwned>(&self, answer: Answer) -> Result<T, Error> {
        let error = |kind, detail: String| Error::new(self.http.service, kind, detail);
        let feedback = answer.prompt_feedback.unwrap_or_default();
        if let Some(reason) = feedback.block_reason {
            return Err(error(Kind::PromptBlocked, reason));
        }
        let Some(candidate) = answer.candidates.into_iter().next() else {
            return Err(error(Kind::Malformed, "the answer contains no candidate".to_owned()));
        };
        let said = candidate.finish_message.map(|message| format!(": {message}")).unwrap_or_default();
        match candidate.finish_reason.as_deref() {
            None | Some("STOP" | "FINISH_REASON_UNSPECIFIED") => {}
            Some("MAX_TOKENS") => return Err(error(Kind::Truncated, format!("MAX_TOKENS{said}"))),
            Some(
                reason @ ("SAFETY"
                | "RECITATION"
                | "BLOCKLIST"
                | "PROHIBITED_CONTENT"
                | "SPII"
                | "IMAGE_SAFETY"
                | "IMAGE_PROHIBITED_CONTENT"
                | "IMAGE_RECITATION"
                | "LANGUAGE"
                | "MODEL_ARMOR"),
            ) => return Err(error(Kind::AnswerBlocked, format!("{reason}{said}"))),
            Some(other) => return Err(error(Kind::Malformed, format!("{other}{said}"))),
        }
        // Thoughts are not part of the answer.
        let parts = candidate.content.unwrap_or_default().parts;
        let text: String = parts.into_iter().filter(|part| !part.thought).filter_map(|part| part.text).collect();
        serde_json::from_str(text.trim()).map_err(|problem| {
            let kind = if problem.is_eof() { Kind::Truncated } else { Kind::Malformed };
            error(kind, format!("{problem}, in {text:?}"))
        })
    }
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text(text) => json!({ "text": text }),
        Part::Picture { mime_type, bytes } => {
            json!({ "inlineData": { "mimeType": mime_type, "data": STANDARD.encode(bytes) } })
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    candidates: Vec<Candidate>,
    prompt_feedback: Option<Feedback>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    content: Option<Content>,
    finish_reason: Option<String>,
    finish_message: Option<String>,
}

#[derive(Deserialize, Default)]
struct Content {
    #[serde(default)]
    parts: Vec<AnswerPart>,
}

#[derive(Deserialize)]
struct AnswerPart {
    text: Option<String>,
    #[serde(default)]
    thought: bool,
}
