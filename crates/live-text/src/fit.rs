//! From a line's pixels and words to the fonts in which the words lie on them.

use image::{GrayImage, RgbaImage};
use layers::ReadLine;
use typeset::{Error, Face, FaceId, Fonts, Generic, Match, Options, identify, ink};

use crate::assign::Cutout;
use crate::colours;
use crate::level::{Level, roughly};
use crate::respace::respaced;
use engine::PixelReason;

/// Similarity below which a line's words are not what its pixels show: they are misread, or drawn by hand.
const LEAST: f32 = 0.5;
/// Similarity from which the faces of a line before need no comparison with all others,
const FAMILIAR: f32 = 0.9;
/// and how far below that line's own it may be.
const AS_ALIKE: f32 = 0.05;
/// Similarity from which the faces of other layers need none.
const SURE: f32 = 0.92;
/// How much more alike another face has to be than the poster's own where neither is the line's.
const OF_POSTER: f32 = 0.06;
/// Similarity from which the spaces between words are right, and how much more alike words with other spaces have to be.
const SURELY_SPACED: f32 = 0.94;
const WORTH_SPACING: f32 = 0.02;
/// Tilt in degrees up to which a line may be level after all: short lines have no clear direction.
const DOUBTFUL: f32 = 9.0;
/// How much more alike the words have to be on a line that is taken for tilted.
const WORTH_TILTING: f32 = 0.01;
/// Degrees by which a tilted line is turned to see whether its words lie better on it then, at first, and when it is
/// enough.
const COARSE_TURN: f32 = 0.8;
const FINE_TURN: f32 = 0.06;
/// Height of the ink against its width from which a line of several letters runs up or down.
const UPRIGHT: f32 = 1.5;

/// A line whose words lie on its pixels.
pub(crate) struct Fit {
    pub(crate) level: Level,
    /// Its letters, level, without outline and shadow.
    pub(crate) mask: GrayImage,
    /// What the line says, its spaces where the ink has gaps.
    pub(crate) words: String,
    /// Not empty, the best first; lengths are px of the level picture.
    pub(crate) matches: Vec<Match>,
}

impl Fit {
    pub(crate) fn best(&self) -> &Match {
        &self.matches[0]
    }

    /// Makes the match in a face the first, if it is as good but for `by`.
    pub(crate) fn prefer(&mut self, face: FaceId, by: f32) {
        let least = self.best().similarity - by;
        let found = self.matches.iter().position(|found| found.face == face && found.similarity >= least);
        if let Some(found) = found {
            self.matches[..=found].rotate_right(1);
        }
    }
}

/// Faces that are likely, from other lines.
pub(crate) struct Known {
    pub(crate) faces: Vec<FaceId>,
    /// Similarity from which no other face is looked at.
    pub(crate) enough: f32,
}

impl Known {
    /// Those of a larger line of the same layer.
    pub(crate) fn of_block(faces: Vec<FaceId>, larger: &Fit) -> Self {
        Self { faces, enough: FAMILIAR.min(larger.best().similarity - AS_ALIKE) }
    }

    /// Those of other layers.
    pub(crate) fn of_poster(faces: Vec<FaceId>) -> Self {
        Self { faces, enough: SURE }
    }
}

/// Finds the fonts of a line, in all faces unless those that are known do.
pub(crate) fn fit(cut: &Cutout, line: &ReadLine, fonts: &Fonts, known: Option<&Known>) -> Result<Fit, PixelReason> {
    let words = line.words.as_str();
    let own = ink(&cut.pixels);
    let tilted = line.angle.abs() > 0.1;
    let mut best: Option<Fit> = None;
    if !tilted || line.angle.abs() < DOUBTFUL {
        best = upright_or_level(Level::already(cut.pixels.clone()), own.clone(), words, fonts, known)?;
    }
    if tilted {
        let turned = tilted_line(cut, &own, line, fonts, known)?;
        let worth = |turned: &Fit, best: &Fit| turned.best().similarity > best.best().similarity + WORTH_TILTING;
        best = match (best, turned) {
            (Some(best), Some(turned)) => Some(if worth(&turned, &best) { turned } else { best }),
            (best, turned) => best.or(turned),
        };
    }
    match best {
        // The reader takes short lines with large capitals for bent.
        Some(fit) if fit.best().similarity >= if line.bent { Match::APPROXIMATE } else { LEAST } => Ok(fit),
        _ if line.bent => Err(PixelReason::Curved),
        _ => Err(PixelReason::NoFont),
    }
}

/// A line that is turned level, first by what the reader says, then by the angle at which its words lie best on it.
fn tilted_line(
    cut: &Cutout,
    own: &GrayImage,
    line: &ReadLine,
    fonts: &Fonts,
    known: Option<&Known>,
) -> Result<Option<Fit>, PixelReason> {
    let words = line.words.as_str();
    let at = |angle: f32, known: Option<&Known>| {
        let level = Level::of(&cut.pixels, angle);
        let mask = ink(&level.pixels);
        upright_or_level(level, mask, words, fonts, known)
    };
    let Some(first) = at(roughly(own, line.angle), known)? else { return Ok(None) };
    // Enough to tell angles apart.
    let few = Known { faces: first.matches.iter().take(3).map(|found| found.face).collect(), enough: 0.0 };
    let rate = |fit: &Fit| fit.best().similarity + fit.best().overlap;
    let (mut best, mut step) = (first, COARSE_TURN);
    while step > FINE_TURN {
        let before = best.level.angle;
        for angle in [before - step, before + step] {
            if let Some(found) = at(angle, Some(&few))?.filter(|found| rate(found) > rate(&best)) {
                best = found;
            }
        }
        if best.level.angle == before {
            step /= 2.0;
        }
    }
    // The first look was at another angle: another face may be closer at this one.
    at(best.level.angle, known)
}

/// As it is, or turned by a quarter where the ink is too high for a line.
fn upright_or_level(
    level: Level,
    mask: GrayImage,
    words: &str,
    fonts: &Fonts,
    known: Option<&Known>,
) -> Result<Option<Fit>, PixelReason> {
    let [width, height] = ink_size(&mask);
    if height <= UPRIGHT * width || words.chars().filter(|letter| !letter.is_whitespace()).count() < 2 {
        return identified(level, mask, words, fonts, known);
    }
    if level.angle != 0.0 {
        // Tilted steeply: rare, and turned twice its edges would be soft.
        return Ok(None);
    }
    let mut best: Option<Fit> = None;
    for angle in [90.0, -90.0] {
        let turned = Level::of(&level.pixels, angle);
        let mask = ink(&turned.pixels);
        let found = identified(turned, mask, words, fonts, known)?;
        best = match (best, found) {
            (Some(a), Some(b)) if b.best().similarity > a.best().similarity => Some(b),
            (a, b) => a.or(b),
        };
    }
    Ok(best)
}

fn identified(
    level: Level,
    mask: GrayImage,
    words: &str,
    fonts: &Fonts,
    known: Option<&Known>,
) -> Result<Option<Fit>, PixelReason> {
    let mut fit = Fit { level, mask, words: words.trim().to_owned(), matches: Vec::new() };
    if let Some(known) = known {
        fit.matches = find(&fit.mask, words, fonts, Some(known.faces.clone()))?;
        if !fit.matches.is_empty() && alike(&fit.matches) >= known.enough {
            return Ok(Some(fit));
        }
    }
    let all = find(&fit.mask, words, fonts, None)?;
    // Of faces that are all only similar, one that the poster has is likelier than one that has been found nowhere else.
    let in_favour = if alike(&all) < Match::APPROXIMATE { OF_POSTER } else { 0.0 };
    if alike(&all) >= alike(&fit.matches) + in_favour {
        fit.matches = all;
    }
    if alike(&fit.matches) < Match::APPROXIMATE {
        look_again(&mut fit, fonts, known)?;
    }
    if !fit.matches.is_empty() && alike(&fit.matches) < SURELY_SPACED {
        respace(&mut fit, fonts)?;
    }
    Ok((!fit.matches.is_empty()).then_some(fit))
}

/// Takes other pixels for the letters where the words lie better on them: a shadow of the letters' own colour is told
/// from them by its opacity alone, and a wide one may be taken for letters. Few faces tell which pixels are right.
fn look_again(fit: &mut Fit, fonts: &Fonts, known: Option<&Known>) -> Result<(), PixelReason> {
    let mut faces: Vec<FaceId> = fit.matches.iter().take(2).map(|found| found.face).collect();
    match known {
        Some(known) => {
            faces.extend(known.faces.iter().filter(|id| !fit.matches.iter().any(|m| m.face == **id)).take(8))
        }
        None => {
            faces.extend(fonts.faces().iter().filter(|face| Generic::of_family(face.family()).is_some()).map(Face::id))
        }
    }
    let mut best: Option<(f32, GrayImage)> = None;
    for mask in colours::masks(&fit.level.pixels).into_iter().chain([opaque(&fit.level.pixels)]) {
        let alike = find(&mask, &fit.words, fonts, Some(faces.clone())).map_or(0.0, |found| alike(&found));
        if alike > best.as_ref().map_or(fit.matches.first().map_or(0.0, |found| found.similarity), |best| best.0) {
            best = Some((alike, mask));
        }
    }
    if let Some((_, mask)) = best {
        fit.matches = find(&mask, &fit.words, fonts, None)?;
        fit.mask = mask;
    }
    Ok(())
}

/// The faces in which words come closest to ink.
fn find(mask: &GrayImage, words: &str, fonts: &Fonts, faces: Option<Vec<FaceId>>) -> Result<Vec<Match>, PixelReason> {
    match identify(mask, words, fonts, &Options { faces, ..Options::default() }) {
        Ok(found) => Ok(found),
        Err(Error::NoInk) => Err(PixelReason::NoInk),
        Err(_) => Err(PixelReason::NoFont),
    }
}

fn alike(matches: &[Match]) -> f32 {
    matches.first().map_or(0.0, |found| found.similarity)
}

/// Takes the words with other spaces where they lie better on the ink.
fn respace(fit: &mut Fit, fonts: &Fonts) -> Result<(), PixelReason> {
    let faces: Vec<FaceId> = fit.matches.iter().take(2).map(|found| found.face).collect();
    let mut best: Option<(f32, String)> = None;
    for guess in respaced(&fit.mask, &fit.words, fit.best(), fonts) {
        let alike = alike(&find(&fit.mask, &guess, fonts, Some(faces.clone()))?);
        if alike > best.as_ref().map_or(fit.best().similarity + WORTH_SPACING, |best| best.0) {
            best = Some((alike, guess));
        }
    }
    if let Some((_, words)) = best {
        // Other faces may come closer now.
        fit.matches = find(&fit.mask, &words, fonts, None)?;
        fit.words = words;
    }
    Ok(())
}

/// The coverage of letters that are opaque, without what is half transparent around them.
fn opaque(pixels: &RgbaImage) -> GrayImage {
    const FAINT: u32 = 140;
    GrayImage::from_fn(pixels.width(), pixels.height(), |x, y| {
        let alpha = u32::from(pixels.get_pixel(x, y).0[3]);
        image::Luma([(alpha.saturating_sub(FAINT) * 255 / (255 - FAINT)) as u8])
    })
}

/// Width and height of what is covered.
fn ink_size(mask: &GrayImage) -> [f32; 2] {
    let solid = mask.enumerate_pixels().filter(|(.., value)| value.0[0] > 60);
    let found = solid.fold(None, |found: Option<[u32; 4]>, (x, y, _)| {
        let [x0, y0, x1, y1] = found.unwrap_or([x, y, x, y]);
        Some([x0.min(x), y0.min(y), x1.max(x), y1.max(y)])
    });
    found.map_or([1.0, 1.0], |[x0, y0, x1, y1]| [(x1 - x0 + 1) as f32, (y1 - y0 + 1) as f32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preferred_face_goes_first_if_it_is_as_good() {
        let found = |face, similarity| Match {
            face: FaceId(face),
            similarity,
            overlap: 0.9,
            size: 10.0,
            x: 0.0,
            baseline: 0.0,
            letter_spacing: 0.0,
        };
        let matches = vec![found(4, 0.9), found(7, 0.89), found(2, 0.8)];
        let level = Level::already(image::RgbaImage::new(1, 1));
        let mut fit = Fit { level, mask: GrayImage::new(1, 1), words: String::new(), matches };
        let faces = |fit: &Fit| fit.matches.iter().map(|found| found.face.0).collect::<Vec<_>>();
        fit.prefer(FaceId(2), 0.02);
        assert_eq!(faces(&fit), [4, 7, 2]);
        fit.prefer(FaceId(7), 0.02);
        assert_eq!(faces(&fit), [7, 4, 2]);
    }
}
