//! From the fields of a request to a job's parameters and options.

use jobs::{EngineChoice, MAX_SEED, OutputSize, Params, Priority};
use serde_json::{Map, Value};
use service::hex;
use sha2::{Digest, Sha256};

use super::options::{JobOptions, OPTIONS};
use crate::config::Config;
use crate::http::error::Error;

/// How the text of a form's field is read; JSON has types of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FieldKind {
    Text,
    Number,
    Flag,
    /// JSON in text.
    List,
}

/// The fields of [`Params`], and what each must be. A test compares this list with the type.
const FIELDS: &[(&str, FieldKind, &str)] = &[
    ("num_layers", FieldKind::Text, "\"auto\" or a number from 1 to 64"),
    ("engine", FieldKind::Text, "auto, qwen, draft or vertex"),
    ("prompt", FieldKind::Text, "text"),
    ("negative_prompt", FieldKind::Text, "text"),
    ("seed", FieldKind::Number, "an integer from 0 to 9007199254740991"),
    ("steps", FieldKind::Number, "an integer from 1 to 200"),
    ("sampler", FieldKind::Text, "euler, heun, unipc or dpmpp_2m"),
    ("loras", FieldKind::List, "a list such as [{\"name\": \"posters\", \"strength\": 0.8}]"),
    ("guidance", FieldKind::Number, "a number from 1 to 20"),
    ("cfg_normalize", FieldKind::Flag, "true or false"),
    ("resolution", FieldKind::Number, "640, 1024 or (experimental) another multiple of 32 from 64 to 2048"),
    ("caption_language", FieldKind::Text, "en or zh"),
    ("output_size", FieldKind::Text, "native, model or both"),
    ("scene_text", FieldKind::Text, "keep or lift"),
];

/// A client's request for a job: checked, before defaults are filled in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JobRequest {
    params: Params,
    options: JobOptions,
}

impl JobRequest {
    /// Reads the fields of a JSON object. `null` counts as absent; `highest` is the priority that the client may ask for.
    pub(crate) fn from_json(mut fields: Map<String, Value>, config: &Config, highest: Priority) -> Result<Self, Error> {
        fields.retain(|_, value| !value.is_null());
        let options = JobOptions::extract(&mut fields, config, highest)?;
        if let Some(unknown) = fields.keys().find(|name| FIELDS.iter().all(|(known, ..)| known != name)) {
            return Err(unknown_field(unknown));
        }
        let names_layers = fields.contains_key("num_layers");
        let mut params = read(fields)?;
        if !names_layers {
            params.num_layers = config.defaults.num_layers;
        }
        params.validate()?;
        if params.seed.is_some_and(|seed| seed > MAX_SEED) {
            let message = format!("seed must be an integer from 0 to {MAX_SEED}");
            return Err(Error::unprocessable("invalid_parameter", message));
        }
        Ok(Self { params, options })
    }

    /// Reads the text fields of a form. Empty ones count as absent, as browsers send them.
    pub(crate) fn from_text(fields: Vec<(String, String)>, config: &Config, highest: Priority) -> Result<Self, Error> {
        let mut json = Map::new();
        for (name, text) in fields {
            let parameter = FIELDS.iter().find(|(known, ..)| *known == name).map(|(_, kind, _)| *kind);
            let option = OPTIONS.contains(&name.as_str()).then_some(FieldKind::Text);
            let Some(kind) = parameter.or(option) else { return Err(unknown_field(&name)) };
            if text.trim().is_empty() {
                continue;
            }
            let value = typed(kind, text);
            if json.insert(name.clone(), value).is_some() {
                let message = format!("{name} appears twice; send it once");
                return Err(Error::unprocessable("invalid_parameter", message));
            }
        }
        Self::from_json(json, config, highest)
    }

    pub(crate) fn engine(&self) -> EngineChoice {
        self.params.engine
    }

    pub(crate) fn output_size(&self) -> OutputSize {
        self.params.output_size
    }

    pub(crate) fn options(&self) -> &JobOptions {
        &self.options
    }

    /// Identifies a repeated request under the same `Idempotency-Key`: the same picture (SHA-256 of its bytes) with the
    /// same parameters and options.
    pub(crate) fn fingerprint(&self, picture_sha256: &str) -> Result<String, Error> {
        let params = serde_json::to_vec(&(&self.params, &self.options)).map_err(Error::internal)?;
        let mut hash = Sha256::new_with_prefix(picture_sha256);
        hash.update(b"\n");
        hash.update(params);
        Ok(hex(&hash.finalize()))
    }

    /// Fills in the service's defaults and draws a seed, so that the job records what it used.
    pub(crate) fn resolve(self, config: &Config) -> Params {
        let params = self.params;
        Params {
            seed: Some(params.seed.unwrap_or_else(|| rand::random_range(0..=MAX_SEED))),
            steps: Some(params.steps.unwrap_or(config.defaults.steps)),
            resolution: Some(params.resolution.unwrap_or(config.defaults.resolution)),
            ..params
        }
    }
}

fn read(fields: Map<String, Value>) -> Result<Params, Error> {
    let all = Value::Object(fields.clone());
    serde_json::from_value(all).map_err(|err| {
        // serde does not name the field, so each is tried alone.
        let guilty = fields.into_iter().find_map(|(name, value)| {
            let alone = Map::from_iter([(name.clone(), value.clone())]);
            let err = serde_json::from_value::<Params>(Value::Object(alone)).err()?;
            Some(Error::unprocessable("invalid_parameter", explain(&name, &value, &err)).about(&name))
        });
        guilty.unwrap_or_else(|| Error::unprocessable("invalid_parameter", err.to_string()))
    })
}

/// Says what a field must be. Errors of our own types name the field already; serde's name Rust's types.
fn explain(name: &str, value: &Value, err: &serde_json::Error) -> String {
    let text = err.to_string();
    match FIELDS.iter().find(|(known, ..)| *known == name) {
        Some((_, _, what)) if !text.starts_with(name) => {
            format!("{name} must be {what}, not {}", shown(value))
        }
        _ => text,
    }
}

/// The start of a value as it was sent.
fn shown(value: &Value) -> String {
    const MOST: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST).chain(['…']).collect() }
}

fn unknown_field(name: &str) -> Error {
    let known: Vec<_> = FIELDS.iter().map(|(name, ..)| *name).chain(OPTIONS).collect();
    let shown: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
    let message = format!("\"{shown}\" is not a known parameter; known parameters: {}", known.join(", "));
    Error::unprocessable("unknown_parameter", message)
}

fn typed(kind: FieldKind, text: String) -> Value {
    let trimmed = text.trim();
    let value = match kind {
        FieldKind::Text => None,
        FieldKind::Number => serde_json::from_str(trimmed).ok().filter(Value::is_number),
        FieldKind::List => serde_json::from_str(trimmed).ok().filter(Value::is_array),
        FieldKind::Flag => match trimmed.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" | "yes" => Some(Value::Bool(true)),
            "false" | "0" | "off" | "no" => Some(Value::Bool(false)),
            _ => None,
        },
    };
    // Text that cannot be read stays as it is, so that the error shows what was sent.
    value.unwrap_or(Value::String(text))
}

#[cfg(test)]
mod tests {
    use jobs::{LayerCount, Resolution};
    use serde_json::json;
    use service::Settings;

    use super::*;

    fn config() -> Config {
        Config::from_settings(&Settings::from_pairs([("DEFAULT_NUM_LAYERS", "6"), ("INFERENCE_STEPS", "20")])).unwrap()
    }

    fn from_json(value: Value) -> Result<JobRequest, Error> {
        let Value::Object(fields) = value else { panic!("{value} is no object") };
        JobRequest::from_json(fields, &config(), Priority::Normal)
    }

    fn from_text(fields: &[(&str, &str)]) -> Result<JobRequest, Error> {
        JobRequest::from_text(
            fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            &config(),
            Priority::Normal,
        )
    }

    #[test]
    fn the_fields_are_those_of_the_contract() {
        let Value::Object(contract) = serde_json::to_value(Params::default()).unwrap() else { panic!("no object") };
        let mut contract: Vec<_> = contract.keys().map(String::as_str).collect();
        let mut ours: Vec<_> = FIELDS.iter().map(|(name, ..)| *name).collect();
        contract.sort_unstable();
        ours.sort_unstable();
        assert_eq!(ours, contract);
    }

    #[test]
    fn a_form_reads_as_the_same_json_does() {
        let form = from_text(&[
            ("num_layers", "auto"),
            ("engine", "draft"),
            ("prompt", "a poster, 2 people"),
            ("negative_prompt", ""),
            ("seed", "7"),
            ("steps", " 30 "),
            ("guidance", "2.5"),
            ("cfg_normalize", "off"),
            ("resolution", "1024"),
            ("caption_language", "zh"),
            ("scene_text", "lift"),
            ("sampler", "heun"),
            ("loras", "[{\"name\": \"posters\"}]"),
        ]);
        let json = from_json(json!({
            "num_layers": "auto", "engine": "draft", "prompt": "a poster, 2 people", "negative_prompt": null,
            "seed": 7, "steps": 30, "guidance": 2.5, "cfg_normalize": false, "resolution": 1024,
            "caption_language": "zh", "scene_text": "lift", "sampler": "heun",
            "loras": [{ "name": "posters", "strength": 1.0 }],
        }));
        assert_eq!(form.unwrap(), json.unwrap());
    }

    #[test]
    fn absent_parameters_get_the_services_defaults_and_a_seed() {
        let params = from_json(json!({})).unwrap().resolve(&config());
        assert_eq!(params.num_layers, LayerCount::Exactly(6));
        assert_eq!((params.steps, params.resolution), (Some(20), Some(Resolution(640))));
        assert!(params.seed.is_some_and(|seed| seed <= MAX_SEED));
        let given = from_json(json!({"seed": 0, "num_layers": 2})).unwrap().resolve(&config());
        assert_eq!((given.seed, given.num_layers), (Some(0), LayerCount::Exactly(2)));
    }

    #[test]
    fn errors_name_the_field() {
        for (field, value) in [
            ("num_layers", json!(65)),
            ("num_layers", json!([])),
            ("engine", json!("magic")),
            ("seed", json!(-1)),
            ("seed", json!(MAX_SEED + 1)),
            ("steps", json!(201)),
            ("steps", json!("many")),
            ("guidance", json!(0.5)),
            ("cfg_normalize", json!("maybe")),
            ("resolution", json!(100)),
            ("caption_language", json!("ko")),
            ("scene_text", json!("drop")),
            ("sampler", json!("ddim")),
            ("loras", json!("posters")),
            ("loras", json!([{ "name": "../posters" }])),
            ("loras", json!([{ "name": "posters", "strength": 11 }])),
            ("layers", json!(4)),
        ] {
            let err = from_json(json!({ "prompt": "x", field: value })).unwrap_err();
            assert!(err.to_string().contains(field), "{field}={value}: {err}");
            // Words of serde and of Rust.
            let theirs = ["invalid type", "invalid value", "variant", "u64", "u32", "f32"];
            assert!(theirs.iter().all(|word| !err.to_string().contains(word)), "{field}={value}: {err}");
        }
        assert!(from_text(&[("steps", "1e99")]).is_err());
        assert!(from_text(&[("seed", "1"), ("seed", "2")]).unwrap_err().to_string().contains("seed"));
    }

    #[test]
    fn what_a_field_takes_is_said_as_it_is_taken() {
        let told = |field: &str| {
            let text = from_json(json!({ field: { "no": "value" } })).unwrap_err().to_string();
            let told = text.strip_prefix(&format!("{field} must be ")).unwrap_or_else(|| panic!("{text}"));
            told.split_once(", not ").unwrap_or_else(|| panic!("{text}")).0.to_owned()
        };
        for field in ["engine", "caption_language", "output_size", "scene_text", "sampler"] {
            for name in told(field).replace(" or ", ", ").split(", ") {
                from_json(json!({ field: name })).unwrap_or_else(|err| panic!("{err}"));
            }
        }
        assert!(told("seed").ends_with(&format!(" {MAX_SEED}")));
        for field in ["seed", "steps", "guidance"] {
            let told = told(field);
            let (_, most) = told.rsplit_once(' ').unwrap();
            let most: u64 = most.parse().unwrap();
            from_json(json!({ field: most })).unwrap_or_else(|err| panic!("{err}"));
            from_json(json!({ field: most + 1 })).unwrap_err();
        }
    }

    #[test]
    fn the_fingerprint_tells_requests_apart() {
        let one = from_json(json!({"prompt": "a"})).unwrap();
        let same = from_text(&[("prompt", "a"), ("seed", "")]).unwrap();
        let other = from_json(json!({"prompt": "b"})).unwrap();
        assert_eq!(one.fingerprint("00").unwrap(), same.fingerprint("00").unwrap());
        assert_ne!(one.fingerprint("00").unwrap(), other.fingerprint("00").unwrap());
        assert_ne!(one.fingerprint("00").unwrap(), one.fingerprint("01").unwrap());
    }
}
