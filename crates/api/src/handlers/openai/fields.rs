//! From the fields of OpenAI's API to ours.

use jobs::{EngineChoice, Priority};

use crate::config::Config;
use crate::handlers::jobs::request::JobRequest;
use crate::http::error::Error;

/// The meaning of one of OpenAI's fields.
enum Meaning {
    /// A parameter of ours, by its name.
    Ours(&'static str),
    /// Whether the answer comes as events.
    Stream,
    Engine,
    /// May be absent or one of these; decompositions do not support anything else, for this reason.
    Only(&'static [&'static str], &'static str),
    /// Accepted without effect.
    Ignored,
}

fn meaning(name: &str) -> Option<Meaning> {
    use Meaning::{Engine, Ignored, Only, Ours, Stream};
    Some(match name {
        "prompt" => Ours("prompt"),
        "layers" | "num_layers" => Ours("num_layers"),
        "resolution" => Ours("resolution"),
        "seed" => Ours("seed"),
        // Of vllm-omni, sglang and diffusers.
        "negative_prompt" => Ours("negative_prompt"),
        "num_inference_steps" => Ours("steps"),
        "true_cfg_scale" => Ours("guidance"),
        "cfg_normalize" => Ours("cfg_normalize"),
        "model" => Engine,
        "response_format" => {
            Only(&["b64_json"], "layers are sent as b64_json; GET /api/jobs/{id}/layers/0.png sends files")
        }
        "n" | "num_outputs_per_prompt" | "num_images_per_prompt" => {
            Only(&["1"], "a picture is decomposed once; set \"layers\" for more of them")
        }
        "stream" => Stream,
        // Wishes. The answer says what it has: PNG, transparent, as large as the picture.
        "size" | "width" | "height" | "quality" | "background" | "output_format" | "output_compression"
        | "output_quality" | "style" | "complexity" | "input_fidelity" | "moderation" | "user"
        | "safety_identifier" | "metadata" | "partial_images" => Ignored,
        // How other servers run their model.
        "guidance_scale"
        | "generator_device"
        | "enable_teacache"
        | "use_en_prompt"
        | "max_sequence_length"
        | "strength"
        | "request_id" => Ignored,
        _ => return None,
    })
}

/// What a client of OpenAI's API asks for.
pub(crate) struct EditRequest {
    pub job: JobRequest,
    /// Whether the answer comes as events.
    pub streams: bool,
    /// How many partial pictures come before the layers, if it does.
    pub partial_images: u32,
}

/// Reads the fields of OpenAI's API.
pub(crate) fn edit_request(
    fields: Vec<(String, String)>,
    config: &Config,
    highest: Priority,
) -> Result<EditRequest, Error> {
    let (mut ours, mut renamed) = (Vec::new(), Vec::new());
    let (mut streams, mut partial_images) = (false, 0);
    for (name, text) in fields {
        if text.trim().is_empty() {
            continue;
        }
        let Some(meaning) = meaning(&name) else {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
            return Err(invalid(&shown, format!("\"{shown}\" is not a known field")));
        };
        match meaning {
            Meaning::Ours(field) => {
                ours.push((field.to_owned(), text));
                if field != name {
                    renamed.push((field, name));
                }
            }
            Meaning::Engine => ours.push(("engine".to_owned(), engine(&text, config)?.as_str().to_owned())),
            Meaning::Stream => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" => streams = true,
                "false" | "0" => streams = false,
                _ => return Err(invalid(&name, "stream must be true or false".to_owned())),
            },
            Meaning::Only(known, _) if known.contains(&text.trim()) => {}
            Meaning::Only(_, why) => return Err(invalid(&name, format!("{name}: {why}"))),
            Meaning::Ignored if name == "partial_images" => partial_images = text.trim().parse().unwrap_or(0),
            Meaning::Ignored => {}
        }
    }
    let job = JobRequest::from_text(ours, config, highest)
        .map_err(|error| renamed.iter().fold(error, |error, (ours, theirs)| error.rename_param(ours, theirs)))?;
    Ok(EditRequest { job, streams, partial_images })
}

/// The name of our own model, which leaves the engine to the service.
pub(crate) const OURS: &str = "unflatten";

/// The engine behind the name of a model.
pub(crate) fn engine(model: &str, config: &Config) -> Result<EngineChoice, Error> {
    let name = model.trim();
    if name.eq_ignore_ascii_case(OURS) {
        return Ok(EngineChoice::Auto);
    }
    if let Some((_, engine)) = config.openai_models.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name)) {
        return Ok(*engine);
    }
    name.parse().map_err(|_| {
        let engines = EngineChoice::ALL.iter().map(|engine| engine.as_str());
        let aliases = config.openai_models.iter().map(|(alias, _)| alias.as_str());
        let known: Vec<_> = [OURS].into_iter().chain(engines).chain(aliases).collect();
        let shown: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
        invalid("model", format!("\"{shown}\" is not a known model; known models: {}", known.join(", ")))
    })
}

fn invalid(param: &str, message: String) -> Error {
    Error::bad_request("invalid_parameter", message).about(param)
}
