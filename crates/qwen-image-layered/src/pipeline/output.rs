use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::Tensor;
use image::RgbaImage;

use crate::{Error, Result};

/// What a run made.
#[derive(Debug, Clone)]
pub struct Output {
    /// Bottom first, straight alpha, all of the working size. Composited in order they give the picture back.
    pub layers: Vec<RgbaImage>,
    /// The model's own rendering of the whole picture, if asked for: how well it understood the
    /// input, and no part of the result.
    pub rendering: Option<RgbaImage>,
    /// The prompt that the model wrote, when none was given.
    pub caption: Option<String>,
    pub seed: u64,
    /// If asked for: `prompt_embeds`, `negative_embeds` (with guidance), `image_latents`, `latents0`,
    /// `step0`, `step1`, ... (the latents after each step) and `images` (layers, 4, h, w) in 0..1.
    pub intermediates: BTreeMap<String, Tensor>,
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

/// Reads starting noise: a safetensors file with the tensor `latents`.
///
/// # Errors
/// When the file cannot be read or has no such tensor.
pub fn read_latents(path: &Path) -> Result<Tensor> {
    let broken = |reason: String| Error::Checkpoint { path: path.to_owned(), reason };
    let mut tensors = candle_core::safetensors::load(path, &candle_core::Device::Cpu)
        .map_err(|error| broken(format!("cannot be read as safetensors: {error}")))?;
    tensors.remove("latents").ok_or_else(|| broken("has no tensor `latents`; write the noise under that name".into()))
}
