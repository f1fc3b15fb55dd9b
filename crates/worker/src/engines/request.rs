//! From the parameters of a job to those of the model.

use engine::{CaptionLanguage, EngineError, FailureCode, LayerCount, LoraRecord, Params, Sampler};
use qwen_image_layered::text::Language;
use qwen_image_layered::{LoraUse, read_latents};

use super::qwen::{engine_error, failed};
use crate::model::ModelConfig;
use crate::model::loras::{self, OpenLoras};

/// Layers to generate for an `auto` number; empty and duplicate ones are dropped afterwards.
const AUTO_LAYERS: usize = 6;

/// Opens the LoRAs that a job names and those of the command line.
fn open_all(
    params: &Params,
    config: &ModelConfig,
    open: &mut OpenLoras,
) -> Result<(Vec<LoraUse>, Vec<LoraRecord>), EngineError> {
    let mut wanted = Vec::new();
    for lora in &params.loras {
        let path =
            loras::find(&config.lora_dir, &lora.name).map_err(|message| failed(FailureCode::EngineFailed, message))?;
        wanted.push((lora.name.clone(), path, lora.strength));
    }
    for lora in &config.loras {
        let name = lora.path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        wanted.push((name, lora.path.clone(), lora.strength));
    }
    let (mut uses, mut records) = (Vec::new(), Vec::new());
    for (name, path, strength) in wanted {
        let (lora, sha256) = open.open(&path).map_err(engine_error)?;
        uses.push(LoraUse { lora, strength: f64::from(strength) });
        records.push(LoraRecord { name, strength, sha256 });
    }
    Ok((uses, records))
}

/// Converts the parameters of a job to those of the model; also what LoRAs these are.
pub(super) fn of_job(
    params: &Params,
    config: &ModelConfig,
    open: &mut OpenLoras,
) -> Result<(qwen_image_layered::Params, Vec<LoraRecord>), EngineError> {
    let (loras, records) = open_all(params, config, open)?;
    let standard = qwen_image_layered::Params::default();
    let negative = &params.negative_prompt;
    let init_latents = config.init_latents.as_deref().map(read_latents).transpose().map_err(engine_error)?;
    let request = qwen_image_layered::Params {
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
        keep_intermediates: config.dump.is_some(),
        guided_share: f64::from(config.guided_steps_percent) / 100.0,
        step_cache: f64::from(config.step_cache_percent) / 100.0,
        sampler: match params.sampler {
            Sampler::Euler => qwen_image_layered::Sampler::Euler,
            Sampler::Heun => qwen_image_layered::Sampler::Heun,
            Sampler::Unipc => qwen_image_layered::Sampler::UniPc,
            Sampler::Dpmpp2m => qwen_image_layered::Sampler::DpmPp2m,
        },
        loras,
        // The plan sets the order of the passes.
        ..standard
    };
    Ok((request, records))
}

pub(super) fn layers_of(params: &Params) -> usize {
    match params.num_layers {
        LayerCount::Exactly(n) => n.min(engine::MODEL_LAYERS).into(),
        LayerCount::Auto => AUTO_LAYERS,
    }
}
