use std::fmt;
use std::str::FromStr;

/// The number format in which weights are stored. Smaller ones need less memory and lose some detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Variant {
    /// As published: safetensors in bf16.
    #[default]
    Bf16,
    /// ComfyUI's single files in fp8 with scales.
    Fp8,
    /// GGUF q8_0 for the transformer and the text encoder.
    Q8_0,
    /// GGUF q5_k_m.
    Q5KM,
    /// GGUF q4_k_m.
    Q4KM,
}

/// A file of another repository that replaces a part of the published folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The repository, `owner/name`.
    pub repository: &'static str,
    /// Ending of the file's name in lower case; of several files, the first in alphabetical order.
    pub ending: &'static str,
}

impl Source {
    /// Picks the file out of `names`.
    pub fn choose<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        names.into_iter().filter(|name| name.to_ascii_lowercase().ends_with(self.ending)).min()
    }
}

/// The files that a variant other than bf16 takes from other repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) transformer: Source,
    pub(super) text_model: Source,
    /// GGUF keeps the vision tower in a file of its own.
    pub(super) vision_model: Option<Source>,
}

impl Variant {
    /// Every variant, the largest first.
    pub const ALL: [Self; 5] = [Self::Bf16, Self::Q8_0, Self::Fp8, Self::Q5KM, Self::Q4KM];

    /// The name in settings and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Fp8 => "fp8",
            Self::Q8_0 => "q8_0",
            Self::Q5KM => "q5_k_m",
            Self::Q4KM => "q4_k_m",
        }
    }

    /// The files that replace transformer and text encoder of the published folder; none for bf16.
    pub fn sources(self) -> Vec<Source> {
        let parts = self.parts();
        parts
            .map(|p| [Some(p.transformer), Some(p.text_model), p.vision_model].into_iter().flatten().collect())
            .unwrap_or_default()
    }

    pub(super) fn parts(self) -> Option<Parts> {
        const TEXT_GGUF: &str = "unsloth/Qwen2.5-VL-7B-Instruct-GGUF";
        const GGUF: &str = "QuantStack/Qwen-Image-Layered-GGUF";
        let gguf = |transformer, text_model| {
            Some(Parts {
                transformer: Source { repository: GGUF, ending: transformer },
                text_model: Source { repository: TEXT_GGUF, ending: text_model },
                vision_model: Some(Source { repository: TEXT_GGUF, ending: "mmproj-f16.gguf" }),
            })
        };
        match self {
            Self::Bf16 => None,
            Self::Fp8 => Some(Parts {
                transformer: Source {
                    repository: "Comfy-Org/Qwen-Image-Layered_ComfyUI",
                    ending: "qwen_image_layered_fp8mixed.safetensors",
                },
                text_model: Source {
                    repository: "Comfy-Org/Qwen-Image_ComfyUI",
                    ending: "qwen_2.5_vl_7b_fp8_scaled.safetensors",
                },
                vision_model: None,
            }),
            Self::Q8_0 => gguf("layered-q8_0.gguf", "instruct-q8_0.gguf"),
            Self::Q5KM => gguf("layered-q5_k_m.gguf", "instruct-q5_k_m.gguf"),
            Self::Q4KM => gguf("layered-q4_k_m.gguf", "instruct-q4_k_m.gguf"),
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Variant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|variant| variant.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| format!("\"{text}\" is not a valid variant; use bf16, fp8, q8_0, q5_k_m or q4_k_m"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for variant in Variant::ALL {
            assert_eq!(variant.as_str().parse(), Ok(variant));
        }
        assert!("q2".parse::<Variant>().is_err());
    }

    #[test]
    fn a_source_finds_its_file_whatever_the_case() {
        let names = ["README.md", "Qwen_Image_Layered-Q5_K_M.gguf", "Qwen_Image_Layered-Q4_K_M.gguf"];
        let parts = Variant::Q4KM.parts().expect("other files");
        assert_eq!(parts.transformer.choose(names), Some(names[2]));
        assert_eq!(parts.text_model.choose(names), None);
    }
}
