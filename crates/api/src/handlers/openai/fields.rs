//! From the fields of OpenAI's API to ours.

use jobs::EngineChoice;

use crate::config::Config;
use crate::handlers::jobs::request::JobRequest;
use crate::http::error::Error;

/// The meaning of one of OpenAI's fields.
enum Meaning {
    /// A parameter of ours, by its name.
    Ours(&'static str),
    Engine,
    /// May be absent or one of these; decompositions do not support anything else, for this reason.
    Only(&'static [&'static str], &'static str),
    /// Accepted without effect.
    Ignored,
}

fn meaning(name: &str) -> Option<Meaning> {
    use Meaning::{Engine, Ignored, Only, Ours};
    Some(match name {
        "prompt" => Ours("prompt"),
        "layers" => Ours("num_layers"),
        "resolution" => Ours("resolution"),
        "seed" => Ours("seed"),
        "model" => Engine,
        "response_format" => {
            Only(&["b64_json"], "layers are sent as b64_json; GET /api/jobs/{id}/layers/0.png sends files")
        }
        "n" => Only(&["1"], "a picture is decomposed once; set \"layers\" for more of them"),
        "size" => Only(&["auto"], "layers are as large as the picture; leave it out"),
        "output_format" => Only(&["png"], "layers are PNG, which keeps them exact"),
        "background" => Only(&["auto", "transparent"], "layers are transparent where they are empty"),
        "stream" => Only(&["false", "False"], "layers are sent all at once; leave it out"),
        "quality" | "input_fidelity" | "output_compression" | "moderation" | "user" | "safety_identifier"
        | "partial_images" => Ignored,
        _ => return None,
    })
}

/// Reads the job request in a form of OpenAI's API.
pub(crate) fn job_request(fields: Vec<(String, String)>, config: &Config) -> Result<JobRequest, Error> {
    let mut ours = Vec::new();
    for (name, text) in fields {
        if text.trim().is_empty() {
            continue;
        }
        let Some(meaning) = meaning(&name) else {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
            return Err(invalid(&shown, format!("\"{shown}\" is not a known field")));
        };
        match meaning {
            Meaning::Ours(field) => ours.push((field.to_owned(), text)),
            Meaning::Engine => ours.push(("engine".to_owned(), engine(&text)?.to_owned())),
            Meaning::Only(known, _) if known.contains(&text.trim()) => {}
            Meaning::Only(_, why) => return Err(invalid(&name, format!("{name}: {why}"))),
            Meaning::Ignored => {}
        }
    }
    JobRequest::from_text(ours, config).map_err(|error| error.rename_param("num_layers", "layers"))
}

fn engine(model: &str) -> Result<&'static str, Error> {
    let name = model.trim();
    if name.eq_ignore_ascii_case("unflatten") {
        return Ok(EngineChoice::Auto.as_str());
    }
    name.parse::<EngineChoice>().map(EngineChoice::as_str).map_err(|_| {
        let known: Vec<_> = EngineChoice::ALL.iter().map(|engine| engine.as_str()).collect();
        let shown: String = name.chars().take(60).collect();
        invalid("model", format!("\"{shown}\" is not a known model; known models: unflatten, {}", known.join(", ")))
    })
}

fn invalid(param: &str, message: String) -> Error {
    Error::bad_request("invalid_parameter", message).about(param)
}
