//! How near each sampler comes to the exact path with so many calls of the model: relative L2 error of the last latents
//! against Euler's with 200 steps, on tiny checkpoints of random weights (trained ones were not at hand):
//!
//!     cargo bench -p qwen-image-layered --bench samplers -- [--truth 200] [--seeds 3]

use std::error::Error;
use std::ops::ControlFlow;

use candle_core::{DType, Device};
use qwen_image_layered::testing::checkpoint;
use qwen_image_layered::testing::runs::{cases, relative};
use qwen_image_layered::{Decomposer, LoadOptions, ModelFiles, Monitor, Params, Sampler};

/// Steps whose calls are compared.
const STEPS: [usize; 5] = [5, 10, 20, 30, 50];

fn main() -> Result<(), Box<dyn Error>> {
    let (mut truth, mut seeds) = (200, 3);
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let mut number = || Ok::<usize, Box<dyn Error>>(words.next().ok_or(format!("{word} needs a value"))?.parse()?);
        match word.as_str() {
            "--truth" => truth = number()?.max(1),
            "--seeds" => seeds = number()?.max(1),
            _ => return Err(format!("`{word}` is not known; see the head of benches/samplers.rs").into()),
        }
    }
    let mut errors = vec![[0.0; Sampler::ALL.len()]; STEPS.len()];
    for salt in 0..seeds as u64 {
        let folder = checkpoint("tiny", 7 + salt);
        let load = LoadOptions { dtype: DType::F32, ..LoadOptions::default() };
        let mut report = |_| ControlFlow::Continue(());
        let monitor = Monitor::new(&mut report);
        let mut decomposer = Decomposer::load(&ModelFiles::folder(folder.path()), &load, &monitor)?;
        let case = cases().into_iter().find(|case| case.name == "rgba_cfg").ok_or("no such case")?;
        let conditioning = case.conditioning(DType::F32, &Device::Cpu);
        let mut last = |sampler: Sampler, steps: usize| -> Result<_, Box<dyn Error>> {
            let params = Params { sampler, steps, seed: salt, ..case.params() };
            let picture = params.resized(&case.picture())?;
            let mut output = decomposer.run(&picture, &conditioning, &params, &monitor)?;
            Ok(output.intermediates.remove(&format!("step{}", steps - 1)).ok_or("the run kept nothing")?)
        };
        let exact = last(Sampler::Euler, truth)?;
        for (row, calls) in STEPS.iter().enumerate() {
            for (column, sampler) in Sampler::ALL.into_iter().enumerate() {
                // As many calls: Heun makes about two a step.
                let steps = if sampler == Sampler::Heun { calls.div_ceil(2) } else { *calls };
                errors[row][column] += relative(&last(sampler, steps)?, &exact) / seeds as f64;
            }
        }
    }
    println!("mean of {seeds} checkpoints; truth: {truth} Euler steps; error of the last latents");
    println!("{:>6} {}", "calls", Sampler::ALL.map(|sampler| format!("{:>10}", sampler.name())).join(" "));
    for (calls, row) in STEPS.iter().zip(&errors) {
        println!("{calls:>6} {}", row.map(|error| format!("{error:>10.2e}")).join(" "));
    }
    Ok(())
}
