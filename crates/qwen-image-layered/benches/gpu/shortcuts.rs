//! Speed that costs quality, on the tiny model of the fixtures: its weights are noise, so this shows what is left out and
//! that the error grows with it, and little of what pictures of the trained model lose.

use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};
use qwen_image_layered::testing::checkpoint;
use qwen_image_layered::testing::packagings::{load_all, save, scaled_fp8};
use qwen_image_layered::testing::runs::{Case, cases, relative};
use qwen_image_layered::{Decomposer, LoadOptions, MatmulPrecision, ModelFiles, Monitor, Output, Params};
use serde_json::json;

use crate::{Options, Outcome, say};

/// The salt of the fixtures' weights.
const SALT: u64 = 7;

/// Share of the steps that are guided, and threshold of step caching.
const SHORTCUTS: [(f64, f64); 9] =
    [(0.8, 0.0), (0.6, 0.0), (0.4, 0.0), (1.0, 0.1), (1.0, 0.3), (1.0, 0.4), (1.0, 0.5), (1.0, 0.7), (0.6, 0.5)];

pub(crate) fn run(options: &Options) -> Outcome {
    let mut report = |_| ControlFlow::Continue(());
    let monitor = Monitor::new(&mut report);
    let folder = checkpoint("tiny", SALT);
    let load = LoadOptions { dtype: DType::F32, device: options.device.clone(), ..LoadOptions::default() };
    let mut decomposer = Decomposer::load(&ModelFiles::folder(folder.path()), &load, &monitor)?;
    let cases = cases();
    let case = cases.iter().find(|case| case.params().uses_guidance()).ok_or("no case is guided")?;
    let conditioning = case.conditioning(DType::F32, &options.device);
    let mut decompose = |guided_share: f64, step_cache: f64| -> Result<Output, Box<dyn std::error::Error>> {
        let params = Params { guided_share, step_cache, steps: options.steps, ..case.params() };
        Ok(decomposer.run(&params.resized(&case.picture())?, &conditioning, &params, &monitor)?)
    };
    let exact = decompose(1.0, 0.0)?;
    for (guided_share, step_cache) in SHORTCUTS {
        let output = decompose(guided_share, step_cache)?;
        let whole = output.passes.all - output.passes.reused;
        say(
            "shortcuts",
            json!({
                "guided_steps_percent": 100.0 * guided_share,
                "step_cache_percent": 100.0 * step_cache,
                "whole_passes": whole,
                "of_passes": exact.passes.all,
                "error": relative(&output.intermediates["images"], &exact.intermediates["images"]),
            }),
        );
    }
    let images = |precision| in_float8(precision, case, options, &monitor);
    let widened = images(MatmulPrecision::Widened)?;
    let error = relative(&images(MatmulPrecision::Float8)?, &widened);
    // What there is to lose: these weights are rounded already.
    let of_weights = relative(&widened, &exact.intermediates["images"]);
    say("shortcuts", json!({ "fp8_products": true, "error": error, "fp8_weights_error": of_weights }));
    Ok(())
}

/// What the model makes of a case from fp8 weights, multiplied in the given precision. On the CPU, which rounds as a
/// GPU does, and sums in f32.
fn in_float8(
    matmul_precision: MatmulPrecision,
    case: &Case,
    options: &Options,
    monitor: &Monitor,
) -> Result<Tensor, Box<dyn std::error::Error>> {
    let folder = checkpoint("tiny", SALT);
    let file = folder.path().join("transformer.safetensors");
    save(&scaled_fp8(&load_all(&folder.path().join("transformer")), "weight_scale").0, &file);
    let files = ModelFiles { transformer: Some(file), ..ModelFiles::folder(folder.path()) };
    let (dtype, device) = (DType::F32, Device::Cpu);
    let load = LoadOptions { dtype, device: device.clone(), matmul_precision, ..LoadOptions::default() };
    let mut decomposer = Decomposer::load(&files, &load, monitor)?;
    let params = Params { steps: options.steps, ..case.params() };
    let conditioning = case.conditioning(dtype, &device);
    let mut output = decomposer.run(&params.resized(&case.picture())?, &conditioning, &params, monitor)?;
    output.intermediates.remove("images").ok_or_else(|| "the run kept nothing".into())
}
