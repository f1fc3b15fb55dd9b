//! Tiny checkpoints with random weights, for tests (feature `testing`). The other half is `reference/tiny.py`.
#![allow(clippy::missing_panics_doc, reason = "a test that panics has failed")]

pub mod loras;
pub mod packagings;
pub mod runs;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::DType;
use safetensors::tensor::{Dtype, TensorView};
use tempfile::TempDir;

/// The building blocks of the models, for benchmarks of each alone.
pub mod kernels {
    #[cfg(feature = "flash-attn")]
    pub use crate::nn::flash_2;
    pub use crate::nn::{AttentionOptions, Linear, add_gated, attention, composed, gelu_tanh, modulate};
    pub use crate::nn::{degradations, rms_norm_rotate, silu};

    use candle_core::{Device, Tensor};

    use crate::nn::Packed;

    /// A layer whose weights are scaled float8 E4M3, `rows` rows of `bytes`.
    pub fn float8(bytes: Vec<u8>, scale: f32, rows: usize, bias: Tensor, device: &Device) -> crate::Result<Linear> {
        let columns = bytes.len() / rows;
        Ok(Linear::packed(Packed::float8_of(bytes, scale, rows, columns, device)?, Some(bias)))
    }
}

/// Runs `work` with the kernels that other devices get, on the CPU.
pub use crate::nn::as_device;

/// The salt of the weights that the whole runs of the fixtures were made with.
const WHOLE_SALT: u64 = 7;

/// A file or folder of the fixtures. `UNFLATTEN_FIXTURES` says where they are for a program that was carried elsewhere.
pub fn fixture(name: &str) -> PathBuf {
    let here = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::env::var_os("UNFLATTEN_FIXTURES").map_or_else(here, PathBuf::from).join(name)
}

/// A whole tiny model in the published layout.
pub fn whole_checkpoint() -> TempDir {
    let folder = checkpoint("tiny", WHOLE_SALT);
    copy_folder(&fixture("text/model"), folder.path());
    folder
}

/// `count` values in [-1, 1), multiples of 2^-23: splitmix64 over the CRC of the name, as in `tiny.uniform`.
pub fn uniform(name: &str, count: usize, salt: u64) -> Vec<f32> {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let start = (u64::from(crc32(name.as_bytes())).wrapping_add(salt << 32)).wrapping_mul(GOLDEN);
    let value = |i: u64| {
        let mut z = start.wrapping_add(i.wrapping_mul(GOLDEN));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (1..=count as u64).map(value).collect()
}

/// The weight called `name`, as `tiny.values`.
pub fn weight(name: &str, shape: &[usize], salt: u64) -> Vec<f32> {
    let below: usize = shape[1..].iter().product();
    let (factor, offset) = if below == 1 && shape.len() != 2 {
        if name.ends_with("bias") { (0.1, 0.0) } else { (0.3, 1.0) }
    } else if name.contains("embed") && shape.len() == 2 && !name.contains("linear") && !name.contains("proj") {
        (1.0, 0.0)
    } else {
        let fan_in = if shape.len() == 5 && shape[2] == 3 { below / 3 } else { below };
        ((3.0 / fan_in as f64).sqrt() as f32, 0.0)
    };
    uniform(name, shape.iter().product(), salt).into_iter().map(|u| u * factor + offset).collect()
}

/// A copy of fixture folder `name` with the weights that its `tensors.json` files list, in f32.
pub fn checkpoint(name: &str, salt: u64) -> TempDir {
    checkpoint_as(name, salt, DType::F32)
}

/// As [`checkpoint`], with the weights stored in `dtype`.
pub fn checkpoint_as(name: &str, salt: u64, dtype: DType) -> TempDir {
    let folder = TempDir::new().expect("temporary folder");
    copy(&fixture(name), folder.path(), salt, dtype);
    folder
}

fn copy(from: &Path, to: &Path, salt: u64, dtype: DType) {
    fs::create_dir_all(to).expect("folder");
    for entry in fs::read_dir(from).expect("fixture folder") {
        let path = entry.expect("entry").path();
        let target = to.join(path.file_name().expect("name"));
        if path.is_dir() {
            copy(&path, &target, salt, dtype);
        } else if path.ends_with("tensors.json") {
            write_weights(&path, to, salt, dtype);
        } else if path.extension().is_some_and(|extension| extension == "json" || extension == "txt") {
            fs::copy(&path, &target).expect("copy");
        }
    }
}

/// Copies all files below `from` to `to`.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folder");
    for entry in fs::read_dir(from).expect("folder") {
        let path = entry.expect("entry").path();
        let target = to.join(path.file_name().expect("name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).expect("copy");
        }
    }
}

type Listing = BTreeMap<String, BTreeMap<String, Vec<usize>>>;

fn write_weights(listing: &Path, folder: &Path, salt: u64, dtype: DType) {
    let listing: Listing = serde_json::from_slice(&fs::read(listing).expect("listing")).expect("listing");
    for (file, tensors) in &listing {
        let bytes: Vec<(&String, Vec<u8>, &Vec<usize>)> =
            tensors.iter().map(|(name, shape)| (name, stored(&weight(name, shape, salt), dtype), shape)).collect();
        let kind = if dtype == DType::BF16 { Dtype::BF16 } else { Dtype::F32 };
        let views = bytes
            .iter()
            .map(|(name, bytes, shape)| (name.as_str(), TensorView::new(kind, (*shape).clone(), bytes).expect("view")));
        safetensors::serialize_to_file(views, None, &folder.join(file)).expect("weights");
    }
    if listing.len() > 1 {
        let map: BTreeMap<&String, &String> =
            listing.iter().flat_map(|(file, tensors)| tensors.keys().map(move |name| (name, file))).collect();
        let file = listing.keys().next().expect("a file");
        let stem = file.split("-0").next().expect("a stem");
        let index = serde_json::json!({ "metadata": {}, "weight_map": map });
        fs::write(folder.join(format!("{stem}.safetensors.index.json")), index.to_string()).expect("index");
    }
}

fn stored(values: &[f32], dtype: DType) -> Vec<u8> {
    match dtype {
        DType::BF16 => values.iter().flat_map(|&value| half::bf16::from_f32(value).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

/// CRC-32 as in zlib.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}
