//! Qwen-Image-Layered, run by crate `qwen-image-layered`.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::time::Duration;

use engine::{
    CaptionLanguage, Engine, EngineError, EngineFactory, EngineJob, EngineName, EngineOffer, FailureCode, LayerCount,
    Message, MessageCode, Missing, Params, ProgressSink, Step, Stopped,
};
use image::RgbaImage;
use layers::{Filter, Kind, Layer, LayerStack, PruneNote, Report, Thresholds};
use qwen_image_layered::plan::{DeviceInfo, Plan, Workload};
use qwen_image_layered::text::Language;
use qwen_image_layered::{
    Error, LoadOptions, MatmulPrecision, Output, PassCount, Pipeline, Progress, Stage, read_latents,
};

use super::replan;
use crate::advice;
use crate::config::Config;
use crate::describe::LocalAnalyzer;
use crate::model::{Choices, DeviceChoice, Located, ModelConfig};
use crate::run::is_environment;

/// What is asked for when the job leaves the number of layers to the engine; what is empty or repeated is dropped.
const AUTO_LAYERS: usize = 6;

/// Alpha (0 to 255) that the decoder leaves where a layer has nothing.
const FAINT: u8 = 8;

pub(super) struct QwenFactory {
    config: Config,
}

impl QwenFactory {
    pub(super) fn new(config: &Config) -> Self {
        Self { config: config.clone() }
    }
}

impl EngineFactory for QwenFactory {
    fn name(&self) -> EngineName {
        EngineName::Qwen
    }

    /// Looks whether weights and device are there, without loading anything.
    fn probe(&self) -> Result<EngineOffer, Missing> {
        Qwen::new(&self.config).map(|engine| engine.offer())
    }

    fn make(&self) -> Result<Box<dyn Engine>, Missing> {
        Ok(Box::new(Qwen::new(&self.config)?))
    }
}

/// The engine; the model is loaded by its first job.
struct Qwen {
    config: ModelConfig,
    memory_limit: Option<u64>,
    /// The weights that run; before there are any, the finest that are here.
    located: Located,
    device: DeviceChoice,
    analyzer_limit: Duration,
    /// Measured by the first job.
    choices: Option<Choices>,
    loaded: Option<Loaded>,
}

/// A model under a plan.
struct Loaded {
    plan: Plan,
    /// The device as it was before anything was loaded.
    card: DeviceInfo,
    pipeline: Pipeline,
}

impl Qwen {
    /// # Errors
    /// When the weights are not there or the device cannot be used.
    fn new(config: &Config) -> Result<Self, Missing> {
        let model = config.model.clone();
        let located = model.locate().map_err(|absent| Missing { why: absent.why, fix: absent.fix })?;
        let device = model.device.settled();
        device.open().map_err(|why| Missing { why, fix: "set DEVICE or --device to what is here".to_owned() })?;
        let (memory_limit, analyzer_limit) = (config.limits.memory, config.analyzer.timeout);
        Ok(Self { config: model, memory_limit, located, device, analyzer_limit, choices: None, loaded: None })
    }

    /// Plans for a job, the first to be tried first, and the device that they are for.
    fn plan(&mut self, workload: &Workload) -> Result<(Vec<Plan>, DeviceInfo), EngineError> {
        let choices = match self.choices.take() {
            Some(choices) => choices,
            None => {
                let unavailable = |message: String| failed(FailureCode::EngineUnavailable, message);
                let located = self.config.locate_all().map_err(|a| unavailable(format!("{}; {}", a.why, a.fix)))?;
                Choices::measure(&self.config, located)
            }
        };
        let choices = self.choices.insert(choices);
        if let Some(Loaded { plan, card, .. }) = &self.loaded
            && let Some(plans) = choices.with_loaded(plan, card, workload)
        {
            return Ok((plans, card.clone()));
        }
        // Only then does the device say what is free without it.
        if let Some(mut loaded) = self.loaded.take() {
            loaded.pipeline.unload().map_err(explain)?;
        }
        let card = self.device.card(self.config.device_limit, self.memory_limit);
        let card = card.map_err(|message| failed(FailureCode::EngineUnavailable, message))?;
        let plans = choices.plans(&card, workload).map_err(|message| failed(FailureCode::OutOfMemory, message))?;
        Ok((plans, card))
    }

    /// See [`Choices::no_float8`].
    fn no_float8(&self, plan: &Plan, card: &DeviceInfo) -> Option<&'static str> {
        self.choices.as_ref()?.no_float8(plan, card, self.config.precision)
    }

    /// The model under `plan`, to be loaded as far as it runs.
    fn under(&mut self, plan: &Plan, card: &DeviceInfo) -> Result<&mut Pipeline, Error> {
        let loaded = match self.loaded.take() {
            Some(loaded) if loaded.plan.runs_as(plan) => loaded,
            other => {
                if let Some(mut other) = other {
                    other.pipeline.unload()?;
                }
                let device = self.device.open().map_err(Error::Input)?;
                if let Some(located) = self.choices.as_ref().and_then(|choices| choices.located(plan)) {
                    self.located = located.clone();
                }
                let files = &self.located.files;
                let matmul_precision = match self.no_float8(plan, card) {
                    None if self.config.fp8_products => MatmulPrecision::Float8,
                    _ => MatmulPrecision::Widened,
                };
                let (dtype, placement) = (self.config.precision.into(), plan.placement);
                let options = LoadOptions { dtype, device, placement, matmul_precision };
                let pipeline = Pipeline::new(files.clone(), options);
                Loaded { plan: plan.clone(), card: card.clone(), pipeline }
            }
        };
        Ok(&mut self.loaded.insert(loaded).pipeline)
    }
}

impl Engine for Qwen {
    fn offer(&self) -> EngineOffer {
        let variant = self.located.variant.map(|variant| format!(" ({variant})")).unwrap_or_default();
        EngineOffer {
            name: EngineName::Qwen,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: Some(format!("{}{variant}", self.config.name)),
            device: self.device.to_string(),
            max_layers: engine::MAX_LAYERS,
            uses_prompt: true,
        }
    }

    fn model_revision(&self) -> Option<String> {
        self.located.revision.clone()
    }

    fn memory_bytes(&self, width: u32, height: u32, params: &Params) -> u64 {
        // Each layer at the input's size: in the stack, while it is made exact, and while it is encoded. What the model
        // takes is planned when the job begins.
        3 * 4 * u64::from(width) * u64::from(height) * (layers_of(params) as u64 + 1)
    }

    fn decompose(
        &mut self,
        job: &EngineJob<'_>,
        progress: &mut dyn ProgressSink,
    ) -> Result<engine::Output, EngineError> {
        let EngineJob { input, params, describe, .. } = *job;
        let request = self.request(params)?;
        let dump = self.config.dump.clone();
        let (model, limit) = (self.config.name.clone(), self.analyzer_limit);
        let workload = Workload::new(&request, input.width(), input.height()).map_err(explain)?;
        let (plans, mut card) = self.plan(&workload)?;
        if let (None, Some(plan)) = (&self.loaded, plans.first()) {
            progress.note(Message::new(MessageCode::MemoryPlan, plan.line()).with("plan", plan.short()));
        }
        // Heard of while an attempt is made, and between two.
        let sink = RefCell::new(progress);
        let attempt = |plan: &Plan| {
            let mut report = |p: Progress| match sink.borrow_mut().step(step(p)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(Stopped) => ControlFlow::Break(()),
            };
            let request = qwen_image_layered::Params { passes: plan.passes, ..request.clone() };
            let result = self.under(plan, &card)?.decompose(input, &request, &mut report);
            if result.as_ref().is_err_and(Error::is_out_of_memory) {
                // Neither this job nor those after it shall believe that there is room for it.
                card.free = card.free.min(plan.need.peak().saturating_sub(1));
                if let Some(mut loaded) = self.loaded.take() {
                    // What went wrong is told already.
                    let _ = loaded.pipeline.unload();
                }
            }
            result
        };
        let output = replan::run(
            &plans,
            attempt,
            |text| sink.borrow_mut().note(Message::new(MessageCode::SmallerPlan, text.clone()).with("detail", text)),
            explain,
        )?;
        let progress = sink.into_inner();
        let degradations = self.loaded.as_ref().map(|loaded| loaded.pipeline.degradations()).unwrap_or_default();
        if let Some(text) = advice::degradations(&degradations) {
            progress.note(Message::new(MessageCode::Degraded, text.clone()).with("detail", text));
        }
        if let Some(path) = dump {
            output.write_dump(&path).map_err(explain)?;
        }
        let shortcuts = shortcuts(&request, output.passes);
        let mut made = finish(input, output, params)?;
        made.notes.extend(shortcuts);
        if let (true, Some(Loaded { plan, card, .. })) = (self.config.fp8_products, &self.loaded) {
            made.notes.push(match self.no_float8(plan, card) {
                Some(reason) => {
                    let text = format!("FP8_PRODUCTS changed nothing: {reason}.");
                    Message::new(MessageCode::Fp8Unavailable, text).with("reason", reason)
                }
                None => Message::new(
                    MessageCode::Fp8Products,
                    "Products were taken in fp8 (FP8_PRODUCTS) as far as the events do not say otherwise: faster, and \
                     not what the model would have made with exact ones.",
                ),
            });
        }
        if let (true, Some(Loaded { pipeline, .. })) = (describe, &mut self.loaded) {
            LocalAnalyzer { pipeline, model: &model, limit }.describe(input, &mut made, progress)?;
        }
        Ok(made)
    }
}

impl Qwen {
    /// The job in the model's terms.
    fn request(&self, params: &Params) -> Result<qwen_image_layered::Params, EngineError> {
        let standard = qwen_image_layered::Params::default();
        let negative = &params.negative_prompt;
        let init_latents = self.config.init_latents.as_deref().map(read_latents).transpose().map_err(explain)?;
        Ok(qwen_image_layered::Params {
            prompt: params.prompt.clone(),
            negative_prompt: if negative.is_empty() { standard.negative_prompt.clone() } else { negative.clone() },
            layers: layers_of(params),
            steps: params.steps.map_or(standard.steps, |steps| steps as usize),
            guidance: f64::from(params.guidance),
            cfg_normalize: params.cfg_normalize,
            resolution: params.resolution.map_or(standard.resolution, |resolution| resolution.0),
            caption_language: match params.caption_language {
                CaptionLanguage::En => Language::English,
                CaptionLanguage::Zh => Language::Chinese,
            },
            seed: params.seed.unwrap_or(standard.seed),
            init_latents,
            rendering: true,
            keep_intermediates: self.config.dump.is_some(),
            guided_share: f64::from(self.config.guided_steps_percent) / 100.0,
            step_cache: f64::from(self.config.step_cache_percent) / 100.0,
            // How the passes go is for the plan to say.
            ..standard
        })
    }
}

/// What was left out of the work on request.
fn shortcuts(request: &qwen_image_layered::Params, passes: PassCount) -> Vec<Message> {
    let mut notes = Vec::new();
    let (guided, steps) = (request.guided_steps(), request.steps);
    if request.guidance > 1.0 && guided < steps {
        let share = 100.0 * request.guided_share;
        let text = format!(
            "Only the first {guided} of {steps} steps were guided (GUIDED_STEPS_PERCENT={share:.0}): faster, and not \
             what the model would have made with all of them guided."
        );
        notes.push(Message::new(MessageCode::GuidedSteps, text).with("guided", guided).with("steps", steps));
    }
    if request.step_cache > 0.0 {
        let PassCount { all, reused } = passes;
        let percent = 100.0 * request.step_cache;
        let asked = format!("Step caching (STEP_CACHE_PERCENT={percent:.0})");
        let note = match reused {
            0 => Message::new(
                MessageCode::StepCacheUnused,
                format!("{asked} changed nothing: no step was that much like the one before."),
            ),
            _ => Message::new(
                MessageCode::StepCache,
                format!(
                    "{asked} took {reused} of {all} passes through the model from an earlier step: faster, and not what \
                     the model would have made without it."
                ),
            )
            .with("reused", reused)
            .with("passes", all),
        };
        notes.push(note.with("percent", percent.round()));
    }
    notes
}

fn layers_of(params: &Params) -> usize {
    match params.num_layers {
        LayerCount::Exactly(n) => n.into(),
        LayerCount::Auto => AUTO_LAYERS,
    }
}

fn step(progress: Progress) -> Step {
    let stage = match progress.stage {
        Stage::LoadText | Stage::LoadTransformer => engine::Stage::Load,
        Stage::Caption => engine::Stage::Caption,
        Stage::EncodeText => engine::Stage::EncodeText,
        Stage::EncodeImage => engine::Stage::EncodeImage,
        Stage::Denoise => engine::Stage::Denoise,
        Stage::Decode => engine::Stage::Decode,
    };
    Step { stage, step: progress.done, total: progress.total, fraction: progress.fraction() }
}

/// The model's layers in its own size; the worker lifts them. Of an `auto` number, only those that say something.
fn finish(input: &RgbaImage, output: Output, params: &Params) -> Result<engine::Output, EngineError> {
    let (width, height) = output.layers.first().map_or((0, 0), RgbaImage::dimensions);
    let mut notes = Vec::new();
    if let Some(caption) = &output.caption {
        let text = format!("No prompt was given; the model described the picture so: {caption}");
        notes.push(Message::new(MessageCode::Captioned, text).with("caption", caption.as_str()));
    }
    let internal = |error: &dyn std::error::Error| failed(FailureCode::EngineFailed, error.to_string());
    let mut made = Vec::new();
    for (index, picture) in output.layers.into_iter().enumerate() {
        let (name, kind) = match index {
            0 => ("Background".to_owned(), Kind::Background),
            _ => (format!("Layer {index}"), Kind::Object),
        };
        made.push(Layer { name, kind, text: None, pixels: picture });
    }
    let mut stack = LayerStack::new(width, height, made).map_err(|e| internal(&e))?;
    if params.num_layers == LayerCount::Auto {
        let reduced = layers::resize(input, width, height, Filter::Lanczos3).map_err(|e| internal(&e))?;
        let thresholds = Thresholds { empty_alpha: FAINT, ..Thresholds::default() };
        let report = Report::new(&stack, &reduced, &thresholds).map_err(|e| internal(&e))?;
        let pruned = layers::prune(stack, &report);
        stack = pruned.stack;
        notes.extend(pruned.notes.iter().map(pruned_message));
    }
    Ok(engine::Output { rendering: output.rendering, notes, ..engine::Output::new(stack) })
}

fn pruned_message(note: &PruneNote) -> Message {
    let message = |code| Message::new(code, note.to_string());
    match *note {
        PruneNote::Empty { index } => message(MessageCode::DroppedEmpty).with("layer", index),
        PruneNote::CopyOfComposite { index } => message(MessageCode::DroppedCopy).with("layer", index),
        PruneNote::Duplicate { index, of } => {
            message(MessageCode::MergedDuplicate).with("layer", index).with("into", of)
        }
    }
}

fn failed(code: FailureCode, message: String) -> EngineError {
    EngineError::failed(code, message)
}

fn explain(error: Error) -> EngineError {
    match error {
        Error::Stopped => Stopped.into(),
        // Weights that are missing stay so; a disk that fails may come back.
        Error::File { ref source, .. } if source.kind() != ErrorKind::NotFound && is_environment(source) => {
            EngineError::Environment { message: advice::model(&error) }
        }
        other => failed(FailureCode::EngineFailed, advice::model(&other)),
    }
}
