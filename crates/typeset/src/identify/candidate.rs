//! The words in one face.

use std::sync::Arc;

use super::plane::{InkBox, Plane};
use crate::fonts::{Face, Fonts};
use crate::glyph::{Extent, Glyph};
use crate::raster::{Coverage, Pixels, Tools};
use crate::shape::{Piece, shape_line};

/// Where words lie: px of the plane that is meant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fit {
    /// px an em.
    pub(crate) size: f32,
    /// The line's left end, on its baseline.
    pub(crate) x: f32,
    pub(crate) baseline: f32,
    /// px after each letter.
    pub(crate) spacing: f32,
    /// px by which the ink's edges lie outside of the letters', or inside if below 0.
    pub(crate) spread: f32,
}

impl Fit {
    /// The same place in a plane that starts at (`x`, `y`) of this one and is scaled.
    pub(crate) fn into_plane(self, x: f32, y: f32, scale: f32) -> Self {
        Self {
            size: self.size * scale,
            x: (self.x - x) * scale,
            baseline: (self.baseline - y) * scale,
            spacing: self.spacing * scale,
            spread: self.spread * scale,
        }
    }

    /// The reverse of [`into_plane`](Self::into_plane).
    pub(crate) fn out_of_plane(self, x: f32, y: f32, scale: f32) -> Self {
        Self {
            size: self.size / scale,
            x: self.x / scale + x,
            baseline: self.baseline / scale + y,
            spacing: self.spacing / scale,
            spread: self.spread / scale,
        }
    }
}

/// The words as glyphs of one face, in em.
pub(crate) struct Candidate<'a> {
    pub(crate) face: &'a Face,
    glyphs: Vec<Letter>,
}

struct Letter {
    id: u32,
    glyph: Arc<Glyph>,
    extent: Extent,
    x: f32,
    y: f32,
    gaps: f32,
}

impl<'a> Candidate<'a> {
    /// With ligatures, and without if that makes a difference: spaced words have none. Empty if the face cannot be
    /// read or the words leave no ink in it.
    pub(crate) fn all(face: &'a Face, words: &str, fonts: &'a Fonts) -> Vec<Self> {
        let joined = Self::new(face, words, true, fonts);
        let ids = |candidate: &Self| candidate.glyphs.iter().map(|letter| letter.id).collect::<Vec<_>>();
        let apart = Self::new(face, words, false, fonts);
        let differs = joined.as_ref().map(ids) != apart.as_ref().map(ids);
        joined.into_iter().chain(apart.filter(|_| differs)).collect()
    }

    /// `None` if the face cannot be read or the words leave no ink in it. What it lacks, another draws.
    pub(crate) fn new(face: &'a Face, words: &str, ligatures: bool, fonts: &'a Fonts) -> Option<Self> {
        let shaped = shape_line(&[Piece { text: words, face, size: 1.0, letter_spacing: 0.0, ligatures }], fonts);
        let letter = |placed: &crate::shape::Placed<'_>| {
            let glyph = placed.face.glyph(placed.id);
            let extent = glyph.extent?.placed(1.0, placed.x, placed.y);
            #[expect(clippy::cast_precision_loss, reason = "letters of a line")]
            Some(Letter { id: placed.id, glyph, extent, x: placed.x, y: placed.y, gaps: placed.gaps as f32 })
        };
        let glyphs: Vec<Letter> = shaped.glyphs.iter().filter_map(letter).collect();
        (!glyphs.is_empty()).then_some(Self { face, glyphs })
    }

    /// The box around the ink at a fit.
    fn extent(&self, fit: &Fit) -> Option<Extent> {
        let at = |letter: &Letter| letter.extent.placed(fit.size, fit.x + letter.gaps * fit.spacing, fit.baseline);
        self.glyphs.iter().map(at).reduce(Extent::union)
    }

    /// Fits by the box alone: without letter spacing, and with that which makes height and width agree.
    pub(crate) fn guesses(&self, ink: &InkBox) -> Vec<Fit> {
        /// Letters are not set wider or closer than this, in em.
        const SPACING: std::ops::RangeInclusive<f32> = -0.25..=1.5;
        let unit = Fit { size: 1.0, x: 0.0, baseline: 0.0, spacing: 0.0, spread: 0.0 };
        let Some(extent) = self.extent(&unit).filter(|extent| extent.width() > 0.0 && extent.height() > 0.0) else {
            return Vec::new();
        };
        let by_width = Fit { size: ink.width() / extent.width(), ..unit };
        let by_height = Fit { size: ink.height() / extent.height(), ..unit };
        let mut sizes = vec![by_width];
        let (first, last) = self
            .glyphs
            .iter()
            .fold((f32::MAX, 0.0_f32), |(first, last), letter| (first.min(letter.gaps), last.max(letter.gaps)));
        if last > first {
            let spacing = (ink.width() - by_height.size * extent.width()) / (last - first);
            if SPACING.contains(&(spacing / by_height.size)) {
                sizes.push(Fit { spacing, ..by_height });
            }
        } else {
            sizes.push(by_height);
        }
        let placed = |fit: Fit| {
            let extent = self.extent(&fit)?;
            let x = (ink.left + ink.right - extent.left - extent.right) / 2.0;
            let baseline = (ink.top + ink.bottom - extent.top - extent.bottom) / 2.0;
            Some(Fit { x, baseline, ..fit })
        };
        /// px an em; no letters are smaller.
        const LEAST_SIZE: f32 = 2.0;
        sizes.into_iter().filter(|fit| fit.size >= LEAST_SIZE).filter_map(placed).collect()
    }

    /// The coverage of the words at a fit.
    pub(crate) fn draw(&self, fit: &Fit, width: usize, height: usize) -> Plane {
        let values = self.coverage(fit, width, height);
        Plane { width, height, values: values.iter().map(|value| f32::from(*value) / 255.0).collect() }
    }

    /// The coverage of the words at a fit, 0 to 255.
    pub(crate) fn coverage(&self, fit: &Fit, width: usize, height: usize) -> Vec<u8> {
        let end = |side: usize| i32::try_from(side).unwrap_or(0);
        let mut coverage = Coverage::empty(Pixels { left: 0, top: 0, right: end(width), bottom: end(height) });
        let (mut tools, mut path) = (Tools::default(), Vec::new());
        for letter in &self.glyphs {
            let x = fit.x + letter.gaps * fit.spacing;
            path.clear();
            let (left, baseline) = (x + letter.x * fit.size, fit.baseline + letter.y * fit.size);
            letter.glyph.append(&mut path, fit.size, left, baseline);
            coverage.draw(&path, &letter.extent.placed(fit.size, x, fit.baseline), None, &mut tools);
        }
        coverage.values
    }

    /// For each column, how many letter spacings lie to the left of the letter there.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the columns")]
    pub(crate) fn gaps(&self, fit: &Fit, width: usize) -> Vec<f32> {
        let mut gaps = vec![0.0; width];
        for letter in &self.glyphs {
            let left = letter.extent.left * fit.size + letter.gaps * fit.spacing + fit.x;
            let from = (left.max(0.0) as usize).min(width);
            for gap in &mut gaps[from..] {
                *gap = f32::max(*gap, letter.gaps);
            }
        }
        gaps
    }

    /// Whether letter spacing can be told.
    pub(crate) fn has_gaps(&self) -> bool {
        self.glyphs.iter().any(|letter| letter.gaps != self.glyphs[0].gaps)
    }
}
