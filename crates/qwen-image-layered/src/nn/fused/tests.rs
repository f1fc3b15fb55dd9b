//! The kernels as C++ on this processor, one thread for each of CUDA's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use candle_core::{DType, Device, Tensor};
use tempfile::TempDir;

use super::launch::Launch;
use crate::nn::{add_gated, composed, float8_e4m3, rms_norm_rotate};

const EPS: f64 = 1e-6;

/// The compiled program, in a folder that lasts as long as it.
static PROGRAM: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = TempDir::new().unwrap();
    let program = folder.path().join("main");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/nn/fused/host/main.cpp");
    let include = source.parent().unwrap();
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let status = Command::new(&compiler)
        .args(["-std=c++17", "-O1", "-pthread", "-Wall", "-Werror", "-ffp-contract=off"])
        .arg("-I")
        .arg(include)
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .status()
        .expect("a C++ compiler (Debian: apt install g++)");
    assert!(status.success());
    (folder, program)
});

fn random(shape: &[usize], dtype: DType) -> Tensor {
    Tensor::randn(0.3_f32, 1.0, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn bytes(x: &Tensor) -> Vec<u8> {
    let x = x.flatten_all().unwrap();
    match x.dtype() {
        DType::BF16 => x.to_vec1::<half::bf16>().unwrap().iter().flat_map(|v| v.to_le_bytes()).collect(),
        _ => x.to_vec1::<f32>().unwrap().iter().flat_map(|v| v.to_le_bytes()).collect(),
    }
}

/// What the kernel makes of `inputs`: as many values as the first one has.
fn run(kernel: &str, launch: Launch, numbers: [usize; 2], inputs: [&Tensor; 3]) -> Tensor {
    let (dtype, count) = (inputs[0].dtype(), inputs[0].elem_count());
    let out = run_raw(kernel, launch, numbers, inputs, count * dtype.size_in_bytes());
    Tensor::from_raw_buffer(&out, dtype, inputs[0].dims(), &Device::Cpu).unwrap()
}

/// The bytes that the kernel makes of `inputs`.
fn run_raw(kernel: &str, launch: Launch, numbers: [usize; 2], inputs: [&Tensor; 3], bytes_out: usize) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let path = |name: usize| folder.path().join(name.to_string());
    for (i, input) in inputs.iter().enumerate() {
        fs::write(path(i), bytes(input)).unwrap();
    }
    let suffix = if inputs[0].dtype() == DType::BF16 { "bf16" } else { "f32" };
    let words = [launch.grid, launch.block].concat();
    let status = Command::new(&PROGRAM.1)
        .arg(format!("{kernel}_{suffix}"))
        .args(words.iter().map(u32::to_string))
        .args(numbers.map(|n| n.to_string()))
        .arg(EPS.to_string())
        .arg(bytes_out.to_string())
        .args((0..4).map(path))
        .status()
        .unwrap();
    assert!(status.success());
    fs::read(path(3)).unwrap()
}

/// In bf16 the same but for values that lie between two, which a sum in another order may round the other way.
fn compare(found: &Tensor, expected: &Tensor, dtype: DType) {
    let wide = |x: &Tensor| x.to_dtype(DType::F32).unwrap();
    let difference = (wide(found) - wide(expected)).unwrap().abs().unwrap();
    let size = wide(expected).abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    let worst = difference.max_all().unwrap().to_scalar::<f32>().unwrap() / size;
    assert!(worst <= if dtype == DType::BF16 { 4e-3 } else { 1e-6 }, "{worst:e}");
    let many = difference.gt(1e-6 * f64::from(size)).unwrap().to_dtype(DType::F32).unwrap().mean_all().unwrap();
    assert!(many.to_scalar::<f32>().unwrap() < 0.01);
}

#[test]
fn norm_and_rotation_are_those_of_the_processor() {
    for dtype in [DType::F32, DType::BF16] {
        // Rows that fill no block; heads of fewer pairs than a warp has lanes, of as many, and of more.
        for (tokens, heads, width) in [(3, 3, 16), (2, 4, 64), (5, 2, 128), (1, 1, 160)] {
            let (x, weight) = (random(&[1, tokens, heads, width], dtype), random(&[width], dtype));
            let rotation = random(&[tokens, width], DType::F32);
            let launch = Launch::of_warps((tokens * heads) as u32);
            let found = run("rms_norm_rotate", launch, [tokens * heads, heads], [&x, &weight, &rotation]);
            compare(&found, &rms_norm_rotate(&x, &weight, EPS, &rotation).unwrap(), dtype);
        }
    }
}

#[test]
fn gated_sums_are_those_of_the_processor() {
    for dtype in [DType::F32, DType::BF16] {
        for (tokens, width) in [(1, 2), (3, 516), (2, 1100)] {
            let (x, y, gate) =
                (random(&[1, tokens, width], dtype), random(&[1, tokens, width], dtype), random(&[1, width], dtype));
            let expected = add_gated(&x, &gate, &y).unwrap();
            let whole = Launch::of_rows(tokens as u32, width as u32 / 2);
            // Fewer blocks than rows and threads: each does several.
            let few = Launch { grid: [1, 1], block: [32, 1] };
            for launch in [whole, few] {
                let found = run("add_gated", launch, [tokens, width / 2], [&x, &gate, &y]);
                compare(&found, &expected, dtype);
            }
        }
    }
}

#[test]
fn float8_is_rounded_as_on_the_processor() {
    let spread = Tensor::arange(0.0_f32, 3000.0, &Device::Cpu).unwrap();
    // From below the smallest float8 to the largest, of both signs, with a tie in each step.
    let small = ((&spread * 0.004).unwrap() - 6.0).unwrap().exp().unwrap();
    let large = (random(&[3000], DType::F32) * 50.0).unwrap();
    let ties = (&spread * 0.125).unwrap();
    let none = spread.zeros_like().unwrap();
    for values in [small, large, ties, none] {
        let x = values.to_dtype(DType::BF16).unwrap();
        let expected = composed::as_float8(&x.to_dtype(DType::F32).unwrap()).unwrap().to_vec1::<f32>().unwrap();
        let whole = Launch::of_pairs(1500);
        for launch in [whole, Launch { grid: [2, 1], block: [64, 1] }] {
            let out = run_raw("to_float8", launch, [0, 0], [&x, &x, &x], 3004);
            let (values, scale) = out.split_at(3000);
            let scale = f32::from_le_bytes(scale.try_into().unwrap());
            let found: Vec<f32> = values.iter().map(|&bits| float8_e4m3(bits) * scale).collect();
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn launches_cover_all_rows() {
    assert_eq!(Launch::of_pairs(513), Launch { grid: [3, 1], block: [256, 1] });
    assert_eq!(Launch::of_pairs(1 << 40), Launch { grid: [2048, 1], block: [256, 1] });
    assert_eq!(Launch::of_warps(17), Launch { grid: [3, 1], block: [32, 8] });
    assert_eq!(Launch::of_rows(70_000, 1536), Launch { grid: [6, 65_535], block: [256, 1] });
}
