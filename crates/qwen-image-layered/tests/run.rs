//! Noise, schedules, samplers and resizing against torch, diffusers, DiffSynth and Pillow
//! (`reference/make.py noise scheduler samplers resize`).
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::collections::BTreeMap;
use std::fs;

use candle_core::{DType, Device, Tensor};
use common::{crc32, fixture, relative, tensors, uniform};
use image::RgbaImage;
use qwen_image_layered::{Sampler, Sampling, Schedule, SchedulerConfig, lanczos, randn, working_size};
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

/// The published schedule.
fn published(steps: usize, tokens: usize) -> Schedule {
    let config = fs::read(fixture("tiny/scheduler/scheduler_config.json")).unwrap();
    Schedule::new(&serde_json::from_slice(&config).unwrap(), steps, tokens).unwrap()
}

/// The model of `reference/samplers.py`.
fn field(x: &Tensor, timestep: f32) -> qwen_image_layered::Result<Tensor> {
    let angle = x.affine(3.0, 2.0 * f64::from(timestep) / 1000.0)?;
    Ok((angle.sin()? + (x * 0.5)?)?)
}

fn sample() -> Tensor {
    let values = uniform("sample", 48, 1).into_iter().map(|value| 2.0 * value).collect::<Vec<_>>();
    Tensor::from_vec(values, (1, 6, 8), &Device::Cpu).unwrap()
}

/// The sample after each step, and how often the model was called.
fn walk(sampler: Sampler, schedule: &Schedule) -> (Vec<Tensor>, usize) {
    let (mut x, mut after, mut calls) = (sample(), Vec::new(), 0);
    let mut sampling = Sampling::new(sampler, schedule).unwrap();
    for index in 0..schedule.steps() {
        let mut velocity = |x: &Tensor, timestep: f32| {
            calls += 1;
            field(x, timestep)
        };
        x = sampling.step(index, &x, &mut velocity).unwrap();
        after.push(x.clone());
    }
    (after, calls)
}

/// Measured: at most 6e-7.
#[test]
fn samplers_step_as_the_reference() {
    let expected = tensors("samplers.safetensors");
    let mut compared = 0;
    for (steps, tokens) in [(1, 24), (2, 1600), (3, 24), (8, 1600), (20, 1600), (50, 4096)] {
        let schedule = published(steps, tokens);
        for sampler in [Sampler::Heun, Sampler::UniPc, Sampler::DpmPp2m] {
            let name = format!("{sampler}_{steps}_{tokens}");
            let (found, calls) = walk(sampler, &schedule);
            assert_eq!(calls, sampler.calls(steps), "{name}");
            for (index, found) in found.iter().enumerate() {
                let error = relative(found, &expected[&name].get(index).unwrap());
                assert!(error < 5e-6, "{name} at {index}: {error:e}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 3 * 84);
}

/// Euler's is the schedule's own step, bit for bit.
#[test]
fn euler_is_the_schedules_step() {
    let schedule = published(7, 1600);
    let mut x = sample();
    for (index, found) in walk(Sampler::Euler, &schedule).0.iter().enumerate() {
        x = schedule.step(index, &field(&x, schedule.timesteps()[index]).unwrap(), &x).unwrap();
        assert_eq!(bytes(&found.flatten_all().unwrap()), bytes(&x.flatten_all().unwrap()));
    }
}

/// Those of higher order come nearer with as many steps. Heun's error falls with the square of their number; that of the
/// two that look back does so only until the last steps count, whose logarithms lie apart however many there are.
#[test]
fn samplers_of_higher_order_come_nearer() {
    let truth = walk(Sampler::Heun, &published(2000, 1600)).0.pop().unwrap();
    let error = |sampler, steps| relative(walk(sampler, &published(steps, 1600)).0.last().unwrap(), &truth);
    let euler = error(Sampler::Euler, 40);
    for (sampler, falls) in [(Sampler::Heun, 3.2), (Sampler::UniPc, 1.7), (Sampler::DpmPp2m, 1.7)] {
        let (coarse, fine) = (error(sampler, 40), error(sampler, 80));
        println!("{sampler}: {coarse:.1e}, {fine:.1e}; Euler {euler:.1e}");
        assert!(coarse < euler / 5.0 && coarse / fine > falls, "{sampler}: {coarse:e} and {fine:e}");
    }
}

#[test]
fn samplers_are_known_by_name_and_refuse_schedules_that_rise() {
    for sampler in Sampler::ALL {
        assert_eq!(sampler.name().parse::<Sampler>().unwrap(), sampler);
    }
    let error = "ddim".parse::<Sampler>().unwrap_err().to_string();
    assert!(error.contains("ddim") && error.contains("dpmpp_2m"), "{error}");
    let config = fs::read(fixture("tiny/scheduler/scheduler_config.json")).unwrap();
    let config: SchedulerConfig = serde_json::from_slice(&config).unwrap();
    let rising = Schedule::new(&SchedulerConfig { invert_sigmas: true, ..config }, 4, 24).unwrap();
    assert!(Sampling::new(Sampler::UniPc, &rising).unwrap_err().to_string().contains("unipc"));
    assert!(Sampling::new(Sampler::Euler, &rising).is_ok());
}

#[derive(Deserialize)]
struct ControlCase {
    steps: usize,
    tokens: Option<usize>,
    sigmas: Vec<f32>,
    timesteps: Vec<f32>,
}

#[test]
fn the_schedule_of_control_is_that_of_the_reference() {
    let text = fs::read(fixture("scheduler-control.json")).unwrap();
    let cases: Vec<ControlCase> = serde_json::from_slice(&text).unwrap();
    assert!(cases.len() >= 4);
    for ControlCase { steps, tokens, sigmas, timesteps } in cases {
        let schedule = Schedule::control(steps, tokens).unwrap();
        let close = |found: &[f32], expected: &[f32], bar: f32| {
            found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= bar)
        };
        let (last, found) = schedule.sigmas().split_last().unwrap();
        assert!(*last == 0.0 && close(found, &sigmas, 3e-7), "{steps} {tokens:?}: {found:?} {sigmas:?}");
        assert!(close(schedule.timesteps(), &timesteps, 3e-4), "{steps} {tokens:?}");
    }
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
