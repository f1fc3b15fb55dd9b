//! Checkpoints of random weights, to measure speed and memory without the real ones (feature `synthetic`).
//!
//! They have the published names, shapes, configs and file layout; the layers that they make are noise. Written to disk
//! they are as large as the real ones; [`Synthetic::write_without_weights`] writes a few kilobytes, and [`source`]
//! generates the weights while they are loaded.

mod configs;
mod gguf;
mod safetensors;
mod shapes;
#[cfg(test)]
mod tests;
mod values;

use std::fmt;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use candle_core::quantized::GgmlDType;
use serde::{Deserialize, Serialize};

use crate::weights::{Checkpoint, ModelFiles, OpenPart, Part, VirtualFile, WeightSource, read_json};
use crate::{Error, Result};
pub use shapes::Dimensions;
use shapes::Shapes;
use values::{Generator, Planned};

/// How large the model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Size {
    /// As published: 20 billion parameters and a text encoder of 8 billion.
    Full,
    /// A few megabytes, for tests; heads and names as published.
    Tiny,
}

/// How the weights of transformer and text encoder are stored; the autoencoder's are always bf16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Format {
    /// Plain bf16, as published.
    Bf16,
    /// Float8 E4M3 with a scale for each matrix.
    Fp8,
    /// GGUF blocks; vision tower and small tensors stay as they are.
    Gguf(Quantisation),
}

/// Mixtures of GGUF block types under their usual names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantisation {
    /// 8 bit, 32 values to a scale.
    Q8_0,
    /// 6 bit.
    Q6K,
    /// 5 bit, sensitive matrices in 6.
    Q5KM,
    /// 4 bit, sensitive matrices in 6.
    Q4KM,
}

impl Quantisation {
    /// The block type of a matrix: the M mixtures keep values and the way back from the MLP finer.
    fn kind(self, name: &str) -> GgmlDType {
        let fine = ["to_v.", "add_v_proj.", "net.2.", "v_proj.", "down_proj.", "lm_head."];
        let fine = fine.iter().any(|part| name.contains(part));
        match self {
            Self::Q8_0 => GgmlDType::Q8_0,
            Self::Q6K => GgmlDType::Q6K,
            Self::Q5KM => {
                if fine {
                    GgmlDType::Q6K
                } else {
                    GgmlDType::Q5K
                }
            }
            Self::Q4KM => {
                if fine {
                    GgmlDType::Q6K
                } else {
                    GgmlDType::Q4K
                }
            }
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Q8_0 => "q8_0",
            Self::Q6K => "q6_k",
            Self::Q5KM => "q5_k_m",
            Self::Q4KM => "q4_k_m",
        }
    }
}

impl Format {
    /// Every format, the largest first.
    pub const ALL: [Self; 6] = [
        Self::Bf16,
        Self::Gguf(Quantisation::Q8_0),
        Self::Fp8,
        Self::Gguf(Quantisation::Q6K),
        Self::Gguf(Quantisation::Q5KM),
        Self::Gguf(Quantisation::Q4KM),
    ];
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bf16 => f.write_str("bf16"),
            Self::Fp8 => f.write_str("fp8"),
            Self::Gguf(mixture) => write!(f, "gguf:{}", mixture.as_str()),
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.to_ascii_lowercase();
        let found = Self::ALL.into_iter().find(|format| format.to_string() == text);
        found.ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(ToString::to_string).collect();
            format!("a format is {}, not \"{text}\"", known.join(", "))
        })
    }
}

impl From<Format> for String {
    fn from(format: Format) -> Self {
        format.to_string()
    }
}

impl TryFrom<String> for Format {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Tiny => "tiny",
        })
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "full" => Ok(Self::Full),
            "tiny" => Ok(Self::Tiny),
            _ => Err(format!("a size is full or tiny, not \"{text}\"")),
        }
    }
}

/// A checkpoint of random weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Synthetic {
    /// How large the model is.
    pub size: Size,
    /// How its weights are stored.
    pub format: Format,
}

/// Name of the file that stands in a part's folder for weights that [`source`] generates.
pub const MARKER: &str = "synthetic.json";

/// The three parts with weights.
const PARTS: [Part; 3] = [Part::Transformer, Part::TextEncoder, Part::Vae];

impl Synthetic {
    /// Bytes that [`Synthetic::write`] needs on the disk, but for a few kilobytes of configs and headers.
    pub fn bytes(&self) -> u64 {
        PARTS.into_iter().flat_map(|part| self.planned(part)).map(|tensor| tensor.bytes() as u64).sum()
    }

    /// Writes the whole checkpoint to `folder`, which is created if needed. Takes at most a few hundred megabytes of
    /// memory. `progress` gets the bytes written so far and in total, and stops the work by returning `Break`.
    ///
    /// # Errors
    /// When a file cannot be written, or [`Error::Stopped`].
    pub fn write(&self, folder: &Path, progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>) -> Result<ModelFiles> {
        configs::write(folder, &self.dimensions())?;
        let (mut written, total) = (0, self.bytes());
        let mut report = |count: u64| {
            written += count;
            if progress(written, total).is_break() { Err(Error::Stopped) } else { Ok(()) }
        };
        for part in PARTS {
            let planned = self.planned(part);
            match (self.format, part) {
                (Format::Gguf(mixture), Part::Transformer | Part::TextEncoder) => {
                    gguf::write(folder, part, mixture.as_str(), planned, &mut report)?;
                }
                _ => safetensors::write(&folder.join(part.folder()), part.stem(), planned, &mut report)?,
            }
        }
        Ok(self.files(folder))
    }

    /// Writes everything but the weights, and a [`MARKER`] from which [`source`] generates them: for machines with little
    /// disk space.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_without_weights(&self, folder: &Path) -> Result<ModelFiles> {
        configs::write(folder, &self.dimensions())?;
        for part in PARTS {
            let path = folder.join(part.folder()).join(MARKER);
            let text = serde_json::to_string(self).map_err(|error| unwritable(&path, error.into()))?;
            fs::write(&path, text).map_err(|error| unwritable(&path, error))?;
        }
        Ok(ModelFiles { source: source(), ..ModelFiles::folder(folder) })
    }

    /// The files of a checkpoint that was written to `folder`.
    pub fn files(&self, folder: &Path) -> ModelFiles {
        let Format::Gguf(mixture) = self.format else { return ModelFiles::folder(folder) };
        let file = |part, vision| Some(gguf::path(folder, part, mixture.as_str(), vision));
        ModelFiles {
            transformer: file(Part::Transformer, false),
            text_model: file(Part::TextEncoder, false),
            vision_model: file(Part::TextEncoder, true),
            ..ModelFiles::folder(folder)
        }
    }

    /// A part of the checkpoint whose weights are generated as they are read; errors name `path`.
    pub(crate) fn checkpoint(&self, path: &Path, part: Part) -> Result<Checkpoint> {
        let generator = Generator::new(self.planned(part));
        let (path, entries) = (path.to_owned(), generator.entries());
        Checkpoint::from_virtual(VirtualFile { path, entries, content: Arc::new(generator) }, part)
    }

    /// The sizes of the model that this is a checkpoint of.
    pub fn dimensions(&self) -> Dimensions {
        Dimensions::of(self.size)
    }

    fn shapes(&self, part: Part) -> Shapes {
        let dimensions = self.dimensions();
        match part {
            Part::Transformer => dimensions.transformer(),
            Part::TextEncoder => dimensions.text_encoder(),
            Part::Vae => dimensions.vae(),
        }
    }

    /// Every tensor of a part under its published name, in the order of the files.
    fn planned(&self, part: Part) -> Vec<Planned> {
        let mut planned = Vec::new();
        for (name, shape) in self.shapes(part) {
            let matrix = shape.len() == 2 && name.ends_with(".weight") && !name.contains("embedding.weight");
            let text_or_transformer = part != Part::Vae && !name.starts_with("visual.");
            match self.format {
                Format::Fp8 if matrix && text_or_transformer && !name.contains("embed_tokens") => {
                    let scale = Planned::scale(format!("{name}_scale"), shape[1]);
                    planned.push(Planned::float8(name, shape));
                    planned.push(scale);
                }
                Format::Gguf(mixture) if text_or_transformer => {
                    let kind = mixture.kind(&name);
                    let whole = shape[shape.len() - 1].is_multiple_of(kind.block_size());
                    planned.push(match (matrix && whole, matrix) {
                        (true, _) => Planned::blocks(name, shape, kind),
                        (false, true) => Planned::bf16(name, shape),
                        (false, false) => Planned::f32(name, shape),
                    });
                }
                _ => planned.push(Planned::bf16(name, shape)),
            }
        }
        planned
    }
}

/// Generates the weights of parts that have a [`MARKER`] and opens those of others as files.
pub fn source() -> WeightSource {
    // One object, so that all of them are equal.
    static SOURCE: LazyLock<Arc<Generated>> = LazyLock::new(|| Arc::new(Generated));
    WeightSource::Custom(SOURCE.clone())
}

struct Generated;

impl OpenPart for Generated {
    fn open(&self, path: &Path, part: Part) -> Result<Checkpoint> {
        let marker = path.join(MARKER);
        if marker.is_file() {
            read_json::<Synthetic>(&marker)?.checkpoint(&marker, part)
        } else {
            Checkpoint::open(path, part)
        }
    }
}

fn unwritable(path: &Path, error: std::io::Error) -> Error {
    let reason = format!("cannot be written: {error}; check the folder and the free space");
    Error::Checkpoint { path: path.to_owned(), reason }
}
