//! Reference tensors and how close to them is close. The checkpoints are made by `qwen_image_layered::testing`.
#![allow(dead_code, unused_imports, reason = "each test program uses a part of this")]

use std::collections::HashMap;
use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};
pub use qwen_image_layered::testing::{
    checkpoint, checkpoint_as, copy_folder, crc32, fixture, uniform, weight, whole_checkpoint,
};
use qwen_image_layered::{Monitor, Progress};

/// Tensors of a fixture file.
pub fn tensors(name: &str) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(fixture(name), &Device::Cpu).expect("fixture")
}

/// Calls `work` with a monitor that never stops it.
pub fn monitored<T>(work: impl FnOnce(&Monitor) -> T) -> T {
    let mut report = |_: Progress| ControlFlow::Continue(());
    work(&Monitor::new(&mut report))
}

/// A test input: uniform in [-scale, scale).
pub fn input(name: &str, shape: &[usize], salt: u64, scale: f32) -> Tensor {
    let values = uniform(name, shape.iter().product(), salt).into_iter().map(|value| value * scale).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).expect("input")
}

/// Relative L2 distance of `found` from `expected`.
pub fn relative(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.dims(), expected.dims());
    let norm = |x: Tensor| x.sqr().unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap().sqrt();
    let wide = |x: &Tensor| x.to_dtype(DType::F64).unwrap();
    norm((wide(found) - wide(expected)).unwrap()) / norm(wide(expected))
}
