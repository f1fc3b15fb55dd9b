use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::ParamsError;

/// An engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EngineName {
    /// Qwen-Image-Layered on the hardware of this service.
    Qwen,
    /// The fast engine that needs no GPU.
    Draft,
    /// Qwen-Image-Layered on Vertex AI.
    Vertex,
}

/// The rank of an engine for `auto`, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// The diffusion model on a local GPU.
    Local,
    /// The diffusion model in the cloud.
    Cloud,
    /// An engine that runs on any machine.
    Simple,
}

/// Properties of an engine that its callers depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// Its rank for `auto`.
    pub tier: Tier,
    /// It takes hours on a CPU, where `auto` skips it.
    pub needs_gpu: bool,
    /// It computes on another machine: it does not block the engines of this one, and its calls have their own timeouts.
    pub remote: bool,
    /// A run continues without its worker, and the next attempt finds it: see [`crate::Origin::resumed`].
    pub resumable: bool,
    /// It runs on every machine: it takes over `auto` jobs on which a remote engine failed.
    pub everywhere: bool,
    /// It reads the words of its text layers, so that nobody has to read them again.
    pub reads: bool,
}

impl EngineName {
    /// All engines, the best first, as `auto` tries them.
    pub const ALL: [Self; 3] = [Self::Qwen, Self::Vertex, Self::Draft];

    /// The name in the API, in settings and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Qwen => "qwen",
            Self::Draft => "draft",
            Self::Vertex => "vertex",
        }
    }

    /// The name in messages.
    pub fn title(self) -> &'static str {
        match self {
            Self::Qwen => "Qwen-Image-Layered",
            Self::Draft => "the draft engine",
            Self::Vertex => "Vertex AI",
        }
    }

    /// The properties of the engine. No other code distinguishes engines by name.
    pub fn traits(self) -> Traits {
        let local = Traits {
            tier: Tier::Simple,
            needs_gpu: false,
            remote: false,
            resumable: false,
            everywhere: false,
            reads: false,
        };
        match self {
            Self::Qwen => Traits { tier: Tier::Local, needs_gpu: true, ..local },
            Self::Vertex => Traits { tier: Tier::Cloud, remote: true, resumable: true, ..local },
            Self::Draft => Traits { everywhere: true, reads: true, ..local },
        }
    }

    /// The tier for `auto` on a device such as `cpu` or `cuda:0`; `None` if the engine is too slow there to be used without
    /// being asked for by name.
    pub fn tier_on(self, device: &str) -> Option<Tier> {
        let Traits { tier, needs_gpu, .. } = self.traits();
        (!needs_gpu || device != "cpu").then_some(tier)
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EngineName {
    type Err = ParamsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|engine| engine.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| ParamsError::new("engine", format!("must be one of qwen, draft, vertex, not \"{text}\"")))
    }
}

impl Serialize for EngineName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EngineName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Which engine a job asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EngineChoice {
    /// The best one that a free worker has.
    #[default]
    Auto,
    /// This one.
    Named(EngineName),
}

impl EngineChoice {
    /// Everything that a job can ask for.
    pub const ALL: [Self; 4] =
        [Self::Auto, Self::Named(EngineName::Qwen), Self::Named(EngineName::Draft), Self::Named(EngineName::Vertex)];

    /// The name in the API, in settings and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Named(engine) => engine.as_str(),
        }
    }
}

impl From<EngineName> for EngineChoice {
    fn from(engine: EngineName) -> Self {
        Self::Named(engine)
    }
}

impl fmt::Display for EngineChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EngineChoice {
    type Err = ParamsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Self::Auto);
        }
        text.parse().map(Self::Named).map_err(|_: ParamsError| {
            ParamsError::new("engine", format!("must be one of auto, qwen, draft, vertex, not \"{text}\""))
        })
    }
}

impl Serialize for EngineChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EngineChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl PartialSchema for EngineChoice {
    fn schema() -> RefOr<Schema> {
        let schema = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .description(Some("Which engine is to do a job."))
            .enum_values(Some(["auto", "qwen", "draft", "vertex"]));
        RefOr::T(Schema::Object(schema.into()))
    }
}

impl ToSchema for EngineChoice {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for engine in EngineName::ALL {
            assert_eq!(engine.as_str().parse(), Ok(engine));
            assert_eq!(engine.to_string().to_uppercase().parse(), Ok(EngineChoice::Named(engine)));
            let json = serde_json::to_string(&EngineChoice::from(engine)).expect("JSON");
            assert_eq!(serde_json::from_str::<EngineName>(&json).expect("the same name"), engine);
        }
        assert_eq!("auto".parse(), Ok(EngineChoice::Auto));
        assert!("auto".parse::<EngineName>().is_err(), "auto is not an engine");
        let error = "magic".parse::<EngineChoice>().expect_err("not an engine").to_string();
        assert!(error.contains("auto, qwen, draft, vertex"), "{error}");
    }

    #[test]
    fn the_best_engine_comes_first_and_a_model_on_a_cpu_not_at_all() {
        assert!(EngineName::ALL.is_sorted_by_key(|engine| engine.traits().tier));
        assert_eq!(EngineName::Qwen.tier_on("cpu"), None);
        assert_eq!(EngineName::Qwen.tier_on("cuda:0"), Some(Tier::Local));
        assert_eq!(EngineName::Draft.tier_on("cpu"), Some(Tier::Simple));
    }
}
