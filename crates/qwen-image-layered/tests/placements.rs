//! Wherever the parts of the model are, and whenever they are loaded, the picture is the same.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::collections::HashMap;
use std::fs;
use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};
use common::whole_checkpoint;
use image::RgbaImage;
use qwen_image_layered::plan::{BlockPlace, Passes, Placement, TextPlace};
use qwen_image_layered::synthetic::{Format, Quantisation, Size, Synthetic};
use qwen_image_layered::{Error, LoadOptions, ModelFiles, Params, Pipeline, Progress, Stage};

const TEXTS: [TextPlace; 3] = [TextPlace::Resident, TextPlace::Staged, TextPlace::Host];

/// Of the three blocks that the small model has, none, one and two stay.
const BLOCKS: [BlockPlace; 4] = [
    BlockPlace::Resident,
    BlockPlace::Streamed { resident: 0, in_flight: 3 },
    BlockPlace::Streamed { resident: 1, in_flight: 2 },
    BlockPlace::Streamed { resident: 2, in_flight: 2 },
];

fn params(passes: Passes) -> Params {
    Params { layers: 1, steps: 2, resolution: 64, passes, prompt: "a kite".into(), ..Params::default() }
}

fn in_f32(placement: Placement) -> LoadOptions {
    LoadOptions { dtype: DType::F32, placement, ..LoadOptions::default() }
}

fn picture() -> RgbaImage {
    RgbaImage::from_fn(40, 40, |x, y| image::Rgba([6 * x as u8, 5 * y as u8, 90, 255]))
}

fn decompose(pipeline: &mut Pipeline, passes: Passes) -> RgbaImage {
    let output = pipeline.decompose(&picture(), &params(passes), &mut |_| ControlFlow::Continue(())).unwrap();
    output.layers.into_iter().next().unwrap()
}

#[test]
fn every_placement_gives_the_same_picture() {
    for format in [Format::Bf16, Format::Fp8, Format::Gguf(Quantisation::Q4KM)] {
        let folder = tempfile::tempdir().unwrap();
        let synthetic = Synthetic { size: Size::Tiny, format };
        let files = synthetic.write(folder.path(), &mut |_, _| ControlFlow::Continue(())).unwrap();
        let mut resident = Pipeline::load(&files, &LoadOptions::default()).unwrap();
        let expected = decompose(&mut resident, Passes::Sequential);
        // Compressed ones differ in how a block is loaded, not in where.
        let texts = if format == Format::Bf16 { &TEXTS[..] } else { &TEXTS[1..2] };
        for (&text, blocks) in texts.iter().flat_map(|text| BLOCKS.map(|blocks| (text, blocks))) {
            let placement = Placement { text, blocks };
            let mut pipeline = Pipeline::new(files.clone(), LoadOptions { placement, ..LoadOptions::default() });
            // The second job finds loaded what stays loaded.
            for passes in [Passes::Sequential, Passes::Batched] {
                assert!(decompose(&mut pipeline, passes) == expected, "{format}, {placement:?}, {passes:?}");
            }
        }
    }
}

/// A question needs the text encoder, which may have gone by then.
#[test]
fn questions_are_answered_wherever_the_text_encoder_is() {
    let folder = whole_checkpoint();
    let files = ModelFiles::folder(folder.path());
    let mut quietly = |_: Progress| ControlFlow::Continue(());
    let mut answers = Vec::new();
    for text in TEXTS {
        let placement = Placement { text, ..Placement::default() };
        let mut pipeline = Pipeline::new(files.clone(), in_f32(placement));
        let before = decompose(&mut pipeline, Passes::Sequential);
        answers.push(pipeline.ask(&picture(), "What is this?", 8, &mut quietly).unwrap());
        assert!(decompose(&mut pipeline, Passes::Sequential) == before, "{text:?}");
    }
    assert!(!answers[0].is_empty());
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

/// A block that is not like the first would otherwise be met in the middle of a job.
#[test]
fn blocks_that_are_streamed_are_looked_at_before_the_work_begins() {
    let streamed = |change: &dyn Fn(&mut HashMap<String, Tensor>)| {
        let folder = whole_checkpoint();
        // One file in place of the shards, which are not to be changed one by one.
        let part = folder.path().join("transformer");
        let mut tensors = HashMap::new();
        for entry in fs::read_dir(&part).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.extension().is_some_and(|extension| extension == "safetensors") {
                tensors.extend(candle_core::safetensors::load(&entry, &Device::Cpu).unwrap());
                fs::remove_file(entry).unwrap();
            }
        }
        fs::remove_file(part.join("diffusion_pytorch_model.safetensors.index.json")).unwrap();
        change(&mut tensors);
        candle_core::safetensors::save(&tensors, part.join("diffusion_pytorch_model.safetensors")).unwrap();
        let placement =
            Placement { text: TextPlace::Resident, blocks: BlockPlace::Streamed { resident: 1, in_flight: 2 } };
        let mut pipeline = Pipeline::new(ModelFiles::folder(folder.path()), in_f32(placement));
        let mut begun = false;
        let result = pipeline.decompose(&picture(), &params(Passes::Sequential), &mut |progress| {
            begun |= progress.stage == Stage::EncodeImage;
            ControlFlow::Continue(())
        });
        (result.map(|_| ()), begun)
    };
    assert!(streamed(&|_| ()).0.is_ok());
    let name = "transformer_blocks.1.attn.to_q.weight";
    let (result, begun) = streamed(&|tensors| drop(tensors.remove(name)));
    assert!(matches!(&result, Err(Error::TensorMissing { tensor, .. }) if tensor == name), "{result:?}");
    assert!(!begun);
    let (result, begun) = streamed(&|tensors| {
        let wide = Tensor::zeros((8, 8), DType::F32, &Device::Cpu).unwrap();
        tensors.insert(name.to_owned(), wide);
    });
    assert!(matches!(&result, Err(Error::TensorShape { tensor, .. }) if tensor == name), "{result:?}");
    assert!(!begun);
    let (result, _) = streamed(&|tensors| {
        let more = Tensor::zeros(8, DType::F32, &Device::Cpu).unwrap();
        tensors.insert("transformer_blocks.1.attn.odd.weight".to_owned(), more);
    });
    assert!(result.unwrap_err().to_string().contains("attn.odd.weight"));
}
