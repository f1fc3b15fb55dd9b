//! Adapters of the engines of this crate. A new engine is one file here and one line in [`built_in`], or a crate of its
//! own that the binaries register.

mod draft;
mod qwen;
mod replan;
mod request;

use engine::Registry;

use self::draft::DraftFactory;
use self::qwen::QwenFactory;
use crate::Config;

/// A registry with the engines of this crate, to which a binary adds others.
pub fn built_in(config: &Config) -> Registry {
    let mut registry = Registry::new(&config.engines);
    registry.register(QwenFactory::new(config));
    registry.register(DraftFactory::new(config));
    registry
}

#[cfg(test)]
mod tests {
    use engine::{EngineChoice, EngineChooser, EngineName, EngineSet};
    use service::Settings;

    use super::*;

    fn registry(pairs: &[(&str, &str)]) -> Registry {
        built_in(&Config::from_settings(&Settings::from_pairs(pairs.iter().copied())).expect("good settings"))
    }

    #[test]
    fn auto_takes_the_draft_engine_without_weights() {
        let found = registry(&[]).available();
        let choice = EngineChooser(&found).choose(EngineChoice::Auto).expect("draft is always there");
        assert_eq!(choice.engine, EngineName::Draft);
        assert!(choice.reason.text.contains("no qwen"), "{}", choice.reason);
    }

    #[test]
    fn every_offer_can_be_made() {
        let registry = registry(&[]);
        for entry in registry.available() {
            let made = registry.make(entry.name);
            assert_eq!(made.is_ok(), entry.state.is_ok(), "{}", entry.name);
        }
    }

    #[test]
    fn the_draft_engine_takes_over_even_if_it_is_disabled() {
        let registry = registry(&[("ENGINES", "qwen")]);
        let found = registry.available();
        assert!(EngineChooser(&found).choose(EngineName::Draft.into()).is_err());
        assert!(registry.make(EngineName::Draft).is_ok());
    }
}
