//! What is known of a rendered poster.

use std::path::Path;

use anyhow::Context as _;
use image::RgbaImage;
use serde::{Deserialize, Serialize};

/// The file that describes a rendered poster.
pub(crate) const NOTE: &str = "truth.json";

/// What the page says of itself, and what it was rendered from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Description {
    /// Of the sources.
    #[serde(default)]
    pub key: String,
    /// `flat`, `scene`, `photo` or `screen`.
    pub kind: String,
    /// `korean`, `english`, `chinese` or `mixed`.
    pub script: String,
    pub width: u32,
    pub height: u32,
    /// What the text says, line by line.
    pub lines: Vec<String>,
    /// How the level lines of one style are set.
    #[serde(default)]
    pub set: Vec<SetLine>,
    /// Subjects and objects as they are painted, the lowest first.
    pub things: Vec<Thing>,
}

/// A line as the page sets it; the benchmark of live text compares with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SetLine {
    pub words: String,
    pub family: String,
    pub weight: f32,
    pub italic: bool,
    /// px an em.
    pub size: f32,
    /// Where its baseline starts, in px.
    pub x: f32,
    pub y: f32,
    /// Absent where it is no opaque colour.
    pub colour: Option<[u8; 3]>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Thing {
    /// `subject` or `object`.
    pub layer: String,
    pub name: String,
    /// `unknown` where nobody knows what the thing hides.
    pub behind: String,
    /// The number of the thing that this one is a part of, or -1.
    pub inside: i64,
}

/// A poster and its true parts.
pub(crate) struct Truth {
    pub name: String,
    pub description: Description,
    pub poster: RgbaImage,
    pub without_text: RgbaImage,
    /// The background, where everything is hidden.
    pub bare: RgbaImage,
    /// The visible part of each thing, text hidden.
    pub masks: Vec<Mask>,
}

/// The pixels of a thing, and the rectangle that holds them.
#[derive(Clone)]
pub(crate) struct Mask {
    width: u32,
    /// Row by row.
    pub inside: Vec<bool>,
    /// Left, top, right, bottom; the latter two exclusive. Empty for an empty mask.
    bounds: [u32; 4],
    /// How many.
    pub count: usize,
}

impl Mask {
    /// The pixels with more than half of the greatest opacity: the glass of a window is as much a thing as a stone, and
    /// a layer may hold it as glass or, with what is seen through it, as stone.
    pub(crate) fn new(width: u32, opacity: &[u8]) -> Self {
        let half = opacity.iter().max().copied().unwrap_or(0) / 2;
        Self::of(width, opacity.iter().map(|&value| value > half).collect())
    }

    fn of(width: u32, inside: Vec<bool>) -> Self {
        let mut bounds = [u32::MAX, u32::MAX, 0, 0];
        let mut count = 0;
        for (y, row) in (0..).zip(inside.chunks_exact(width as usize)) {
            for (x, _) in (0..).zip(row).filter(|(_, is_inside)| **is_inside) {
                count += 1;
                bounds = [bounds[0].min(x), bounds[1].min(y), bounds[2].max(x + 1), bounds[3].max(y + 1)];
            }
        }
        Self { width, inside, bounds, count }
    }

    /// Intersection over union, 0 to 1.
    pub(crate) fn iou(&self, other: &Mask) -> f64 {
        let [left, top] = [0, 1].map(|k| self.bounds[k].max(other.bounds[k]));
        let [right, bottom] = [2, 3].map(|k| self.bounds[k].min(other.bounds[k]));
        let mut common = 0;
        for y in top..bottom.max(top) {
            let row = y as usize * self.width as usize;
            let columns = row + left as usize..row + right.max(left) as usize;
            let pairs = self.inside[columns.clone()].iter().zip(&other.inside[columns]);
            common += pairs.filter(|&(&a, &b)| a && b).count();
        }
        let all = self.count + other.count - common;
        if all == 0 { 0.0 } else { common as f64 / all as f64 }
    }

    /// Whether their bounds do.
    pub(crate) fn overlaps(&self, other: &Mask) -> bool {
        (0..2).all(|k| self.bounds[k].max(other.bounds[k]) < self.bounds[k + 2].min(other.bounds[k + 2]))
    }

    /// Both together.
    pub(crate) fn union(&self, other: &Mask) -> Mask {
        Self::of(self.width, self.inside.iter().zip(&other.inside).map(|(&a, &b)| a || b).collect())
    }
}

impl Truth {
    pub(crate) fn read(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let folder = folder.join(name);
        let open = |file: &str| -> anyhow::Result<RgbaImage> {
            let path = folder.join(file);
            Ok(image::open(&path).with_context(|| path.display().to_string())?.to_rgba8())
        };
        let note = std::fs::read(folder.join(NOTE)).with_context(|| format!("{} is not rendered", folder.display()))?;
        let description: Description = serde_json::from_slice(&note)?;
        let alone = (0..description.things.len())
            .map(|k| open(&format!("thing-{k}.png")).map(|picture| picture.pixels().map(|p| p[3]).collect::<Vec<u8>>()))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let masks = visible(&alone, &description.things, description.width);
        Ok(Self {
            name: name.to_owned(),
            poster: open("poster.png")?,
            without_text: open("without-text.png")?,
            bare: open("bare.png")?,
            masks,
            description,
        })
    }
}

/// Each thing without what later things cover of it, except those that are parts of it.
fn visible(alone: &[Vec<u8>], things: &[Thing], width: u32) -> Vec<Mask> {
    let is_part = |mut k: usize, whole: usize| loop {
        match usize::try_from(things[k].inside) {
            Ok(outer) if outer == whole => return true,
            Ok(outer) => k = outer,
            Err(_) => return false,
        }
    };
    (0..things.len())
        .map(|k| {
            let mut alpha = alone[k].clone();
            for (_, covers) in alone.iter().enumerate().skip(k + 1).filter(|&(later, _)| !is_part(later, k)) {
                for (value, &cover) in alpha.iter_mut().zip(covers) {
                    *value = (u16::from(*value) * u16::from(255 - cover) / 255) as u8;
                }
            }
            Mask::new(width, &alpha)
        })
        .collect()
}
