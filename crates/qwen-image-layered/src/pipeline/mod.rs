//! From a picture and a prompt to layers, as `QwenImageLayeredPipeline` does it.

mod decomposer;
mod latents;
mod output;
mod params;

use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};
use image::RgbaImage;

pub use decomposer::Decomposer;
pub use output::{Output, PassCount, read_latents};
pub use params::{ModelFiles, Params};

use crate::plan::{Placement, TextPlace};
use crate::text::{TextEncoder, TextFiles};
use crate::{Monitor, Products, Progress, Result, Stage};

/// Tokens of a prompt that the model sees.
const MAX_PROMPT_TOKENS: usize = 512;

/// The model, of which as much is loaded as its [`Placement`] says.
pub struct Pipeline {
    files: ModelFiles,
    placement: Placement,
    products: Products,
    dtype: DType,
    device: Device,
    text_encoder: Option<TextEncoder>,
    decomposer: Option<Decomposer>,
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
        let mut pipeline = Self::placed(files, Placement::default(), dtype, device);
        let mut report = |_| ControlFlow::Continue(());
        let monitor = Monitor::new(&mut report);
        pipeline.decomposer(&monitor)?;
        let width = pipeline.text_encoder(&monitor)?.width();
        pipeline.decomposer(&monitor)?.check_text(width)?;
        Ok(pipeline)
    }

    /// The model under a plan, to be loaded by the first [`Pipeline::decompose`], as far as it stays loaded at all.
    pub fn placed(files: &ModelFiles, placement: Placement, dtype: DType, device: &Device) -> Self {
        let (files, products, device) = (files.clone(), Products::default(), device.clone());
        Self { files, placement, products, dtype, device, text_encoder: None, decomposer: None }
    }

    /// The same, whose transformer's blocks multiply as `products` says.
    #[must_use]
    pub fn multiplying(self, products: Products) -> Self {
        Self { products, ..self }
    }

    pub fn placement(&self) -> Placement {
        self.placement
    }

    /// Whether it can write a prompt itself; of a text encoder that is not loaded now that is assumed.
    pub fn can_caption(&self) -> bool {
        self.text_encoder.as_ref().is_none_or(TextEncoder::can_caption)
    }

    /// What goes slower than it could with what is loaded, and why.
    pub fn remark(&self) -> Option<String> {
        let of_blocks = self.decomposer.as_ref()?.remark().map(str::to_owned);
        let all: Vec<String> = [of_blocks, crate::nn::remark(&self.device)].into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Gives everything that is loaded back to the device.
    ///
    /// # Errors
    /// When the device fails.
    pub fn unload(&mut self) -> Result<()> {
        (self.text_encoder, self.decomposer) = (None, None);
        // A device takes back what is freed when it comes to it.
        Ok(self.device.synchronize()?)
    }

    /// The text encoder, loaded where it is not; one that is staged takes the place of the decomposer.
    fn text_encoder(&mut self, monitor: &Monitor) -> Result<&TextEncoder> {
        let encoder = match self.text_encoder.take() {
            Some(encoder) => encoder,
            None => {
                if self.placement.text == TextPlace::Staged {
                    self.unload()?;
                }
                monitor.step(Stage::LoadText, 0, 1)?;
                let ModelFiles { folder, text_model, vision_model, .. } = self.files.clone();
                let device = match self.placement.text {
                    TextPlace::Host => &Device::Cpu,
                    TextPlace::Resident | TextPlace::Staged => &self.device,
                };
                TextEncoder::load(&TextFiles { folder, text_model, vision_model }, self.dtype, device)?
            }
        };
        Ok(self.text_encoder.insert(encoder))
    }

    /// The decomposer, loaded where it is not; it takes the place of a text encoder that is staged.
    fn decomposer(&mut self, monitor: &Monitor) -> Result<&Decomposer> {
        let decomposer = match self.decomposer.take() {
            Some(decomposer) => decomposer,
            None => {
                if self.placement.text == TextPlace::Staged {
                    self.unload()?;
                }
                let (blocks, products) = (self.placement.blocks, self.products);
                Decomposer::load_as(&self.files, blocks, products, self.dtype, &self.device, monitor)?
            }
        };
        Ok(self.decomposer.insert(decomposer))
    }

    /// What the text encoder answers to `question` about `picture` (sRGB; transparency is laid on white), in at most
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
    /// `progress` is called often, also from within a step, and ends the work by breaking.
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
        let conditioning = conditioning.to_device(&self.device)?;
        let output = self.decomposer(&monitor)?.run(&picture, &conditioning, params, &monitor)?;
        Ok(Output { caption, ..output })
    }
}

/// What the text encoder makes of the prompt, or of the caption that it writes.
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
