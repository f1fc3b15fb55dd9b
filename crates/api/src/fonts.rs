//! The fonts that exports are set in.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use typeset::{Fonts, Sources};

/// Those that ship, the system's and those of a folder; read when the first export needs them.
#[derive(Debug, Default)]
pub struct ServiceFonts {
    folders: Vec<PathBuf>,
    loaded: OnceLock<Arc<Fonts>>,
}

impl ServiceFonts {
    /// Fonts in `folders` come before others of the same name.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders, loaded: OnceLock::new() }
    }

    /// Blocks until they are read.
    pub(crate) fn get(&self) -> &Arc<Fonts> {
        self.loaded.get_or_init(|| {
            let sources = Sources { folders: self.folders.clone(), system: true, ..Sources::default() };
            Arc::new(Fonts::load(&sources))
        })
    }
}
