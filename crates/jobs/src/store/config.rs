use std::path::PathBuf;

use super::{Store, StoreError};
use crate::settings::{SettingError, Settings, Variable};

pub(crate) const UPLOAD_DIR: Variable =
    Variable { name: "UPLOAD_DIR", default: "storage/uploads", about: "Folder of the uploaded pictures" };
pub(crate) const RESULTS_DIR: Variable =
    Variable { name: "RESULTS_DIR", default: "storage/results", about: "Folder of the results" };

/// Where uploads and results are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// `UPLOAD_DIR`
    pub uploads: PathBuf,
    /// `RESULTS_DIR`
    pub results: PathBuf,
}

impl StoreConfig {
    /// Reads where to keep things.
    ///
    /// # Errors
    /// When a setting cannot be read.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self { uploads: settings.require(&UPLOAD_DIR)?, results: settings.require(&RESULTS_DIR)? })
    }

    /// See [`Store::open`].
    ///
    /// # Errors
    /// When a folder cannot be made or written to.
    pub async fn open(&self) -> Result<Store, StoreError> {
        Store::open(&self.uploads, &self.results).await
    }
}
