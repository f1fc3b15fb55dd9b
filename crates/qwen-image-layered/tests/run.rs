//! Noise, schedule and resizing against torch, diffusers and Pillow (`reference/make.py noise scheduler resize`).
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::collections::BTreeMap;
use std::fs;

use candle_core::{DType, Device, Tensor};
use common::{crc32, fixture, tensors, uniform};
use image::RgbaImage;
use qwen_image_layered::{Schedule, SchedulerConfig, lanczos, randn, working_size};
use serde::Deserialize;

fn bytes(tensor: &Tensor) -> Vec<u8> {
    match tensor.dtype() {
        DType::F32 => tensor.to_vec1::<f32>().unwrap().iter().flat_map(|v| v.to_le_bytes()).collect(),
        _ => tensor.to_vec1::<half::bf16>().unwrap().iter().flat_map(|v| v.to_le_bytes()).collect(),
    }
}

#[test]
fn noise_is_torch_noise_bit_for_bit() {
    let checksums: BTreeMap<String, u32> = serde_json::from_slice(&fs::read(fixture("noise.json")).unwrap()).unwrap();
    let expected = tensors("noise.safetensors");
    for (key, checksum) in &checksums {
        let parts: Vec<&str> = key.split('_').collect();
        let dtype = if parts[0] == "f32" { DType::F32 } else { DType::BF16 };
        let (seed, size) = (parts[1].parse().unwrap(), parts[2].parse::<usize>().unwrap());
        let found = randn(size, seed, dtype, &Device::Cpu).unwrap();
        if let Some(expected) = expected.get(key) {
            assert_eq!(bytes(&found), bytes(expected), "{key}: {found} instead of {expected}");
        }
        assert_eq!(crc32(&bytes(&found)), *checksum, "{key}");
    }
    assert!(checksums.len() > 200);
}

#[derive(Deserialize)]
struct ScheduleCase {
    config: SchedulerConfig,
    steps: usize,
    tokens: usize,
    sigmas: Vec<f32>,
    timesteps: Vec<f32>,
}

#[test]
fn schedules_match_the_reference() {
    let cases: Vec<ScheduleCase> = serde_json::from_slice(&fs::read(fixture("scheduler.json")).unwrap()).unwrap();
    assert!(cases.len() > 20);
    for case in cases {
        let schedule = Schedule::new(&case.config, case.steps, case.tokens).unwrap();
        let close = |found: &[f32], expected: &[f32]| {
            found.len() == expected.len()
                && found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 2e-7 * b.abs().max(0.1))
        };
        let name = format!("{:?} {} {}", case.config, case.steps, case.tokens);
        assert!(close(schedule.sigmas(), &case.sigmas), "{name}: {:?} {:?}", schedule.sigmas(), case.sigmas);
        assert!(close(schedule.timesteps(), &case.timesteps), "{name}");
    }
}

#[test]
fn a_schedule_needs_its_deciding_fields() {
    let text = r#"{"num_train_timesteps": 1000, "shift": 1.0, "use_dynamic_shifting": true}"#;
    let error = serde_json::from_str::<SchedulerConfig>(text).unwrap_err().to_string();
    assert!(error.contains("missing field"), "{error}");
}

#[derive(Deserialize)]
struct Resizes {
    cases: Vec<ResizeCase>,
    sizes: Vec<[u32; 5]>,
}

#[derive(Deserialize)]
struct ResizeCase {
    key: String,
    salt: u64,
    alpha: bool,
    width: u32,
    height: u32,
}

fn resizes() -> Resizes {
    serde_json::from_slice(&fs::read(fixture("resize.json")).unwrap()).unwrap()
}

#[test]
fn resizing_is_pillow_resizing_bit_for_bit() {
    let expected = tensors("resize.safetensors");
    for case in resizes().cases {
        let values = uniform("picture", (case.width * case.height * 4) as usize, case.salt);
        let mut pixels: Vec<u8> = values.iter().map(|v| (v * 160.0 + 128.0).clamp(0.0, 255.0) as u8).collect();
        if !case.alpha {
            pixels.iter_mut().skip(3).step_by(4).for_each(|alpha| *alpha = 255);
        }
        let source = RgbaImage::from_raw(case.width, case.height, pixels).unwrap();
        let expected = &expected[&case.key];
        let (height, width, _) = expected.dims3().unwrap();
        let found = lanczos(&source, width as u32, height as u32).unwrap();
        let expected = expected.flatten_all().unwrap().to_vec1::<u8>().unwrap();
        let wrong = found.as_raw().iter().zip(&expected).filter(|(a, b)| a != b).count();
        assert_eq!(wrong, 0, "{}", case.key);
    }
}

#[test]
fn working_sizes_match_the_reference() {
    for [width, height, resolution, expected_width, expected_height] in resizes().sizes {
        let found = working_size(width, height, resolution).unwrap();
        assert_eq!(found, (expected_width, expected_height), "{width} x {height} at {resolution}");
    }
    assert!(working_size(1, 60_000, 640).unwrap_err().to_string().contains("too narrow"));
    assert!(working_size(0, 10, 640).is_err());
}
