//! Which face a line is set in: its words are drawn in every face that has them, and laid on the line's ink.

mod align;
mod candidate;
mod plane;

use std::cmp::Ordering;

use image::GrayImage;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::fonts::{Face, FaceId, Fonts};
use crate::shape::has_ink;
use crate::text;
use align::{Drawn, Free};
use candidate::{Candidate, Fit};
use plane::{InkBox, Plane};

/// How to look for a face.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Only these faces; all if `None`.
    pub faces: Option<Vec<FaceId>>,
    /// How many faces are compared closely, 1 to 64.
    pub finalists: usize,
    /// Faces that are below [`Match::APPROXIMATE`] are reported too, up to this many in all.
    pub results: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { faces: None, finalists: 8, results: 5 }
    }
}

/// A face and how the words lie in it. Lengths are in px of the mask, from its upper left corner.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Match {
    /// The face.
    pub face: FaceId,
    /// How alike ink and drawn words are, 0 to 1: the measure by which faces are ranked.
    pub similarity: f32,
    /// Soft intersection over union of ink and drawn words in full size, 0 to 1.
    pub overlap: f32,
    /// px an em.
    pub size: f32,
    /// The line's left end: the origin of its first letter.
    pub x: f32,
    /// The baseline.
    pub baseline: f32,
    /// px after each letter.
    pub letter_spacing: f32,
}

impl Match {
    /// Below this similarity, the family is approximate: the line's own is probably not among the faces.
    pub const APPROXIMATE: f32 = 0.9;

    /// Whether the similarity is below [`APPROXIMATE`](Self::APPROXIMATE).
    pub fn is_approximate(&self) -> bool {
        self.similarity < Self::APPROXIMATE
    }

    fn fit(&self) -> Fit {
        Fit { size: self.size, x: self.x, baseline: self.baseline, spacing: self.letter_spacing, spread: 0.0 }
    }
}

/// Ink heights at which faces are compared, in px: first all, then the finalists.
const COARSE: f32 = 24.0;
const FINE: f32 = 64.0;
/// px around the ink, for words that do not lie on it yet.
const MARGIN: f32 = 5.0;
/// A line is compared at a size at which it is no wider than this.
const MOST_WIDTH: f32 = 2400.0;
/// Similarities closer than this tell nothing apart.
const ALIKE: f32 = 0.003;
/// Letters closer to their own places than this, in em, may not be spaced at all.
const SPACED: f32 = 0.015;
/// What edges that are moved by an em would cost in similarity: a regular face is no bold one with thin strokes.
const MOVED: f32 = 4.0;

/// The mask around its ink, at one scale.
struct View {
    x: f32,
    y: f32,
    scale: f32,
    plane: Plane,
    soft: Plane,
}

impl View {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand at most")]
    fn new(mask: &Plane, ink: &InkBox, height: f32) -> Self {
        let scale = (height / ink.height()).min(MOST_WIDTH / ink.width()).min(1.0);
        let margin = MARGIN / scale;
        let (x, y) = ((ink.left - margin).floor(), (ink.top - margin).floor());
        let side = |length: f32| (length * scale + 2.0 * MARGIN).ceil() as usize + 1;
        let plane = mask.scaled(x, y, scale, side(ink.width()), side(ink.height()));
        Self { x, y, scale, soft: plane.softened(), plane }
    }

    fn draw(&self, candidate: &Candidate<'_>, fit: Fit) -> Drawn {
        Drawn::new(candidate, &self.soft, fit.into_plane(self.x, self.y, self.scale))
    }

    fn fit(&self, drawn: &Drawn) -> Fit {
        drawn.fit.out_of_plane(self.x, self.y, self.scale)
    }

    /// How alike ink and drawn words are: the overlap of both, softened, the words also with their edges moved and
    /// blurred as much as suits the ink; less what the edges were moved, in em.
    fn similarity(&self, drawn: &Drawn) -> f32 {
        let sharp = drawn.spread.overlap(&self.soft);
        let soft = drawn.spread.softened();
        let softer = soft.softened();
        let best = sharp.max(soft.overlap(&self.soft)).max(softer.overlap(&self.soft));
        (best - MOVED * (drawn.fit.spread / drawn.fit.size).abs()).max(0.0)
    }
}

/// The faces that come closest to a line's ink, the best first.
///
/// `mask` is the coverage of the line's ink, 0 to 255, upright (an angle is taken out before). `words` are what it
/// says, in reading order.
///
/// # Errors
/// There is no ink, there are no words, or there is too much of either.
pub fn identify(mask: &GrayImage, words: &str, fonts: &Fonts, options: &Options) -> Result<Vec<Match>, Error> {
    const MOST_PIXELS: u64 = 1 << 25;
    const MOST_CHARACTERS: usize = 500;
    let pixels = u64::from(mask.width()) * u64::from(mask.height());
    if pixels > MOST_PIXELS {
        return Err(Error::TooMany { what: "pixels in the mask", count: pixels, limit: MOST_PIXELS });
    }
    text::count("characters in the words", words.chars().count(), MOST_CHARACTERS)?;
    let words = words.trim();
    if !has_ink(words) {
        return Err(Error::NoWords);
    }
    let mask = Plane::of_mask(mask).ok_or(Error::NoInk)?;
    let ink = mask.ink_box().filter(|ink| ink.width() > 0.0 && ink.height() > 0.0).ok_or(Error::NoInk)?;

    let coarse = View::new(&mask, &ink, COARSE);
    let faces: Vec<&Face> = match &options.faces {
        Some(ids) => ids.iter().filter_map(|id| fonts.face(*id)).collect(),
        None => fonts.faces().iter().collect(),
    };
    let able: Vec<&Face> = faces.into_iter().filter(|face| face.has_all(words)).collect();
    let mut rough: Vec<(Candidate<'_>, Drawn, f32)> = able
        .par_iter()
        .filter_map(|face| {
            let candidate = Candidate::new(face, words)?;
            let tried = candidate.guesses(&ink).into_iter().map(|guess| {
                let drawn = coarse.draw(&candidate, guess);
                let overlap = drawn.spread.overlap(&coarse.soft);
                (drawn, overlap)
            });
            let (drawn, _) = tried.reduce(|a, b| if b.1 > a.1 { b } else { a })?;
            let drawn = drawn.align(&candidate, &coarse.soft, Free::All, 1);
            let overlap = drawn.spread.overlap(&coarse.soft);
            Some((candidate, drawn, overlap))
        })
        .collect();
    let finalists = options.finalists.clamp(1, 64);
    keep_best(&mut rough, 3 * finalists);
    let mut rough: Vec<(Candidate<'_>, Drawn, f32)> = rough
        .into_par_iter()
        .map(|(candidate, drawn, _)| {
            let drawn = drawn.align(&candidate, &coarse.soft, Free::All, 4);
            let similarity = coarse.similarity(&drawn);
            (candidate, drawn, similarity)
        })
        .collect();
    keep_best(&mut rough, finalists);

    let fine = View::new(&mask, &ink, FINE);
    let mut matches: Vec<Match> =
        rough.par_iter().map(|(candidate, drawn, _)| finish(candidate, &fine, coarse.fit(drawn))).collect();
    // Faces that are alike stay in the collection's order, those without letter spacing first.
    let rank = |found: &Match| ((found.similarity / ALIKE).round(), found.letter_spacing == 0.0);
    matches.sort_by(|a, b| rank(b).partial_cmp(&rank(a)).unwrap_or(Ordering::Equal));
    matches.truncate(options.results);
    Ok(matches)
}

fn keep_best(candidates: &mut Vec<(Candidate<'_>, Drawn, f32)>, count: usize) {
    candidates.sort_by(|a, b| b.2.total_cmp(&a.2)); // stable: equal faces stay in the collection's order
    candidates.truncate(count);
}

fn finish(candidate: &Candidate<'_>, view: &View, rough: Fit) -> Match {
    let mut drawn = view.draw(candidate, rough).align(candidate, &view.soft, Free::All, 6);
    let mut similarity = view.similarity(&drawn);
    if (drawn.fit.spacing / drawn.fit.size).abs() < SPACED {
        let plain = Fit { spacing: 0.0, ..view.fit(&drawn) };
        let plain = view.draw(candidate, plain).align(candidate, &view.soft, Free::NotSpacing, 4);
        let unspaced = view.similarity(&plain);
        if unspaced > similarity - ALIKE {
            (drawn, similarity) = (plain, unspaced);
        }
    }
    let plain = candidate.draw(&drawn.fit, view.plane.width, view.plane.height);
    let fit = view.fit(&drawn);
    Match {
        face: candidate.face.id(),
        similarity,
        overlap: view.plane.overlap(&plain),
        size: fit.size,
        x: fit.x,
        baseline: fit.baseline,
        letter_spacing: fit.spacing,
    }
}

/// The coverage of the words of a match on a canvas of a size in px, 0 to 255: what [`measure`](crate::measure) needs.
/// `None` if the face is not the collection's.
pub fn match_coverage(found: &Match, words: &str, fonts: &Fonts, width: u32, height: u32) -> Option<GrayImage> {
    let candidate = Candidate::new(fonts.face(found.face)?, words.trim())?;
    let values = candidate.coverage(&found.fit(), usize::try_from(width).ok()?, usize::try_from(height).ok()?);
    GrayImage::from_raw(width, height, values)
}
