//! A table of cards and configurations, with checkpoints of the published sizes.

use std::path::Path;

use candle_core::DType;

use super::footprint::Widths;
use super::*;
use crate::synthetic::{Format, Quantisation, Size, Synthetic};
use crate::weights::Part;

const GB: u64 = 1 << 30;

fn footprint(format: Format) -> Footprint {
    let synthetic = Synthetic { size: Size::Full, format };
    let part = |part| synthetic.checkpoint(Path::new("generated"), part).unwrap();
    let dimensions = synthetic.dimensions();
    let widths = Widths {
        transformer: dimensions.inner_dim() as u64,
        heads: dimensions.num_attention_heads as u64,
        text: dimensions.text.hidden_size as u64,
        text_inner: dimensions.text.intermediate_size as u64,
        text_layers: dimensions.text.num_hidden_layers as u64,
        vae: dimensions.base_dim as u64,
    };
    let parts = (part(Part::Transformer), part(Part::TextEncoder), part(Part::Vae));
    Footprint::of_parts(&parts.0, &parts.1, &parts.2, widths, dimensions.num_layers, DType::BF16).unwrap()
}

fn card(gigabytes: u64, capability: (u32, u32)) -> DeviceInfo {
    let total = gigabytes * GB;
    DeviceInfo {
        name: format!("a card of {gigabytes} GB"),
        kind: Kind::Cuda { capability },
        // A desktop takes some.
        free: total - GB * 9 / 10,
        total,
        host_free: 60 * GB,
        fused_attention: true,
    }
}

fn workload(side: usize, layers: usize) -> Workload {
    Workload {
        width: side,
        height: side,
        layers,
        steps: 50,
        calls: 50,
        guided: true,
        captioned: false,
        cached: false,
        lora_values: 0,
    }
}

/// Checkpoints that are at hand: what they are called, and how large they are.
type Checkpoints<'a> = &'a [(&'a str, &'a Footprint)];

/// The chosen plan in short, or the error.
fn chosen(card: &DeviceInfo, formats: Checkpoints, workload: &Workload) -> String {
    let candidates: Vec<_> = formats.iter().map(|&(name, footprint)| Candidate { name, footprint }).collect();
    match choose(card, &candidates, workload) {
        Ok(plan) => {
            assert!(plan.need.peak() <= card.free, "{}", plan.line());
            plan.short().strip_prefix("plan ").unwrap().to_owned()
        }
        Err(none) => none.to_string(),
    }
}

#[test]
fn sizes_come_from_the_headers() {
    let bf16 = footprint(Format::Bf16);
    let gigabytes = |bytes: u64| bytes as f64 / 1e9;
    assert!((gigabytes(bf16.transformer + bf16.streamed(0)) - 40.9).abs() < 0.3);
    assert!((gigabytes(bf16.blocks[0]) - 0.68).abs() < 0.01);
    // Without the table of tokens.
    assert!((gigabytes(bf16.text + bf16.caption) - 15.5).abs() < 0.2);
    assert!(gigabytes(bf16.vae) < 0.15, "a third of what is stored");
    assert_eq!((bf16.widened, bf16.compressed_values, bf16.float8), (0, 0, false));
    let q4 = footprint(Format::Gguf(Quantisation::Q4KM));
    assert!((gigabytes(q4.transformer + q4.streamed(0)) - 13.0).abs() < 0.2);
    // The modulation's 3072 x 18432 in f32 and bf16.
    assert_eq!(q4.widened, 3072 * 18_432 * 6);
    // Float8 is widened straight into bf16.
    let fp8 = footprint(Format::Fp8);
    assert_eq!((fp8.widened, fp8.float8, q4.float8), (3072 * 18_432 * 2, true, false));
}

#[test]
fn each_card_gets_the_fastest_plan_that_fits() {
    let (bf16, fp8) = (footprint(Format::Bf16), footprint(Format::Fp8));
    let q8 = footprint(Format::Gguf(Quantisation::Q8_0));
    let q5 = footprint(Format::Gguf(Quantisation::Q5KM));
    let q4 = footprint(Format::Gguf(Quantisation::Q4KM));
    let all = [("bf16", &bf16), ("q8_0", &q8), ("fp8", &fp8), ("q5_k_m", &q5), ("q4_k_m", &q4)];
    let big = workload(1024, 4);
    let job = workload(640, 4);
    // (card, checkpoints, job, what the plan has to say)
    let table: [(DeviceInfo, Checkpoints, &Workload, &str); 13] = [
        (card(141, (9, 0)), &all, &job, "bf16, everything resident"),
        (card(80, (9, 0)), &all, &job, "bf16, everything resident"),
        (card(80, (8, 0)), &all, &big, "bf16, everything resident"),
        (card(40, (8, 0)), &all, &job, "bf16, text encoder staged, 4 of 60 blocks streamed"),
        (card(40, (8, 0)), &all[2..3], &job, "fp8, everything resident"),
        (card(24, (8, 6)), &all, &job, "q5_k_m, everything resident"),
        (card(24, (8, 6)), &all, &big, "q5_k_m, everything resident"),
        (card(24, (8, 6)), &all[2..3], &job, "fp8, text encoder staged"),
        (card(24, (8, 6)), &all[..1], &job, "bf16, text encoder staged, 29 of 60 blocks streamed"),
        (card(16, (8, 9)), &all[4..], &job, "q4_k_m, text encoder staged"),
        (card(12, (8, 6)), &all[4..], &job, "q4_k_m, text encoder staged, 15 of 60 blocks streamed"),
        (card(12, (8, 6)), &all[..1], &job, "bf16, text encoder on the CPU, 47 of 60 blocks streamed"),
        (card(8, (8, 6)), &all, &job, "q4_k_m, text encoder staged, 35 of 60 blocks streamed"),
    ];
    let mut wrong = Vec::new();
    for (card, formats, workload, expected) in &table {
        let found = chosen(card, formats, workload);
        if !found.contains(expected) {
            wrong.push(format!(
                "{}, {workload}, {} checkpoints: `{found}`, not `{expected}`",
                card.name,
                formats.len()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn more_memory_is_never_slower_and_more_work_never_smaller() {
    let (bf16, q4) = (footprint(Format::Bf16), footprint(Format::Gguf(Quantisation::Q4KM)));
    let candidates = [("bf16", &bf16), ("q4_k_m", &q4)].map(|(name, footprint)| Candidate { name, footprint });
    for (layers, side) in [(1, 640), (4, 640), (10, 640), (4, 1024), (10, 1024)] {
        let mut last = f64::INFINITY;
        for gigabytes in [8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 141] {
            let Ok(plan) = choose(&card(gigabytes, (8, 6)), &candidates, &workload(side, layers)) else { continue };
            assert!(plan.seconds <= last, "{gigabytes} GB are slower: {}", plan.line());
            last = plan.seconds;
        }
        assert!(last.is_finite(), "nothing fits {layers} layers at {side}");
    }
    let peak = |side, layers| {
        estimate(&card(80, (9, 0)), &q4, &workload(side, layers), Placement::default(), Passes::Sequential).peak()
    };
    assert!(peak(640, 1) < peak(640, 4) && peak(640, 4) < peak(640, 10) && peak(640, 10) < peak(1024, 10));
}

#[test]
fn passes_go_together_where_there_is_room_for_it() {
    let (bf16, q4) = (footprint(Format::Bf16), footprint(Format::Gguf(Quantisation::Q4KM)));
    let candidates = [("bf16", &bf16), ("q4_k_m", &q4)].map(|(name, footprint)| Candidate { name, footprint });
    let job = workload(640, 4);
    let big = choose(&card(80, (9, 0)), &candidates, &job).unwrap();
    assert!(big.short().ends_with("everything resident, both passes batched"), "{}", big.short());
    let ways = [Passes::Batched, Passes::Sequential];
    let [batched, sequential] =
        ways.map(|way| Plan::with(&card(80, (9, 0)), &candidates, 1, Placement::default(), way, &job).unwrap());
    assert!(batched.need.denoise > sequential.need.denoise);
    // Room for sequential passes only: everything else stays the same.
    let mut tight = card(80, (8, 6));
    tight.free = (sequential.need.peak() as f64 * 1.021) as u64;
    let plan = Plan::new(&tight, &candidates, 1, Placement::default(), &job).unwrap();
    assert_eq!(plan.passes, Passes::Sequential);
    assert!(plan.fits(&tight) && plan.runs_as(&batched));
    // A single pass cannot be batched, and a CPU gains nothing from it.
    let cached = Workload { cached: true, ..job };
    let need = |job: &Workload| estimate(&tight, &q4, job, Placement::default(), Passes::Sequential).denoise;
    assert!(need(&cached) > need(&job));
    // A LoRA takes its own size, and some room to work in.
    let loras = Workload { lora_values: 400_000_000, ..job };
    let added = need(&loras) - need(&job);
    assert!((800_000_000..1_100_000_000).contains(&added), "{added}");
    let alone = Workload { guided: false, ..job };
    assert_eq!(choose(&card(80, (9, 0)), &candidates, &alone).unwrap().passes, Passes::Sequential);
    let computer = DeviceInfo { kind: Kind::Cpu, host_free: 200 * GB, free: 200 * GB, ..card(80, (9, 0)) };
    assert!(plans(&computer, &candidates, &job).iter().all(|plan| plan.passes == Passes::Sequential));
}

#[test]
fn a_plan_says_itself_in_one_line() {
    let q5 = footprint(Format::Gguf(Quantisation::Q5KM));
    let candidates = [Candidate { name: "q5_k_m", footprint: &q5 }];
    let card = card(20, (8, 6));
    let plan = choose(&card, &candidates, &workload(640, 4)).unwrap();
    let line = plan.line();
    assert!(
        line.starts_with("needs ") && line.contains(" GB, 19.1 GB free: plan q5_k_m, text encoder staged"),
        "{line}"
    );
    assert!(plan.parts().contains("denoising"), "{}", plan.parts());
}

#[test]
fn what_fits_nowhere_is_refused_with_the_facts() {
    let bf16 = footprint(Format::Bf16);
    let candidates = [Candidate { name: "bf16", footprint: &bf16 }];
    let mut small = card(4, (7, 5));
    small.free = 3 * GB;
    let error = choose(&small, &candidates, &workload(1024, 10)).unwrap_err();
    let text = error.to_string();
    for words in ["no plan fits 1024x1024, 10 layers", "of GPU memory, 3.0 GB are free"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    let NoPlan::Shortage(shortage) = error else { panic!("{text}") };
    assert_eq!((shortage.memory, shortage.free, &shortage.device), (Memory::Gpu, 3 * GB, &small));
    assert!(shortage.need > 3 * GB && shortage.smallest.name == "bf16");
    assert_eq!(choose(&small, &[], &workload(640, 4)), Err(NoPlan::NoCandidates));
}

#[test]
fn the_host_has_to_hold_what_is_put_there() {
    let bf16 = footprint(Format::Bf16);
    let candidates = [Candidate { name: "bf16", footprint: &bf16 }];
    let card = card(12, (8, 6));
    // 15.5 GB of text encoder fit only there.
    let plans = plans(&card, &candidates, &workload(640, 4));
    assert!(!plans.is_empty() && plans.iter().all(|plan| plan.placement.text == TextPlace::Host));
    let small = DeviceInfo { host_free: 8 * GB, ..card };
    let text = choose(&small, &candidates, &workload(640, 4)).unwrap_err().to_string();
    assert!(text.contains("of the computer's own memory, 8.0 GB are free"), "{text}");
    // Two blocks are page-locked on their way.
    let q4 = footprint(Format::Gguf(Quantisation::Q4KM));
    let need = |blocks| {
        let placement = Placement { text: TextPlace::Staged, blocks };
        estimate(&small, &q4, &workload(640, 4), placement, Passes::Sequential).host
    };
    assert_eq!(need(BlockPlace::Resident), 0);
    assert_eq!(need(BlockPlace::Streamed { resident: 9, in_flight: 3 }), 2 * q4.largest_block());
}

#[test]
fn a_processor_plans_with_its_own_memory() {
    let q4 = footprint(Format::Gguf(Quantisation::Q4KM));
    let candidates = [Candidate { name: "q4_k_m", footprint: &q4 }];
    let computer = |gigabytes: u64| DeviceInfo {
        name: "this computer".to_owned(),
        kind: Kind::Cpu,
        free: gigabytes * GB,
        total: gigabytes * GB,
        host_free: gigabytes * GB,
        fused_attention: true,
    };
    let plan = choose(&computer(32), &candidates, &workload(640, 4)).unwrap();
    assert_eq!(plan.placement, Placement::default());
    let plan = choose(&computer(17), &candidates, &workload(640, 4)).unwrap();
    assert_eq!(plan.placement.text, TextPlace::Staged);
    assert!(choose(&computer(2), &candidates, &workload(640, 4)).unwrap_err().to_string().contains("of memory"));
}
