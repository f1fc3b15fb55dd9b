use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AnyOf, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::{EngineChoice, LoraChoice, Sampler};

/// The most layers that one job may ask for. An engine can have a lower limit of its own
/// ([`crate::EngineOffer::max_layers`]); asked for more, it makes as many as it can and says so.
pub const MAX_LAYERS: u8 = 64;

/// The most layers that Qwen-Image-Layered makes, here and on Vertex AI.
pub const MODEL_LAYERS: u8 = 10;

/// How many layers to make: `"auto"`, or a number from 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayerCount {
    /// The engine decides and says why.
    Auto,
    /// At most this many; an engine returns fewer where there is no more to give.
    Exactly(u8),
}

impl FromStr for LayerCount {
    type Err = ParamsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Self::Auto);
        }
        match text.trim().parse::<u8>() {
            Ok(n @ 1..=MAX_LAYERS) => Ok(Self::Exactly(n)),
            _ => Err(ParamsError::new(
                "num_layers",
                format!("must be \"auto\" or a number from 1 to {MAX_LAYERS}, not \"{text}\""),
            )),
        }
    }
}

impl fmt::Display for LayerCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Exactly(n) => write!(f, "{n}"),
        }
    }
}

impl Serialize for LayerCount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Exactly(n) => serializer.serialize_u8(*n),
        }
    }
}

impl<'de> Deserialize<'de> for LayerCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Forms send "4" as text, scripts send 4 as a number: both mean four.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Number(i64),
            Text(String),
        }
        let text = match Raw::deserialize(deserializer)? {
            Raw::Number(n) => n.to_string(),
            Raw::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl PartialSchema for LayerCount {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::Integer))
            .minimum(Some(1))
            .maximum(Some(MAX_LAYERS));
        let auto = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).enum_values(Some(["auto"]));
        let mut any = AnyOf::new();
        any.items = vec![number.into(), auto.into()];
        RefOr::T(Schema::AnyOf(any))
    }
}

impl ToSchema for LayerCount {}

/// The area that the diffusion model works at: 640 or 1024 (squared) pixels.
///
/// Other multiples of 32 are experimental.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(minimum = 64, maximum = 2048, multiple_of = 32)]
pub struct Resolution(pub u32);

/// The language that an image is described in when a job has no prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CaptionLanguage {
    #[default]
    En,
    Zh,
}

/// How large the layers are that a job answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutputSize {
    /// As large as the input, and compositing to it.
    #[default]
    Native,
    /// As the model made them. The same as `native` for engines that work at the input's size.
    Model,
    /// Those of `native`, and those of `model` in files beside them.
    Both,
}

impl fmt::Display for OutputSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Model => "model",
            Self::Both => "both",
        })
    }
}

impl FromStr for OutputSize {
    type Err = ParamsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Native, Self::Model, Self::Both]
            .into_iter()
            .find(|size| size.to_string().eq_ignore_ascii_case(text))
            .ok_or_else(|| ParamsError::new("output_size", format!("must be native, model or both, not \"{text}\"")))
    }
}

/// What becomes of words that stand on things: on a sign, a bottle, a shirt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SceneText {
    /// They stay on the thing.
    #[default]
    Keep,
    /// They become text layers like all others.
    Lift,
}

impl fmt::Display for SceneText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "keep",
            Self::Lift => "lift",
        })
    }
}

impl FromStr for SceneText {
    type Err = ParamsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Keep, Self::Lift]
            .into_iter()
            .find(|choice| choice.to_string().eq_ignore_ascii_case(text))
            .ok_or_else(|| ParamsError::new("scene_text", format!("must be keep or lift, not \"{text}\"")))
    }
}

/// What a person asks of a job. Everything has a default; what an engine does
/// not know it ignores and says so in the metadata's notes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// How many layers: a number from 1 to 64, or `auto`.
    pub num_layers: LayerCount,
    pub engine: EngineChoice,
    /// Describes the whole picture, hidden parts included. Empty: the model describes it itself.
    #[schema(max_length = 4000)]
    pub prompt: String,
    /// What the picture is not. Empty counts as one space, as the model was published.
    #[schema(max_length = 4000)]
    pub negative_prompt: String,
    /// The same seed gives the same layers. Absent: one is drawn and recorded.
    pub seed: Option<u64>,
    /// Denoising steps, 1 to 200. Absent: the service's `INFERENCE_STEPS`.
    #[schema(minimum = 1, maximum = 200)]
    pub steps: Option<u32>,
    /// How the steps are taken.
    pub sampler: Sampler,
    /// LoRAs of this job, all at once; for the qwen engine.
    #[schema(max_items = 8)]
    pub loras: Vec<LoraChoice>,
    /// Scale of classifier-free guidance, 1 to 20; 1 switches it off.
    #[schema(minimum = 1, maximum = 20)]
    pub guidance: f32,
    /// Rescale the guided prediction to the norm of the conditional one.
    pub cfg_normalize: bool,
    /// The model's working size. Absent: the service's `DEFAULT_RESOLUTION`.
    pub resolution: Option<Resolution>,
    pub caption_language: CaptionLanguage,
    pub output_size: OutputSize,
    /// What becomes of words that stand on things, for engines that find words.
    pub scene_text: SceneText,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            num_layers: LayerCount::Exactly(4),
            engine: EngineChoice::Auto,
            prompt: String::new(),
            negative_prompt: String::new(),
            seed: None,
            steps: None,
            sampler: Sampler::Euler,
            loras: Vec::new(),
            guidance: 4.0,
            cfg_normalize: true,
            resolution: None,
            caption_language: CaptionLanguage::En,
            output_size: OutputSize::Native,
            scene_text: SceneText::Keep,
        }
    }
}

/// The largest seed: JavaScript and many JSON parsers are exact only up to this integer (2^53 - 1).
pub const MAX_SEED: u64 = (1 << 53) - 1;

/// A parameter that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct ParamsError {
    /// The parameter.
    pub field: &'static str,
    /// What is wrong, worded to follow the field.
    pub problem: String,
}

impl ParamsError {
    /// An error about `field`; `problem` is worded to follow it: "must be a number from 1 to 200".
    pub fn new(field: &'static str, problem: String) -> Self {
        Self { field, problem }
    }
}

impl Params {
    const MAX_PROMPT_CHARS: usize = 4000;

    /// Checks the ranges that the types do not enforce.
    ///
    /// # Errors
    /// The first parameter that is out of range.
    pub fn validate(&self) -> Result<(), ParamsError> {
        for (field, text) in [("prompt", &self.prompt), ("negative_prompt", &self.negative_prompt)] {
            let chars = text.chars().count();
            if chars > Self::MAX_PROMPT_CHARS {
                let problem = format!("has {chars} characters; at most {} are allowed", Self::MAX_PROMPT_CHARS);
                return Err(ParamsError::new(field, problem));
            }
        }
        if let Some(steps) = self.steps
            && !(1..=200).contains(&steps)
        {
            return Err(ParamsError::new("steps", format!("must be a number from 1 to 200, not {steps}")));
        }
        if !(1.0..=20.0).contains(&self.guidance) {
            return Err(ParamsError::new("guidance", format!("must be a number from 1 to 20, not {}", self.guidance)));
        }
        if let Some(Resolution(side)) = self.resolution
            && !(side % 32 == 0 && (64..=2048).contains(&side))
        {
            let problem =
                format!("must be 640, 1024 or (experimental) another multiple of 32 from 64 to 2048, not {side}");
            return Err(ParamsError::new("resolution", problem));
        }
        LoraChoice::validate(&self.loras)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_count_reads_numbers_text_and_auto() {
        for (json, expected) in
            [("4", LayerCount::Exactly(4)), ("\"64\"", LayerCount::Exactly(64)), ("\"auto\"", LayerCount::Auto)]
        {
            assert_eq!(serde_json::from_str::<LayerCount>(json).expect(json), expected);
        }
        for json in ["0", "65", "-1", "1000", "\"many\"", "4.5", "null"] {
            assert!(serde_json::from_str::<LayerCount>(json).is_err(), "{json} was taken");
        }
    }

    #[test]
    fn words_name_what_they_are_written_as() {
        for choice in [SceneText::Keep, SceneText::Lift] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
            assert_eq!(serde_json::to_value(choice).expect("JSON"), choice.to_string());
        }
        assert!("stay".parse::<SceneText>().is_err());
    }

    #[test]
    fn ranges_are_checked() {
        assert_eq!(Params::default().validate(), Ok(()));
        let bad = [
            Params { steps: Some(0), ..Params::default() },
            Params { guidance: f32::NAN, ..Params::default() },
            Params { resolution: Some(Resolution(641)), ..Params::default() },
            Params { prompt: "x".repeat(4001), ..Params::default() },
        ];
        for params in bad {
            assert!(params.validate().is_err(), "{params:?} was taken");
        }
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(serde_json::from_str::<Params>(r#"{"num_layer": 4}"#).is_err());
    }
}
