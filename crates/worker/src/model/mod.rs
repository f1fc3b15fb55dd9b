//! Which weights the qwen engine uses, where they are, and on what it runs.

mod device;
mod files;
mod variant;

use std::path::PathBuf;

use jobs::settings::{SettingError, Settings, Variable};

pub use device::{DeviceChoice, Precision};
pub use files::{Located, NotThere};
pub use variant::{Source, Variant};

pub const MODEL_NAME: Variable = Variable {
    name: "MODEL_NAME",
    default: "Qwen/Qwen-Image-Layered",
    about: "Weights of the qwen engine: a repository's name, or a folder that holds them",
};
pub const MODEL_CACHE_DIR: Variable = Variable {
    name: "MODEL_CACHE_DIR",
    default: "storage/models",
    about: "Where the weights of repositories are, laid out as the Hugging Face cache is; unflatten pull puts them there",
};
pub const MODEL_VARIANT: Variable = Variable {
    name: "MODEL_VARIANT",
    default: "",
    about: "Which of the pulled weights to use: bf16, fp8, q8_0, q5_k_m or q4_k_m; empty: the largest that is complete",
};
pub const DEVICE: Variable = Variable {
    name: "DEVICE",
    default: "auto",
    about: "What the qwen engine runs on: cpu, cuda, cuda:1, metal; auto: a GPU where this build and this machine have one",
};
pub const DTYPE: Variable = Variable {
    name: "DTYPE",
    default: "bf16",
    about: "What the qwen engine computes in: bf16, or f32 (twice the memory; to compare with a reference)",
};
pub const HF_ENDPOINT: Variable = Variable {
    name: "HF_ENDPOINT",
    default: "https://huggingface.co",
    about: "Where unflatten pull fetches weights: Hugging Face or a mirror of it",
};
pub const HF_TOKEN: Variable =
    Variable { name: "HF_TOKEN", default: "", about: "Access token for HF_ENDPOINT, where a repository asks for one" };

/// How the qwen engine gets its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelConfig {
    /// `MODEL_NAME`: `owner/name`, or a folder.
    pub name: String,
    /// `MODEL_CACHE_DIR`.
    pub cache_dir: PathBuf,
    /// `MODEL_VARIANT`; `None`: the largest that is complete.
    pub variant: Option<Variant>,
    /// `DEVICE`.
    pub device: DeviceChoice,
    /// `DTYPE`.
    pub precision: Precision,
    /// Starting noise in place of the seed's: a safetensors file. For the command line only.
    pub init_latents: Option<PathBuf>,
    /// Where to write what the model computed on the way, as safetensors. For the command line only.
    pub dump: Option<PathBuf>,
}

impl ModelConfig {
    /// # Errors
    /// When a setting cannot be read.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self {
            name: settings.require(&MODEL_NAME)?,
            cache_dir: settings.require(&MODEL_CACHE_DIR)?,
            variant: settings.parse(&MODEL_VARIANT)?,
            device: settings.require(&DEVICE)?,
            precision: settings.require(&DTYPE)?,
            init_latents: None,
            dump: None,
        })
    }
}
