//! Prompt encoding and captioning with Qwen2.5-VL.

use candle_core::{DType, Device, Tensor};
use image::RgbaImage;

use crate::{Monitor, Result};

/// In which language a caption is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    #[default]
    English,
    Chinese,
}

/// The text side of the pipeline: tokenizer, text model and, for captions, the vision tower.
pub struct TextEncoder {}

/// Which files the text side is loaded from.
#[derive(Debug, Clone)]
pub struct TextFiles {
    /// The published model folder with `text_encoder/`, `tokenizer/` and `processor/`.
    pub folder: std::path::PathBuf,
    /// Another packaging of the text model (ComfyUI single file or GGUF) in place of `text_encoder/`'s weights.
    pub text_model: Option<std::path::PathBuf>,
    /// The GGUF vision tower (mmproj) that goes with a GGUF text model.
    pub vision_model: Option<std::path::PathBuf>,
}

impl TextEncoder {
    /// # Errors
    /// When a file is missing or broken, or config and weights do not fit.
    pub fn load(_files: &TextFiles, _dtype: DType, _device: &Device) -> Result<Self> {
        todo!("qwen-b")
    }

    /// Encodes `prompt` inside the pipeline's template: (1, n, hidden), the
    /// template's 34 leading positions dropped, at most `max_tokens` (512) of the rest.
    ///
    /// # Errors
    /// When the prompt cannot be tokenised, on a device failure, or on [`crate::Error::Stopped`].
    pub fn encode(&self, _prompt: &str, _max_tokens: usize, _monitor: &Monitor) -> Result<Tensor> {
        todo!("qwen-b")
    }

    /// Describes `picture` (already at the pipeline's size, straight alpha, opaque for
    /// RGB inputs) as the reference does: greedy, at most 512 tokens, stripped.
    /// Reports `Stage::Caption` per token.
    ///
    /// # Errors
    /// As [`TextEncoder::encode`].
    pub fn caption(&self, _picture: &RgbaImage, _language: Language, _monitor: &Monitor) -> Result<String> {
        todo!("qwen-b")
    }
}
