//! Which files a model is loaded from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Checkpoint, Part};
use crate::Result;

/// The files of a model: a folder as published, and single files that replace the weights of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFiles {
    /// The published model folder. Configs, scheduler and tokenizer always come from here.
    pub folder: PathBuf,
    /// A single file (safetensors or GGUF) instead of `transformer/`'s weights.
    pub transformer: Option<PathBuf>,
    /// A single safetensors file instead of `vae/`'s weights.
    pub vae: Option<PathBuf>,
    /// A single file (safetensors or GGUF) instead of `text_encoder/`'s weights.
    pub text_model: Option<PathBuf>,
    /// The vision tower (mmproj) that goes with a GGUF text model.
    pub vision_model: Option<PathBuf>,
    /// How the weights are opened.
    pub source: WeightSource,
}

/// How the weights of a part are opened.
#[derive(Clone, Default)]
pub enum WeightSource {
    /// As safetensors or GGUF files.
    #[default]
    Files,
    /// By something else, such as a generator of weights.
    Custom(Arc<dyn OpenPart>),
}

/// Opens the weights of a part of the model.
pub trait OpenPart: Send + Sync {
    /// Opens `part`, whose weights are expected at `path`: its folder, or the single file that replaces it.
    /// [`Checkpoint::open`] opens ordinary files.
    ///
    /// # Errors
    /// When the weights are missing or broken.
    fn open(&self, path: &Path, part: Part) -> Result<Checkpoint>;
}

impl ModelFiles {
    /// Everything from the published folder.
    pub fn folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            transformer: None,
            vae: None,
            text_model: None,
            vision_model: None,
            source: WeightSource::Files,
        }
    }

    /// Opens the weights of `part`; those of the text encoder with the vision tower.
    ///
    /// # Errors
    /// When a file is missing, truncated, of another model or inconsistent with its index.
    pub fn open(&self, part: Part) -> Result<Checkpoint> {
        let single = match part {
            Part::Transformer => &self.transformer,
            Part::TextEncoder => &self.text_model,
            Part::Vae => &self.vae,
        };
        let folder = self.folder.join(part.folder());
        let checkpoint = self.source.open(single.as_ref().unwrap_or(&folder), part)?;
        match &self.vision_model {
            Some(path) if part == Part::TextEncoder => checkpoint.with_vision(path),
            _ => Ok(checkpoint),
        }
    }
}

impl WeightSource {
    fn open(&self, path: &Path, part: Part) -> Result<Checkpoint> {
        match self {
            Self::Files => Checkpoint::open(path, part),
            Self::Custom(source) => source.open(path, part),
        }
    }
}

impl fmt::Debug for WeightSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Files => "Files",
            Self::Custom(_) => "Custom(..)",
        })
    }
}

/// Custom sources are equal if they are the same object.
impl PartialEq for WeightSource {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Files, Self::Files) => true,
            (Self::Custom(a), Self::Custom(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Eq for WeightSource {}
