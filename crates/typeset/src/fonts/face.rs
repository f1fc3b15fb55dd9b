use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use harfrust::font::attribute::Style;
use harfrust::font::variation::Variation;
use harfrust::font::{Font, attribute::Attributes};
use harfrust::{GlyphId, Tag};
use serde::{Deserialize, Serialize};

use super::file::File;
use super::names::Names;
use super::script::{Coverage, Scripts};
use crate::glyph::Glyph;

/// The number of a face in the collection that listed it: its place in [`Fonts::faces`](crate::Fonts::faces).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FaceId(pub u32);

/// Whether letters stand upright.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Slant {
    /// Roman.
    #[default]
    Upright,
    /// Italic or oblique.
    Italic,
}

/// Where a face comes from. Where several have the same PostScript name, the first of this list is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "file")]
pub enum Origin {
    /// A file in a folder that was asked for.
    Folder(PathBuf),
    /// A file that ships with this crate.
    Shipped(String),
    /// A file in one of the system's folders.
    System(PathBuf),
}

/// Glyphs that a face remembers, at most: a poster needs a few hundred.
const MOST_GLYPHS: usize = 1024;

/// One design of a family: what is needed to draw it, and how it describes itself.
pub struct Face {
    pub(super) id: FaceId,
    pub(super) names: Names,
    weight: u16,
    width: u16,
    slant: Slant,
    scripts: Scripts,
    pub(super) coverage: Arc<Coverage>,
    file: File,
    index: u32,
    location: Vec<(Tag, f32)>,
    font: OnceLock<Option<Font>>,
    glyphs: Mutex<HashMap<u32, Arc<Glyph>>>,
}

impl Face {
    /// Its place in the collection.
    pub fn id(&self) -> FaceId {
        self.id
    }

    /// The name of the family in English, or in its own language if it has no English one.
    pub fn family(&self) -> &str {
        &self.names.family
    }

    /// The name of its family of at most four styles (regular, bold, and both in italic), by which office programs know
    /// it: `Noto Sans KR Medium`. Of a variable font, the family's name.
    pub fn styled_family(&self) -> &str {
        &self.names.styled
    }

    /// The name of the family in Korean, if the file has one: 나눔고딕.
    pub fn korean_family(&self) -> Option<&str> {
        self.names.korean.as_deref()
    }

    /// The unique name that PostScript, PDF and PSD use: `NanumGothicBold`. Empty if the file has none.
    pub fn postscript(&self) -> &str {
        &self.names.postscript
    }

    /// How heavy, from 1 to 1000: 400 is regular, 700 bold.
    pub fn weight(&self) -> u16 {
        self.weight
    }

    /// How wide, in percent of normal, from 50 to 200.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Upright or italic.
    pub fn slant(&self) -> Slant {
        self.slant
    }

    /// What it can write.
    pub fn scripts(&self) -> Scripts {
        self.scripts
    }

    /// Where it comes from.
    pub fn origin(&self) -> &Origin {
        self.file.origin()
    }

    /// Whether it has a glyph for the character.
    pub fn has(&self, character: char) -> bool {
        self.coverage.has(character)
    }

    /// Whether it has a glyph for every character that leaves ink.
    pub fn has_all(&self, text: &str) -> bool {
        self.coverage.has_all(text)
    }

    /// Reads the file on the first call. `None` if it went away or changed since it was listed.
    pub(crate) fn font(&self) -> Option<&Font> {
        let open = || {
            let font = Font::new(self.file.kept()?, self.index)?;
            Some(if self.location.is_empty() {
                font
            } else {
                font.instance_builder().variations(self.location.iter().copied()).build()
            })
        };
        self.font.get_or_init(open).as_ref()
    }

    /// How far lines of it rise above the baseline, in em.
    pub(crate) fn ascent(&self) -> f32 {
        self.line().map_or(0.0, |(ascent, _)| ascent)
    }

    /// How far lines of it fall below the baseline, in em.
    pub(crate) fn descent(&self) -> f32 {
        self.line().map_or(0.0, |(_, descent)| descent)
    }

    fn line(&self) -> Option<(f32, f32)> {
        let metrics = self.font()?.metrics();
        let extents = metrics.h_line()?.extents();
        let em = f32::from(metrics.units_per_em.max(1));
        Some((extents.ascender.to_f64() as f32 / em, -extents.descender.to_f64() as f32 / em))
    }

    /// The outline of a glyph, in em. Empty for spaces and for what cannot be read.
    pub(crate) fn glyph(&self, id: u32) -> Arc<Glyph> {
        let lock = || self.glyphs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(glyph) = lock().get(&id) {
            return Arc::clone(glyph);
        }
        let glyph = Arc::new(self.font().map(|font| Glyph::read(font, GlyphId::new(id))).unwrap_or_default());
        let mut glyphs = lock();
        if glyphs.len() >= MOST_GLYPHS {
            glyphs.clear();
        }
        glyphs.insert(id, Arc::clone(&glyph));
        glyph
    }

    /// What two copies of one face have in common.
    pub(super) fn same(&self) -> (String, u16, u16, Slant) {
        let name = if self.names.postscript.is_empty() { &self.names.family } else { &self.names.postscript };
        (name.to_lowercase(), self.weight, self.width, self.slant)
    }

    /// The order of the list.
    pub(super) fn order(&self) -> (String, u16, Slant, u16, &str, &Origin, u32) {
        let family = self.names.family.to_lowercase();
        (family, self.width, self.slant, self.weight, &self.names.postscript, self.file.origin(), self.index)
    }

    /// All faces in a file; or why it has none.
    pub(super) fn all(file: &File) -> Result<Vec<Self>, String> {
        let bytes = file.read()?;
        let mut faces = Vec::new();
        let mut reason = "it is not a TrueType, OpenType or WOFF font";
        for index in 0..collection_size(&bytes) {
            let Some(font) = Font::new(bytes.clone(), index) else { continue };
            let coverage = Coverage::new(font.charmap().unicodes().map(|(code, _)| code));
            if font.outline_glyphs().is_empty() {
                reason = "it has no outlines, only pictures of its glyphs";
            } else if coverage.is_empty() {
                reason = "it has no table of Unicode characters";
            } else {
                faces.extend(instances(file, index, &font, &Arc::new(coverage)));
            }
        }
        if faces.is_empty() { Err(reason.to_owned()) } else { Ok(faces) }
    }
}

/// Fonts in a TrueType collection; 1 for any other file.
fn collection_size(bytes: &[u8]) -> u32 {
    const MOST: u32 = 64;
    match (bytes.get(..4), bytes.get(8..12).map(<[u8; 4]>::try_from)) {
        (Some(b"ttcf"), Some(Ok(count))) => u32::from_be_bytes(count).min(MOST),
        _ => 1,
    }
}

/// The named instances of a variable font, or the one face of another.
fn instances(file: &File, index: u32, font: &Font, coverage: &Arc<Coverage>) -> Vec<Face> {
    const MOST: usize = 64;
    let names = Names::read(font);
    let scripts = coverage.scripts();
    let face = |variations: &[Variation], names: Names| {
        let attributes = Attributes::from_variations(font, variations.iter().copied());
        Face {
            id: FaceId(0),
            names,
            weight: round(attributes.weight.value(), 1.0, 1000.0),
            width: round(attributes.width.percentage(), 50.0, 200.0),
            slant: if attributes.style == Style::Normal { Slant::Upright } else { Slant::Italic },
            scripts,
            coverage: Arc::clone(coverage),
            file: file.clone(),
            index,
            location: variations.iter().map(|variation| (variation.tag, variation.value)).collect(),
            font: OnceLock::new(),
            glyphs: Mutex::new(HashMap::new()),
        }
    };
    let mut faces: Vec<Face> = Vec::new();
    for instance in font.named_instances().iter().take(MOST) {
        let variations: Vec<Variation> = instance.variations().collect();
        faces.push(face(&variations, names.of_instance(font, &instance)));
    }
    if faces.is_empty() {
        faces.push(face(&[], names));
    }
    faces
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
fn round(value: f32, least: f32, most: f32) -> u16 {
    if value.is_finite() { value.clamp(least, most).round() as u16 } else { least as u16 }
}

impl std::fmt::Debug for Face {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Face")
            .field("id", &self.id)
            .field("family", &self.names.family)
            .field("weight", &self.weight)
            .field("width", &self.width)
            .field("slant", &self.slant)
            .field("origin", self.file.origin())
            .finish_non_exhaustive()
    }
}

/// Font files in a folder and the folders in it, in the order of their paths; what could not be read is in `failed`.
pub(super) fn font_files(folder: &Path, failed: &mut Vec<(PathBuf, String)>) -> Vec<PathBuf> {
    const DEPTH: usize = 8;
    const MOST_FILES: usize = 20_000;
    let mut files = Vec::new();
    let mut open = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                failed.push((folder, error.to_string()));
                continue;
            }
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                if depth < DEPTH {
                    open.push((path, depth + 1));
                }
                continue;
            }
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            match extension.to_ascii_lowercase().as_str() {
                "ttf" | "otf" | "ttc" | "otc" | "woff" if files.len() < MOST_FILES => files.push(path),
                "woff2" => failed.push((path, "WOFF2 is not read; convert it to TTF, OTF or WOFF".to_owned())),
                _ => {}
            }
        }
    }
    files.sort();
    files
}
