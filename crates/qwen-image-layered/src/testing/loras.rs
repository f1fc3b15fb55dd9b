//! The random LoRAs of the fixtures (`reference/lora.py`).

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;

use super::{fixture, uniform};

/// The salt of their values.
const SALT: u64 = 11;

#[derive(Deserialize)]
struct Listing {
    file: String,
    metadata: Option<HashMap<String, String>>,
    config: Option<serde_json::Value>,
    tensors: BTreeMap<String, Listed>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Listed {
    Number { number: f32 },
    Values { source: String, factor: f32, shape: Vec<usize> },
}

/// The tensors of LoRA `name` of the fixtures.
pub fn tensors(name: &str) -> HashMap<String, Tensor> {
    read(name).tensors.into_iter().map(|(key, listed)| (key, listed.tensor())).collect()
}

/// Writes LoRA `name` of the fixtures below `folder`, in `dtype`, with its config if it has one.
pub fn write(name: &str, folder: &Path, dtype: DType) -> PathBuf {
    let Listing { file, metadata, config, .. } = read(name);
    if let Some(config) = config {
        fs::write(folder.join("adapter_config.json"), config.to_string()).expect("config");
    }
    let path = folder.join(file);
    let stored = |tensor: Tensor| tensor.to_dtype(dtype).expect("numbers");
    let tensors: HashMap<String, Tensor> = tensors(name).into_iter().map(|(key, t)| (key, stored(t))).collect();
    safetensors::serialize_to_file(&tensors, metadata, &path).expect("LoRA");
    path
}

fn read(name: &str) -> Listing {
    serde_json::from_slice(&fs::read(fixture(&format!("lora/{name}.json"))).expect("fixture")).expect("listing")
}

impl Listed {
    fn tensor(self) -> Tensor {
        match self {
            Self::Number { number } => Tensor::new(number, &Device::Cpu).expect("number"),
            Self::Values { source, factor, shape } => {
                let values = uniform(&source, shape.iter().product(), SALT).into_iter().map(|value| value * factor);
                Tensor::from_iter(values, &Device::Cpu).and_then(|tensor| tensor.reshape(shape)).expect("values")
            }
        }
    }
}
