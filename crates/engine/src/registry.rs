use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Engine, EngineChoice, EngineError, EngineName, Failure, FailureCode, LoraOffer, Message, MessageCode, Sampler, Tier,
};

/// An engine that a worker has, for `/api/capabilities`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EngineOffer {
    #[schema(value_type = EngineChoice)]
    pub name: EngineName,
    pub version: String,
    pub model: Option<String>,
    pub device: String,
    /// The most layers that it makes.
    pub max_layers: u8,
    /// Whether it reads the prompt.
    pub uses_prompt: bool,
    /// Its samplers; absent where it takes no steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samplers: Vec<Sampler>,
    /// LoRAs that a job can ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loras: Vec<LoraOffer>,
}

impl EngineOffer {
    /// The tier that this engine has for `auto`; `None`: it is taken only by name.
    pub fn tier(&self) -> Option<Tier> {
        self.name.tier_on(&self.device)
    }
}

/// Whether this machine has an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Availability {
    /// The engine.
    pub name: EngineName,
    /// What it offers, or why it cannot be used.
    pub state: Result<EngineOffer, MissingEngine>,
}

/// Why an engine cannot be used on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingEngine {
    /// The reason.
    pub why: String,
    /// What to do about it.
    pub fix: String,
}

impl MissingEngine {
    /// The failure of a job that asks for the engine.
    pub fn failure(&self, name: EngineName) -> Failure {
        let message = format!("the {name} engine cannot be used here: {}; {}", self.why, self.fix);
        Failure { code: FailureCode::EngineUnavailable, message }
    }
}

/// Creates an engine.
pub trait EngineFactory: Send + Sync {
    /// The engine that it creates.
    fn name(&self) -> EngineName;

    /// Checks whether the engine can be created, without loading anything.
    ///
    /// # Errors
    /// Why it cannot be created.
    fn probe(&self) -> Result<EngineOffer, MissingEngine>;

    /// Creates the engine. Called on the engine thread; may take long.
    ///
    /// # Errors
    /// Why it cannot be created.
    fn make(&self) -> Result<Box<dyn Engine>, MissingEngine>;
}

/// An engine that this build leaves out.
#[derive(Debug, Clone, Copy)]
pub struct OmittedEngine {
    /// The engine.
    pub name: EngineName,
    /// Why it is missing.
    pub why: &'static str,
    /// What to do about it.
    pub fix: &'static str,
}

impl EngineFactory for OmittedEngine {
    fn name(&self) -> EngineName {
        self.name
    }

    fn probe(&self) -> Result<EngineOffer, MissingEngine> {
        Err(MissingEngine { why: self.why.to_owned(), fix: self.fix.to_owned() })
    }

    fn make(&self) -> Result<Box<dyn Engine>, MissingEngine> {
        Err(MissingEngine { why: self.why.to_owned(), fix: self.fix.to_owned() })
    }
}

/// The engines of a worker.
pub trait EngineSet: Send + Sync + 'static {
    /// All engines, the best first, each with whether it can be used.
    fn available(&self) -> Vec<Availability>;

    /// Creates an engine. Called on the engine thread; may take long.
    ///
    /// # Errors
    /// When the engine is missing or cannot be loaded.
    fn make(&self, name: EngineName) -> Result<Box<dyn Engine>, EngineError>;
}

/// The engines of a program, as its binary registers them.
#[derive(Default)]
pub struct Registry {
    /// The best first.
    factories: Vec<Box<dyn EngineFactory>>,
    /// The enabled engines; empty: all.
    enabled: Vec<EngineName>,
}

impl Registry {
    /// A registry in which engines other than `enabled` (`ENGINES`) count as missing; empty: all are enabled.
    pub fn new(enabled: &[EngineName]) -> Self {
        Self { factories: Vec::new(), enabled: enabled.to_vec() }
    }

    /// Adds an engine.
    pub fn register(&mut self, factory: impl EngineFactory + 'static) {
        self.factories.push(Box::new(factory));
        self.factories.sort_by_key(|factory| factory.name().traits().tier);
    }

    fn is_enabled(&self, name: EngineName) -> bool {
        self.enabled.is_empty() || self.enabled.contains(&name)
    }

    fn probe(&self, factory: &dyn EngineFactory) -> Result<EngineOffer, MissingEngine> {
        let name = factory.name();
        if self.is_enabled(name) {
            return factory.probe();
        }
        let fix = format!("add {name} to ENGINES, or leave ENGINES empty");
        Err(MissingEngine { why: "it is disabled by ENGINES".to_owned(), fix })
    }
}

impl EngineSet for Registry {
    fn available(&self) -> Vec<Availability> {
        let all = self.factories.iter();
        all.map(|factory| Availability { name: factory.name(), state: self.probe(factory.as_ref()) }).collect()
    }

    fn make(&self, name: EngineName) -> Result<Box<dyn Engine>, EngineError> {
        let factory = self.factories.iter().find(|factory| factory.name() == name).ok_or_else(|| unknown(name))?;
        // An engine for fallback is created even if it is disabled.
        if !name.traits().everywhere {
            self.probe(factory.as_ref()).map_err(|missing| missing.failure(name))?;
        }
        factory.make().map_err(|missing| missing.failure(name).into())
    }
}

fn unknown(name: EngineName) -> Failure {
    let message = format!("this worker does not have the {name} engine; use --engine auto");
    Failure { code: FailureCode::EngineUnavailable, message }
}

/// The engine for a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The engine.
    pub engine: EngineName,
    /// Why it was chosen.
    pub reason: Message,
}

/// Chooses among the engines of a machine.
pub struct EngineChooser<'a>(pub &'a [Availability]);

impl<'a> EngineChooser<'a> {
    /// Chooses the engine for a job: the one that it names, or the best for `auto`.
    ///
    /// # Errors
    /// When the machine does not have it; the message says why and what to do.
    pub fn choose(&self, wanted: EngineChoice) -> Result<Choice, Failure> {
        match wanted {
            EngineChoice::Named(name) => self.named(name),
            EngineChoice::Auto => self.best(),
        }
    }

    fn named(&self, name: EngineName) -> Result<Choice, Failure> {
        let entry = self.0.iter().find(|entry| entry.name == name).ok_or_else(|| unknown(name))?;
        match &entry.state {
            Ok(_) => {
                let reason = Message::new(MessageCode::AskedFor, "the job asked for it");
                Ok(Choice { engine: name, reason })
            }
            Err(missing) => Err(missing.failure(name)),
        }
    }

    fn best(&self) -> Result<Choice, Failure> {
        let best = self.0.iter().find(|entry| entry.skip_reason().is_none()).ok_or_else(|| Failure {
            code: FailureCode::EngineUnavailable,
            message:
                "this worker has no engine for auto; run `unflatten doctor` to see why, or ask for an engine by name"
                    .to_owned(),
        })?;
        Ok(Choice { engine: best.name, reason: self.auto_reason(best.name) })
    }

    /// The reason for the user. Why an engine is missing is for the operator only: see [`Self::better`].
    fn auto_reason(&self, best: EngineName) -> Message {
        let text = "the best engine of this worker";
        let better: Vec<_> = self.0.iter().take_while(|entry| entry.name != best).collect();
        if better.is_empty() {
            return Message::new(MessageCode::BestHere, text);
        }
        let without: Vec<_> = better.iter().map(|entry| entry.name.as_str()).collect();
        let without = without.join(", ");
        let why = better.iter().filter_map(|entry| match &entry.state {
            Err(_) => Some(format!("no {}", entry.name)),
            Ok(_) => Some(format!("{}: {}", entry.name, entry.skip_reason()?)),
        });
        let why: Vec<_> = why.collect();
        Message::new(MessageCode::BestHere, format!("{text} ({})", why.join("; "))).with("without", without)
    }

    /// The engines that are better than `best`, and why `auto` skips them.
    pub fn better(&self, best: EngineName) -> impl Iterator<Item = (EngineName, &'a str)> {
        let better = self.0.iter().take_while(move |entry| entry.name != best);
        better.filter_map(|entry| Some((entry.name, entry.skip_reason()?)))
    }

    /// Whether this machine has an engine.
    pub fn has(&self, name: EngineName) -> bool {
        self.offer(name).is_some()
    }

    /// The device of an engine, such as `cuda:0`; empty if this machine does not have the engine.
    pub fn device(&self, name: EngineName) -> &'a str {
        self.offer(name).map(|offer| offer.device.as_str()).unwrap_or_default()
    }

    fn offer(&self, name: EngineName) -> Option<&'a EngineOffer> {
        self.0.iter().filter_map(|entry| entry.state.as_ref().ok()).find(|offer| offer.name == name)
    }
}

impl Availability {
    /// Why `auto` skips the engine; `None` if it does not.
    fn skip_reason(&self) -> Option<&str> {
        match &self.state {
            Err(missing) => Some(&missing.why),
            Ok(offer) if offer.tier().is_none() => Some("on a CPU it takes hours; ask for it by name"),
            Ok(_) => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn offer(name: EngineName, device: &str) -> Availability {
        let offer = EngineOffer {
            name,
            version: "1".to_owned(),
            model: None,
            device: device.to_owned(),
            max_layers: 10,
            uses_prompt: false,
            samplers: Vec::new(),
            loras: Vec::new(),
        };
        Availability { name, state: Ok(offer) }
    }

    fn missing(name: EngineName) -> Availability {
        Availability {
            name,
            state: Err(MissingEngine { why: "no weights in /srv".to_owned(), fix: "pull".to_owned() }),
        }
    }

    #[test]
    fn auto_takes_the_best_and_says_what_a_better_one_lacks() {
        let found = [missing(EngineName::Qwen), missing(EngineName::Vertex), offer(EngineName::Draft, "cpu")];
        let choice = EngineChooser(&found).choose(EngineChoice::Auto).expect("draft is there");
        assert_eq!(choice.engine, EngineName::Draft);
        assert!(choice.reason.text.contains("no qwen; no vertex"), "{}", choice.reason);
        // Users do not see paths of the service.
        assert!(!choice.reason.text.contains("weights"), "{}", choice.reason);
        let (name, why) = EngineChooser(&found).better(choice.engine).next().expect("qwen comes first");
        assert!(name == EngineName::Qwen && why.contains("weights"), "{why}");
    }

    #[test]
    fn auto_skips_a_model_on_a_cpu() {
        let found = [offer(EngineName::Qwen, "cpu"), offer(EngineName::Draft, "cpu")];
        let choice = EngineChooser(&found).choose(EngineChoice::Auto).expect("draft is there");
        assert_eq!(choice.engine, EngineName::Draft);
        assert!(choice.reason.text.contains("ask for it by name"), "{}", choice.reason);
        let named = EngineChooser(&found).choose(EngineName::Qwen.into()).expect("by name");
        assert_eq!(named.engine, EngineName::Qwen);
        let found = [offer(EngineName::Qwen, "cuda:0"), offer(EngineName::Draft, "cpu")];
        assert_eq!(EngineChooser(&found).choose(EngineChoice::Auto).expect("a GPU").engine, EngineName::Qwen);
    }

    struct Factory(EngineName);

    impl EngineFactory for Factory {
        fn name(&self) -> EngineName {
            self.0
        }

        fn probe(&self) -> Result<EngineOffer, MissingEngine> {
            offer(self.0, "cpu").state
        }

        fn make(&self) -> Result<Box<dyn Engine>, MissingEngine> {
            Err(MissingEngine { why: "a test".to_owned(), fix: String::new() })
        }
    }

    #[test]
    fn a_registry_lists_the_best_first_and_disabled_ones_as_missing() {
        let mut registry = Registry::new(&[EngineName::Qwen]);
        registry.register(Factory(EngineName::Draft));
        registry.register(Factory(EngineName::Qwen));
        let found = registry.available();
        assert_eq!(found.iter().map(|entry| entry.name).collect::<Vec<_>>(), [EngineName::Qwen, EngineName::Draft]);
        let error = EngineChooser(&found).choose(EngineName::Draft.into()).expect_err("off");
        assert!(error.message.contains("ENGINES"), "{}", error.message);
        let error = EngineChooser(&found).choose(EngineName::Vertex.into()).expect_err("not registered");
        assert_eq!(error.code, FailureCode::EngineUnavailable);
    }
}
