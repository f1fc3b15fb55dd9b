//! Which weights the qwen engine uses, where they are, and on what it runs.

mod card;
mod device;
mod files;
mod plans;
mod variant;

use std::path::PathBuf;

use service::{ByteSize, SettingError, Settings, Variable};

pub use device::{DeviceChoice, Precision};
pub use files::{Located, NotThere};
pub use plans::{Choices, survey};
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
pub const DEVICE_MEMORY_LIMIT: Variable = Variable {
    name: "DEVICE_MEMORY_LIMIT",
    default: "",
    about: "Most memory of the device that the qwen engine plans with, such as 20GiB; empty: what is free when it loads",
};
pub const GUIDED_STEPS_PERCENT: Variable = Variable {
    name: "GUIDED_STEPS_PERCENT",
    default: "100",
    about: "Share of the qwen engine's steps, from the first on, that are guided; below 100: faster, at a cost in quality",
};
pub const STEP_CACHE_PERCENT: Variable = Variable {
    name: "STEP_CACHE_PERCENT",
    default: "0",
    about: "Change of a step below which most of it is taken from the last one, such as 8: faster, at a cost in quality; 0: off",
};
pub const FP8_PRODUCTS: Variable = Variable {
    name: "FP8_PRODUCTS",
    default: "false",
    about: "Whether the qwen engine multiplies the fp8 weights in fp8 (NVIDIA GPUs from Ada on): faster, at a cost in quality",
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
    /// `DEVICE_MEMORY_LIMIT`, in bytes.
    pub device_limit: Option<u64>,
    /// `GUIDED_STEPS_PERCENT`, 0 to 100.
    pub guided_steps_percent: u8,
    /// `STEP_CACHE_PERCENT`, 0 to 100.
    pub step_cache_percent: u8,
    /// `FP8_PRODUCTS`.
    pub fp8_products: bool,
    /// Starting noise in place of the seed's: a safetensors file. For the command line only.
    pub init_latents: Option<PathBuf>,
    /// Where to write what the model computed on the way, as safetensors. For the command line only.
    pub dump: Option<PathBuf>,
}

impl ModelConfig {
    /// # Errors
    /// When a setting cannot be read.
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

    /// Small random weights, as the engine finds them.
    pub(crate) fn synthetic_choices() -> Choices {
        let folder = tempfile::tempdir().expect("a folder");
        let config = synthetic_config(folder.path());
        Choices::measure(&config, config.locate_all().expect("complete"))
    }

    /// Runs `work` on the candidates that [`synthetic_choices`] has.
    pub(crate) fn synthetic_candidates<T>(work: impl FnOnce(&[qwen_image_layered::plan::Candidate]) -> T) -> T {
        work(&synthetic_choices().candidates())
    }

    /// A GPU of this many bytes.
    pub(crate) fn card(bytes: u64) -> DeviceInfo {
        DeviceInfo {
            name: "a card".to_owned(),
            kind: Kind::Cuda { capability: (8, 6) },
            free: bytes,
            total: bytes,
            host_free: bytes,
            fused_attention: true,
        }
    }

    /// Settings that name weights made up below `folder`.
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
    fn a_survey_says_what_would_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = synthetic_config(folder.path());
        let lines = survey(&config, None).expect("it fits");
        assert!(lines[0].contains("640x640, 4 layers, 50 steps, guided on this computer: needs "), "{lines:?}");
        assert!(lines[0].contains("plan folder, everything resident"), "{lines:?}");
        let small = ModelConfig { device_limit: Some(1 << 20), ..config };
        let refused = survey(&small, None).expect_err("a megabyte");
        assert!(refused.contains("no plan fits") && refused.contains("draft"), "{refused}");
    }

    #[test]
    fn products_are_in_float8_where_card_weights_and_type_allow_it() {
        let why_not = |format, capability, precision| {
            let folder = tempfile::tempdir().expect("a folder");
            let config = config_of(folder.path(), format);
            let choices = Choices::measure(&config, config.locate_all().expect("complete"));
            let card = DeviceInfo { kind: Kind::Cuda { capability }, ..card(8 << 30) };
            let workload = Workload::square(&qwen_image_layered::Params::default());
            let plan = choices.plans(&card, &workload).expect("it fits").remove(0);
            choices.no_float8(&plan, &card, precision).unwrap_or("nothing")
        };
        assert_eq!(why_not(Format::Fp8, (8, 9), Precision::Bf16), "nothing");
        assert!(why_not(Format::Fp8, (8, 6), Precision::Bf16).contains("Ada"));
        assert!(why_not(Format::Bf16, (9, 0), Precision::Bf16).contains("pull --variant fp8"));
        assert!(why_not(Format::Fp8, (9, 0), Precision::F32).contains("DTYPE=bf16"));
    }

    #[test]
    fn a_loaded_model_goes_on_while_it_suffices() {
        let choices = synthetic_choices();
        let card = card(8 << 30);
        let params = qwen_image_layered::Params { prompt: "a poster".to_owned(), ..Default::default() };
        let workload = Workload::square(&params);
        let loaded = choices.plans(&card, &workload).expect("it fits").remove(0);
        let bigger = Workload { layers: 8, ..workload };
        let plans = choices.with_loaded(&loaded, &card, &bigger).expect("it fits, too");
        assert!(plans[0].runs_as(&loaded) && plans[0].need.denoise > loaded.need.denoise, "{}", plans[0].parts());
        assert!(plans.len() > 1, "another one can be tried");

        let small = DeviceInfo { free: loaded.need.peak(), ..card.clone() };
        assert!(choices.with_loaded(&loaded, &small, &bigger).is_none());
        // All blocks brought to the device at every step: another plan is worth loading.
        let blocks = BlockPlace::Streamed { resident: 0, in_flight: 2 };
        let mut slow = loaded.clone();
        slow.placement = Placement { text: TextPlace::Staged, blocks };
        let quick = Workload { width: 64, height: 64, ..workload };
        assert!(choices.with_loaded(&slow, &card, &quick).is_none());
    }
}
