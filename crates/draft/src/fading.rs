//! Shadows and glows around a shape: how far they reach, and how strong they are at each
//! distance in each direction, as medians, over which texture averages out.

use crate::morphology::NOWHERE;
use crate::numeric::quantile;
use crate::plane::{Colour, Gray, Mask, Plane};

/// Directions in which the strength is measured; between two of them it is interpolated.
const SECTORS: usize = 8;
/// Least number of samples for a median.
const MIN_SAMPLES: usize = 24;
/// Distance from the shape in pixels from which colours are not its own.
const BEYOND_EDGE: f32 = 2.5;
/// Distance from the shape in pixels from which a sudden change is another thing.
const FIRST_EDGE: usize = 5;
/// Slopes that say the same as their neighbours, in texture, and how many errors of the medians are no shadow.
const ALIKE_SLOPES: f32 = 6.0;
const NOISE: f32 = 2.5;
/// Share of the rings, from the shape on, beyond which colours are taken to change by nothing but texture, and how many
/// times the largest change there is no shadow.
const BEYOND_SHADE: f32 = 0.5;
const UNSTEADY: f32 = 2.0;
/// Rings beyond a ring that say whether there is more of a shadow, besides as many as there are up to it.
const REST: usize = 16;
/// Rings right at the shape, beyond its soft edge, whose change of colour gives the colour of the shade.
const AT_SHAPE: std::ops::Range<usize> = 3..9;
/// Change of the colour there from which it has a direction,
const MIN_CHANGE: f32 = 0.08;
/// the share of it by which it may typically vary, as texture and shadows to one side do more,
const STEADY: f32 = 0.4;
/// and the cosine of the angle to black up to which the shade is not black.
const COLOURED: f32 = 0.93;
/// The same to white alone, which warm and cold glows come close to.
const WHITE: f32 = 0.985;
/// Share of black or white under which there is no shadow or glow.
const MIN_SHARE: f32 = 0.02;
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

/// How far outside each group of the shape its shadow, glow or anti-aliasing reaches, at most as far as the group
/// says: from the median outward colour slopes. Each quarter of the directions counts by
/// itself, as shadows fall to one side; what slope there is far outside belongs to the
/// background. `places` holds the nearest pixel of the shape for each pixel.
/// Only pixels `around` count.
pub(crate) fn widths(image: &Colour, around: &Mask, places: &Plane<u32>, groups: &Groups) -> Vec<Option<usize>> {
    let (width, height) = (image.width, image.height);
    let rings = |reach: usize| vec![std::array::from_fn::<Vec<f32>, 3, _>(|_| Vec::new()); reach + 1];
    let mut quarters: Vec<[Rings; 4]> =
        groups.reaches.iter().map(|&reach| std::array::from_fn(|_| rings(reach))).collect();
    // A sample of the pixels is enough for medians.
    let step = (image.data.len() / 800_000).max(1);
    for index in (0..image.data.len()).step_by(step) {
        let Some(Bearing { place, distance, outward: [ux, uy] }) = bearing(places, index) else { continue };
        let group = usize::from(groups.of.data[place]);
        let ring = (distance + 0.5) as usize;
        if distance < 1.4 || ring > groups.reaches[group] || !around.data[index] {
            continue;
        }
        let (x, y) = (index % width, index / width);
        let (left, right) = (image.at(x.saturating_sub(1), y), image.at((x + 1).min(width - 1), y));
        let (up, down) = (image.at(x, y.saturating_sub(1)), image.at(x, (y + 1).min(height - 1)));
        let quarter = usize::from(ux > 0.0) + 2 * usize::from(uy > 0.0);
        for c in 0..3 {
            quarters[group][quarter][ring][c].push(0.5 * ((right[c] - left[c]) * ux + (down[c] - up[c]) * uy));
        }
    }
    let width = |quarters: &mut [Rings; 4]| {
        // Where one side does not settle, such as at the edge of the picture, the others tell.
        quarters.iter_mut().filter_map(|slopes| width_of(slopes)).max()
    };
    quarters.iter_mut().map(width).collect()
}

/// Takes the group, the bearing, and the colours of a pixel and of what is behind it.
type Adder<'a> = dyn FnMut(usize, &Bearing, [f32; 3], [f32; 3]) + 'a;

/// Slopes of each channel at each distance.
type Rings = Vec<[Vec<f32>; 3]>;

/// From which ring on the colour stays what it is, by the slopes of the rings.
fn width_of(slopes: &mut [[Vec<f32>; 3]]) -> Option<usize> {
    let reach = slopes.len() - 1;
    let medians: Vec<[f32; 3]> = slopes
        .iter_mut()
        .map(|rings| std::array::from_fn(|c| if rings[c].len() > 30 { quantile(&mut rings[c], 0.5) } else { 0.0 }))
        .collect();
    let outer = &medians[reach - reach / 3..];
    let background: [f32; 3] =
        std::array::from_fn(|c| quantile(&mut outer.iter().map(|m| m[c]).collect::<Vec<_>>(), 0.5));
    // How far sums of these medians are off where there is texture.
    let errors: Vec<f32> = slopes.iter().zip(&medians).map(|(rings, medians)| squared_error(rings, medians)).collect();
    let noise = |from: usize, to: usize| NOISE * errors[from..to].iter().sum::<f32>().sqrt();
    let change = |rings: &[[f32; 3]]| {
        let sum = |c: usize| rings.iter().map(|m| m[c] - background[c]).sum::<f32>().abs();
        sum(0).max(sum(1)).max(sum(2))
    };
    // A shadow fades. What changes at once, with nothing before it, is the edge of a plate that the shape stands on.
    let edge = (FIRST_EDGE..medians.len().saturating_sub(2)).find(|&k| {
        change(&medians[k..k + 3]) > (8.0 / 255.0f32).max(noise(k, k + 3)) && change(&medians[2..k]) < 5.0 / 255.0
    });
    let end = edge.unwrap_or(medians.len());
    // What is left of a shadow goes within about the way that it has come; beyond, only errors add up.
    let rest = |k: usize| k..end.min(2 * k + REST);
    // Slopes of grain cancel out over many rings, so their errors do not add up: far outside, where there is no shadow
    // any more, one sees how much is noise at most.
    let outside = (BEYOND_SHADE * reach as f32) as usize..end;
    let unsteady = outside.map(|k| change(&medians[rest(k)])).fold(0.0, f32::max);
    let limit = if unsteady > 0.0 { UNSTEADY * unsteady } else { f32::INFINITY };
    (1..end)
        .find(|&k| change(&medians[rest(k)]) < (5.0 / 255.0f32).max(noise(k, rest(k).end).min(limit)))
        .or(Some(end).filter(|&end| end < medians.len()))
}

/// Squared error of the medians of one ring, the largest of the channels.
fn squared_error(rings: &[Vec<f32>; 3], medians: &[f32; 3]) -> f32 {
    let mut largest = 0.0f32;
    for (values, median) in rings.iter().zip(medians) {
        let mut off: Vec<f32> = values.iter().map(|value| (value - median).abs()).collect();
        // The median of the distances is 0.67 of the deviation; the error of a median is 1.25 of that of a mean.
        let deviation = quantile(&mut off, 0.5) / 0.67;
        largest = largest.max(1.57 * deviation * deviation * ALIKE_SLOPES / values.len().max(1) as f32);
    }
    largest
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

    /// Compares `image` with what is `behind` the shape within `hole`, around each group of the shape by itself.
    pub(crate) fn measure(image: &Colour, behind: &Colour, hole: &Mask, places: &Plane<u32>, groups: &Groups) -> Self {
        let step = (hole.count() / 400_000).max(1);
        let each = |add: &mut Adder<'_>| {
            for index in (0..hole.data.len()).filter(|&index| hole.data[index]).step_by(step) {
                let Some(bearing) = bearing(places, index) else { continue };
                add(usize::from(groups.of.data[bearing.place]), &bearing, image.data[index], behind.data[index]);
            }
        };
        let mut beside = vec![Beside::default(); groups.reaches.len()];
        each(&mut |group, bearing, image, behind| beside[group].add(bearing, image, behind));
        let mut around: Vec<Around> =
            groups.reaches.iter().zip(beside).map(|(&reach, beside)| Around::new(reach, beside.colour())).collect();
        each(&mut |group, bearing, image, behind| around[group].add(bearing, image, behind));
        let found: Vec<Option<Shade>> = around.into_iter().map(Around::shade).collect();
        let at = |index: usize| {
            let bearing = bearing(places, index).filter(|_| hole.data[index])?;
            let group = usize::from(groups.of.data[bearing.place]);
            Some((group as u16 + 1, interpolated(&found[group].as_ref()?.medians, &bearing)))
        };
        let shares = Plane::from_fn(hole.width, hole.height, |x, y| at(y * hole.width + x).unwrap_or((0, 0.0)));
        let shades = found.iter().map(|shade| shade.as_ref().map_or([0.0; 3], |shade| shade.colour)).collect();
        Self { shade: shares.map(|(group, _)| group), shades, share: shares.map(|(_, share)| share) }
    }
}

/// The shade around one group, and its medians by distance and sector.
struct Shade {
    colour: [f32; 3],
    medians: Vec<[f32; SECTORS]>,
}

/// Colours right beside one group, and how they differ from what is behind.
#[derive(Clone, Default)]
struct Beside {
    behind: [Vec<f32>; 3],
    change: [Vec<f32>; 3],
}

impl Beside {
    fn add(&mut self, bearing: &Bearing, image: [f32; 3], behind: [f32; 3]) {
        if AT_SHAPE.contains(&((bearing.distance + 0.5) as usize)) {
            for c in 0..3 {
                self.behind[c].push(behind[c]);
                self.change[c].push(image[c] - behind[c]);
            }
        }
    }

    /// The colour of a shade that is neither black nor white: the farthest one in the direction of the change.
    fn colour(mut self) -> Option<[f32; 3]> {
        if self.change[0].len() < MIN_SAMPLES {
            return None;
        }
        let behind: [f32; 3] = std::array::from_fn(|c| quantile(&mut self.behind[c], 0.5));
        let original = self.change.clone();
        let change: [f32; 3] = std::array::from_fn(|c| quantile(&mut self.change[c], 0.5));
        let length = |v: [f32; 3]| v.iter().map(|v| v * v).sum::<f32>().sqrt();
        let along = |end: f32| {
            let way = behind.map(|b| end - b);
            (0..3).map(|c| way[c] * change[c]).sum::<f32>() / (length(way) * length(change)).max(1e-6)
        };
        if length(change) < MIN_CHANGE || along(0.0) > COLOURED || along(1.0) > WHITE {
            return None;
        }
        let places = 0..self.change[0].len();
        let mut off: Vec<f32> = places.map(|k| length(std::array::from_fn(|c| original[c][k] - change[c]))).collect();
        if quantile(&mut off, 0.75) > STEADY * length(change) {
            return None;
        }
        let room = |c: usize| if change[c] > 0.0 { 1.0 - behind[c] } else { behind[c] };
        let far =
            (0..3).filter(|&c| change[c].abs() > 1e-3).map(|c| room(c) / change[c].abs()).fold(f32::INFINITY, f32::min);
        (far > 1.0).then(|| std::array::from_fn(|c| (behind[c] + far * change[c]).clamp(0.0, 1.0)))
    }
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
pub(crate) fn toward(image: [f32; 3], behind: [f32; 3], shade: [f32; 3]) -> f32 {
    let (mut product, mut square) = (0.0, 0.0);
    for c in 0..3 {
        let direction = shade[c] - behind[c];
        product += (image[c] - behind[c]) * direction;
        square += direction * direction;
    }
    product / square.max(0.01)
}

/// Shares by sector and distance.
struct Samples(Vec<[Vec<f32>; SECTORS]>);

impl Samples {
    fn new(reach: usize) -> Self {
        Self((0..=reach).map(|_| std::array::from_fn(|_| Vec::new())).collect())
    }

    fn add(&mut self, bearing: &Bearing, share: f32) {
        let ring = (bearing.distance + 0.5) as usize;
        if ring < self.0.len() {
            self.0[ring][(sector(bearing.outward) + 0.5) as usize % SECTORS].push(share);
        }
    }

    /// Medians; 0 where there are few samples, and from the first faint ring of a sector on.
    fn medians(mut self) -> Vec<[f32; SECTORS]> {
        let mut medians: Vec<[f32; SECTORS]> = self
            .0
            .iter_mut()
            .map(|ring| {
                std::array::from_fn(|s| {
                    if ring[s].len() < MIN_SAMPLES { 0.0 } else { quantile(&mut ring[s], 0.5).max(0.0) }
                })
            })
            .collect();
        for sector in 0..SECTORS {
            let first = BEYOND_EDGE as usize + 1;
            let end = (first..medians.len()).find(|&ring| medians[ring][sector] < MIN_SHARE).unwrap_or(medians.len());
            medians[end.min(self.0.len())..].iter_mut().for_each(|ring| ring[sector] = 0.0);
        }
        medians
    }
}

/// Sector of a direction with its fraction, 0 (to the right) to `SECTORS`; whole numbers are the
/// middles of sectors, along axes and diagonals. Found by comparisons and a ratio,
/// not by an arc tangent, whose last bits differ between systems.
fn sector([x, y]: [f32; 2]) -> f32 {
    let (a, b) = (x.abs(), y.abs());
    // 0 along the axis to 1 along the diagonal.
    let slope = if a >= b { b / a.max(1e-6) } else { a / b };
    let octant = if a >= b { slope } else { 2.0 - slope };
    let half = if x >= 0.0 { octant } else { 4.0 - octant };
    let whole = if y >= 0.0 { half } else { 8.0 - half };
    whole.clamp(0.0, 7.999)
}

/// Largest mean over the sectors beyond the edge of the shape.
fn strongest(medians: &[[f32; SECTORS]]) -> f32 {
    let rings = medians.iter().skip(BEYOND_EDGE as usize + 1).take(6);
    let count = rings.clone().count().max(1) as f32;
    (0..SECTORS).map(|s| rings.clone().map(|ring| ring[s]).sum::<f32>() / count).fold(0.0, f32::max)
}

fn interpolated(medians: &[[f32; SECTORS]], bearing: &Bearing) -> f32 {
    let position = sector(bearing.outward);
    let (from, part) = (position as usize, position.fract());
    let at = |ring: usize| {
        let Some(ring) = medians.get(ring) else { return 0.0 };
        ring[from % SECTORS] * (1.0 - part) + ring[(from + 1) % SECTORS] * part
    };
    let ring = bearing.distance as usize;
    let part = bearing.distance.fract();
    (at(ring.max(BEYOND_EDGE as usize + 1)) * (1.0 - part) + at((ring + 1).max(BEYOND_EDGE as usize + 1)) * part)
        .min(0.95)
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
        let found = Fading::measure(&image, &behind, &dilate(&mask, 16), &nearest(&mask), &groups);
        assert_eq!((found.shade.at(104, 80), found.shades[0]), (1, [0.0; 3]));
        for x in 104..110 {
            assert!((found.share.at(x, 80) - shadow(x, 80)).abs() < 0.06, "{x}: {}", found.share.at(x, 80));
        }
        assert!(found.share.at(50, 80) < 0.02 && found.share.at(80, 30) < 0.03);
    }

    #[test]
    fn each_group_has_its_own_width_and_the_edge_of_a_plate_is_none() {
        // A bar with a shadow above, one without on a plate that ends twelve pixels below it.
        let upper = |y: usize| (40..60).contains(&y);
        let mask = Plane::from_fn(300, 240, |x, y| (50..250).contains(&x) && (upper(y) || (150..170).contains(&y)));
        let places = nearest(&mask);
        let distance = crate::morphology::distance_to(&mask);
        let image = Plane::from_fn(300, 240, |x, y| {
            let shade = if y < 105 { 0.5 * (1.0 - distance.at(x, y) / 14.0).max(0.0) } else { 0.0 };
            [if y > 182 { 0.75 } else { 0.85 } * (1.0 - shade); 3]
        });
        let of = Plane::from_fn(300, 240, |_, y| u16::from(y > 105));
        let found = widths(&image, &mask.map(|_| true), &places, &Groups { of, reaches: vec![30, 30] });
        assert!(found[0].is_some_and(|width| (9..16).contains(&width)), "{found:?}");
        assert!(found[1].is_some_and(|width| width < 5), "{found:?}");
    }

    #[test]
    fn sectors_go_round() {
        let mut last = -1.0;
        for step in 0..64 {
            let angle = (step as f32 + 0.5) / 64.0 * std::f32::consts::TAU;
            let here = sector([angle.cos(), angle.sin()]);
            assert!(here > last && (0.0..8.0).contains(&here));
            last = here;
        }
    }
}
