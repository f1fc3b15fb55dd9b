//! From a picture and a prompt to layers, as `QwenImageLayeredPipeline` does it.

mod decomposer;
mod guidance;
mod latents;
mod output;
mod params;

use std::ops::ControlFlow;

use candle_core::{Device, Tensor};
use image::RgbaImage;

pub use decomposer::Decomposer;
pub use output::{Output, PassCount, read_latents};
pub use params::Params;

use crate::placement::TextPlace;
use crate::text::TextEncoder;
use crate::weights::ModelFiles;
use crate::{Degradation, LoadOptions, Monitor, Progress, Result, Stage};

/// Tokens of a prompt that the model sees.
const MAX_PROMPT_TOKENS: usize = 512;

/// The model, of which as much is loaded as its [`Placement`](crate::plan::Placement) says.
///
/// ```no_run
/// use std::ops::ControlFlow;
/// use qwen_image_layered::{LoadOptions, ModelFiles, Params, Pipeline};
///
/// let mut pipeline = Pipeline::load(&ModelFiles::folder("Qwen-Image-Layered"), &LoadOptions::default())?;
/// let picture = image::open("poster.png")?.into_rgba8();
/// let params = Params { layers: 4, prompt: "a summer sale poster".into(), ..Params::default() };
/// let output = pipeline.decompose(&picture, &params, &mut |_| ControlFlow::Continue(()))?;
/// assert_eq!(output.layers.len(), 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pipeline {
    files: ModelFiles,
    options: LoadOptions,
    text_encoder: Option<TextEncoder>,
    decomposer: Option<Decomposer>,
}

/// The encoded prompts.
#[derive(Debug, Clone)]
pub struct Conditioning {
    /// The prompt, (1, words, text dim).
    pub prompt: Tensor,
    /// The negative prompt, (1, words, text dim), which guidance leads away from; `None`: no guidance.
    pub negative: Option<Tensor>,
}

impl Pipeline {
    /// A model that loads its parts as they are needed; nothing is read yet.
    pub fn new(files: ModelFiles, options: LoadOptions) -> Self {
        Self { files, options, text_encoder: None, decomposer: None }
    }

    /// A model whose parts are loaded now, to find at once what is missing or broken. A staged text encoder takes the
    /// place of the other parts, which are then loaded again by [`Pipeline::decompose`]: prefer [`Pipeline::new`] there.
    ///
    /// # Errors
    /// When a file is missing or broken, or the parts do not belong together.
    pub fn load(files: &ModelFiles, options: &LoadOptions) -> Result<Self> {
        let mut pipeline = Self::new(files.clone(), options.clone());
        let mut report = |_| ControlFlow::Continue(());
        let monitor = Monitor::new(&mut report);
        pipeline.decomposer(&monitor)?;
        let width = pipeline.text_encoder(&monitor)?.width();
        pipeline.decomposer(&monitor)?.check_text(width)?;
        Ok(pipeline)
    }

    /// What it was loaded with.
    pub fn options(&self) -> &LoadOptions {
        &self.options
    }

    /// Whether it can caption a picture. Assumed while the text encoder is not loaded.
    pub fn can_caption(&self) -> bool {
        self.text_encoder.as_ref().is_none_or(TextEncoder::can_caption)
    }

    /// What runs slower than it could with the parts that are loaded.
    pub fn degradations(&self) -> Vec<Degradation> {
        let Some(decomposer) = &self.decomposer else { return Vec::new() };
        let kernels = crate::nn::degradations(&self.options.device);
        decomposer.degradation().cloned().into_iter().chain(kernels).collect()
    }

    /// Unloads everything and frees its memory.
    ///
    /// # Errors
    /// When the device fails.
    pub fn unload(&mut self) -> Result<()> {
        (self.text_encoder, self.decomposer) = (None, None);
        // Memory is only free once the device has reached that point of its queue.
        Ok(self.options.device.synchronize()?)
    }

    /// The text encoder, loaded if it is not yet; a staged one takes the place of the decomposer.
    fn text_encoder(&mut self, monitor: &Monitor) -> Result<&TextEncoder> {
        let encoder = match self.text_encoder.take() {
            Some(encoder) => encoder,
            None => {
                if self.options.placement.text == TextPlace::Staged {
                    self.unload()?;
                }
                monitor.step(Stage::LoadText, 0, 1)?;
                let device = match self.options.placement.text {
                    TextPlace::Host => &Device::Cpu,
                    TextPlace::Resident | TextPlace::Staged => &self.options.device,
                };
                TextEncoder::load(&self.files, self.options.dtype, device)?
            }
        };
        Ok(self.text_encoder.insert(encoder))
    }

    /// The decomposer, loaded if it is not yet; it takes the place of a staged text encoder.
    fn decomposer(&mut self, monitor: &Monitor) -> Result<&mut Decomposer> {
        let decomposer = match self.decomposer.take() {
            Some(decomposer) => decomposer,
            None => {
                if self.options.placement.text == TextPlace::Staged {
                    self.unload()?;
                }
                Decomposer::load(&self.files, &self.options, monitor)?
            }
        };
        Ok(self.decomposer.insert(decomposer))
    }

    /// The text encoder's answer to `question` about `picture` (sRGB; transparency is put on white), in at most
    /// `max_tokens` tokens.
    ///
    /// # Errors
    /// As [`Pipeline::decompose`]; also when the files hold no vision tower.
    pub fn ask(
        &mut self,
        picture: &RgbaImage,
        question: &str,
        max_tokens: usize,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<String> {
        let monitor = Monitor::new(progress);
        self.text_encoder(&monitor)?.ask(picture, question, max_tokens, &monitor)
    }

    /// Decomposes `picture` (sRGB, straight alpha; opaque pictures have alpha 255).
    ///
    /// `progress` is called often, also within a step, and stops the work by returning `Break`.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) when `progress` broke, [`Error::Input`](crate::Error::Input) when parameters are out of range,
    /// otherwise what went wrong.
    pub fn decompose(
        &mut self,
        picture: &RgbaImage,
        params: &Params,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Output> {
        params.check()?;
        let monitor = Monitor::new(progress);
        let picture = params.resized(picture)?;
        let (conditioning, caption) = read(self.text_encoder(&monitor)?, &picture, params, &monitor)?;
        let conditioning = conditioning.to_device(&self.options.device)?;
        let output = self.decomposer(&monitor)?.run(&picture, &conditioning, params, &monitor)?;
        Ok(Output { caption, ..output })
    }
}

/// Encodes the prompt, or the caption that the text encoder writes.
fn read(
    encoder: &TextEncoder,
    picture: &RgbaImage,
    params: &Params,
    monitor: &Monitor,
) -> Result<(Conditioning, Option<String>)> {
    let mut caption = None;
    if params.wants_caption() {
        caption = Some(encoder.caption(picture, params.caption_language, monitor)?);
    }
    let total = if params.uses_guidance() { 2 } else { 1 };
    let encode = |prompt: &str, index: usize| {
        monitor.step(Stage::EncodeText, index, total)?;
        encoder.encode(prompt, MAX_PROMPT_TOKENS, monitor)
    };
    let prompt = encode(caption.as_deref().unwrap_or(&params.prompt), 0)?;
    let negative = if total == 2 { Some(encode(&params.negative_prompt, 1)?) } else { None };
    Ok((Conditioning { prompt, negative }, caption))
}

impl Conditioning {
    fn to_device(&self, device: &Device) -> Result<Self> {
        let negative = self.negative.as_ref().map(|negative| negative.to_device(device)).transpose()?;
        Ok(Self { prompt: self.prompt.to_device(device)?, negative })
    }
}
