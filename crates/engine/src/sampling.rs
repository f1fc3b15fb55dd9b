use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ParamsError;

/// How a diffusion model goes from noise to the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sampler {
    /// One call of the model a step: as Qwen-Image-Layered was published.
    #[default]
    Euler,
    /// Second order, two calls a step.
    Heun,
    /// Second order over several steps, one call a step.
    Unipc,
    /// DPM-Solver++, second order over two steps, one call a step.
    #[serde(rename = "dpmpp_2m")]
    Dpmpp2m,
}

impl Sampler {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Euler, Self::Heun, Self::Unipc, Self::Dpmpp2m];
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Euler => "euler",
            Self::Heun => "heun",
            Self::Unipc => "unipc",
            Self::Dpmpp2m => "dpmpp_2m",
        })
    }
}

impl FromStr for Sampler {
    type Err = ParamsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|sampler| sampler.to_string().eq_ignore_ascii_case(text));
        named.ok_or_else(|| {
            ParamsError::new("sampler", format!("must be euler, heun, unipc or dpmpp_2m, not \"{text}\""))
        })
    }
}

/// A LoRA that a job asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoraChoice {
    /// As `GET /api/capabilities` lists it; never a path.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// How much of it, -10 to 10; 1 is what it was trained for.
    #[serde(default = "LoraChoice::whole")]
    #[schema(minimum = -10, maximum = 10)]
    pub strength: f32,
}

impl LoraChoice {
    /// The most that a job may ask for.
    pub const MOST: usize = 8;

    fn whole() -> f32 {
        1.0
    }

    /// Checks all that a job asks for.
    ///
    /// # Errors
    /// When there are too many, one is named twice or by a path, or a strength is out of range.
    pub fn validate(all: &[Self]) -> Result<(), ParamsError> {
        let refuse = |problem: String| Err(ParamsError::new("loras", problem));
        if all.len() > Self::MOST {
            return refuse(format!("has {} entries; at most {} are allowed", all.len(), Self::MOST));
        }
        for (index, Self { name, strength }) in all.iter().enumerate() {
            let is_name = (1..=200).contains(&name.chars().count())
                && !name.starts_with('.')
                && !name.contains(['/', '\\'])
                && !name.contains(char::is_control);
            if !is_name {
                return refuse("must have names as GET /api/capabilities lists them, not paths".to_owned());
            }
            if !(-10.0..=10.0).contains(strength) {
                return refuse(format!("must have strengths from -10 to 10, and {name} has {strength}"));
            }
            if all[..index].iter().any(|other| other.name == *name) {
                return refuse(format!("must name each only once, and {name} stands there twice"));
            }
        }
        Ok(())
    }
}

/// A LoRA that an engine has, by its file's header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoraOffer {
    pub name: String,
    /// The model or architecture that the file says it was trained for.
    pub trained_for: Option<String>,
    /// How many of the model's layers it changes.
    pub layers: u32,
    /// The largest rank of its products.
    pub rank: u32,
    pub size_bytes: u64,
}

/// A LoRA that was used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LoraRecord {
    pub name: String,
    pub strength: f32,
    /// Of its file.
    pub sha256: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samplers_are_named_as_they_are_written() {
        for sampler in Sampler::ALL {
            assert_eq!(sampler.to_string().parse(), Ok(sampler));
            assert_eq!(serde_json::to_value(sampler).expect("JSON"), sampler.to_string());
        }
        assert!("ddim".parse::<Sampler>().is_err());
    }

    #[test]
    fn loras_are_named_and_never_paths() {
        let of = |name: &str, strength| LoraChoice { name: name.to_owned(), strength };
        assert_eq!(LoraChoice::validate(&[of("posters v1.2", -0.5), of("lines", 10.0)]), Ok(()));
        for bad in ["", "..", ".hidden", "../x", "a/b", "a\\b", "a\nb"] {
            assert!(LoraChoice::validate(&[of(bad, 1.0)]).is_err(), "{bad:?}");
        }
        assert!(LoraChoice::validate(&[of("a", 10.1)]).is_err());
        assert!(LoraChoice::validate(&[of("a", f32::NAN)]).is_err());
        assert!(LoraChoice::validate(&[of("a", 1.0), of("a", 0.5)]).is_err());
        assert!(LoraChoice::validate(&vec![of("a", 1.0); 9]).is_err());
        let read: LoraChoice = serde_json::from_str(r#"{"name": "a"}"#).expect("a name is enough");
        assert_eq!(read, of("a", 1.0));
    }
}
