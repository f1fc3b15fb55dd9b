//! The reference's tiny runs on the device: all stages from given embeddings in f32, the pictures in bf16, and whole runs
//! with text encoder and caption.

use std::ops::ControlFlow;

use candle_core::DType;
use qwen_image_layered::testing::runs::{cases, relative, tensors, whole_cases};
use qwen_image_layered::testing::{checkpoint, whole_checkpoint};
use qwen_image_layered::{Decomposer, LoadOptions, ModelFiles, Monitor, Output, Pipeline};
use serde_json::json;

use crate::{Options, Outcome, say};

/// Relative L2 of every stage in f32.
const BAR: f64 = 1e-4;
/// In bf16: how much further from the reference's f32 than its own bf16 is.
const BAR_BF16: f64 = 1.2;
/// The salt that the reference's weights were made with.
const SALT: u64 = 7;

pub(crate) fn run(options: &Options) -> Outcome {
    let mut report = |_| ControlFlow::Continue(());
    let monitor = Monitor::new(&mut report);
    let mut missed = Vec::new();
    let mut judge = |name: &str, dtype: &str, error: f64, bar: f64| {
        if error.is_nan() || error > bar {
            missed.push(name.to_owned());
        }
        say("parity", json!({ "case": name, "dtype": dtype, "error": error, "bar": bar, "met": error <= bar }));
    };
    for dtype in [DType::F32, DType::BF16] {
        let folder = checkpoint("tiny", SALT);
        let load = LoadOptions { dtype, device: options.device.clone(), ..LoadOptions::default() };
        let mut decomposer = Decomposer::load(&ModelFiles::folder(folder.path()), &load, &monitor)?;
        for case in cases().iter().filter(|case| case.bf16_error.is_some() == (dtype == DType::BF16)) {
            let params = case.params();
            let picture = params.resized(&case.picture())?;
            let conditioning = case.conditioning(dtype, &options.device);
            let output = decomposer.run(&picture, &conditioning, &params, &monitor)?;
            match case.bf16_error {
                None => judge(&case.name, "f32", worst(&output, &case.name)?, BAR),
                Some(own) => {
                    let expected = &tensors(&format!("tiny/{}.safetensors", case.name))["images"];
                    judge(&case.name, "bf16", relative(&output.intermediates["images"], expected), BAR_BF16 * own);
                }
            }
        }
    }
    let folder = whole_checkpoint();
    let load = LoadOptions { dtype: DType::F32, device: options.device.clone(), ..LoadOptions::default() };
    let mut pipeline = Pipeline::load(&ModelFiles::folder(folder.path()), &load)?;
    for case in whole_cases() {
        let output = pipeline.decompose(&case.picture(), &case.params(), &mut |_| ControlFlow::Continue(()))?;
        let error = if output.caption == case.caption { worst(&output, &case.name)? } else { f64::INFINITY };
        judge(&case.name, "f32", error, BAR);
    }
    if missed.is_empty() { Ok(()) } else { Err(format!("not as the reference: {}", missed.join(", ")).into()) }
}

/// The largest error of all stages.
fn worst(output: &Output, name: &str) -> Result<f64, Box<dyn std::error::Error>> {
    let mut worst = 0.0_f64;
    for (stage, expected) in tensors(&format!("tiny/{name}.safetensors")) {
        let found = output.intermediates.get(&stage).ok_or(format!("no {stage}"))?;
        worst = worst.max(relative(found, &expected));
    }
    Ok(worst)
}
