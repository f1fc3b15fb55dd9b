//! Which face a line is set in: its words are drawn in every face that has them, and laid on the line's ink.

mod align;
mod candidate;
mod plane;
mod view;

use std::sync::Arc;

use image::GrayImage;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::fonts::{Face, FaceId, Fonts, Generic, Origin, is_ignorable};
use crate::shape::has_ink;
use crate::text;
use align::{Drawn, Free};
use candidate::{Candidate, Fit};
use plane::{InkBox, Plane};
use view::View;

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
        Self { faces: None, finalists: 6, results: 5 }
    }
}

/// A face and how the words lie in it. Lengths are in px of the mask, from its upper left corner.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
    pub const APPROXIMATE: f32 = 0.85;

    /// Whether the similarity is below [`APPROXIMATE`](Self::APPROXIMATE).
    pub fn is_approximate(&self) -> bool {
        self.similarity < Self::APPROXIMATE
    }

    fn fit(&self) -> Fit {
        Fit { size: self.size, x: self.x, baseline: self.baseline, spacing: self.letter_spacing, spread: 0.0 }
    }
}

/// Ink heights at which faces are compared, in px: first all, then the finalists.
const COARSE: f32 = 18.0;
const FINE: f32 = 56.0;
/// Similarities closer than this tell nothing apart.
const ALIKE: f32 = 0.003;
/// At a smaller scale, blur of the ink does not matter.
const SHRUNK: f32 = 0.5;
/// Letters closer to their own places than this, in em, may not be spaced at all.
const SPACED: f32 = 0.015;

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
    let words = plain(words);
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
    let able: Vec<&Face> = faces.into_iter().filter(|face| can_write(face, words)).collect();
    let finalists = options.finalists.clamp(1, 64);
    let search = |view: &View| {
        let mut rough = aligned(view, first_pass(view, &able, words, fonts, &ink, 3 * finalists), 4);
        keep_best(&mut rough, finalists);
        rough
    };
    let mut rough = search(&coarse);
    if coarse.scale > SHRUNK {
        let fits: Vec<Fit> = rough.iter().map(|(_, drawn, _)| coarse.fit(drawn)).collect();
        coarse.measure_blur(rough.iter().map(|(candidate, ..)| candidate).zip(fits));
    }
    if coarse.target.blur > 0 {
        rough = search(&coarse);
    }

    let mut fine = View::new(&mask, &ink, FINE);
    fine.measure_blur(rough.iter().map(|(candidate, drawn, _)| (candidate, coarse.fit(drawn))));
    let mut matches: Vec<Match> =
        rough.par_iter().map(|(candidate, drawn, _)| finish(candidate, &fine, coarse.fit(drawn))).collect();
    matches.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
    let best = matches.first().map_or(0.0, |best| best.similarity);
    let alike = matches.partition_point(|found| found.similarity >= best - ALIKE);
    matches[..alike].sort_by_key(|found| rank(found, fonts));
    matches.truncate(options.results);
    Ok(matches)
}

/// Of faces that are alike, those without letter spacing come first, then those that every machine has, then those with
/// a Korean name (of a family for several languages, the Korean one), then the collection's order.
fn rank(found: &Match, fonts: &Fonts) -> (bool, Option<(bool, bool, FaceId)>) {
    (found.letter_spacing != 0.0, fonts.face(found.face).map(preference))
}

fn preference(face: &Face) -> (bool, bool, FaceId) {
    let elsewhere = matches!(face.origin(), Origin::System(_));
    (elsewhere, elsewhere && face.korean_family().is_none(), face.id())
}

/// Without control characters: a line break that a reader left is a space.
fn plain(words: &str) -> String {
    words.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// Whether a face has most of the words' letters: of a line in a Korean display face, the € comes from another.
fn can_write(face: &Face, words: &str) -> bool {
    let letters = || words.chars().filter(|character| !is_ignorable(*character));
    let has = letters().filter(|character| face.has(*character)).count();
    4 * has >= 3 * letters().count()
}

/// A face's words, where they lie so far, and how alike they are to the ink.
type Rough<'a> = (Candidate<'a>, Drawn, f32);

/// The best of all faces: first as their boxes lie, then half of them after one step of alignment.
fn first_pass<'a>(
    view: &View,
    faces: &[&'a Face],
    words: &str,
    fonts: &'a Fonts,
    ink: &InkBox,
    count: usize,
) -> Vec<Rough<'a>> {
    let mut rough: Vec<Rough<'_>> = faces
        .par_iter()
        .filter_map(|face| {
            let guesses = Candidate::all(face, words, fonts).into_iter().flat_map(|candidate| {
                let candidate = Arc::new(candidate);
                candidate.guesses(ink).into_iter().map(move |guess| (Arc::clone(&candidate), guess))
            });
            let tried = guesses.map(|(candidate, guess)| {
                let drawn = view.draw(&candidate, guess);
                let similarity = view.similarity(&drawn);
                (candidate, drawn, similarity)
            });
            let (candidate, drawn, similarity) = tried.reduce(|a, b| if b.2 > a.2 { b } else { a })?;
            Some((Arc::into_inner(candidate)?, drawn, similarity))
        })
        .collect();
    keep_best(&mut rough, (faces.len() / 2).max(2 * count));
    let mut rough = aligned(view, rough, 1);
    leave_one_twin(&mut rough);
    keep_best(&mut rough, count);
    rough
}

/// Of faces that draw the words exactly alike, as those of one family for several languages do, only the first one is a
/// candidate: else they would take the places of other families.
fn leave_one_twin(rough: &mut Vec<Rough<'_>>) {
    let drawn = |(_, drawn, similarity): &Rough<'_>| {
        let Fit { size, x, baseline, spacing, .. } = drawn.fit;
        [size, x, baseline, spacing, *similarity].map(f32::to_bits)
    };
    rough.sort_by_key(|found| (drawn(found), preference(found.0.face)));
    rough.dedup_by_key(|found| drawn(found));
    rough.sort_by_key(|(candidate, ..)| candidate.face.id());
}

/// The words aligned by so many steps.
fn aligned<'a>(view: &View, rough: Vec<Rough<'a>>, steps: usize) -> Vec<Rough<'a>> {
    let align = |(candidate, drawn, _): Rough<'a>| {
        let drawn = drawn.align(&candidate, &view.target, Free::All, steps);
        let similarity = view.similarity(&drawn);
        (candidate, drawn, similarity)
    };
    rough.into_par_iter().map(align).collect()
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

/// The kind of the line's letters: that of the family, among those that ship, which comes closest. For lines whose own
/// family is only approximate. `None` if no family that ships is in the collection or has the letters.
///
/// # Errors
/// As [`identify`].
pub fn nearest_generic(mask: &GrayImage, words: &str, fonts: &Fonts) -> Result<Option<Generic>, Error> {
    let kind = |face: &Face| Generic::of_family(face.family());
    let faces = fonts.faces().iter().filter(|face| kind(face).is_some()).map(Face::id).collect();
    let found = identify(mask, words, fonts, &Options { faces: Some(faces), ..Options::default() })?;
    Ok(found.first().and_then(|found| fonts.face(found.face)).and_then(kind))
}

/// The coverage of the words of a match on a canvas of a size in px, 0 to 255: what [`measure`](crate::measure) needs.
/// `None` if the face is not the collection's.
pub fn match_coverage(found: &Match, words: &str, fonts: &Fonts, width: u32, height: u32) -> Option<GrayImage> {
    let candidate = Candidate::new(fonts.face(found.face)?, plain(words).trim(), found.letter_spacing == 0.0, fonts)?;
    let values = candidate.coverage(&found.fit(), usize::try_from(width).ok()?, usize::try_from(height).ok()?);
    GrayImage::from_raw(width, height, values)
}
