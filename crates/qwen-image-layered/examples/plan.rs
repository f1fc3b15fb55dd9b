//! Plans a job for GPUs of several sizes, with checkpoints of the published sizes, and prints what would run:
//!
//!     cargo run --release -p qwen-image-layered --features synthetic --example plan -- [GPU memory in GB]...
//!
//! Nothing is loaded: headers and configs suffice. With real weights, `ModelFiles::folder` names them.

use candle_core::DType;
use qwen_image_layered::Params;
use qwen_image_layered::plan::{Candidate, DeviceInfo, Footprint, Kind, Workload, plans, refusal};
use qwen_image_layered::synthetic::{Format, Quantisation, Size, Synthetic};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let asked: Vec<u64> = std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    let sizes = if asked.is_empty() { vec![8, 12, 24, 80] } else { asked };
    let folder = std::env::temp_dir().join(format!("qwen-image-layered-plan-{}", std::process::id()));
    let result = run(&folder, &sizes);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn run(folder: &std::path::Path, sizes: &[u64]) -> Result<(), Box<dyn std::error::Error>> {
    let mut footprints = Vec::new();
    for (name, format) in [("bf16", Format::Bf16), ("fp8", Format::Fp8), ("q4_k_m", Format::Gguf(Quantisation::Q4KM))] {
        // A few kilobytes: the weights themselves are never read.
        let files = Synthetic { size: Size::Full, format }.write_without_weights(&folder.join(name))?;
        footprints.push((name, Footprint::measure(&files, DType::BF16)?));
    }
    let candidates: Vec<_> = footprints.iter().map(|(name, footprint)| Candidate { name, footprint }).collect();

    let params = Params { prompt: "a poster".into(), ..Params::default() };
    let workload = Workload::square(&params);
    println!("{workload}");
    for &gigabytes in sizes {
        let total = gigabytes << 30;
        let device = DeviceInfo {
            name: format!("a GPU of {gigabytes} GB"),
            kind: Kind::Cuda { capability: (8, 9) },
            // The desktop takes some.
            free: total / 20 * 19,
            total,
            host_free: 64 << 30,
            fused_attention: true,
        };
        match plans(&device, &candidates, &workload).first() {
            Some(plan) => println!("{}: {} ({})", device.name, plan.line(), plan.parts()),
            None => println!("{}: {}", device.name, refusal(&device, &candidates, &workload)),
        }
    }
    Ok(())
}
