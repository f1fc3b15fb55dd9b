//! Whole runs against `QwenImageLayeredPipeline` of diffusers 0.42.1 (`reference/make.py pipeline`):
//! every stage from the resized picture to the layers, with given text embeddings.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::fs;
use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};
use common::{checkpoint, monitored, relative, tensors, whole_checkpoint};
use image::RgbaImage;
use qwen_image_layered::plan::Passes;
use qwen_image_layered::testing::as_device;
use qwen_image_layered::testing::runs::{self, Case};
use qwen_image_layered::{
    Decomposer, Error, LoadOptions, ModelFiles, Monitor, Output, Params, PassCount, Pipeline, Progress, Sampler, Stage,
};

const SALT: u64 = 7;

fn cases(bf16: bool) -> Vec<Case> {
    runs::cases().into_iter().filter(|case| case.bf16_error.is_some() == bf16).collect()
}

fn run(case: &Case, decomposer: &mut Decomposer, dtype: DType) -> Output {
    run_as(case, decomposer, dtype, Passes::Sequential)
}

fn run_as(case: &Case, decomposer: &mut Decomposer, dtype: DType, passes: Passes) -> Output {
    let params = Params { passes, ..case.params() };
    let picture = params.resized(&case.picture()).unwrap();
    let conditioning = case.conditioning(dtype, &Device::Cpu);
    monitored(|monitor| decomposer.run(&picture, &conditioning, &params, monitor).unwrap())
}

fn load(dtype: DType) -> Decomposer {
    let folder = checkpoint("tiny", SALT);
    let options = LoadOptions { dtype, ..LoadOptions::default() };
    monitored(|monitor| Decomposer::load(&ModelFiles::folder(folder.path()), &options, monitor).unwrap())
}

/// Measured: at most 1.2e-6 at every stage; the noise bit for bit.
#[test]
fn f32_matches_the_reference_at_every_stage() {
    let mut decomposer = load(DType::F32);
    for case in &cases(false) {
        let expected = tensors(&format!("tiny/{}.safetensors", case.name));
        let output = run(case, &mut decomposer, DType::F32);
        for (name, expected) in &expected {
            let error = relative(&output.intermediates[name], expected);
            println!("{} {name}: {error:.1e}", case.name);
            let bar = if name == "latents0" { 0.0 } else { 1e-5 };
            assert!(error <= bar, "{} {name}: {error}", case.name);
        }
        assert_eq!(output.layers.len(), case.layers);
        assert!(output.rendering.is_some());
        for (index, layer) in output.layers.iter().enumerate() {
            assert!(worst_pixel(layer, &expected["images"].get(index).unwrap()) <= 1, "{} {index}", case.name);
        }
    }
}

/// The pipeline of the reference with other schedulers (`reference/make.py samplers`).
#[test]
fn whole_runs_with_other_samplers_match_the_reference() {
    let expected = tensors("samplers.safetensors");
    let mut decomposer = load(DType::F32);
    let case = cases(false).into_iter().find(|case| case.name == "rgb_cfg_norm").unwrap();
    for sampler in [Sampler::Heun, Sampler::UniPc, Sampler::DpmPp2m] {
        let params = Params { sampler, ..case.params() };
        let (picture, conditioning) =
            (params.resized(&case.picture()).unwrap(), case.conditioning(DType::F32, &Device::Cpu));
        let (mut last, mut calls) = (0, 0);
        let mut report = |progress: Progress| {
            if progress.stage == Stage::Denoise {
                assert!(progress.done >= last && progress.done < progress.total);
                (last, calls) = (progress.done, progress.total as usize);
            }
            ControlFlow::Continue(())
        };
        let output = decomposer.run(&picture, &conditioning, &params, &Monitor::new(&mut report)).unwrap();
        let error = relative(&output.intermediates["step3"], &expected[&format!("run_{sampler}")]);
        println!("{sampler}: {error:.1e}");
        assert!(error < 1e-5, "{sampler}: {error}");
        assert_eq!((output.passes.all, calls), (2 * sampler.calls(4), sampler.calls(4)));
    }
}

/// The untouched pipeline class of the reference, text encoder and caption included.
#[test]
fn whole_runs_match_the_reference() {
    let folder = whole_checkpoint();
    let options = LoadOptions { dtype: DType::F32, ..LoadOptions::default() };
    let mut pipeline = Pipeline::load(&ModelFiles::folder(folder.path()), &options).unwrap();
    for case in runs::whole_cases() {
        let output = pipeline.decompose(&case.picture(), &case.params(), &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(output.caption, case.caption, "{}", case.name);
        for (name, expected) in tensors(&format!("tiny/{}.safetensors", case.name)) {
            let error = relative(&output.intermediates[&name], &expected);
            println!("{} {name}: {error:.1e}", case.name);
            assert!(error <= 1e-4, "{} {name}: {error}", case.name);
        }
    }
}

fn worst_pixel(found: &RgbaImage, expected: &Tensor) -> i32 {
    let expected = expected.permute((1, 2, 0)).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let difference = |(a, b): (&u8, &f32)| (i32::from(*a) - (b * 255.0).round_ties_even() as i32).abs();
    found.as_raw().iter().zip(&expected).map(difference).max().unwrap()
}

/// From the same noise, bf16 must not be further from the reference's f32 than 1.2 times what
/// the reference's own bf16 is.
#[test]
fn bf16_is_as_good_as_the_reference() {
    let mut decomposer = load(DType::BF16);
    for case in &cases(true) {
        let expected = tensors(&format!("tiny/{}.safetensors", case.name));
        let output = run(case, &mut decomposer, DType::BF16);
        assert!(relative(&output.intermediates["latents0"], &expected["latents0"]) == 0.0);
        let error = relative(&output.intermediates["images"], &expected["images"]);
        let allowed = 1.2 * case.bf16_error.unwrap();
        println!("{}: {error:.1e} of {allowed:.1e}", case.name);
        assert!(error <= allowed, "{}: {error} > {allowed}", case.name);
    }
}

/// What other devices compute with, on the CPU; candle has no products of bf16 there.
#[test]
fn the_kernels_of_devices_match_the_reference() {
    as_device(|| {
        let mut decomposer = load(DType::F32);
        let ways = [Passes::Sequential, Passes::Batched];
        for (case, passes) in cases(false).iter().flat_map(|case| ways.map(|passes| (case, passes))) {
            let output = run_as(case, &mut decomposer, DType::F32, passes);
            for (name, expected) in tensors(&format!("tiny/{}.safetensors", case.name)) {
                let error = relative(&output.intermediates[&name], &expected);
                println!("{} {name}: {error:.1e}", case.name);
                assert!(error <= 1e-5, "{} {name}: {error}", case.name);
            }
        }
    });
}

#[test]
fn given_noise_takes_the_place_of_the_seed() {
    let mut decomposer = load(DType::F32);
    let case = &cases(false)[0];
    let reference = run(case, &mut decomposer, DType::F32);
    let picture = case.params().resized(&case.picture()).unwrap();
    let mut run = |init_latents| {
        let params = Params { seed: 1, rendering: false, init_latents: Some(init_latents), ..case.params() };
        monitored(|monitor| decomposer.run(&picture, &case.conditioning(DType::F32, &Device::Cpu), &params, monitor))
    };
    let same = run(reference.intermediates["latents0"].clone()).unwrap();
    assert_eq!(same.layers, reference.layers);
    assert!(same.rendering.is_none());
    let error = run(Tensor::zeros((1, 3, 64), DType::F32, &Device::Cpu).unwrap()).unwrap_err();
    assert!(error.to_string().contains("[1, 64, 64]"), "{error}");
}

#[test]
fn progress_never_goes_back_and_stops_the_work() {
    let mut decomposer = load(DType::F32);
    let case = &cases(false)[0];
    let picture = case.params().resized(&case.picture()).unwrap();
    let mut seen: Vec<Progress> = Vec::new();
    let mut report = |progress: Progress| {
        seen.push(progress);
        ControlFlow::Continue(())
    };
    let conditioning = case.conditioning(DType::F32, &Device::Cpu);
    decomposer.run(&picture, &conditioning, &case.params(), &Monitor::new(&mut report)).unwrap();
    assert!(seen.windows(2).all(|pair| pair[0].fraction() <= pair[1].fraction() + 1e-6));
    assert_eq!(seen.last().unwrap().fraction(), 1.0);
    // Both questions of each step, both blocks of each question.
    let denoising = seen.iter().filter(|progress| progress.stage == Stage::Denoise).count();
    assert!(denoising >= 4 * 2 * 2, "{denoising}");

    for limit in [1, 10, 40] {
        let mut calls = 0;
        let mut report = |_| {
            calls += 1;
            if calls == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let result = decomposer.run(&picture, &conditioning, &case.params(), &Monitor::new(&mut report));
        assert!(matches!(result, Err(Error::Stopped)));
        assert_eq!(calls, limit);
    }
}

/// Speed that costs quality: what is left out is counted, the same each time, and however passes are grouped.
#[test]
fn shortcuts_leave_out_what_they_say() {
    let mut decomposer = load(DType::F32);
    let case = &cases(false)[0];
    let steps = case.params().steps;
    let picture = case.params().resized(&case.picture()).unwrap();
    let conditioning = case.conditioning(DType::F32, &Device::Cpu);
    let mut run = |guided_share, step_cache, passes| {
        let params = Params { guided_share, step_cache, passes, ..case.params() };
        monitored(|monitor| decomposer.run(&picture, &conditioning, &params, monitor).unwrap())
    };
    let error = |a: &Output, b: &Output| relative(&a.intermediates["images"], &b.intermediates["images"]);
    let exact = run(1.0, 0.0, Passes::Sequential);
    assert_eq!(exact.passes, PassCount { all: 2 * steps, reused: 0 });

    let half = run(0.5, 0.0, Passes::Sequential);
    assert_eq!(half.passes, PassCount { all: 2 * (steps / 2) + (steps - steps / 2), reused: 0 });
    let last_guided = format!("step{}", steps / 2 - 1);
    assert_eq!(relative(&half.intermediates[&last_guided], &exact.intermediates[&last_guided]), 0.0);
    assert!(error(&half, &exact) > 0.0);
    assert_eq!(run(0.0, 0.0, Passes::Sequential).passes.all, steps);

    // A threshold that no change exceeds: the first step is whole, then each pass ends with the first block.
    let cached = run(1.0, 1.0, Passes::Sequential);
    assert_eq!(cached.passes, PassCount { all: 2 * steps, reused: 2 * (steps - 1) });
    assert_eq!(relative(&cached.intermediates["step0"], &exact.intermediates["step0"]), 0.0);
    assert!(error(&cached, &exact) > 0.0);
    assert_eq!(error(&run(1.0, 1.0, Passes::Sequential), &cached), 0.0);
    let together = run(1.0, 1.0, Passes::Batched);
    assert_eq!((together.passes, error(&together, &cached)), (cached.passes, 0.0));
    // One that every change exceeds leaves nothing out.
    let never = run(1.0, 1e-9, Passes::Batched);
    assert_eq!((never.passes, error(&never, &exact)), (exact.passes, 0.0));
    // Without guidance there is another number of passes, and a whole step again.
    let both = run(0.5, 1.0, Passes::Batched);
    let (guided, alone) = (steps / 2, steps - steps / 2);
    assert_eq!(both.passes, PassCount { all: 2 * guided + alone, reused: 2 * (guided - 1) + (alone - 1) });
}

#[test]
fn parameters_out_of_range_are_refused() {
    let refused = |params: Params, word: &str| {
        let error = params.check().unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    };
    refused(Params { layers: 0, ..Params::default() }, "layers");
    refused(Params { layers: 11, ..Params::default() }, "layers");
    refused(Params { steps: 0, ..Params::default() }, "steps");
    refused(Params { guidance: f64::NAN, ..Params::default() }, "guidance");
    refused(Params { guided_share: 1.5, ..Params::default() }, "guided");
    refused(Params { step_cache: f64::NAN, ..Params::default() }, "cache");
    refused(Params { resolution: 650, ..Params::default() }, "resolution");
    assert!(Params::default().check().is_ok());
}

#[test]
fn the_dump_holds_every_stage() {
    let mut decomposer = load(DType::F32);
    let case = &cases(false)[1];
    let mut output = run(case, &mut decomposer, DType::F32);
    output.caption = Some("a poster".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump.safetensors");
    output.write_dump(&path).unwrap();
    let names: Vec<String> = candle_core::safetensors::load(&path, &Device::Cpu).unwrap().into_keys().collect();
    for name in ["prompt_embeds", "negative_embeds", "image_latents", "latents0", "step0", "step3", "images"] {
        assert!(names.iter().any(|found| found == name), "{name}");
    }
    let bytes = fs::read(&path).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["caption"], "a poster");
    assert!(output.write_dump(&folder.path().join("absent/dump")).is_err());
}
