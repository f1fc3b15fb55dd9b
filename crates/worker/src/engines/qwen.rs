//! Adapter of crate `qwen-image-layered`.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::time::Duration;

use engine::{
    Engine, EngineError, EngineFactory, EngineJob, EngineName, EngineOffer, FailureCode, LayerCount, Message,
    MessageCode, MissingEngine, Params, ProgressSink, Sampler, Step, Stopped,
};
use image::RgbaImage;
use layers::{Filter, Kind, Layer, LayerStack, PruneNote, Report, Thresholds};
use qwen_image_layered::plan::{DeviceInfo, Plan, Workload};
use qwen_image_layered::{Error, LoadOptions, MatmulPrecision, Output, PassCount, Pipeline, Progress, Stage};

use super::{replan, request};
use crate::advice;
use crate::config::Config;
use crate::describe::LocalAnalyzer;
use crate::model::loras::{self, OpenLoras};
use crate::model::{DeviceChoice, LocalWeights, ModelConfig, WeightCandidates};
use crate::run::is_environment;

/// Alpha (0 to 255) up to which a decoded pixel counts as empty: the decoder leaves some noise.
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

    /// Checks that weights and device are there, without loading anything.
    fn probe(&self) -> Result<EngineOffer, MissingEngine> {
        Qwen::new(&self.config).map(|engine| engine.offer())
    }

    fn make(&self) -> Result<Box<dyn Engine>, MissingEngine> {
        Ok(Box::new(Qwen::new(&self.config)?))
    }
}

/// The engine. Its first job loads the model.
struct Qwen {
    config: ModelConfig,
    memory_limit: Option<u64>,
    /// The weights in use; until a model is loaded, the most precise ones on this machine.
    located: LocalWeights,
    device: DeviceChoice,
    analyzer_limit: Duration,
    /// Measured by the first job.
    candidates: Option<WeightCandidates>,
    loaded: Option<Loaded>,
    open_loras: OpenLoras,
}

/// A model that was loaded under a plan.
struct Loaded {
    plan: Plan,
    /// The device as measured before the model was loaded.
    device: DeviceInfo,
    pipeline: Pipeline,
}

impl Qwen {
    /// # Errors
    /// When the weights are missing or the device cannot be used.
    fn new(config: &Config) -> Result<Self, MissingEngine> {
        let model = config.model.clone();
        let located = model.locate().map_err(|absent| MissingEngine { why: absent.why, fix: absent.fix })?;
        let device = model.device.resolved();
        device.open().map_err(|why| MissingEngine {
            why,
            fix: "set DEVICE or --device to a device of this machine".to_owned(),
        })?;
        let (memory_limit, analyzer_limit) = (config.limits.memory, config.analyzer.timeout);
        let open_loras = OpenLoras::default();
        Ok(Self {
            config: model,
            memory_limit,
            located,
            device,
            analyzer_limit,
            candidates: None,
            loaded: None,
            open_loras,
        })
    }

    /// The plans for a job in the order in which they are tried, and the device that they are for.
    fn plan(&mut self, workload: &Workload) -> Result<(Vec<Plan>, DeviceInfo), EngineError> {
        let candidates = match self.candidates.take() {
            Some(candidates) => candidates,
            None => {
                let unavailable = |message: String| failed(FailureCode::EngineUnavailable, message);
                let located = self.config.locate_all().map_err(|a| unavailable(format!("{}; {}", a.why, a.fix)))?;
                WeightCandidates::measure(&self.config, located)
            }
        };
        let candidates = self.candidates.insert(candidates);
        if let Some(Loaded { plan, device, .. }) = &self.loaded
            && let Some(plans) = candidates.with_loaded(plan, device, workload)
        {
            return Ok((plans, device.clone()));
        }
        // Unloaded first: the free memory is measured without it.
        if let Some(mut loaded) = self.loaded.take() {
            loaded.pipeline.unload().map_err(engine_error)?;
        }
        let device = self.device.info(self.config.device_limit, self.memory_limit);
        let device = device.map_err(|message| failed(FailureCode::EngineUnavailable, message))?;
        let plans = candidates.plans(&device, workload).map_err(|message| failed(FailureCode::OutOfMemory, message))?;
        Ok((plans, device))
    }

    /// See [`WeightCandidates::float8_obstacle`].
    fn float8_obstacle(&self, plan: &Plan, device: &DeviceInfo) -> Option<&'static str> {
        self.candidates.as_ref()?.float8_obstacle(plan, device, self.config.precision)
    }

    /// The pipeline for `plan`: the loaded one where it matches, otherwise a new one, which loads its parts as they run.
    fn pipeline_for(&mut self, plan: &Plan, device_info: &DeviceInfo) -> Result<&mut Pipeline, Error> {
        let loaded = match self.loaded.take() {
            Some(loaded) if loaded.plan.runs_as(plan) => loaded,
            other => {
                if let Some(mut other) = other {
                    other.pipeline.unload()?;
                }
                let device = self.device.open().map_err(Error::Input)?;
                if let Some(located) = self.candidates.as_ref().and_then(|candidates| candidates.located(plan)) {
                    self.located = located.clone();
                }
                let files = &self.located.files;
                let matmul_precision = match self.float8_obstacle(plan, device_info) {
                    None if self.config.fp8_products => MatmulPrecision::Float8,
                    _ => MatmulPrecision::Widened,
                };
                let (dtype, placement) = (self.config.precision.into(), plan.placement);
                let options = LoadOptions { dtype, device, placement, matmul_precision };
                let pipeline = Pipeline::new(files.clone(), options);
                Loaded { plan: plan.clone(), device: device_info.clone(), pipeline }
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
            max_layers: engine::MODEL_LAYERS,
            uses_prompt: true,
            samplers: Sampler::ALL.to_vec(),
            loras: loras::offers(&self.config.lora_dir),
        }
    }

    fn model_revision(&self) -> Option<String> {
        self.located.revision.clone()
    }

    fn memory_bytes(&self, width: u32, height: u32, params: &Params) -> u64 {
        // Each layer exists three times at the input's size: in the stack, while it is made exact, and while it is
        // encoded. The model's memory is planned when the job begins.
        3 * 4 * u64::from(width) * u64::from(height) * (request::layers_of(params) as u64 + 1)
    }

    fn decompose(
        &mut self,
        job: &EngineJob<'_>,
        progress: &mut dyn ProgressSink,
    ) -> Result<engine::Output, EngineError> {
        let EngineJob { input, params, describe, .. } = *job;
        let (request, records) = request::of_job(params, &self.config, &mut self.open_loras)?;
        let dump = self.config.dump.clone();
        let (model, limit) = (self.config.name.clone(), self.analyzer_limit);
        let workload = Workload::new(&request, input.width(), input.height()).map_err(engine_error)?;
        let (plans, mut device) = self.plan(&workload)?;
        if let (None, Some(plan)) = (&self.loaded, plans.first()) {
            progress.note(Message::new(MessageCode::MemoryPlan, plan.line()).with("plan", plan.short()));
        }
        // Shared by the progress callback of an attempt and the notes between attempts.
        let sink = RefCell::new(progress);
        let attempt = |plan: &Plan| {
            let mut report = |p: Progress| match sink.borrow_mut().step(step(p)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(Stopped) => ControlFlow::Break(()),
            };
            let request = qwen_image_layered::Params { passes: plan.passes, ..request.clone() };
            let result = self.pipeline_for(plan, &device)?.decompose(input, &request, &mut report);
            if result.as_ref().is_err_and(Error::is_out_of_memory) {
                // Neither this job nor a later one may choose this plan again.
                device.free = device.free.min(plan.need.peak().saturating_sub(1));
                if let Some(mut loaded) = self.loaded.take() {
                    // The out-of-memory error is the one to report.
                    let _ = loaded.pipeline.unload();
                }
            }
            result
        };
        let output = replan::run(
            &plans,
            attempt,
            |text| sink.borrow_mut().note(Message::new(MessageCode::SmallerPlan, text.clone()).with("detail", text)),
            engine_error,
        )?;
        let progress = sink.into_inner();
        let degradations = self.loaded.as_ref().map(|loaded| loaded.pipeline.degradations()).unwrap_or_default();
        if let Some(text) = advice::degradations(&degradations) {
            progress.note(Message::new(MessageCode::Degraded, text.clone()).with("detail", text));
        }
        if let Some(path) = dump {
            output.write_dump(&path).map_err(engine_error)?;
        }
        let shortcuts = shortcuts(&request, output.passes);
        let mut made = finish(input, output, params)?;
        made.notes.extend(shortcuts);
        made.loras = records;
        if let (true, Some(Loaded { plan, device, .. })) = (self.config.fp8_products, &self.loaded) {
            made.notes.push(match self.float8_obstacle(plan, device) {
                Some(reason) => {
                    let text = format!("FP8_PRODUCTS had no effect: {reason}.");
                    Message::new(MessageCode::Fp8Unavailable, text).with("reason", reason)
                }
                None => Message::new(
                    MessageCode::Fp8Products,
                    "Matrix products were computed in fp8 (FP8_PRODUCTS) unless the job's events say otherwise: faster, \
                     but with a different result.",
                ),
            });
        }
        if let (true, Some(Loaded { pipeline, .. })) = (describe, &mut self.loaded) {
            LocalAnalyzer { pipeline, model: &model, limit }.describe(input, &mut made, progress)?;
        }
        Ok(made)
    }
}

/// Notes on the work that was skipped on request.
fn shortcuts(request: &qwen_image_layered::Params, passes: PassCount) -> Vec<Message> {
    let mut notes = Vec::new();
    let (guided, steps) = (request.guided_steps(), request.steps);
    if request.guidance > 1.0 && guided < steps {
        let share = 100.0 * request.guided_share;
        let text = format!(
            "Only the first {guided} of {steps} steps used guidance (GUIDED_STEPS_PERCENT={share:.0}): faster, but with \
             a different result."
        );
        notes.push(Message::new(MessageCode::GuidedSteps, text).with("guided", guided).with("steps", steps));
    }
    if request.step_cache > 0.0 {
        let PassCount { all, reused } = passes;
        let percent = 100.0 * request.step_cache;
        let setting = format!("Step caching (STEP_CACHE_PERCENT={percent:.0})");
        let note = match reused {
            0 => Message::new(
                MessageCode::StepCacheUnused,
                format!("{setting} had no effect: no step was similar enough to the previous one."),
            ),
            _ => Message::new(
                MessageCode::StepCache,
                format!(
                    "{setting} reused an earlier step for {reused} of {all} passes through the model: faster, but with a \
                     different result."
                ),
            )
            .with("reused", reused)
            .with("passes", all),
        };
        notes.push(note.with("percent", percent.round()));
    }
    notes
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

/// The layers at the model's size, which the worker scales up. For an `auto` number, without empty and duplicate ones.
fn finish(input: &RgbaImage, output: Output, params: &Params) -> Result<engine::Output, EngineError> {
    let (width, height) = output.layers.first().map_or((0, 0), RgbaImage::dimensions);
    let mut notes = Vec::new();
    if let Some(caption) = &output.caption {
        let text = format!("No prompt was given; the model described the picture as: {caption}");
        notes.push(Message::new(MessageCode::Captioned, text).with("caption", caption.as_str()));
    }
    if let LayerCount::Exactly(asked) = params.num_layers
        && asked > engine::MODEL_LAYERS
    {
        let most = engine::MODEL_LAYERS;
        let text = format!("{asked} layers were asked for; this engine makes at most {most}.");
        let note = Message::new(MessageCode::MostLayers, text).with("engine", EngineName::Qwen.to_string());
        notes.push(note.with("asked", asked).with("most", most));
    }
    let internal = |error: &dyn std::error::Error| failed(FailureCode::EngineFailed, error.to_string());
    let mut made = Vec::new();
    for (index, picture) in output.layers.into_iter().enumerate() {
        let (name, kind) = match index {
            0 => ("Background".to_owned(), Kind::Background),
            _ => (format!("Layer {index}"), Kind::Object),
        };
        made.push(Layer::new(name, kind, picture));
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

pub(super) fn failed(code: FailureCode, message: String) -> EngineError {
    EngineError::failed(code, message)
}

pub(super) fn engine_error(error: Error) -> EngineError {
    match error {
        Error::Stopped => Stopped.into(),
        // A missing file stays missing; a failing disk may recover.
        Error::File { ref source, .. } if source.kind() != ErrorKind::NotFound && is_environment(source) => {
            EngineError::Environment { message: advice::model(&error) }
        }
        other => failed(FailureCode::EngineFailed, advice::model(&other)),
    }
}
