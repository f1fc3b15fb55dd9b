//! Adapter of crate `draft`: no GPU, and no weights but those of the segmenter, if they have been pulled.

use std::ops::ControlFlow;
use std::path::PathBuf;

use engine::{
    BackgroundQuality, BackgroundReport, Engine, EngineError, EngineFactory, EngineJob, EngineName, EngineOffer,
    FailureCode, LayerCount, Message, MessageCode, MissingEngine, Output, Params, ProgressSink, SceneText, Step,
    Stopped,
};

use crate::Config;
use crate::model::pulled_segmenter;

pub(super) struct DraftFactory {
    cache_dir: PathBuf,
}

impl DraftFactory {
    pub(super) fn new(config: &Config) -> Self {
        Self { cache_dir: config.model.cache_dir.clone() }
    }

    /// Makes the pulled segmenter the one of this process; damaged files are not used.
    fn use_pulled_segmenter(&self) {
        let Some((encoder, decoder)) = pulled_segmenter(&self.cache_dir) else { return };
        match draft::Segmenter::from_files(&encoder, &decoder) {
            Ok(segmenter) => segmenter.make_default(),
            Err(error) => {
                tracing::warn!(%error, "the pulled segmenter cannot be used; run `unflatten pull segment` again");
            }
        }
    }
}

impl EngineFactory for DraftFactory {
    fn name(&self) -> EngineName {
        EngineName::Draft
    }

    fn probe(&self) -> Result<EngineOffer, MissingEngine> {
        Ok(Draft.offer())
    }

    fn make(&self) -> Result<Box<dyn Engine>, MissingEngine> {
        self.use_pulled_segmenter();
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
            samplers: Vec::new(),
            loras: Vec::new(),
        }
    }

    fn memory_bytes(&self, width: u32, height: u32, params: &Params) -> u64 {
        let layers = match params.num_layers {
            LayerCount::Exactly(n) => n,
            LayerCount::Auto => draft::MOST_LAYERS,
        };
        // Layers are written as they are; the composite exists for the report and for the preview.
        let written = 4 * u64::from(width) * u64::from(height);
        draft::memory_bytes(width, height, layers) + written
    }

    fn decompose(&mut self, job: &EngineJob<'_>, progress: &mut dyn ProgressSink) -> Result<Output, EngineError> {
        let EngineJob { input, params, of, .. } = *job;
        let layers = match params.num_layers {
            LayerCount::Exactly(n) => Some(n),
            LayerCount::Auto => None,
        };
        let scene_text = match params.scene_text {
            SceneText::Keep => draft::SceneText::Keep,
            SceneText::Lift => draft::SceneText::Lift,
        };
        let options = draft::Options { layers, of, seed: params.seed.unwrap_or(0), scene_text };
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
        if !params.loras.is_empty() {
            let text = "The draft engine has no LoRAs; those that were asked for were ignored.";
            notes.push(Message::new(MessageCode::Other, text));
        }
        let background = made.background.as_ref().map(background);
        Ok(Output { notes, background, ..Output::new(made.stack) })
    }

    fn job_ended(&mut self) {
        draft::allocator::give_back();
    }
}

fn background(rated: &draft::Background) -> BackgroundReport {
    use draft::{BackgroundReason, Quality};
    let quality = match rated.quality {
        Quality::Clean => BackgroundQuality::Clean,
        Quality::Fair => BackgroundQuality::Fair,
        Quality::Rough => BackgroundQuality::Rough,
    };
    let code = match rated.reason {
        BackgroundReason::NothingHidden => MessageCode::BackgroundWhole,
        BackgroundReason::Smooth(_) => MessageCode::BackgroundSmooth,
        BackgroundReason::FlatArt(_) => MessageCode::BackgroundFlatArt,
        BackgroundReason::Texture(_) => MessageCode::BackgroundTexture,
        BackgroundReason::LargeHolesInTexture(_) => MessageCode::BackgroundLargeHoles,
    };
    let mut reason = Message::new(code, rated.reason.to_string());
    if let Some(measured) = rated.reason.measured() {
        let percent = |share: f32| (100.0 * share).round() as u32;
        reason = reason.with("percent", percent(measured.hidden)).with("error_percent", percent(measured.error));
    }
    BackgroundReport { quality, reason }
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
