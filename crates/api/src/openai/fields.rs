//! From OpenAI's fields to ours.

use jobs::EngineChoice;

use crate::config::Config;
use crate::error::Error;
use crate::form::Asked;

/// What each of OpenAI's fields becomes.
enum Meaning {
    /// A parameter of ours, by its name.
    Ours(&'static str),
    Engine,
    /// May be left out or be one of these; anything else asks for what a decomposition is not.
    Only(&'static [&'static str], &'static str),
    /// Has no meaning here.
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
            Only(&["b64_json"], "layers come as b64_json; GET /api/jobs/{id}/layers/0.png gives files")
        }
        "n" => Only(&["1"], "a picture is decomposed once; ask for more \"layers\" instead"),
        "size" => Only(&["auto"], "layers are as large as the picture; leave it out"),
        "output_format" => Only(&["png"], "layers are PNG, which keeps them exact"),
        "background" => Only(&["auto", "transparent"], "layers are transparent where there is nothing of them"),
        "stream" => Only(&["false", "False"], "layers come all at once; leave it out"),
        "quality" | "input_fidelity" | "output_compression" | "moderation" | "user" | "safety_identifier"
        | "partial_images" => Ignored,
        _ => return None,
    })
}

/// The job that a form of OpenAI's asks for.
pub fn asked(fields: Vec<(String, String)>, config: &Config) -> Result<Asked, Error> {
    let mut ours = Vec::new();
    for (name, text) in fields {
        if text.trim().is_empty() {
            continue;
        }
        let Some(meaning) = meaning(&name) else {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
            return Err(invalid(&shown, format!("there is no field \"{shown}\" here")));
        };
        match meaning {
            Meaning::Ours(field) => ours.push((field.to_owned(), text)),
            Meaning::Engine => ours.push(("engine".to_owned(), engine(&text)?.to_owned())),
            Meaning::Only(known, _) if known.contains(&text.trim()) => {}
            Meaning::Only(_, why) => return Err(invalid(&name, format!("{name}: {why}"))),
            Meaning::Ignored => {}
        }
    }
    Asked::from_text(ours, config).map_err(|error| error.rename_param("num_layers", "layers"))
}

fn engine(model: &str) -> Result<&'static str, Error> {
    let name = model.trim();
    if name.eq_ignore_ascii_case("unflatten") {
        return Ok(EngineChoice::Auto.as_str());
    }
    name.parse::<EngineChoice>().map(EngineChoice::as_str).map_err(|_| {
        let known: Vec<_> = EngineChoice::ALL.iter().map(|engine| engine.as_str()).collect();
        let shown: String = name.chars().take(60).collect();
        invalid("model", format!("there is no model \"{shown}\" here; there are: unflatten, {}", known.join(", ")))
    })
}

fn invalid(param: &str, message: String) -> Error {
    Error::bad_request("invalid_parameter", message).about(param)
}
