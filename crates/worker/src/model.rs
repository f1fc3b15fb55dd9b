use std::path::{Path, PathBuf};

use jobs::settings::{SettingError, Settings, Variable};

pub(crate) const MODEL_NAME: Variable = Variable {
    name: "MODEL_NAME",
    default: "Qwen/Qwen-Image-Layered",
    about: "Weights of the qwen engine: a repository's name, or a folder that holds them",
};
pub(crate) const MODEL_CACHE_DIR: Variable = Variable {
    name: "MODEL_CACHE_DIR",
    default: "storage/models",
    about: "Where unflatten pull puts the weights of repositories",
};

/// Which weights, and where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelConfig {
    /// `MODEL_NAME`: `owner/name`, or a folder.
    pub name: String,
    /// `MODEL_CACHE_DIR`.
    pub cache_dir: PathBuf,
}

impl ModelConfig {
    /// # Errors
    /// When a setting cannot be read.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self { name: settings.require(&MODEL_NAME)?, cache_dir: settings.require(&MODEL_CACHE_DIR)? })
    }

    /// Where the weights belong: `MODEL_NAME` itself when it is a folder, else its place in the cache.
    pub fn target(&self) -> PathBuf {
        let named = Path::new(&self.name);
        if named.is_dir() { named.to_owned() } else { self.cache_dir.join(self.name.replace('/', "--")) }
    }

    /// The folder with the weights, when they are there.
    pub fn folder(&self) -> Option<PathBuf> {
        Some(self.target()).filter(|folder| folder.join("model_index.json").is_file())
    }
}
