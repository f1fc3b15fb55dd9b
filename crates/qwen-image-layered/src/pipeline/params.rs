use candle_core::Tensor;
use image::RgbaImage;

use crate::placement::Passes;
use crate::text::Language;
use crate::{Error, LoraUse, Result, Sampler, lanczos, working_size};

/// The parameters of a decomposition. The defaults are those of the published example.
#[derive(Debug, Clone)]
pub struct Params {
    /// Describes the whole picture, hidden parts included. Empty or a single space: the model writes it itself.
    pub prompt: String,
    /// The prompt that guidance leads away from.
    pub negative_prompt: String,
    /// Number of layers, 1 to 10.
    pub layers: usize,
    /// Denoising steps, 1 to 1000.
    pub steps: usize,
    /// How the steps are taken.
    pub sampler: Sampler,
    /// Scale of classifier-free guidance, up to 100; up to 1 there is none, and a step costs half.
    pub guidance: f64,
    /// Whether guidance keeps the L2 norm of each token.
    pub cfg_normalize: bool,
    /// Root of the number of pixels that the model works on: 640 or 1024;
    /// other multiples of 32 from 64 to 2048 run, but the model was not made for them.
    pub resolution: u32,
    /// Share of the steps, from the first on, that are guided, 0 to 1; the others take one pass and half the time. The
    /// model was made for 1; less costs quality.
    pub guided_share: f64,
    /// Threshold of step caching, 0 to 1: if the residual of the first block changed by less than this (relative L1), the
    /// other blocks of the step are skipped and their residual is taken from the step before. 0 computes every step;
    /// more costs quality.
    pub step_cache: f64,
    /// How the two passes of a guided step go through the model; the layers differ only by how sums are rounded.
    pub passes: Passes,
    /// LoRAs of this run; the model does not keep them for the next one.
    pub loras: Vec<LoraUse>,
    /// Language of the prompt that the model writes itself.
    pub caption_language: Language,
    /// As for `torch.Generator("cpu").manual_seed(seed)`: the same seed and dtype give the same layers as in diffusers.
    pub seed: u64,
    /// Noise to start from instead of the seed's: (1, (layers + 1) * h/16 * w/16, 64).
    pub init_latents: Option<Tensor>,
    /// Whether to decode the model's own rendering of the whole picture too.
    pub rendering: bool,
    /// Whether [`Output::intermediates`](crate::Output::intermediates) is filled.
    pub keep_intermediates: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            prompt: String::new(),
            negative_prompt: " ".to_owned(),
            layers: 4,
            steps: 50,
            sampler: Sampler::Euler,
            guidance: 4.0,
            cfg_normalize: true,
            resolution: 640,
            guided_share: 1.0,
            step_cache: 0.0,
            passes: Passes::Sequential,
            loras: Vec::new(),
            caption_language: Language::English,
            seed: 0,
            init_latents: None,
            rendering: true,
            keep_intermediates: false,
        }
    }
}

impl Params {
    /// Checks that all values are within their ranges.
    ///
    /// # Errors
    /// When one is not.
    pub fn check(&self) -> Result<()> {
        let reject = |text: String| Err(Error::Input(text));
        if !(1..=10).contains(&self.layers) {
            return reject(format!("{} layers were asked for; 1 to 10 are possible", self.layers));
        }
        if !(1..=1000).contains(&self.steps) {
            return reject(format!("{} steps were asked for; 1 to 1000 are possible", self.steps));
        }
        if !self.guidance.is_finite() || self.guidance.abs() > 100.0 {
            return reject(format!("a guidance of {} was asked for; choose one from 0 to 100", self.guidance));
        }
        if !(0.0..=1.0).contains(&self.guided_share) {
            return reject(format!("a guided share of {} was asked for; choose one from 0 to 1", self.guided_share));
        }
        if !(0.0..=1.0).contains(&self.step_cache) {
            return reject(format!("a step cache of {} was asked for; choose one from 0 (off) to 1", self.step_cache));
        }
        if !(64..=2048).contains(&self.resolution) || !self.resolution.is_multiple_of(32) {
            let resolution = self.resolution;
            return reject(format!(
                "a resolution of {resolution} was asked for; choose 640 or 1024, or another multiple of 32"
            ));
        }
        self.loras.iter().try_for_each(LoraUse::check)
    }

    /// `picture` at the size that the model works on.
    ///
    /// # Errors
    /// When it is too narrow for the resolution.
    pub fn resized(&self, picture: &RgbaImage) -> Result<RgbaImage> {
        let (width, height) = working_size(picture.width(), picture.height(), self.resolution)?;
        lanczos(picture, width, height)
    }

    /// Whether the model is to write the prompt.
    pub fn wants_caption(&self) -> bool {
        self.prompt.is_empty() || self.prompt == " "
    }

    /// Whether a step takes two passes through the transformer.
    pub fn uses_guidance(&self) -> bool {
        self.guided_steps() > 0
    }

    /// How many of the first steps take two passes.
    pub fn guided_steps(&self) -> usize {
        if self.guidance > 1.0 { (self.guided_share * self.steps as f64).round() as usize } else { 0 }
    }
}
