//! Which face a line is set in: its words are drawn in every face that has them, and laid on the line's ink.

mod align;
mod candidate;
mod plane;

use std::cmp::Ordering;
use std::sync::Arc;

use image::GrayImage;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::fonts::{Face, FaceId, Fonts};
use crate::shape::has_ink;
use crate::text;
use align::{Drawn, Free, Target};
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
/// How often drawn words are softened to be as blurred as the ink, at most: a deviation of 1.7 px.
const MOST_BLUR: usize = 5;
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
    target: Target,
}

impl View {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand at most")]
    fn new(mask: &Plane, ink: &InkBox, height: f32) -> Self {
        let scale = (height / ink.height()).min(MOST_WIDTH / ink.width()).min(1.0);
        let margin = MARGIN / scale;
        let (x, y) = ((ink.left - margin).floor(), (ink.top - margin).floor());
        let side = |length: f32| (length * scale + 2.0 * MARGIN).ceil() as usize + 1;
        let plane = mask.scaled(x, y, scale, side(ink.width()), side(ink.height()));
        Self { x, y, scale, target: Target::new(&plane), plane }
    }

    fn draw(&self, candidate: &Candidate<'_>, fit: Fit) -> Drawn {
        Drawn::new(candidate, &self.target, fit.into_plane(self.x, self.y, self.scale))
    }

    fn fit(&self, drawn: &Drawn) -> Fit {
        drawn.fit.out_of_plane(self.x, self.y, self.scale)
    }

    /// How alike ink and drawn words are: the overlap of both, softened, the words as blurred as the ink and with their
    /// edges moved as suits the ink; less what the edges were moved, in em.
    fn similarity(&self, drawn: &Drawn) -> f32 {
        let moved = MOVED * (drawn.fit.spread / drawn.fit.size).abs();
        (drawn.spread.overlap(&self.target.soft) - moved).max(0.0)
    }

    /// Sets the blur to that with which the words that are most like the ink are most like it.
    fn measure_blur<'a>(&mut self, fits: impl Iterator<Item = (&'a Candidate<'a>, Fit)>) {
        let mut best = (0.0, 0);
        for (candidate, fit) in fits {
            let fit = fit.into_plane(self.x, self.y, self.scale);
            let drawn = candidate.draw(&fit, self.plane.width, self.plane.height);
            for blur in 0..=MOST_BLUR {
                let overlap = self.target.like(drawn.clone(), blur).overlap(&self.target.soft);
                if overlap > best.0 {
                    best = (overlap, blur);
                }
            }
        }
        self.target.blur = best.1;
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

    let mut coarse = View::new(&mask, &ink, COARSE);
    let faces: Vec<&Face> = match &options.faces {
        Some(ids) => ids.iter().filter_map(|id| fonts.face(*id)).collect(),
        None => fonts.faces().iter().collect(),
    };
    let able: Vec<&Face> = faces.into_iter().filter(|face| face.has_all(words)).collect();
    let finalists = options.finalists.clamp(1, 64);
    let mut rough = second_pass(&coarse, first_pass(&coarse, &able, words, &ink, 3 * finalists), finalists);
    let fits: Vec<Fit> = rough.iter().map(|(_, drawn, _)| coarse.fit(drawn)).collect();
    coarse.measure_blur(rough.iter().map(|(candidate, ..)| candidate).zip(fits));
    if coarse.target.blur > 0 {
        rough = second_pass(&coarse, first_pass(&coarse, &able, words, &ink, 3 * finalists), finalists);
    }

    let mut fine = View::new(&mask, &ink, FINE);
    fine.measure_blur(rough.iter().map(|(candidate, drawn, _)| (candidate, coarse.fit(drawn))));
    let mut matches: Vec<Match> =
        rough.par_iter().map(|(candidate, drawn, _)| finish(candidate, &fine, coarse.fit(drawn))).collect();
    // Faces that are alike stay in the collection's order, those without letter spacing first.
    let rank = |found: &Match| ((found.similarity / ALIKE).round(), found.letter_spacing == 0.0);
    matches.sort_by(|a, b| rank(b).partial_cmp(&rank(a)).unwrap_or(Ordering::Equal));
    matches.truncate(options.results);
    Ok(matches)
}

/// A face's words, where they lie so far, and how alike they are to the ink.
type Rough<'a> = (Candidate<'a>, Drawn, f32);

/// All faces, with one step of alignment each; the best of them.
fn first_pass<'a>(view: &View, faces: &[&'a Face], words: &str, ink: &InkBox, count: usize) -> Vec<Rough<'a>> {
    let mut rough: Vec<Rough<'_>> = faces
        .par_iter()
        .filter_map(|face| {
            let guesses = Candidate::all(face, words).into_iter().flat_map(|candidate| {
                let candidate = Arc::new(candidate);
                candidate.guesses(ink).into_iter().map(move |guess| (Arc::clone(&candidate), guess))
            });
            let tried = guesses.map(|(candidate, guess)| {
                let drawn = view.draw(&candidate, guess);
                let similarity = view.similarity(&drawn);
                (candidate, drawn, similarity)
            });
            let (candidate, drawn, _) = tried.reduce(|a, b| if b.2 > a.2 { b } else { a })?;
            let candidate = Arc::into_inner(candidate)?;
            let drawn = drawn.align(&candidate, &view.target, Free::All, 1);
            let similarity = view.similarity(&drawn);
            Some((candidate, drawn, similarity))
        })
        .collect();
    keep_best(&mut rough, count);
    rough
}

/// The best faces aligned until they stand nearly still; the best of them.
fn second_pass<'a>(view: &View, rough: Vec<Rough<'a>>, count: usize) -> Vec<Rough<'a>> {
    let aligned = rough.into_par_iter().map(|(candidate, drawn, _)| {
        let drawn = drawn.align(&candidate, &view.target, Free::All, 4);
        let similarity = view.similarity(&drawn);
        (candidate, drawn, similarity)
    });
    let mut aligned: Vec<Rough<'a>> = aligned.collect();
    keep_best(&mut aligned, count);
    aligned
}

fn keep_best(candidates: &mut Vec<Rough<'_>>, count: usize) {
    candidates.sort_by(|a, b| b.2.total_cmp(&a.2)); // stable: equal faces stay in the collection's order
    candidates.truncate(count);
}

fn finish(candidate: &Candidate<'_>, view: &View, rough: Fit) -> Match {
    let mut drawn = view.draw(candidate, rough).align(candidate, &view.target, Free::All, 6);
    let mut similarity = view.similarity(&drawn);
    if (drawn.fit.spacing / drawn.fit.size).abs() < SPACED {
        let plain = Fit { spacing: 0.0, ..view.fit(&drawn) };
        let plain = view.draw(candidate, plain).align(candidate, &view.target, Free::NotSpacing, 4);
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
    let candidate = Candidate::new(fonts.face(found.face)?, words.trim(), found.letter_spacing == 0.0)?;
    let values = candidate.coverage(&found.fit(), usize::try_from(width).ok()?, usize::try_from(height).ok()?);
    GrayImage::from_raw(width, height, values)
}
