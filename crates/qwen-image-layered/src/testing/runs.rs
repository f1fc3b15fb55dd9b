//! The reference's tiny runs in the fixtures, and how close to them is close.

use std::collections::HashMap;
use std::fs;

use candle_core::{DType, Device, Tensor};
use image::RgbaImage;
use serde::Deserialize;

use super::{WHOLE_SALT, fixture, uniform};
use crate::text::Language;
use crate::{Conditioning, Params};

/// A run of the reference from given text embeddings, of `checkpoint("tiny", 7)`: `{name}.safetensors` holds its stages.
#[derive(Debug, Clone, Deserialize)]
pub struct Case {
    /// Stem of its file.
    pub name: String,
    width: u32,
    height: u32,
    alpha: bool,
    resolution: u32,
    /// Number of layers.
    pub layers: usize,
    steps: usize,
    guidance: f64,
    cfg_normalize: bool,
    seed: u64,
    /// Relative error of the reference's own images in bf16; such a case begins with noise in bf16.
    pub bf16_error: Option<f64>,
}

/// A run of the reference's untouched pipeline, text encoder and caption included, of `whole_checkpoint()`.
#[derive(Debug, Clone, Deserialize)]
pub struct WholeCase {
    /// Stem of its file.
    pub name: String,
    prompt: String,
    english: bool,
    /// The caption that the reference wrote.
    pub caption: Option<String>,
}

fn read<T: serde::de::DeserializeOwned>(name: &str) -> Vec<T> {
    serde_json::from_slice(&fs::read(fixture(name)).expect("fixture")).expect("cases")
}

/// All runs from given embeddings.
pub fn cases() -> Vec<Case> {
    read("tiny/cases.json")
}

/// All whole runs.
pub fn whole_cases() -> Vec<WholeCase> {
    read("tiny/whole.json")
}

impl Case {
    /// The input picture.
    pub fn picture(&self) -> RgbaImage {
        picture(self.width, self.height, self.alpha)
    }

    /// The parameters of the run.
    pub fn params(&self) -> Params {
        Params {
            layers: self.layers,
            steps: self.steps,
            guidance: self.guidance,
            cfg_normalize: self.cfg_normalize,
            resolution: self.resolution,
            seed: self.seed,
            keep_intermediates: true,
            ..Params::default()
        }
    }

    /// The text embeddings that the reference was given.
    pub fn conditioning(&self, dtype: DType, device: &Device) -> Conditioning {
        let embeds = |name: &str, words: usize| {
            let embeds = input(name, &[1, words, 64], WHOLE_SALT, 3.0).to_dtype(dtype).expect("on the CPU");
            embeds.to_device(device).expect("a device with memory")
        };
        let negative = (self.guidance > 1.0).then(|| embeds("negative", 5));
        Conditioning { prompt: embeds("prompt", 11), negative }
    }
}

impl WholeCase {
    /// The input picture.
    pub fn picture(&self) -> RgbaImage {
        picture(90, 120, true)
    }

    /// The parameters of the run.
    pub fn params(&self) -> Params {
        Params {
            prompt: self.prompt.clone(),
            layers: 2,
            steps: 4,
            resolution: 64,
            seed: 5,
            caption_language: if self.english { Language::English } else { Language::Chinese },
            keep_intermediates: true,
            ..Params::default()
        }
    }
}

fn picture(width: u32, height: u32, alpha: bool) -> RgbaImage {
    let values = uniform("picture", (width * height * 4) as usize, WHOLE_SALT);
    let mut pixels: Vec<u8> = values.iter().map(|v| (v * 160.0 + 128.0).clamp(0.0, 255.0) as u8).collect();
    if !alpha {
        pixels.iter_mut().skip(3).step_by(4).for_each(|alpha| *alpha = 255);
    }
    RgbaImage::from_raw(width, height, pixels).expect("as many values as pixels")
}

/// Tensors of a fixture file, on the CPU.
pub fn tensors(name: &str) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(fixture(name), &Device::Cpu).expect("fixture")
}

/// A test input: uniform in [-scale, scale).
pub fn input(name: &str, shape: &[usize], salt: u64, scale: f32) -> Tensor {
    let values = uniform(name, shape.iter().product(), salt).into_iter().map(|value| value * scale).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).expect("input")
}

/// Relative L2 distance of `found` from `expected`, which has its shape.
pub fn relative(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.dims(), expected.dims());
    let wide = |x: &Tensor| x.to_dtype(DType::F64).expect("numbers");
    let norm = |x: &Tensor| {
        let sum = x.sqr().and_then(|square| square.sum_all()).and_then(|sum| sum.to_scalar::<f64>());
        sum.expect("numbers").sqrt()
    };
    norm(&(wide(found) - wide(expected)).expect("one shape")) / norm(&wide(expected))
}
