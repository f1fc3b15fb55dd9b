//! Shadows and glows around a shape: how far they reach, what colour they have, and how strong they are, by medians, over
//! which texture averages out.

mod cast;
mod colour;
mod sectors;
mod width;

use rayon::prelude::*;

use crate::morphology::NOWHERE;
use crate::plane::{Colour, Gray, Mask, Plane};
use cast::{Cast, Seen};
use colour::Beside;
use sectors::{SECTORS, Samples, interpolated, strongest};
pub(crate) use width::widths;

/// Least number of samples for a median.
const MIN_SAMPLES: usize = 24;
/// Distance from the shape in pixels from which colours are not its own.
const BEYOND_EDGE: f32 = 2.5;
/// Pixels of a hole that are looked at, about.
const SAMPLE: usize = 400_000;
/// Share of what is seen in texture that a shade leaves unexplained at most.
const EXPLAINED: f32 = 0.97;
/// The same of one that is nowhere stronger than this.
const FAINT: f32 = 0.13;
const FAINT_EXPLAINED: f32 = 0.8;
/// Width in pixels that a shade has at least.
const LEAST_WIDTH: usize = 4;
/// Squared way (three channels, 0 to 1) from what is behind to the shade from which the share says something: on a dark
/// background black is no shade.
const LEAST_WAY: f32 = 0.04;
/// Mean share from which there is a shadow or a glow at all.
const MIN_MEAN_SHARE: f32 = 0.035;

/// Parts of a shape whose shadows are measured by themselves, such as the lines of a text: a title's shadow says
/// nothing about the small print.
pub(crate) struct Groups {
    /// Number of the group of each pixel of the shape.
    pub of: Plane<u16>,
    /// How far shadows are followed for each group, in pixels.
    pub reaches: Vec<usize>,
}

impl Groups {
    /// One group for all.
    pub(crate) fn one(mask: &Mask, reach: usize) -> Self {
        Self { of: mask.same_size(0), reaches: vec![reach] }
    }
}

/// Where the nearest pixel of a shape lies.
struct Bearing {
    /// Index of that pixel.
    place: usize,
    distance: f32,
    /// Unit vector from the shape outwards.
    outward: [f32; 2],
}

fn bearing(places: &Plane<u32>, index: usize) -> Option<Bearing> {
    let place = places.data[index];
    if place == NOWHERE || place as usize == index {
        return None;
    }
    let part = |i: usize| ((i % places.width) as f32, (i / places.width) as f32);
    let ((x, y), (nx, ny)) = (part(index), part(place as usize));
    let distance = ((x - nx) * (x - nx) + (y - ny) * (y - ny)).sqrt();
    Some(Bearing { place: place as usize, distance, outward: [(x - nx) / distance, (y - ny) / distance] })
}

/// Where a shade is measured.
pub(crate) struct Hole<'a> {
    pub mask: &'a Mask,
    /// The part of it where the background is not so smooth that a shade can be seen pixel by pixel.
    pub texture: &'a Mask,
    /// The shape that casts it.
    pub shape: &'a Mask,
    /// The nearest pixel of the shape, for each pixel.
    pub places: &'a Plane<u32>,
}

/// The shadow or glow of a shape.
pub(crate) struct Fading {
    /// Number of the shade at each pixel, from 1 on; 0 where there is neither shadow nor glow.
    pub shade: Plane<u16>,
    /// Black for a shadow, white or a colour for a glow.
    pub shades: Vec<[f32; 3]>,
    /// Share of the shade at each pixel by direction and distance, 0 to 1; 0 where there is none.
    pub share: Gray,
}

impl Fading {
    /// No shadow or glow at all.
    pub(crate) fn none(mask: &Mask) -> Self {
        Self { shade: mask.same_size(0), shades: Vec::new(), share: mask.same_size(0.0) }
    }

    /// Colour of the shadow or glow at a pixel.
    pub(crate) fn shade_at(&self, x: usize, y: usize) -> Option<[f32; 3]> {
        let number = usize::from(self.shade.at(x, y));
        (number > 0).then(|| self.shades[number - 1])
    }

    /// Compares `image` with what is `usual` behind the shape within the hole (in texture a median, as the shares are),
    /// around each group of the shape by itself; `widths` as from [`widths`].
    pub(crate) fn measure(
        image: &Colour,
        usual: &Colour,
        hole: &Hole,
        groups: &Groups,
        widths: &[Option<usize>],
    ) -> Self {
        let mut beside = vec![Beside::default(); groups.reaches.len()];
        hole.each(groups, |group, bearing, index| {
            beside[group].add(bearing, image.data[index], usual.data[index]);
        });
        let colours: Vec<Option<[f32; 3]>> = beside.into_iter().map(Beside::colour).collect();
        let start = |(&reach, &colour)| Around::new(reach, colour);
        let mut around: Vec<Around> = groups.reaches.iter().zip(&colours).map(start).collect();
        hole.each(groups, |group, bearing, index| {
            around[group].add(bearing, image.data[index], usual.data[index]);
        });
        // What ends at once is a plate.
        let fades = |width: &Option<usize>| width.is_none_or(|width| width >= LEAST_WIDTH);
        let shade = |(around, width): (Around, _)| around.shade().filter(|_| fades(width));
        let mut shades: Vec<Option<Shade>> = around.into_iter().zip(widths).map(shade).collect();
        let mut seen: Vec<Vec<Seen>> = vec![Vec::new(); shades.len()];
        hole.each(groups, |group, bearing, index| {
            if let Some(shade) =
                shades[group].as_ref().filter(|_| hole.texture.data[index] && bearing.distance > BEYOND_EDGE)
            {
                let share = toward(image.data[index], usual.data[index], shade.colour);
                let (x, y) = (index % image.width, index / image.width);
                seen[group].push(Seen { x, y, share, median: interpolated(&shade.medians, bearing) });
            }
        });
        for (shade, seen) in shades.iter_mut().zip(&seen) {
            if seen.len() > cast::LEAST && !explains(seen) {
                *shade = None;
            }
        }
        let fits = seen
            .into_par_iter()
            .zip(groups.reaches.par_iter().zip(&colours))
            .map(|(seen, (&reach, colour))| colour.and_then(|_| Cast::fit(hole.shape, seen, reach)));
        let casts: Vec<Option<Cast>> = fits.collect();
        let at = |x: usize, y: usize| {
            let index = y * image.width + x;
            let bearing = bearing(hole.places, index).filter(|_| hole.mask.data[index])?;
            let group = usize::from(groups.of.data[bearing.place]);
            let medians = &shades[group].as_ref()?.medians;
            let cast = casts[group].as_ref().filter(|_| hole.texture.data[index]);
            let share = cast.map_or_else(|| interpolated(medians, &bearing), |cast| cast.at(x, y));
            Some((group as u16 + 1, share))
        };
        let shares = Plane::from_fn(image.width, image.height, |x, y| at(x, y).unwrap_or((0, 0.0)));
        let shades = shades.iter().map(|shade| shade.as_ref().map_or([0.0; 3], |shade| shade.colour)).collect();
        Self { shade: shares.map(|(group, _)| group), shades, share: shares.map(|(_, share)| share) }
    }
}

/// Whether the medians say more than that there is texture.
fn explains(seen: &[Seen]) -> bool {
    let all: f32 = seen.iter().map(|seen| seen.share.abs()).sum();
    let left: f32 = seen.iter().map(|seen| (seen.share - seen.median).abs()).sum();
    let strongest = seen.iter().map(|seen| seen.median).fold(0.0, f32::max);
    left < all * if strongest < FAINT { FAINT_EXPLAINED } else { EXPLAINED }
}

impl Hole<'_> {
    /// Calls `add` with the group, the bearing and the index of the hole's pixels, or of a sample of them.
    fn each(&self, groups: &Groups, mut add: impl FnMut(usize, &Bearing, usize)) {
        let step = (self.mask.count() / SAMPLE).max(1);
        for index in (0..self.mask.data.len()).filter(|&index| self.mask.data[index]).step_by(step) {
            let Some(bearing) = bearing(self.places, index) else { continue };
            add(usize::from(groups.of.data[bearing.place]), &bearing, index);
        }
    }
}

/// The shade around one group, and its medians by distance and sector.
struct Shade {
    colour: [f32; 3],
    medians: Vec<[f32; SECTORS]>,
}

/// What is known about the shade around one group.
struct Around {
    /// Shares of black, of white, and of a colour that the shade could have.
    shares: Vec<([f32; 3], Samples)>,
}

impl Around {
    fn new(reach: usize, colour: Option<[f32; 3]>) -> Self {
        let colours = colour.map_or_else(|| vec![[0.0; 3], [1.0; 3]], |colour| vec![colour]);
        Self { shares: colours.into_iter().map(|colour| (colour, Samples::new(reach))).collect() }
    }

    fn add(&mut self, bearing: &Bearing, image: [f32; 3], behind: [f32; 3]) {
        for (colour, samples) in &mut self.shares {
            samples.add(bearing, toward(image, behind, *colour));
        }
    }

    /// The shade that is the strongest, if it is strong enough.
    fn shade(self) -> Option<Shade> {
        let shades = self.shares.into_iter().map(|(colour, samples)| Shade { colour, medians: samples.medians() });
        let strength = |shade: &Shade| strongest(&shade.medians);
        shades.max_by(|a, b| strength(a).total_cmp(&strength(b))).filter(|shade| strength(shade) > MIN_MEAN_SHARE)
    }
}

/// The share of `shade` over `behind` that comes closest to `image`.
fn toward(image: [f32; 3], behind: [f32; 3], shade: [f32; 3]) -> f32 {
    let (mut product, mut square) = (0.0, 0.0);
    for c in 0..3 {
        let direction = shade[c] - behind[c];
        product += (image[c] - behind[c]) * direction;
        square += direction * direction;
    }
    product / square.max(LEAST_WAY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphology::{dilate, nearest};

    #[test]
    fn a_shadow_to_the_right_is_measured_there_and_not_to_the_left() {
        let mask = Plane::from_fn(160, 160, |x, y| (60..100).contains(&x) && (40..120).contains(&y));
        let behind = mask.map(|_| [0.8, 0.7, 0.6]);
        let shadow = |x: usize, y: usize| {
            if (100..112).contains(&x) && (40..120).contains(&y) { 0.4 * (1.0 - (x - 100) as f32 / 12.0) } else { 0.0 }
        };
        let image = Plane::from_fn(160, 160, |x, y| behind.at(x, y).map(|v| v * (1.0 - shadow(x, y))));
        let groups = Groups::one(&mask, 16);
        let (around, places) = (dilate(&mask, 16), nearest(&mask));
        let hole = Hole { mask: &around, texture: &mask.same_size(false), shape: &mask, places: &places };
        let found = Fading::measure(&image, &behind, &hole, &groups, &[Some(12)]);
        assert_eq!((found.shade.at(104, 80), found.shades[0]), (1, [0.0; 3]));
        for x in 104..110 {
            assert!((found.share.at(x, 80) - shadow(x, 80)).abs() < 0.06, "{x}: {}", found.share.at(x, 80));
        }
        assert!(found.share.at(50, 80) < 0.02 && found.share.at(80, 30) < 0.03);
    }
}
