//! The fonts in which the words of posters are looked for.

use std::sync::OnceLock;

use typeset::{Fonts, Origin, Sources};

use crate::config::Config;

/// The fonts of this process: those that ship, those in `FONTS_DIR` and the system's. They are listed when the first
/// text needs them.
pub(crate) struct Typefaces {
    sources: Sources,
    fonts: OnceLock<Fonts>,
}

impl Typefaces {
    pub(crate) fn new(config: &Config) -> Self {
        let folders = config.fonts_dir.iter().cloned().collect();
        Self::of(Sources { shipped: true, folders, system: true })
    }

    /// The fonts of these sources.
    pub(crate) fn of(sources: Sources) -> Self {
        Self { sources, fonts: OnceLock::new() }
    }

    pub(crate) fn fonts(&self) -> &Fonts {
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
            fonts
        })
    }
}
