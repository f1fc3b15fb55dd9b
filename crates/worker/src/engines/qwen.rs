//! Qwen-Image-Layered, run by crate `qwen-image-layered`.

use std::ops::ControlFlow;
use std::time::Duration;

use image::RgbaImage;
use jobs::broker::EngineOffer;
use jobs::{CaptionLanguage, EngineChoice, FailureCode, LayerCount, Params, Resolution};
use layers::{Filter, Kind, Layer, LayerStack, Report, Thresholds};
use qwen_image_layered::text::Language;
use qwen_image_layered::{Error, Output, Pipeline, Progress, Stage, read_latents};

use super::Missing;
use crate::analysis::LocalAnalyzer;
use crate::config::Config;
use crate::engine::{Decomposition, Engine, EngineError, EngineJob, ProgressSink, Step, Stopped};
use crate::memory::{free_bytes, human_bytes};
use crate::model::{DeviceChoice, Located, ModelConfig, Precision};

/// What is asked for when the job leaves the number of layers to the engine; what is empty or repeated is dropped.
const AUTO_LAYERS: usize = 6;

/// Alpha (0 to 255) that the decoder leaves where a layer has nothing.
const FAINT: u8 = 8;

/// The engine; the model is loaded by its first job.
pub(super) struct Qwen {
    config: ModelConfig,
    memory_limit: Option<u64>,
    located: Located,
    device: DeviceChoice,
    analyzer_limit: Duration,
    pipeline: Option<Pipeline>,
}

/// Looks whether weights and device are there, without loading anything.
pub(super) fn probe(config: &Config) -> Result<EngineOffer, Missing> {
    Qwen::new(config).map(|engine| engine.offer())
}

impl Qwen {
    /// # Errors
    /// When the weights are not there or the device cannot be used.
    pub(super) fn new(config: &Config) -> Result<Self, Missing> {
        let model = config.model.clone();
        let located = model.locate().map_err(|absent| Missing { why: absent.why, fix: absent.fix })?;
        let device = model.device.settled();
        device.open().map_err(|why| Missing { why, fix: "set DEVICE or --device to what is here".to_owned() })?;
        let (memory_limit, analyzer_limit) = (config.job_memory_limit, config.analyzer.timeout);
        Ok(Self { config: model, memory_limit, located, device, analyzer_limit, pipeline: None })
    }

    fn loaded(&mut self, progress: &mut dyn ProgressSink) -> Result<&Pipeline, EngineError> {
        if self.pipeline.is_none() {
            progress.step(Step { stage: "load", step: 0, total: 1, fraction: 0.0 })?;
            self.check_memory()?;
            let device = self.device.open().map_err(|message| failed(FailureCode::EngineUnavailable, message))?;
            let pipeline = Pipeline::load(&self.located.files, self.config.precision.into(), &device);
            self.pipeline = Some(pipeline.map_err(explain)?);
            progress.step(Step { stage: "load", step: 1, total: 1, fraction: 0.0 })?;
        }
        self.pipeline.as_ref().ok_or_else(|| failed(FailureCode::EngineFailed, "the model is not loaded".to_owned()))
    }

    /// Refuses weights that do not fit before reading tens of gigabytes of them.
    fn check_memory(&self) -> Result<(), EngineError> {
        if self.device != DeviceChoice::Cpu {
            return Ok(());
        }
        // bf16 and fp8 files are widened to f32 where that is asked for; quantised matrices stay as they are.
        let widened = self.config.precision == Precision::F32 && self.located.files.transformer.is_none();
        let needed = self.located.bytes() * if widened { 2 } else { 1 };
        let free = self.memory_limit.or_else(free_bytes).unwrap_or(u64::MAX);
        if needed <= free {
            return Ok(());
        }
        let message = format!(
            "the weights need about {} of memory in {}, {} are free; pull a smaller variant (unflatten pull --variant \
             q4_k_m), give the machine more memory, or use --engine draft",
            human_bytes(needed),
            self.config.precision,
            human_bytes(free)
        );
        Err(failed(FailureCode::OutOfMemory, message))
    }
}

impl Engine for Qwen {
    fn offer(&self) -> EngineOffer {
        let variant = self.located.variant.map(|variant| format!(" ({variant})")).unwrap_or_default();
        EngineOffer {
            name: EngineChoice::Qwen,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: Some(format!("{}{variant}", self.config.name)),
            device: self.device.to_string(),
            max_layers: jobs::MAX_LAYERS,
            uses_prompt: true,
        }
    }

    fn model_revision(&self) -> Option<String> {
        self.located.revision.clone()
    }

    fn memory_bytes(&self, width: u32, height: u32, params: &Params) -> u64 {
        let layers = layers_of(params) as u64;
        // Each layer at the input's size: in the stack, while it is made exact, and while it is encoded.
        let stack = 3 * 4 * u64::from(width) * u64::from(height) * (layers + 1);
        if self.device != DeviceChoice::Cpu {
            return stack;
        }
        let side = u64::from(params.resolution.unwrap_or(Resolution(640)).0);
        // About sixteen rows of 3072 values in f32 for each token of a block, and 8 maps of 96 channels in the decoder.
        let tokens = (layers + 2) * (side / 16).pow(2);
        let block = tokens * 3072 * 4 * 16;
        let decoder = side.pow(2) * 96 * 4 * 8;
        stack + block.max(decoder)
    }

    fn decompose(
        &mut self,
        job: &EngineJob<'_>,
        progress: &mut dyn ProgressSink,
    ) -> Result<Decomposition, EngineError> {
        let EngineJob { input, params, describe, .. } = *job;
        let request = self.request(params)?;
        let dump = self.config.dump.clone();
        let (model, limit) = (self.config.name.clone(), self.analyzer_limit);
        let pipeline = self.loaded(progress)?;
        let mut report = |p: Progress| match progress.step(step(p)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(Stopped) => ControlFlow::Break(()),
        };
        let output = pipeline.decompose(input, &request, &mut report).map_err(explain)?;
        if let Some(path) = dump {
            output.write_dump(&path).map_err(explain)?;
        }
        let mut made = finish(input, output, params)?;
        if describe {
            LocalAnalyzer { pipeline, model: &model, limit }.look(input, &mut made, progress)?;
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
            negative_prompt: if negative.is_empty() { standard.negative_prompt } else { negative.clone() },
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
        })
    }
}

fn layers_of(params: &Params) -> usize {
    match params.num_layers {
        LayerCount::Exactly(n) => n.into(),
        LayerCount::Auto => AUTO_LAYERS,
    }
}

fn step(progress: Progress) -> Step {
    let stage = match progress.stage {
        Stage::Caption => "caption",
        Stage::EncodeText => "encode_text",
        Stage::EncodeImage => "encode_image",
        Stage::Denoise => "denoise",
        Stage::Decode => "decode",
    };
    Step { stage, step: progress.done, total: progress.total, fraction: progress.fraction() }
}

/// The model's layers in its own size; the worker lifts them. Of an `auto` number, only those that say something.
fn finish(input: &RgbaImage, output: Output, params: &Params) -> Result<Decomposition, EngineError> {
    let (width, height) = output.layers.first().map_or((0, 0), RgbaImage::dimensions);
    let mut notes = Vec::new();
    if let Some(caption) = &output.caption {
        notes.push(format!("No prompt was given; the model described the picture so: {caption}"));
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
        notes.extend(pruned.notes);
    }
    Ok(Decomposition { stack, rendering: output.rendering, analysis: None, notes })
}

fn failed(code: FailureCode, message: String) -> EngineError {
    EngineError::Failed { code, message }
}

fn explain(error: Error) -> EngineError {
    match error {
        Error::Stopped => Stopped.into(),
        other => failed(FailureCode::EngineFailed, other.to_string()),
    }
}
