//! From a picture and a prompt to layers, as `QwenImageLayeredPipeline` does it.

mod latents;
mod output;
mod params;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use image::RgbaImage;

pub use output::{Output, read_latents};
pub use params::{ModelFiles, Params};

use crate::scheduler::{Schedule, SchedulerConfig};
use crate::text::{TextEncoder, TextFiles};
use crate::transformer::{FrameGrid, Step, Transformer, TransformerConfig};
use crate::vae::{Vae, VaeConfig};
use crate::weights::{Checkpoint, Part, Weights, read_json};
use crate::{Error, Monitor, Progress, Result, Stage, finite, randn};

/// Tokens of a prompt that the model sees.
const MAX_PROMPT_TOKENS: usize = 512;

/// The loaded model.
pub struct Pipeline {
    text_encoder: TextEncoder,
    decomposer: Decomposer,
}

/// The pipeline without its text side: callers that are short of memory encode with a
/// [`TextEncoder`], drop it, and load this after it.
pub struct Decomposer {
    transformer: Transformer,
    vae: Vae,
    scheduler: SchedulerConfig,
    dtype: DType,
    device: Device,
}

/// What the model is told about the picture.
#[derive(Debug, Clone)]
pub struct Conditioning {
    /// (1, words, text dim)
    pub prompt: Tensor,
    /// What guidance leads away from; `None`: no guidance.
    pub negative: Option<Tensor>,
}

impl Pipeline {
    /// Loads the model to compute in `dtype` (f32 or bf16) on `device`.
    ///
    /// # Errors
    /// When a file is missing or broken, or the parts do not belong together.
    pub fn load(files: &ModelFiles, dtype: DType, device: &Device) -> Result<Self> {
        let text = TextFiles {
            folder: files.folder.clone(),
            text_model: files.text_model.clone(),
            vision_model: files.vision_model.clone(),
        };
        let decomposer = Decomposer::load(files, dtype, device)?;
        let text_encoder = TextEncoder::load(&text, dtype, device)?;
        decomposer.check_text(text_encoder.width())?;
        Ok(Self { text_encoder, decomposer })
    }

    /// Whether it can write a prompt itself.
    pub fn can_caption(&self) -> bool {
        self.text_encoder.can_caption()
    }

    /// What the text encoder answers to `question` about `picture` (sRGB; transparency is laid on white), in at most
    /// `max_tokens` tokens.
    ///
    /// # Errors
    /// As [`Pipeline::decompose`]; also when the files hold no vision tower.
    pub fn ask(
        &self,
        picture: &RgbaImage,
        question: &str,
        max_tokens: usize,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<String> {
        self.text_encoder.ask(picture, question, max_tokens, &Monitor::new(progress))
    }

    /// Decomposes `picture` (sRGB, straight alpha; opaque pictures have alpha 255).
    ///
    /// `progress` is called often, also from within a step, and ends the work by breaking.
    ///
    /// # Errors
    /// [`Error::Stopped`] when `progress` broke, [`Error::Input`] when parameters are out of range,
    /// otherwise what went wrong.
    pub fn decompose(
        &self,
        picture: &RgbaImage,
        params: &Params,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Output> {
        params.check()?;
        let monitor = Monitor::new(progress);
        let picture = params.resized(picture)?;
        let mut caption = None;
        if params.wants_caption() {
            caption = Some(self.text_encoder.caption(&picture, params.caption_language, &monitor)?);
        }
        let prompt = caption.as_deref().unwrap_or(&params.prompt);
        let conditioning = self.encode_prompts(prompt, params, &monitor)?;
        let output = self.decomposer.run(&picture, &conditioning, params, &monitor)?;
        Ok(Output { caption, ..output })
    }

    fn encode_prompts(&self, prompt: &str, params: &Params, monitor: &Monitor) -> Result<Conditioning> {
        let total = if params.uses_guidance() { 2 } else { 1 };
        let encode = |prompt: &str, index: usize| {
            monitor.step(Stage::EncodeText, index, total)?;
            self.text_encoder.encode(prompt, MAX_PROMPT_TOKENS, monitor)
        };
        let prompt = encode(prompt, 0)?;
        let negative = if total == 2 { Some(encode(&params.negative_prompt, 1)?) } else { None };
        Ok(Conditioning { prompt, negative })
    }
}

impl Decomposer {
    /// # Errors
    /// As [`Pipeline::load`].
    pub fn load(files: &ModelFiles, dtype: DType, device: &Device) -> Result<Self> {
        let folder = |name: &str| files.folder.join(name);
        let weights = |single: &Option<PathBuf>, name: &str, part| -> Result<Weights> {
            let checkpoint = Checkpoint::open(single.as_ref().unwrap_or(&folder(name)), part)?;
            Ok(Weights::new(Arc::new(checkpoint), dtype, device))
        };
        let path = folder("scheduler/scheduler_config.json");
        let scheduler: SchedulerConfig = read_json(&path)?;
        scheduler.check().map_err(|error| Error::Checkpoint { path, reason: error.to_string() })?;

        let path = folder("vae/config.json");
        let vae_config: VaeConfig = read_json(&path)?;
        vae_config.check(&path)?;
        let path = folder("transformer/config.json");
        let config: TransformerConfig = read_json(&path)?;
        config.check(&path)?;
        check_fit(&path, &config, &vae_config)?;

        let vae = Vae::load(&vae_config, &weights(&files.vae, "vae", Part::Vae)?)?;
        let transformer = Transformer::load(&config, &weights(&files.transformer, "transformer", Part::Transformer)?)?;
        Ok(Self { transformer, vae, scheduler, dtype, device: device.clone() })
    }

    /// Encodes `picture`, which has its working size ([`Params::resized`]), denoises and decodes.
    /// Prompt fields of `params` are not looked at, and no guidance without `conditioning.negative`.
    ///
    /// # Errors
    /// As [`Pipeline::decompose`].
    pub fn run(
        &self,
        picture: &RgbaImage,
        conditioning: &Conditioning,
        params: &Params,
        monitor: &Monitor,
    ) -> Result<Output> {
        params.check()?;
        let mut intermediates = BTreeMap::new();
        let mut keep = |name: String, tensor: &Tensor| -> Result<()> {
            if params.keep_intermediates {
                intermediates.insert(name, tensor.to_device(&Device::Cpu)?);
            }
            Ok(())
        };
        self.check_text(conditioning.prompt.dims3()?.2)?;
        keep("prompt_embeds".into(), &conditioning.prompt)?;
        if let Some(negative) = &conditioning.negative {
            keep("negative_embeds".into(), negative)?;
        }

        monitor.step(Stage::EncodeImage, 0, 1)?;
        let image = latents::from_picture(picture, self.dtype, &self.device)?;
        let condition = self.vae.encode(&image, monitor)?; // (1, c, h/8, w/8)
        finite::check(&condition, "autoencoder")?;
        let (_, _, height, width) = condition.dims4()?;
        let grid = FrameGrid { frames: params.layers + 1, rows: height / 2, columns: width / 2 };
        let condition = latents::pack(&condition)?;
        keep("image_latents".into(), &condition)?;

        let mut tokens = self.noise(params, grid)?;
        keep("latents0".into(), &tokens)?;
        let schedule = Schedule::new(&self.scheduler, params.steps, grid.rows * grid.columns)?;
        for index in 0..schedule.steps() {
            monitor.step(Stage::Denoise, index, schedule.steps())?;
            let sigma = self.model_time(schedule.timesteps()[index]);
            let step = Step { sigma, grid, monitor, part: [0.0, 1.0] };
            let prediction = self.predict([&tokens, &condition], conditioning, &step, params)?;
            tokens = schedule.step(index, &prediction, &tokens)?;
            finite::check(&tokens, "transformer")?;
            keep(format!("step{index}"), &tokens)?;
        }
        let (layers, rendering, images) = self.decode(&tokens, grid, params, monitor)?;
        if params.keep_intermediates {
            keep("images".into(), &Tensor::stack(&images, 0)?)?;
        }
        Ok(Output { layers, rendering, caption: None, seed: params.seed, intermediates })
    }

    /// `found`: values that the text encoder gives a token.
    fn check_text(&self, found: usize) -> Result<()> {
        let expected = self.transformer.config().joint_attention_dim;
        if found != expected {
            return Err(Error::Input(format!(
                "the text encoder gives {found} values a token, the transformer takes {expected}; \
                 they do not belong together"
            )));
        }
        Ok(())
    }

    /// The starting noise as tokens (1, frames * rows * columns, 4 c).
    fn noise(&self, params: &Params, grid: FrameGrid) -> Result<Tensor> {
        let channels = self.transformer.config().in_channels;
        let FrameGrid { frames, rows, columns } = grid;
        match &params.init_latents {
            None => {
                let shape = (frames, channels / 4, 2 * rows, 2 * columns);
                latents::pack(&randn(shape, params.seed, self.dtype, &self.device)?)
            }
            Some(tokens) => {
                let expected = [1, frames * rows * columns, channels];
                if tokens.dims() != expected {
                    let found = tokens.dims();
                    return Err(Error::Input(format!(
                        "the starting latents have shape {found:?}, these parameters need {expected:?}: make them for \
                         {} layers and pictures of {}x{}, or start from a seed",
                        frames - 1,
                        16 * columns,
                        16 * rows
                    )));
                }
                Ok(tokens.to_device(&self.device)?.to_dtype(self.dtype)?)
            }
        }
    }

    /// What the model is told of `timestep`: the thousandth part, rounded twice in 16 bit like in the reference.
    fn model_time(&self, timestep: f32) -> f32 {
        let round = |value: f32| match self.dtype {
            DType::BF16 => half::bf16::from_f32(value).to_f32(),
            _ => value,
        };
        round(round(timestep) / 1000.0)
    }

    /// The velocity of the noisy frames, guided.
    fn predict(
        &self,
        [tokens, condition]: [&Tensor; 2],
        conditioning: &Conditioning,
        step: &Step,
        params: &Params,
    ) -> Result<Tensor> {
        let count = tokens.dim(1)?;
        let input = Tensor::cat(&[tokens, condition], 1)?;
        let ask = |text: &Tensor, part: [f32; 2]| -> Result<Tensor> {
            Ok(self.transformer.forward(&input, text, &Step { part, ..*step })?.narrow(1, 0, count)?)
        };
        let Some(negative) = &conditioning.negative else { return ask(&conditioning.prompt, [0.0, 1.0]) };
        let positive = ask(&conditioning.prompt, [0.0, 0.5])?;
        let negative = ask(negative, [0.5, 1.0])?;
        latents::guide(&positive, &negative, params.guidance, params.cfg_normalize)
    }

    /// The layers, the rendering, and the layers again as tensors (4, h, w) in 0..1.
    fn decode(
        &self,
        tokens: &Tensor,
        grid: FrameGrid,
        params: &Params,
        monitor: &Monitor,
    ) -> Result<(Vec<RgbaImage>, Option<RgbaImage>, Vec<Tensor>)> {
        let frames = latents::unpack(tokens, grid)?;
        let first = if params.rendering { 0 } else { 1 };
        let total = grid.frames - first;
        let (mut layers, mut rendering, mut images) = (Vec::new(), None, Vec::new());
        for frame in first..grid.frames {
            monitor.step(Stage::Decode, frame - first, total)?;
            let image = self.vae.decode(&frames.narrow(0, frame, 1)?, monitor)?;
            finite::check(&image, "autoencoder")?;
            let image = latents::to_unit(&image)?.to_device(&Device::Cpu)?;
            let picture = latents::to_picture(&image)?;
            if frame == 0 {
                rendering = Some(picture);
            } else {
                layers.push(picture);
                images.push(image);
            }
        }
        monitor.step(Stage::Decode, total, total)?;
        Ok((layers, rendering, images))
    }
}

fn check_fit(path: &Path, config: &TransformerConfig, vae: &VaeConfig) -> Result<()> {
    if config.out_channels != vae.z_dim || !32_usize.is_multiple_of(2 * vae.scale()) {
        let reason = format!(
            "the transformer works on {} latent channels, the autoencoder has {} at a scale of {}; \
             they do not belong together",
            config.out_channels,
            vae.z_dim,
            vae.scale()
        );
        return Err(Error::Checkpoint { path: path.to_owned(), reason });
    }
    Ok(())
}
