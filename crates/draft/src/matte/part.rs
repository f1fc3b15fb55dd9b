//! One part of the picture: the matte of the shape in it, and the background behind it.

use std::borrow::Cow;

use super::opacity::{Zones, core, settle, unmix};
use super::{ExtractOptions, Extraction, Shape};
use crate::colour::max_difference;
use crate::fill::seam::seamless;
use crate::monitor::{Monitor, Stopped};
use crate::morphology::{components, dilate, erode, open};
use crate::numeric::quantile;
use crate::plane::{Colour, Gray, Mask, Plane};

/// Difference (0 to 1) from what the shadow makes of the background from which a pixel shows
/// another thing.
const FOREIGN: f32 = 14.0 / 255.0;

/// Largest difference (0 to 1) of a pixel from what is behind it up to which it looks like the background.
const ALIKE: f32 = 16.0 / 255.0;
/// Share of a shape's typical difference from the background under which a pixel is background.
const GAP: f32 = 0.25;

/// Share of a shadow from which the picture under it is mixed with the inpainted one, and from which nothing of it is
/// used.
const VEILING: f32 = 0.4;
const HIDING: f32 = 0.75;

/// The part of the picture that is processed.
pub(super) struct Part<'a> {
    pub(super) image: Cow<'a, Colour>,
    pub(super) mask: Cow<'a, Mask>,
    pub(super) sure: Option<Cow<'a, Mask>>,
    /// The shape, its soft edge, and what else of it clings to that.
    pub(super) near: Cow<'a, Mask>,
    pub(super) hole: Cow<'a, Mask>,
    pub(super) filled: Cow<'a, Colour>,
    pub(super) very_smooth: Cow<'a, Mask>,
    /// Share of shadow or glow that is typical of the place.
    pub(super) shaded: Cow<'a, Gray>,
    /// Which shadow or glow that is, from 1 on.
    pub(super) shade: Cow<'a, Plane<u16>>,
    pub(super) shades: &'a [[f32; 3]],
}

impl Part<'_> {
    /// As [`Fading::shade_at`].
    fn shade_at(&self, x: usize, y: usize) -> Option<[f32; 3]> {
        let number = usize::from(self.shade.at(x, y));
        (number > 0).then(|| self.shades[number - 1])
    }

    pub(super) fn extract(&self, options: ExtractOptions, monitor: &Monitor) -> Result<Extraction, Stopped> {
        let near = &*self.near;
        // On a textured background the original pixels are used again right outside the halo, with the shadow removed
        // that is typical of the place.
        let textured = self.very_smooth.or(near).not();
        let typical = self.shaded.zip(&textured, |share, textured| if textured { share } else { 0.0 });
        let lit = Plane::from_fn(near.width, near.height, |x, y| {
            let share = typical.at(x, y);
            let lit = unshaded(self.image.at(x, y), share, self.shade_at(x, y));
            // A strong shadow leaves too little of the picture.
            let kept = ((HIDING - share) / (HIDING - VEILING)).clamp(0.0, 1.0);
            let filled = self.filled.at(x, y);
            std::array::from_fn(|c| filled[c] + kept * (lit[c] - filled[c]))
        });
        let filled = seamless(&self.filled, &lit, &textured, &self.hole);
        let below = filled.with(&lit, &textured);
        let support = self.hole.minus(&textured);
        monitor.check()?;
        let crumbs = match options.shape {
            Shape::Letters { .. } => self.mask.same_size(false),
            Shape::Piece { crumb } | Shape::Figure { crumb } => self.crumbs(&below, crumb),
        };
        let mask = match options.shape {
            Shape::Letters { counter } => self.mask.minus(&self.gaps(&below, counter)),
            Shape::Piece { .. } | Shape::Figure { .. } => self.mask.minus(&crumbs),
        };
        let core = core(&mask, options.band);
        monitor.check()?;
        let (alpha, strange) = unmix(&self.image, &below, &mask, &core, &support, &|x, y| self.shade_at(x, y));
        monitor.check()?;
        let foreign = self.foreign(&below, &support.minus(near)).or(&crumbs);
        let foreign = foreign.or(&self.joined(&strange, &filled, &self.hole.minus(near)));
        let zones = Zones {
            near: near.clone(),
            support,
            solid: erode(&mask, options.band),
            typical,
            foreign,
            edging: self.sure.as_deref(),
            shaded: &self.shaded,
        };
        monitor.check()?;
        Ok(settle(&self.image, below, alpha, &zones))
    }

    /// Gaps between strokes that the mask of letters has closed. Compression darkens them, so they are told by how much
    /// less they differ from the background than letters do; their opacity is then solved like that of an edge.
    fn gaps(&self, below: &Colour, counter: usize) -> Mask {
        let gaps = self.background_within(below, |typical| GAP * typical, |alike| alike, (usize::MAX, counter));
        self.sure.as_ref().map_or(gaps.clone(), |sure| gaps.minus(sure))
    }

    /// What looks like the background within the mask of a piece, reaches its edge, and has at most `most` pixels.
    fn crumbs(&self, below: &Colour, most: usize) -> Mask {
        // Lines of one pixel are the soft edge of the piece.
        self.background_within(below, |typical| ALIKE.min(GAP * typical), |alike| open(&alike, 1), (most, 0))
    }

    /// Parts of the mask that differ from what is behind by less than `limit` says, which gets the typical difference
    /// of the shape; of at most so many pixels where they reach the edge, and where they are enclosed.
    fn background_within(
        &self,
        below: &Colour,
        limit: impl Fn(f32) -> f32,
        tidied: impl Fn(Mask) -> Mask,
        (at_edge, enclosed): (usize, usize),
    ) -> Mask {
        let differences = self.image.zip(below, max_difference);
        let inside = differences.data.iter().zip(&self.mask.data).filter(|(_, inside)| **inside);
        let mut sample: Vec<f32> = inside.map(|(difference, _)| *difference).step_by(16).collect();
        let limit = limit(quantile(&mut sample, 0.5));
        let alike = tidied(differences.zip(&self.mask, |difference, inside| inside && difference < limit));
        if !alike.any() {
            return alike;
        }
        let parts = components(&alike);
        let outside = parts.count_in(&dilate(&self.mask.not(), 2));
        let most = |k: usize| if outside[k] > 0 { at_edge } else { enclosed };
        let keep: Vec<bool> = (0..parts.areas.len()).map(|k| parts.areas[k] <= most(k)).collect();
        parts.select(&keep)
    }

    /// Other things nearby: regions that differ from the background more than the shadow does and extend beyond the hole.
    fn foreign(&self, below: &Colour, support: &Mask) -> Mask {
        let other = self.other(below, support);
        let parts = components(&other);
        let rim = self.hole.minus(&erode(&self.hole, 2));
        let beyond: Vec<bool> = parts.count_in(&rim).iter().map(|&count| count > 0).collect();
        parts.select(&beyond)
    }

    /// Pixels at the edge that are not a mixture of shape and background and belong to other things around the shape.
    fn joined(&self, strange: &Mask, below: &Colour, around: &Mask) -> Mask {
        // Lines of a pixel are what compression does to edges.
        let other = open(&self.other(below, around), 1);
        let parts = components(&open(&other.or(strange), 1));
        let others: Vec<bool> = parts.count_in(&other).iter().map(|&count| count > 0).collect();
        parts.select(&others).and(strange)
    }

    /// Where a pixel of `area` differs from the background more than the shadow does.
    fn other(&self, below: &Colour, area: &Mask) -> Mask {
        Plane::from_fn(area.width, area.height, |x, y| {
            area.at(x, y) && {
                let (i, b, share) = (self.image.at(x, y), below.at(x, y), self.shaded.at(x, y));
                let shade = self.shade_at(x, y).unwrap_or([0.0; 3]);
                let typical: [f32; 3] = std::array::from_fn(|c| b[c] + share * (shade[c] - b[c]));
                max_difference(i, typical) > max_difference(typical, b) + FOREIGN
            }
        })
    }
}

/// A pixel as it is without a `share` of the shade over it.
pub(super) fn unshaded(pixel: [f32; 3], share: f32, shade: Option<[f32; 3]>) -> [f32; 3] {
    let Some(shade) = shade.filter(|_| share > 0.0) else { return pixel };
    std::array::from_fn(|c| ((pixel[c] - share * shade[c]) / (1.0 - share)).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::colour::unit_plane;
    use crate::monitor::monitor;

    /// A letter that another thing touches, which the completion behind it knows nothing of.
    #[test]
    fn what_lies_beside_a_letter_and_is_no_mixture_stays_on_the_background() {
        let background = [10, 60, 180];
        let bar = |x: usize, y: usize| (40..60).contains(&x) && (20..100).contains(&y);
        let thing = |x: usize, y: usize| (60..90).contains(&x) && (50..66).contains(&y);
        let picture = Plane::from_fn(120, 120, |x, y| match (bar(x, y), thing(x, y)) {
            (true, _) => [250, 120, 20],
            (_, true) => [10, 200, 180],
            _ => background,
        });
        let mask = Plane::from_fn(120, 120, bar);
        let part = Part {
            image: Cow::Owned(unit_plane(&picture)),
            hole: Cow::Owned(dilate(&mask, 8)),
            filled: Cow::Owned(unit_plane(&Plane::new(120, 120, background))),
            very_smooth: Cow::Owned(mask.same_size(true)),
            shaded: Cow::Owned(mask.same_size(0.0)),
            shade: Cow::Owned(mask.same_size(0)),
            shades: &[],
            near: Cow::Owned(dilate(&mask, 2)),
            sure: None,
            mask: Cow::Borrowed(&mask),
        };
        let (monitor, _reporter) = monitor();
        let how = ExtractOptions {
            band: 2,
            grow: 8,
            halo: 2,
            shape: Shape::Letters { counter: 0 },
            excluded: None,
            sure: None,
        };
        let letters = part.extract(how, &monitor).expect("nobody stops it");
        assert!((54..62).all(|y| letters.alpha.at(60, y) == 0.0), "{}", letters.alpha.at(60, 58));
        assert_eq!(letters.below.at(60, 58), part.image.at(60, 58));
        assert!((30..90).all(|y| letters.alpha.at(50, y) == 1.0));
    }
}
