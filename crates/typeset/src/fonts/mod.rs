//! The collection of faces.

mod face;
mod file;
mod names;
mod script;
mod select;
mod shipped;
mod sisters;
mod system;
mod woff;

use std::collections::HashSet;
use std::path::PathBuf;

use rayon::prelude::*;
use serde::Serialize;

pub use face::{Face, FaceId, Origin, Slant};
pub use script::Scripts;
pub(crate) use script::is_ignorable;
pub use select::{Generic, Wanted};
pub use sisters::sisters;

use file::File;

/// Where to look for fonts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The fonts that ship with this crate.
    pub shipped: bool,
    /// Folders, searched with the folders in them.
    pub folders: Vec<PathBuf>,
    /// The folders in which the operating system keeps fonts.
    pub system: bool,
}

impl Default for Sources {
    /// Only what ships: the same on every machine.
    fn default() -> Self {
        Self { shipped: true, folders: Vec::new(), system: false }
    }
}

/// A file that gave no face, or a face that another stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Where it is.
    pub origin: Origin,
    /// Why it was skipped, as a clause: "it has no table of Unicode characters".
    pub reason: String,
}

/// A collection of faces, in an order that depends only on the files: by family, width, slant, weight, PostScript name.
#[derive(Debug, Default)]
pub struct Fonts {
    faces: Vec<Face>,
    skipped: Vec<Skipped>,
}

impl Fonts {
    /// Lists all faces of the sources. Files are read once for this, and again when a face of theirs is first drawn;
    /// from then on their bytes stay in memory. What cannot be read is in [`skipped`](Self::skipped).
    pub fn load(sources: &Sources) -> Self {
        let mut failed = Vec::new();
        let mut files = Vec::new();
        for folder in &sources.folders {
            files.extend(face::font_files(folder, &mut failed).into_iter().map(|path| File::at(path, Origin::Folder)));
        }
        let mut skipped: Vec<Skipped> = failed.drain(..).map(|(path, why)| skip(Origin::Folder(path), why)).collect();
        if sources.shipped {
            files.extend(shipped::files().iter().cloned());
        }
        if sources.system {
            for folder in system::folders().iter().filter(|folder| folder.is_dir()) {
                let found = face::font_files(folder, &mut failed);
                files.extend(found.into_iter().map(|path| File::at(path, Origin::System)));
            }
        }
        skipped.extend(failed.drain(..).map(|(path, why)| skip(Origin::System(path), why)));

        let read: Vec<_> = files.par_iter().map(Face::all).collect();
        let mut faces = Vec::new();
        for (file, read) in files.iter().zip(read) {
            match read {
                Ok(read) => faces.extend(read),
                Err(reason) => skipped.push(skip(file.origin().clone(), reason)),
            }
        }
        faces.sort_by(|a, b| a.origin().cmp(b.origin())); // stable: a collection's own order stays
        let mut known = HashSet::new();
        faces.retain(|face| {
            let new = known.insert(face.same());
            if !new {
                let reason = format!("{} comes from another file too", face.postscript());
                skipped.push(skip(face.origin().clone(), reason));
            }
            new
        });
        faces.sort_by(|a, b| a.order().cmp(&b.order()));
        for (face, id) in faces.iter_mut().zip(0..) {
            face.id = FaceId(id);
        }
        skipped.sort_by(|a, b| (&a.origin, &a.reason).cmp(&(&b.origin, &b.reason)));
        skipped.dedup();
        Self { faces, skipped }
    }

    /// Every face.
    pub fn faces(&self) -> &[Face] {
        &self.faces
    }

    /// One face. `None` for the number of another collection's.
    pub fn face(&self, id: FaceId) -> Option<&Face> {
        self.faces.get(usize::try_from(id.0).ok()?)
    }

    /// What was found and not taken, with the reasons.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// A file that ships, as it ships (WOFF 1.0), by the name in [`Origin::Shipped`]: for a page that shows the text.
    pub fn shipped_file(name: &str) -> Option<&'static [u8]> {
        shipped::bytes(name)
    }
}

fn skip(origin: Origin, reason: String) -> Skipped {
    Skipped { origin, reason }
}
