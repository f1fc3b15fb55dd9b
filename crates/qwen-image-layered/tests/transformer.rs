//! The transformer against diffusers 0.42.1 (`reference/make.py transformer`).
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use common::{checkpoint, input, monitored, relative, tensors};
use qwen_image_layered::plan::Passes;
use qwen_image_layered::testing::as_device;
use qwen_image_layered::transformer::{FrameGrid, Step, Transformer, TransformerConfig};
use qwen_image_layered::weights::{Checkpoint, Part, Weights, read_json};
use qwen_image_layered::{Error, Monitor};

/// Bar for f32; measured: at most 1.2e-6.
const F32_BAR: f64 = 1e-5;

struct Case {
    name: &'static str,
    salt: u64,
    words: usize,
    text_dim: usize,
    grid: FrameGrid,
}

const CASES: [Case; 2] = [
    Case {
        name: "transformer-published",
        salt: 3,
        words: 7,
        text_dim: 64,
        grid: FrameGrid { frames: 3, rows: 4, columns: 6 },
    },
    Case {
        name: "transformer-tall",
        salt: 4,
        words: 40,
        text_dim: 48,
        grid: FrameGrid { frames: 9, rows: 5, columns: 3 },
    },
];

impl Case {
    fn load(&self, dtype: DType) -> Transformer {
        let folder = checkpoint(self.name, self.salt);
        let config: TransformerConfig = read_json(&folder.path().join("config.json")).unwrap();
        config.check(folder.path()).unwrap();
        let checkpoint = Checkpoint::open(folder.path(), Part::Transformer).unwrap();
        Transformer::load(&config, &Weights::new(Arc::new(checkpoint), dtype, &Device::Cpu)).unwrap()
    }

    fn inputs(&self, dtype: DType) -> (Tensor, Tensor) {
        let tokens = (self.grid.frames + 1) * self.grid.rows * self.grid.columns;
        let hidden = input("hidden", &[1, tokens, 64], self.salt, 1.7).to_dtype(dtype).unwrap();
        (hidden, input("text", &[1, self.words, self.text_dim], self.salt, 3.0).to_dtype(dtype).unwrap())
    }

    fn run(&self, model: &Transformer, sigma: f32, dtype: DType) -> Tensor {
        let (hidden, text) = self.inputs(dtype);
        monitored(|monitor| model.forward(&hidden, &text, &Step { sigma, grid: self.grid, monitor }).unwrap())
    }
}

const SIGMAS: [f32; 3] = [1.0, 0.7306, 0.1];

#[test]
fn f32_matches_the_reference() {
    for case in &CASES {
        let expected = tensors(&format!("{}/expected.safetensors", case.name));
        let model = case.load(DType::F32);
        for sigma in SIGMAS {
            let error = relative(&case.run(&model, sigma, DType::F32), &expected[&format!("output_{sigma:?}")]);
            println!("{} {sigma}: {error:.1e}", case.name);
            assert!(error < F32_BAR, "{} {sigma}: {error}", case.name);
        }
    }
}

/// bf16 must not be further from the reference's f32 than 1.2 times what the reference's own bf16 is.
#[test]
fn bf16_is_as_good_as_the_reference() {
    for case in &CASES {
        let expected = tensors(&format!("{}/expected.safetensors", case.name));
        let model = case.load(DType::BF16);
        for sigma in SIGMAS {
            let exact = &expected[&format!("output_{sigma:?}")];
            let error = relative(&case.run(&model, sigma, DType::BF16), exact);
            let allowed = 1.2 * relative(&expected[&format!("output_{sigma:?}_bf16")], exact);
            println!("{} {sigma}: {error:.1e} of {allowed:.1e}", case.name);
            assert!(error < allowed, "{} {sigma}: {error} > {allowed}", case.name);
        }
    }
}

/// Passes with different texts as one, against each by itself: on the CPU bit for bit, since no sum is made otherwise.
#[test]
fn passes_together_are_what_they_are_alone() {
    for (case, dtype) in CASES.iter().flat_map(|case| [(case, DType::F32), (case, DType::BF16)]) {
        let model = case.load(dtype);
        let (hidden, text) = case.inputs(dtype);
        let other = input("other", &[1, case.words + 6, case.text_dim], case.salt, 3.0).to_dtype(dtype).unwrap();
        let texts = [&text, &other, &text];
        let each = |passes| {
            monitored(|monitor| {
                let step = Step { sigma: 0.7, grid: case.grid, monitor };
                model.forward_each(&hidden, &texts, passes, None, &step).unwrap()
            })
        };
        let alone = |text| {
            monitored(|monitor| model.forward(&hidden, text, &Step { sigma: 0.7, grid: case.grid, monitor }).unwrap())
        };
        let compare = |together: Vec<Tensor>, in_turn: Vec<Tensor>, bar: f64| {
            assert_eq!((together.len(), in_turn.len()), (3, 3));
            for (index, (together, text)) in together.iter().zip(texts).enumerate() {
                let alone = alone(text);
                assert_eq!(relative(&in_turn[index], &alone), 0.0, "{}", case.name);
                let error = relative(together, &alone);
                assert!(error <= bar, "{} {dtype:?}: {error}", case.name);
            }
            // Texts matter: a pass that attends to another's tokens would be found out.
            assert!(relative(&together[1], &together[0]) > 1e-3);
        };
        compare(each(Passes::Batched), each(Passes::Sequential), 0.0);
        // Candle has no products of bf16 on the CPU.
        if dtype == DType::F32 {
            as_device(|| compare(each(Passes::Batched), each(Passes::Sequential), 1e-6));
        }
    }
}

#[test]
fn stops_within_a_block() {
    let case = &CASES[0];
    let model = case.load(DType::F32);
    let (hidden, text) = case.inputs(DType::F32);
    let mut calls = 0;
    let mut report = |_| {
        calls += 1;
        if calls < 4 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let monitor = Monitor::new(&mut report);
    let step = Step { sigma: 0.5, grid: case.grid, monitor: &monitor };
    let result = model.forward(&hidden, &text, &step);
    assert!(matches!(result, Err(Error::Stopped)));
    assert_eq!(calls, 4);
}
