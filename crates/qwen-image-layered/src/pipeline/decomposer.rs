use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use image::RgbaImage;

use super::{Conditioning, Output, Params, PassCount, guidance, latents};
use crate::sampler::Sampling;
use crate::scheduler::{Schedule, SchedulerConfig};
use crate::transformer::{BlockOptions, FrameGrid, Step, StepCache, Transformer, TransformerConfig};
use crate::vae::{Vae, VaeConfig};
use crate::weights::{ModelFiles, Part, Weights, read_json};
use crate::{Degradation, Error, LoadOptions, Monitor, Result, Stage, finite, randn};

/// The pipeline without its text encoder: from a picture and an encoded prompt to layers.
pub struct Decomposer {
    transformer: Transformer,
    vae: Vae,
    scheduler: SchedulerConfig,
    dtype: DType,
    device: Device,
}

impl Decomposer {
    /// Loads the transformer, the autoencoder and the schedule. The monitor gets the progress.
    ///
    /// # Errors
    /// As [`Pipeline::load`](crate::Pipeline::load), and when the monitor says stop.
    pub fn load(files: &ModelFiles, options: &LoadOptions, monitor: &Monitor) -> Result<Self> {
        let LoadOptions { dtype, device, placement, matmul_precision } = options;
        let folder = |name: &str| files.folder.join(name);
        let weights = |part| Ok::<_, Error>(Weights::new(Arc::new(files.open(part)?), *dtype, device));
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

        monitor.step(Stage::LoadTransformer, 0, config.num_layers)?;
        let vae = Vae::load(&vae_config, &weights(Part::Vae)?)?;
        let blocks = BlockOptions { place: placement.blocks, matmul_precision: *matmul_precision };
        let transformer = Transformer::load_with(&config, &weights(Part::Transformer)?, blocks, monitor)?;
        Ok(Self { transformer, vae, scheduler, dtype: *dtype, device: device.clone() })
    }

    /// See [`Transformer::degradation`].
    pub fn degradation(&self) -> Option<&Degradation> {
        self.transformer.degradation()
    }

    /// Takes the LoRAs of `params`, encodes `picture`, which has its working size ([`Params::resized`]), denoises and decodes.
    /// The prompts of `params` are ignored, and there is no guidance without `conditioning.negative`.
    ///
    /// # Errors
    /// As [`Pipeline::decompose`](crate::Pipeline::decompose).
    pub fn run(
        &mut self,
        picture: &RgbaImage,
        conditioning: &Conditioning,
        params: &Params,
        monitor: &Monitor,
    ) -> Result<Output> {
        params.check()?;
        self.transformer.set_loras(&params.loras)?;
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
        let mut cache = (params.step_cache > 0.0).then(|| StepCache::new(params.step_cache));
        let (mut passes, mut called) = (PassCount::default(), 0);
        let mut sampling = Sampling::new(params.sampler, &schedule)?;
        let calls = params.sampler.calls(schedule.steps());
        for index in 0..schedule.steps() {
            let mut texts = vec![&conditioning.prompt];
            texts.extend(conditioning.negative.as_ref().filter(|_| index < params.guided_steps()));
            let mut velocity = |tokens: &Tensor, timestep: f32| {
                monitor.step(Stage::Denoise, called, calls)?;
                called += 1;
                passes.all += texts.len();
                let step = Step { sigma: self.model_time(timestep), grid, monitor };
                self.predict([tokens, &condition], &texts, cache.as_mut(), &step, params)
            };
            tokens = sampling.step(index, &tokens, &mut velocity)?;
            finite::check(&tokens, "transformer")?;
            keep(format!("step{index}"), &tokens)?;
        }
        passes.reused = cache.map_or(0, |cache| cache.reused());
        let (layers, rendering, images) = self.decode(&tokens, grid, params, monitor)?;
        if params.keep_intermediates {
            keep("images".into(), &Tensor::stack(&images, 0)?)?;
        }
        Ok(Output { layers, rendering, caption: None, seed: params.seed, passes, intermediates })
    }

    /// `found`: values per token that the text encoder returns.
    pub(super) fn check_text(&self, found: usize) -> Result<()> {
        let expected = self.transformer.config().joint_attention_dim;
        if found != expected {
            return Err(Error::Input(format!(
                "the text encoder returns {found} values per token, the transformer takes {expected}; \
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

    /// The noise level that the model gets for `timestep`: a thousandth of it, rounded twice in bf16 as in the reference.
    fn model_time(&self, timestep: f32) -> f32 {
        let round = |value: f32| match self.dtype {
            DType::BF16 => half::bf16::from_f32(value).to_f32(),
            _ => value,
        };
        round(round(timestep) / 1000.0)
    }

    /// The velocity of the noisy frames, guided where `texts` has a second one.
    fn predict(
        &self,
        [tokens, condition]: [&Tensor; 2],
        texts: &[&Tensor],
        cache: Option<&mut StepCache>,
        step: &Step,
        params: &Params,
    ) -> Result<Tensor> {
        let count = tokens.dim(1)?;
        let input = Tensor::cat(&[tokens, condition], 1)?;
        let mut predictions = Vec::new();
        for prediction in self.transformer.forward_each(&input, texts, params.passes, cache, step)? {
            predictions.push(prediction.narrow(1, 0, count)?);
        }
        match predictions.as_slice() {
            [positive, negative] => guidance::combine(positive, negative, params.guidance, params.cfg_normalize),
            _ => Ok(predictions.remove(0)),
        }
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
