//! What takes over a job when an engine fails.

use crate::registry::{Choice, EngineChooser};
use crate::{EngineChoice, EngineName, Failure, Message, MessageCode};

impl EngineChooser<'_> {
    /// Chooses the engine that takes over an `auto` job after a remote engine failed. `None` if the job fails: it names
    /// its engine, or the engine is local.
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureCode;
    use crate::registry::tests::offer;

    #[test]
    fn an_auto_job_falls_back_when_a_remote_engine_fails() {
        let found = [offer(EngineName::Vertex, "vertex-ai:x"), offer(EngineName::Draft, "cpu")];
        let chooser = EngineChooser(&found);
        assert_eq!(chooser.choose(EngineChoice::Auto).expect("configured").engine, EngineName::Vertex);
        let failure = Failure { code: FailureCode::EngineFailed, message: "quota".to_owned() };
        let next = chooser.after_failure(EngineChoice::Auto, EngineName::Vertex, &failure).expect("draft is left");
        assert!(next.engine == EngineName::Draft && next.reason.text.contains("Vertex AI failed: quota"), "{next:?}");
        assert_eq!(chooser.after_failure(EngineName::Vertex.into(), EngineName::Vertex, &failure), None);
        assert_eq!(chooser.after_failure(EngineChoice::Auto, EngineName::Draft, &failure), None);
    }
}
