//! The engines, each behind an adapter, and which of them this machine can run.
//!
//! A new engine is one file here that implements [`Engine`], and one line each
//! in [`probe`] and [`Installed::make`].

mod draft;
mod fallback;
mod qwen;
#[cfg(feature = "cloud")]
mod vertex;

use jobs::broker::EngineOffer;
use jobs::{EngineChoice, Failure, FailureCode};

use crate::config::Config;
use crate::engine::{Engine, EngineError};

/// The engines, the best first: the order in which `auto` looks.
const BEST_FIRST: [EngineChoice; 3] = [EngineChoice::Qwen, EngineChoice::Vertex, EngineChoice::Draft];

/// Whether this machine has an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Availability {
    pub name: EngineChoice,
    pub state: Result<EngineOffer, Missing>,
}

/// Why an engine cannot be used here, and what would change that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub why: String,
    pub fix: String,
}

/// Which engines this machine has, the best first.
pub fn available(config: &Config) -> Vec<Availability> {
    BEST_FIRST.into_iter().map(|name| Availability { name, state: offered(name, config) }).collect()
}

fn offered(name: EngineChoice, config: &Config) -> Result<EngineOffer, Missing> {
    if !config.engines.is_empty() && !config.engines.contains(&name) {
        let fix = format!("add {name} to ENGINES, or leave ENGINES empty");
        return Err(Missing { why: "it is switched off by ENGINES".to_owned(), fix });
    }
    probe(name, config)
}

/// Looks whether an engine could be made, without making it.
fn probe(name: EngineChoice, config: &Config) -> Result<EngineOffer, Missing> {
    match name {
        EngineChoice::Draft => Ok(draft::Draft.offer()),
        EngineChoice::Qwen => qwen::probe(config),
        #[cfg(feature = "cloud")]
        EngineChoice::Vertex => vertex::probe(config),
        #[cfg(not(feature = "cloud"))]
        EngineChoice::Vertex => Err(Missing {
            why: "this build has no clients for Google Cloud".to_owned(),
            fix: "build it with --features cloud, or use --engine auto".to_owned(),
        }),
        EngineChoice::Auto => Err(Missing { why: "auto is a choice, not an engine".to_owned(), fix: String::new() }),
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
    fn make(&self, name: EngineChoice) -> Result<Box<dyn Engine>, EngineError>;
}

/// The engines that are built in.
#[derive(Debug, Clone)]
pub struct Installed {
    config: Config,
}

impl Installed {
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone() }
    }
}

impl EngineSet for Installed {
    fn available(&self) -> Vec<Availability> {
        available(&self.config)
    }

    fn make(&self, name: EngineChoice) -> Result<Box<dyn Engine>, EngineError> {
        match (name, offered(name, &self.config)) {
            // Also where it is switched off: it is what is left when another engine fails (see `after_failure`).
            (EngineChoice::Draft, _) => Ok(Box::new(draft::Draft)),
            #[cfg(feature = "cloud")]
            (EngineChoice::Vertex, Ok(_)) => match vertex::Vertex::new(&self.config) {
                Ok(engine) => Ok(Box::new(engine)),
                Err(missing) => Err(unavailable(name, &missing).into()),
            },
            (EngineChoice::Qwen, Ok(_)) => match qwen::Qwen::new(&self.config) {
                Ok(engine) => Ok(Box::new(engine)),
                Err(missing) => Err(unavailable(name, &missing).into()),
            },
            (_, Err(missing)) => Err(unavailable(name, &missing).into()),
            (_, Ok(_)) => Err(EngineError::Failed {
                code: FailureCode::EngineUnavailable,
                message: format!("the {name} engine is offered but cannot be made; please report this bug"),
            }),
        }
    }
}

impl From<Failure> for EngineError {
    fn from(failure: Failure) -> Self {
        Self::Failed { code: failure.code, message: failure.message }
    }
}

/// What an engine of this worker runs on, such as `cuda:0`.
pub(crate) fn device_of(engine: EngineChoice, available: &[Availability]) -> String {
    let offers = available.iter().filter_map(|entry| entry.state.as_ref().ok());
    offers.filter(|offer| offer.name == engine).map(|offer| offer.device.clone()).next().unwrap_or_default()
}

/// The engine for a job, and why this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub engine: EngineChoice,
    pub reason: String,
}

/// Picks the engine for a job: the one it names, or the best for `auto`.
///
/// # Errors
/// When the machine does not have it; the message says why and what to do.
pub fn choose(asked: EngineChoice, available: &[Availability]) -> Result<Choice, Failure> {
    if asked != EngineChoice::Auto {
        return match available.iter().find(|a| a.name == asked) {
            Some(Availability { state: Ok(_), .. }) => {
                Ok(Choice { engine: asked, reason: "the job asked for it".to_owned() })
            }
            Some(Availability { state: Err(missing), .. }) => Err(unavailable(asked, missing)),
            None => Err(Failure {
                code: FailureCode::EngineUnavailable,
                message: format!("this worker knows no engine {asked}; use --engine auto"),
            }),
        };
    }
    let best = available.iter().find(|a| passed_over(a).is_none()).ok_or_else(|| Failure {
        code: FailureCode::EngineUnavailable,
        message: "this worker has no engine for auto; run `unflatten doctor` to see why, or name one".to_owned(),
    })?;
    Ok(Choice { engine: best.name, reason: auto_reason(best.name, available) })
}

/// Why `auto` does not take an engine; `None` when it may.
fn passed_over(entry: &Availability) -> Option<&str> {
    match &entry.state {
        Err(missing) => Some(&missing.why),
        // Nobody who did not ask for it wants to wait that long.
        Ok(offer) if offer.tier().is_none() => Some("on a CPU it takes hours; ask for it by name"),
        Ok(_) => None,
    }
}

/// What whoever waits for the job is told. Why an engine is missing is the operator's business (see [`better`]).
fn auto_reason(best: EngineChoice, available: &[Availability]) -> String {
    let told = |a: &Availability| match &a.state {
        Err(_) => Some(format!("no {}", a.name)),
        Ok(_) => Some(format!("{}: {}", a.name, passed_over(a)?)),
    };
    let better: Vec<_> = available.iter().take_while(|a| a.name != best).filter_map(told).collect();
    if better.is_empty() {
        return "the best engine of this worker".to_owned();
    }
    format!("the best engine of this worker ({})", better.join("; "))
}

/// The engines that would be better than `best`, and why `auto` does not take them.
pub fn better(best: EngineChoice, available: &[Availability]) -> impl Iterator<Item = (EngineChoice, &str)> {
    available.iter().take_while(move |a| a.name != best).filter_map(|a| Some((a.name, passed_over(a)?)))
}

/// What does a job instead that left the engine open and met a failure of Vertex AI; `None` when the failure stands.
/// Someone who asked for Vertex AI by name is told that it failed.
pub(crate) fn after_failure(asked: EngineChoice, tried: EngineChoice, failure: &Failure) -> Option<Choice> {
    if asked != EngineChoice::Auto || tried != EngineChoice::Vertex {
        return None;
    }
    Some(Choice { engine: EngineChoice::Draft, reason: format!("Vertex AI failed: {}", failure.message) })
}

fn unavailable(name: EngineChoice, missing: &Missing) -> Failure {
    Failure {
        code: FailureCode::EngineUnavailable,
        message: format!("the {name} engine cannot be used here: {}; {}", missing.why, missing.fix),
    }
}

#[cfg(test)]
mod tests {
    use service::Settings;

    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Config {
        Config::from_settings(&Settings::from_pairs(pairs.iter().copied())).expect("good settings")
    }

    #[test]
    fn auto_takes_the_best_and_says_why_not_a_better_one() {
        let found = available(&config(&[]));
        let choice = choose(EngineChoice::Auto, &found).expect("draft is always there");
        assert_eq!(choice.engine, EngineChoice::Draft);
        assert!(choice.reason.contains("no qwen"), "{}", choice.reason);
        // Whoever waits is not told where the weights should be.
        assert!(!choice.reason.contains("weights"), "{}", choice.reason);
        let (name, why) = better(choice.engine, &found).next().expect("qwen comes first");
        assert!(name == EngineChoice::Qwen && why.contains("weights"), "{why}");
    }

    #[test]
    fn auto_passes_over_a_model_on_a_cpu() {
        let mut entries = available(&config(&[]));
        let offer =
            |device: &str| EngineOffer { name: EngineChoice::Qwen, device: device.to_owned(), ..draft::Draft.offer() };
        entries[0].state = Ok(offer("cpu"));
        let choice = choose(EngineChoice::Auto, &entries).expect("draft is there");
        assert_eq!(choice.engine, EngineChoice::Draft);
        assert!(choice.reason.contains("ask for it by name"), "{}", choice.reason);
        assert_eq!(choose(EngineChoice::Qwen, &entries).expect("by name").engine, EngineChoice::Qwen);
        entries[0].state = Ok(offer("cuda:0"));
        assert_eq!(choose(EngineChoice::Auto, &entries).expect("a GPU").engine, EngineChoice::Qwen);
    }

    #[test]
    fn an_engine_that_is_not_here_is_refused_with_what_to_do() {
        let missing = choose(EngineChoice::Vertex, &available(&config(&[]))).expect_err("not configured");
        assert_eq!(missing.code, FailureCode::EngineUnavailable);
        let fix = if cfg!(feature = "cloud") { "VERTEX_ENDPOINT_ID" } else { "--features cloud" };
        assert!(missing.message.contains("vertex") && missing.message.contains(fix), "{}", missing.message);
    }

    #[test]
    #[cfg(feature = "cloud")]
    fn auto_takes_vertex_before_draft_and_falls_back_from_it() {
        let configured = config(&[("GOOGLE_CLOUD_PROJECT", "p"), ("VERTEX_ENDPOINT_ID", "1")]);
        let choice = choose(EngineChoice::Auto, &available(&configured)).expect("configured");
        assert_eq!(choice.engine, EngineChoice::Vertex);
        let failure = Failure { code: FailureCode::EngineFailed, message: "quota".to_owned() };
        let next = after_failure(EngineChoice::Auto, EngineChoice::Vertex, &failure).expect("draft is left");
        assert!(next.engine == EngineChoice::Draft && next.reason.contains("quota"), "{next:?}");
        assert_eq!(after_failure(EngineChoice::Vertex, EngineChoice::Vertex, &failure), None);
        assert_eq!(after_failure(EngineChoice::Auto, EngineChoice::Draft, &failure), None);
    }

    #[test]
    fn engines_can_be_switched_off() {
        let none = available(&config(&[("ENGINES", "qwen")]));
        assert!(choose(EngineChoice::Draft, &none).expect_err("off").message.contains("ENGINES"));
    }

    #[test]
    fn every_offer_can_be_made() {
        let installed = Installed::new(&config(&[]));
        for entry in installed.available() {
            let made = installed.make(entry.name);
            assert_eq!(made.is_ok(), entry.state.is_ok(), "{}", entry.name);
        }
    }
}
