//! Weights, variant, device and memory plan of the qwen engine.

mod device;
mod device_info;
mod files;
pub(crate) mod loras;
mod plans;
mod segmenter;
mod variant;

use std::path::PathBuf;

use service::{ByteSize, SettingError, Settings, Variable};

pub use device::{DeviceChoice, Precision};
pub use files::{LocalWeights, MissingWeights};
pub use plans::{WeightCandidates, describe_plans};
pub use segmenter::{SEGMENTER, SegmenterPart, pulled_segmenter};
pub use variant::{Source, Variant};

/// The setting `MODEL_NAME`.
pub const MODEL_NAME: Variable = Variable {
    name: "MODEL_NAME",
    default: "Qwen/Qwen-Image-Layered",
    about: "Weights of the qwen engine: a Hugging Face repository (owner/name) or a folder",
};
/// The setting `MODEL_CACHE_DIR`.
pub const MODEL_CACHE_DIR: Variable = Variable {
    name: "MODEL_CACHE_DIR",
    default: "storage/models",
    about: "Folder into which unflatten pull puts weights, with the layout of the Hugging Face cache",
};
/// The setting `MODEL_VARIANT`.
pub const MODEL_VARIANT: Variable = Variable {
    name: "MODEL_VARIANT",
    default: "",
    about: "Variant of the pulled weights to use: bf16, fp8, q8_0, q5_k_m or q4_k_m; empty: the largest that is complete",
};
/// The setting `DEVICE`.
pub const DEVICE: Variable = Variable {
    name: "DEVICE",
    default: "auto",
    about: "Device of the qwen engine: cpu, cuda, cuda:1, metal; auto: a GPU if this build and this machine have one",
};
/// The setting `DTYPE`.
pub const DTYPE: Variable = Variable {
    name: "DTYPE",
    default: "bf16",
    about: "Number format that the qwen engine computes in: bf16, or f32 (twice the memory; to compare with a reference)",
};
/// The setting `DEVICE_MEMORY_LIMIT`.
pub const DEVICE_MEMORY_LIMIT: Variable = Variable {
    name: "DEVICE_MEMORY_LIMIT",
    default: "",
    about: "Device memory that the qwen engine may use, such as 20GiB; empty: what is free when the model loads",
};
/// The setting `GUIDED_STEPS_PERCENT`.
pub const GUIDED_STEPS_PERCENT: Variable = Variable {
    name: "GUIDED_STEPS_PERCENT",
    default: "100",
    about: "Share of denoising steps, from the first on, that the qwen engine guides; below 100: faster, lower quality",
};
/// The setting `STEP_CACHE_PERCENT`.
pub const STEP_CACHE_PERCENT: Variable = Variable {
    name: "STEP_CACHE_PERCENT",
    default: "0",
    about: "Change between steps below which the qwen engine reuses the previous step, such as 8: faster, lower quality; 0: off",
};
/// The setting `LORA_DIR`.
pub const LORA_DIR: Variable = Variable {
    name: "LORA_DIR",
    default: "storage/loras",
    about: "Folder with LoRAs of the qwen engine that jobs can name: safetensors files, or folders as PEFT writes them",
};
/// The setting `FP8_PRODUCTS`.
pub const FP8_PRODUCTS: Variable = Variable {
    name: "FP8_PRODUCTS",
    default: "false",
    about: "Whether the qwen engine computes matrix products of fp8 weights in fp8 (NVIDIA Ada or newer): faster, lower quality",
};
/// The setting `HF_ENDPOINT`.
pub const HF_ENDPOINT: Variable = Variable {
    name: "HF_ENDPOINT",
    default: "https://huggingface.co",
    about: "Hub from which unflatten pull fetches weights: Hugging Face or a mirror",
};
/// The setting `HF_TOKEN`.
pub const HF_TOKEN: Variable = Variable {
    name: "HF_TOKEN",
    default: "",
    about: "Access token for HF_ENDPOINT, for repositories that require one",
};

/// Settings of the model of the qwen engine.
#[derive(Debug, Clone, PartialEq)]
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
    /// `DEVICE_MEMORY_LIMIT`, in bytes.
    pub device_limit: Option<u64>,
    /// `GUIDED_STEPS_PERCENT`, 0 to 100.
    pub guided_steps_percent: u8,
    /// `STEP_CACHE_PERCENT`, 0 to 100.
    pub step_cache_percent: u8,
    /// `FP8_PRODUCTS`.
    pub fp8_products: bool,
    /// `LORA_DIR`.
    pub lora_dir: PathBuf,
    /// LoRAs of every job, beside those that it names. For the command line only.
    pub loras: Vec<LoraFile>,
    /// Initial latents in place of the seed's noise: a safetensors file. For the command line only.
    pub init_latents: Option<PathBuf>,
    /// Where to write the intermediate tensors, as safetensors. For the command line only.
    pub dump: Option<PathBuf>,
}

/// A LoRA by its file.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraFile {
    /// The file, or the folder that it was published in.
    pub path: PathBuf,
    /// How much of it; 1 is what it was trained for.
    pub strength: f32,
}

impl ModelConfig {
    /// Reads the settings.
    ///
    /// # Errors
    /// The first setting that is not valid.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let limit: Option<ByteSize> = settings.parse(&DEVICE_MEMORY_LIMIT)?;
        Ok(Self {
            name: settings.require(&MODEL_NAME)?,
            cache_dir: settings.require(&MODEL_CACHE_DIR)?,
            variant: settings.parse(&MODEL_VARIANT)?,
            device: settings.require(&DEVICE)?,
            precision: settings.require(&DTYPE)?,
            device_limit: limit.map(|limit| limit.0),
            guided_steps_percent: settings.number(&GUIDED_STEPS_PERCENT, 0..=100)?,
            step_cache_percent: settings.number(&STEP_CACHE_PERCENT, 0..=100)?,
            fp8_products: settings.flag(&FP8_PRODUCTS)?,
            lora_dir: settings.require(&LORA_DIR)?,
            loras: Vec::new(),
            init_latents: None,
            dump: None,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use qwen_image_layered::plan::{BlockPlace, DeviceInfo, Kind, Placement, TextPlace, Workload};
    use qwen_image_layered::synthetic::{Format, Size, Synthetic};

    use super::*;

    /// Small random weights.
    pub(crate) fn synthetic_weights() -> WeightCandidates {
        let folder = tempfile::tempdir().expect("a folder");
        let config = synthetic_config(folder.path());
        WeightCandidates::measure(&config, config.locate_all().expect("complete"))
    }

    /// Calls `work` with the candidates of [`synthetic_weights`].
    pub(crate) fn synthetic_candidates<T>(work: impl FnOnce(&[qwen_image_layered::plan::Candidate]) -> T) -> T {
        work(&synthetic_weights().candidates())
    }

    /// A GPU with this much memory.
    pub(crate) fn gpu_of(bytes: u64) -> DeviceInfo {
        DeviceInfo {
            name: "a GPU".to_owned(),
            kind: Kind::Cuda { capability: (8, 6) },
            free: bytes,
            total: bytes,
            host_free: bytes,
            fused_attention: true,
        }
    }

    /// Settings that name synthetic weights in `folder`.
    pub(crate) fn synthetic_config(folder: &std::path::Path) -> ModelConfig {
        config_of(folder, Format::Bf16)
    }

    fn config_of(folder: &std::path::Path, format: Format) -> ModelConfig {
        let synthetic = Synthetic { size: Size::Tiny, format };
        synthetic.write_without_weights(folder).expect("written");
        let settings = Settings::from_pairs([("MODEL_NAME", folder.to_string_lossy().as_ref()), ("DEVICE", "cpu")]);
        ModelConfig::from_settings(&settings).expect("good settings")
    }

    #[test]
    fn plans_say_what_would_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = synthetic_config(folder.path());
        let lines = describe_plans(&config, None).expect("it fits");
        assert!(lines[0].contains("640x640, 4 layers, 50 steps, guided on this computer: needs "), "{lines:?}");
        assert!(lines[0].contains("plan folder, everything resident"), "{lines:?}");
        let small = ModelConfig { device_limit: Some(1 << 20), ..config };
        let refused = describe_plans(&small, None).expect_err("a megabyte");
        assert!(refused.contains("no plan fits") && refused.contains("draft"), "{refused}");
    }

    #[test]
    fn float8_matmul_needs_the_right_device_weights_and_dtype() {
        let obstacle = |format, capability, precision| {
            let folder = tempfile::tempdir().expect("a folder");
            let config = config_of(folder.path(), format);
            let candidates = WeightCandidates::measure(&config, config.locate_all().expect("complete"));
            let device = DeviceInfo { kind: Kind::Cuda { capability }, ..gpu_of(8 << 30) };
            let workload = Workload::square(&qwen_image_layered::Params::default());
            let plan = candidates.plans(&device, &workload).expect("it fits").remove(0);
            candidates.float8_obstacle(&plan, &device, precision).unwrap_or("nothing")
        };
        assert_eq!(obstacle(Format::Fp8, (8, 9), Precision::Bf16), "nothing");
        assert!(obstacle(Format::Fp8, (8, 6), Precision::Bf16).contains("Ada"));
        assert!(obstacle(Format::Bf16, (9, 0), Precision::Bf16).contains("pull --variant fp8"));
        assert!(obstacle(Format::Fp8, (9, 0), Precision::F32).contains("DTYPE=bf16"));
    }

    #[test]
    fn a_loaded_model_is_kept_while_it_fits() {
        let candidates = synthetic_weights();
        let device = gpu_of(8 << 30);
        let params = qwen_image_layered::Params { prompt: "a poster".to_owned(), ..Default::default() };
        let workload = Workload::square(&params);
        let loaded = candidates.plans(&device, &workload).expect("it fits").remove(0);
        let bigger = Workload { layers: 8, ..workload };
        let plans = candidates.with_loaded(&loaded, &device, &bigger).expect("it fits, too");
        assert!(plans[0].runs_as(&loaded) && plans[0].need.denoise > loaded.need.denoise, "{}", plans[0].parts());
        assert!(plans.len() > 1, "another one can be tried");

        let small = DeviceInfo { free: loaded.need.peak(), ..device.clone() };
        assert!(candidates.with_loaded(&loaded, &small, &bigger).is_none());
        // All blocks are streamed at every step: another plan is worth loading.
        let blocks = BlockPlace::Streamed { resident: 0, in_flight: 2 };
        let mut slow = loaded.clone();
        slow.placement = Placement { text: TextPlace::Staged, blocks };
        let quick = Workload { width: 64, height: 64, ..workload };
        assert!(candidates.with_loaded(&slow, &device, &quick).is_none());
    }
}
