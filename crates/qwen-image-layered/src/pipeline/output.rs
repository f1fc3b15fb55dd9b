use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{Device, Tensor};
use image::RgbaImage;

use crate::{Error, Result, finite};

/// The result of a run.
#[derive(Debug, Clone)]
pub struct Output {
    /// The layers, the lowest first: straight alpha, all of the working size. Composited in order they give the picture
    /// back.
    pub layers: Vec<RgbaImage>,
    /// The model's own rendering of the whole picture, if asked for. It shows how well the model understood the input and
    /// is not part of the result.
    pub rendering: Option<RgbaImage>,
    /// The prompt that the model wrote, when none was given.
    pub caption: Option<String>,
    /// The seed of the starting noise.
    pub seed: u64,
    /// Passes through the transformer.
    pub passes: PassCount,
    /// Tensors of every stage, if asked for: `prompt_embeds`, `negative_embeds` (with guidance), `image_latents`, `latents0`,
    /// `step0`, `step1`, ... (the latents after each step) and `images` (layers, 4, h, w) in 0..1.
    pub intermediates: BTreeMap<String, Tensor>,
}

/// A number of passes through the transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PassCount {
    /// All of them: one a step, two in a guided one.
    pub all: usize,
    /// Those of which step caching skipped all but the first block.
    pub reused: usize,
}

impl Output {
    /// Writes the intermediates as safetensors, with caption and seed as metadata.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_dump(&self, path: &Path) -> Result<()> {
        let mut metadata = HashMap::from([("seed".to_owned(), self.seed.to_string())]);
        if let Some(caption) = &self.caption {
            metadata.insert("caption".to_owned(), caption.clone());
        }
        let write = |error: safetensors::SafeTensorError| Error::Checkpoint {
            path: path.to_owned(),
            reason: format!("the dump cannot be written: {error}; check the folder and the free space"),
        };
        safetensors::serialize_to_file(&self.intermediates, Some(metadata), path).map_err(write)
    }
}

/// Reads starting noise: a safetensors file with the tensor `latents` of finite numbers.
///
/// # Errors
/// When the file cannot be read or has no such tensor.
pub fn read_latents(path: &Path) -> Result<Tensor> {
    let broken = |reason: String| Error::Checkpoint { path: path.to_owned(), reason };
    let form = "save the noise with safetensors as a tensor `latents` of shape [1, (layers + 1) * h/16 * w/16, 64]";
    std::fs::File::open(path).map_err(|error| broken(format!("cannot be read: {error}; check the path")))?;
    let mut tensors = candle_core::safetensors::load(path, &Device::Cpu)
        .map_err(|error| broken(format!("is not a safetensors file ({error}); {form}")))?;
    let latents = tensors.remove("latents").ok_or_else(|| broken(format!("has no tensor `latents`; {form}")))?;
    if !latents.dtype().is_float() {
        return Err(broken(format!("holds `latents` as {}; save them as f32 or bf16", latents.dtype().as_str())));
    }
    finite::check(&latents, "noise")
        .map_err(|_| broken(format!("holds values that are not finite numbers; {form}")))?;
    Ok(latents)
}
