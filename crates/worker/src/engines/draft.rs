//! The engine of crate `draft`: no GPU, no weights.

use std::ops::ControlFlow;

use jobs::broker::EngineOffer;
use jobs::{EngineChoice, FailureCode, LayerCount, Params};

use crate::engine::{Decomposition, Engine, EngineError, EngineJob, ProgressSink, Step, Stopped};

pub(super) struct Draft;

impl Engine for Draft {
    fn offer(&self) -> EngineOffer {
        EngineOffer {
            name: EngineChoice::Draft,
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
        // Layers exist twice for a moment: in the engine and while they are encoded.
        let encoded = 4 * u64::from(width) * u64::from(height) * u64::from(layers);
        draft::memory_bytes(width, height, layers) + encoded
    }

    fn decompose(
        &mut self,
        job: &EngineJob<'_>,
        progress: &mut dyn ProgressSink,
    ) -> Result<Decomposition, EngineError> {
        let EngineJob { input, params, .. } = *job;
        let layers = match params.num_layers {
            LayerCount::Exactly(n) => Some(n),
            LayerCount::Auto => None,
        };
        let options = draft::Options { layers, seed: params.seed.unwrap_or(0) };
        let mut report = |p: draft::Progress| {
            let step = Step { stage: p.stage, step: p.step, total: p.total, fraction: p.fraction };
            match progress.step(step) {
                Ok(()) => ControlFlow::Continue(()),
                Err(Stopped) => ControlFlow::Break(()),
            }
        };
        let output = draft::decompose(input, &options, &mut report).map_err(explain)?;
        let mut notes = output.notes;
        if !params.prompt.trim().is_empty() || !params.negative_prompt.trim().is_empty() {
            notes.push("The draft engine does not read prompts; the prompt was ignored.".to_owned());
        }
        Ok(Decomposition { stack: output.stack, rendering: None, analysis: None, notes })
    }
}

fn explain(error: draft::Error) -> EngineError {
    match error {
        draft::Error::Stopped => Stopped.into(),
        other => EngineError::Failed { code: FailureCode::EngineFailed, message: other.to_string() },
    }
}
