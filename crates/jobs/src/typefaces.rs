//! The fonts in which the words of posters are looked for and set.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use service::{Settings, Variable};
use typeset::{Fonts, Origin, Sources};

pub(crate) const FONTS_DIR: Variable = Variable {
    name: "FONTS_DIR",
    default: "",
    about: "Folder of fonts for the words of posters, beside those that ship with Unflatten and the system's",
};

/// The fonts of this process: those that ship, those in `FONTS_DIR` and the system's. They are listed when the first
/// text needs them.
#[derive(Debug, Default)]
pub struct Typefaces {
    sources: Sources,
    fonts: OnceLock<Arc<Fonts>>,
}

impl Typefaces {
    /// Those of the settings.
    pub fn from_settings(settings: &Settings) -> Self {
        let folders = settings.text(&FONTS_DIR).map(PathBuf::from).into_iter().collect();
        Self::of(Sources { shipped: true, folders, system: true })
    }

    /// The fonts of these sources.
    pub fn of(sources: Sources) -> Self {
        Self { sources, fonts: OnceLock::new() }
    }

    /// Blocks until they are listed.
    pub fn fonts(&self) -> &Arc<Fonts> {
        self.fonts.get_or_init(|| {
            let fonts = Fonts::load(&self.sources);
            for skipped in fonts.skipped() {
                match &skipped.origin {
                    // The operator put it there.
                    Origin::Folder(path) => {
                        tracing::warn!(path = %path.display(), reason = skipped.reason, "a font of FONTS_DIR is not used");
                    }
                    origin => tracing::debug!(?origin, reason = skipped.reason, "a font is not used"),
                }
            }
            tracing::info!(faces = fonts.faces().len(), "fonts are listed");
            Arc::new(fonts)
        })
    }
}

/// Whether they come from the same sources.
impl PartialEq for Typefaces {
    fn eq(&self, other: &Self) -> bool {
        self.sources == other.sources
    }
}

impl Eq for Typefaces {}
