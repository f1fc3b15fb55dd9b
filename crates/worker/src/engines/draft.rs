//! Adapter of crate `draft`: no GPU, no weights.

use std::ops::ControlFlow;

use engine::{
    Engine, EngineError, EngineFactory, EngineJob, EngineName, EngineOffer, FailureCode, LayerCount, Message,
    MessageCode, MissingEngine, Output, Params, ProgressSink, Step, Stopped,
};

pub(super) struct DraftFactory;

impl EngineFactory for DraftFactory {
    fn name(&self) -> EngineName {
        EngineName::Draft
    }

    fn probe(&self) -> Result<EngineOffer, MissingEngine> {
        Ok(Draft.offer())
    }

    fn make(&self) -> Result<Box<dyn Engine>, MissingEngine> {
        Ok(Box::new(Draft))
    }
}

struct Draft;

impl Engine for Draft {
    fn offer(&self) -> EngineOffer {
        EngineOffer {
            name: EngineName::Draft,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: None,
            device: "cpu".to_owned(),
            max_layers: draft::MOST_LAYERS,
            uses_prompt: false,
        }
    }

    fn memory_bytes(&self, width: u32, height: u32, params: &Params) -> u64 {
        let layers = match params.num_layers {
            LayerCount::Exactly(n) => n,
            LayerCount::Auto => draft::MOST_LAYERS,
        };
        // Each layer exists twice while it is encoded.
        let encoded = 4 * u64::from(width) * u64::from(height) * u64::from(layers);
        draft::memory_bytes(width, height, layers) + encoded
    }

    fn decompose(&mut self, job: &EngineJob<'_>, progress: &mut dyn ProgressSink) -> Result<Output, EngineError> {
        let EngineJob { input, params, .. } = *job;
        let layers = match params.num_layers {
            LayerCount::Exactly(n) => Some(n),
            LayerCount::Auto => None,
        };
        let options = draft::Options { layers, seed: params.seed.unwrap_or(0), ..Default::default() };
        let mut report = |p: draft::Progress| {
            let step = Step { stage: stage(p.stage), step: p.step, total: p.total, fraction: p.fraction };
            match progress.step(step) {
                Ok(()) => ControlFlow::Continue(()),
                Err(Stopped) => ControlFlow::Break(()),
            }
        };
        let made = draft::decompose(input, &options, &mut report).map_err(engine_error)?;
        let mut notes: Vec<_> = made.notes.iter().map(message).collect();
        if !params.prompt.trim().is_empty() || !params.negative_prompt.trim().is_empty() {
            let text = "The draft engine does not use prompts; the prompt was ignored.";
            notes.push(Message::new(MessageCode::PromptIgnored, text));
        }
        Ok(Output { notes, ..Output::new(made.stack) })
    }

    fn job_ended(&mut self) {
        draft::allocator::give_back();
    }
}

fn stage(stage: draft::Stage) -> engine::Stage {
    match stage {
        draft::Stage::Read => engine::Stage::Read,
        draft::Stage::Text => engine::Stage::Text,
        draft::Stage::Background => engine::Stage::Ground,
        draft::Stage::Objects => engine::Stage::Objects,
        draft::Stage::Write => engine::Stage::Write,
    }
}

fn message(note: &draft::Note) -> Message {
    let message = |code| Message::new(code, note.to_string());
    match note {
        draft::Note::FewerLayers { asked, given } => {
            message(MessageCode::FewerLayers).with("asked", *asked).with("given", *given)
        }
        draft::Note::ChoseLayers { .. } => message(MessageCode::ChoseLayers).with("layers", note.layers()),
        draft::Note::NoNetworks { reason } => message(MessageCode::NoNetworks).with("reason", reason.as_str()),
    }
}

fn engine_error(error: draft::Error) -> EngineError {
    match error {
        draft::Error::Stopped => Stopped.into(),
        other => EngineError::failed(FailureCode::EngineFailed, other.to_string()),
    }
}
