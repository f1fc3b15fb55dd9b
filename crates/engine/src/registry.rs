use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Engine, EngineChoice, EngineError, EngineName, Failure, FailureCode, Message, MessageCode, Tier};

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
    pub name: EngineName,
    pub state: Result<EngineOffer, Missing>,
}

/// Why an engine cannot be used here, and what would change that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub why: String,
    pub fix: String,
}

impl Missing {
    /// The failure of a job that asks for the engine all the same.
    pub fn failure(&self, name: EngineName) -> Failure {
        let message = format!("the {name} engine cannot be used here: {}; {}", self.why, self.fix);
        Failure { code: FailureCode::EngineUnavailable, message }
    }
}

/// Makes one engine.
pub trait EngineFactory: Send + Sync {
    fn name(&self) -> EngineName;

    /// Looks whether the engine could be made, without loading anything.
    ///
    /// # Errors
    /// Why it cannot.
    fn probe(&self) -> Result<EngineOffer, Missing>;

    /// Makes the engine ready to work; called on the engine thread, may take long.
    ///
    /// # Errors
    /// Why it cannot be made.
    fn make(&self) -> Result<Box<dyn Engine>, Missing>;
}

/// An engine that this build of the program does not have.
#[derive(Debug, Clone, Copy)]
pub struct NotBuiltIn {
    pub name: EngineName,
    pub why: &'static str,
    pub fix: &'static str,
}

impl EngineFactory for NotBuiltIn {
    fn name(&self) -> EngineName {
        self.name
    }

    fn probe(&self) -> Result<EngineOffer, Missing> {
        Err(Missing { why: self.why.to_owned(), fix: self.fix.to_owned() })
    }

    fn make(&self) -> Result<Box<dyn Engine>, Missing> {
        Err(Missing { why: self.why.to_owned(), fix: self.fix.to_owned() })
    }
}

/// Where a worker gets its engines from.
pub trait EngineSet: Send + Sync + 'static {
    /// Which engines there are, the best first.
    fn available(&self) -> Vec<Availability>;

    /// Makes an engine ready to work; called on the engine thread, may take long.
    ///
    /// # Errors
    /// When the engine is not there or cannot be loaded.
    fn make(&self, name: EngineName) -> Result<Box<dyn Engine>, EngineError>;
}

/// The engines of a program, as its binary registers them.
#[derive(Default)]
pub struct Registry {
    /// The best first.
    factories: Vec<Box<dyn EngineFactory>>,
    /// The engines that are switched on; empty: all.
    enabled: Vec<EngineName>,
}

impl Registry {
    /// Engines other than `enabled` (`ENGINES`) count as missing; empty: none does.
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

    fn probe(&self, factory: &dyn EngineFactory) -> Result<EngineOffer, Missing> {
        let name = factory.name();
        if self.is_enabled(name) {
            return factory.probe();
        }
        let fix = format!("add {name} to ENGINES, or leave ENGINES empty");
        Err(Missing { why: "it is switched off by ENGINES".to_owned(), fix })
    }
}

impl EngineSet for Registry {
    fn available(&self) -> Vec<Availability> {
        let all = self.factories.iter();
        all.map(|factory| Availability { name: factory.name(), state: self.probe(factory.as_ref()) }).collect()
    }

    fn make(&self, name: EngineName) -> Result<Box<dyn Engine>, EngineError> {
        let factory = self.factories.iter().find(|factory| factory.name() == name).ok_or_else(|| unknown(name))?;
        // One that every machine has takes over where another failed, also where it is switched off.
        if !name.traits().everywhere {
            self.probe(factory.as_ref()).map_err(|missing| missing.failure(name))?;
        }
        factory.make().map_err(|missing| missing.failure(name).into())
    }
}

fn unknown(name: EngineName) -> Failure {
    let message = format!("this worker has no engine called {name}; use --engine auto");
    Failure { code: FailureCode::EngineUnavailable, message }
}

/// The engine for a job, and why this one.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    pub engine: EngineName,
    pub reason: Message,
}

/// Chooses among the engines of a machine.
pub struct EngineChooser<'a>(pub &'a [Availability]);

impl<'a> EngineChooser<'a> {
    /// The engine for a job: the one that it names, or the best for `auto`.
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
        let best = self.0.iter().find(|entry| entry.passed_over().is_none()).ok_or_else(|| Failure {
            code: FailureCode::EngineUnavailable,
            message: "this worker has no engine for auto; run `unflatten doctor` to see why, or name one".to_owned(),
        })?;
        Ok(Choice { engine: best.name, reason: self.auto_reason(best.name) })
    }

    /// For whoever waits for the job. Why an engine is missing is the operator's business: see [`Self::better`].
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
            Ok(_) => Some(format!("{}: {}", entry.name, entry.passed_over()?)),
        });
        let why: Vec<_> = why.collect();
        Message::new(MessageCode::BestHere, format!("{text} ({})", why.join("; "))).with("without", without)
    }

    /// The engines that would be better than `best`, and why `auto` does not take them.
    pub fn better(&self, best: EngineName) -> impl Iterator<Item = (EngineName, &'a str)> {
        let better = self.0.iter().take_while(move |entry| entry.name != best);
        better.filter_map(|entry| Some((entry.name, entry.passed_over()?)))
    }

    /// What takes over an `auto` job on which a remote engine failed; `None` when the failure stands. A job that names
    /// its engine is told that it failed.
    pub fn after_failure(&self, wanted: EngineChoice, tried: EngineName, failure: &Failure) -> Option<Choice> {
        if wanted != EngineChoice::Auto || !tried.traits().remote {
            return None;
        }
        let next = self.0.iter().map(|entry| entry.name).find(|name| name.traits().everywhere);
        let engine = next.or_else(|| EngineName::ALL.into_iter().find(|name| name.traits().everywhere))?;
        let text = format!("{} failed: {}", tried.title(), failure.message);
        let reason = Message::new(MessageCode::EngineFellBack, text)
            .with("engine", tried.as_str())
            .with("message", failure.message.clone());
        Some(Choice { engine, reason })
    }

    /// Whether the machine has an engine.
    pub fn has(&self, name: EngineName) -> bool {
        self.offer(name).is_some()
    }

    /// What an engine runs on, such as `cuda:0`; empty where the machine does not have it.
    pub fn device(&self, name: EngineName) -> &'a str {
        self.offer(name).map(|offer| offer.device.as_str()).unwrap_or_default()
    }

    fn offer(&self, name: EngineName) -> Option<&'a EngineOffer> {
        self.0.iter().filter_map(|entry| entry.state.as_ref().ok()).find(|offer| offer.name == name)
    }
}

impl Availability {
    /// Why `auto` does not take the engine; `None` when it may.
    fn passed_over(&self) -> Option<&str> {
        match &self.state {
            Err(missing) => Some(&missing.why),
            Ok(offer) if offer.tier().is_none() => Some("on a CPU it takes hours; ask for it by name"),
            Ok(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(name: EngineName, device: &str) -> Availability {
        let offer = EngineOffer {
            name,
            version: "1".to_owned(),
            model: None,
            device: device.to_owned(),
            max_layers: 10,
            uses_prompt: false,
        };
        Availability { name, state: Ok(offer) }
    }

    fn missing(name: EngineName) -> Availability {
        Availability { name, state: Err(Missing { why: "no weights in /srv".to_owned(), fix: "pull".to_owned() }) }
    }

    #[test]
    fn auto_takes_the_best_and_says_why_not_a_better_one() {
        let found = [missing(EngineName::Qwen), missing(EngineName::Vertex), offer(EngineName::Draft, "cpu")];
        let choice = EngineChooser(&found).choose(EngineChoice::Auto).expect("draft is there");
        assert_eq!(choice.engine, EngineName::Draft);
        assert!(choice.reason.text.contains("no qwen; no vertex"), "{}", choice.reason);
        // Whoever waits is not told where the weights should be.
        assert!(!choice.reason.text.contains("weights"), "{}", choice.reason);
        let (name, why) = EngineChooser(&found).better(choice.engine).next().expect("qwen comes first");
        assert!(name == EngineName::Qwen && why.contains("weights"), "{why}");
    }

    #[test]
    fn auto_passes_over_a_model_on_a_cpu() {
        let found = [offer(EngineName::Qwen, "cpu"), offer(EngineName::Draft, "cpu")];
        let choice = EngineChooser(&found).choose(EngineChoice::Auto).expect("draft is there");
        assert_eq!(choice.engine, EngineName::Draft);
        assert!(choice.reason.text.contains("ask for it by name"), "{}", choice.reason);
        let named = EngineChooser(&found).choose(EngineName::Qwen.into()).expect("by name");
        assert_eq!(named.engine, EngineName::Qwen);
        let found = [offer(EngineName::Qwen, "cuda:0"), offer(EngineName::Draft, "cpu")];
        assert_eq!(EngineChooser(&found).choose(EngineChoice::Auto).expect("a GPU").engine, EngineName::Qwen);
    }

    #[test]
    fn an_auto_job_goes_on_where_a_remote_engine_fails() {
        let found = [offer(EngineName::Vertex, "vertex-ai:x"), offer(EngineName::Draft, "cpu")];
        let board = EngineChooser(&found);
        assert_eq!(board.choose(EngineChoice::Auto).expect("configured").engine, EngineName::Vertex);
        let failure = Failure { code: FailureCode::EngineFailed, message: "quota".to_owned() };
        let next = board.after_failure(EngineChoice::Auto, EngineName::Vertex, &failure).expect("draft is left");
        assert!(next.engine == EngineName::Draft && next.reason.text.contains("Vertex AI failed: quota"), "{next:?}");
        assert_eq!(board.after_failure(EngineName::Vertex.into(), EngineName::Vertex, &failure), None);
        assert_eq!(board.after_failure(EngineChoice::Auto, EngineName::Draft, &failure), None);
    }

    struct Factory(EngineName);

    impl EngineFactory for Factory {
        fn name(&self) -> EngineName {
            self.0
        }

        fn probe(&self) -> Result<EngineOffer, Missing> {
            offer(self.0, "cpu").state
        }

        fn make(&self) -> Result<Box<dyn Engine>, Missing> {
            Err(Missing { why: "a test".to_owned(), fix: String::new() })
        }
    }

    #[test]
    fn a_registry_lists_the_best_first_and_what_is_switched_off_as_missing() {
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
