//! What the mask of letters has of other things, told by its colours.

use crate::colour::distance_squared;
use crate::kmeans::{closest, kmeans};
use crate::morphology::{components, dilate, distance_to, erode, open};
use crate::numeric::quantile;
use crate::plane::{Colour, Mask, Plane};

/// Share of the ring from which a colour is one of the background's.
const COMMON: f32 = 0.1;
/// Oklab distance up to which a colour is a mixture of two others.
const MIXED: f32 = 0.07;
/// Typical distance in pixels from the letters up to which a mixture is their soft edge, and not an outline.
const SOFT_EDGE: f32 = 3.0;
/// Share of the letters in a mixture from which thin strokes may have no purer colour.
const MOSTLY_LETTER: f32 = 0.55;
/// Colours that letters have at most, each with at least one part in `RARE` of their inside.
const OWN_COLOURS: usize = 5;
const RARE: usize = 12;
/// Oklab distance from all of them from which a pixel does not have a colour of the letters.
const FAR: f32 = 0.12;
/// Oklab distance up to which a pixel goes on from the one beside it.
const STEADY: f32 = 0.03;

/// The colours around a line, and which of them are letters.
pub(super) struct Clusters<'a> {
    pub labels: &'a Plane<usize>,
    pub centres: &'a [[f32; 3]],
    pub chosen: &'a [bool],
    /// Share of each colour inside the line, and in the ring around it.
    pub inner: &'a [f32],
    pub outer: &'a [f32],
}

impl Clusters<'_> {
    /// The letters without what only has the colour of their soft edge, such as lights between them: a mixture of
    /// letter and background lies beside letters. On a `smooth` background there are no lights: strokes as thin as the
    /// others may have no pixel of the letters' full colour.
    pub(super) fn letters(&self, inside: &Mask, smooth: bool) -> Mask {
        let mut mask = self.labels.map(|label| self.chosen[label]);
        for edge in 0..self.centres.len() {
            let Some((letter, share)) = self.softened(edge) else { continue };
            let away = distance_to(&self.labels.map(|label| label == letter));
            let own = self.labels.zip(inside, |label, inside| inside && label == edge);
            let mut distances: Vec<f32> =
                away.data.iter().zip(&own.data).filter(|(_, own)| **own).map(|(away, _)| *away).collect();
            let typical = quantile(&mut distances, 0.5);
            let farthest = if typical <= SOFT_EDGE { (1.5 * typical).max(2.0) } else { 2.0 * typical };
            let far = self.labels.zip(&away, |label, away| label == edge && away > farthest);
            let is_stroke = smooth && share > MOSTLY_LETTER;
            let kept = if is_stroke { thin_parts(&far, &mask) } else { far.same_size(false) };
            mask = mask.minus(&far.minus(&kept));
        }
        mask
    }

    /// The commonest colour of letters whose mixture with a colour of the background has the colour `edge`, and the
    /// letter's share of it.
    fn softened(&self, edge: usize) -> Option<(usize, f32)> {
        let background = |k: usize| !self.chosen[k] && self.outer[k] > COMMON;
        let mixed = |letter: usize| {
            (0..self.centres.len()).filter(|&k| background(k)).find_map(|k| self.between(edge, letter, k))
        };
        (0..self.centres.len())
            .filter(|&letter| self.chosen[edge] && self.chosen[letter] && self.inner[letter] > 2.0 * self.inner[edge])
            .filter_map(|letter| Some((letter, mixed(letter)?)))
            .max_by(|a, b| self.inner[a.0].total_cmp(&self.inner[b.0]))
    }

    fn between(&self, edge: usize, letter: usize, background: usize) -> Option<f32> {
        let [edge, letter, background] = [edge, letter, background].map(|k| self.centres[k]);
        let along: [f32; 3] = std::array::from_fn(|c| letter[c] - background[c]);
        let square = along.iter().map(|v| v * v).sum::<f32>().max(1e-6);
        let share = (0..3).map(|c| (edge[c] - background[c]) * along[c]).sum::<f32>() / square;
        let mixture: [f32; 3] = std::array::from_fn(|c| background[c] + share * along[c]);
        ((0.1..0.9).contains(&share) && distance_squared(edge, mixture) < MIXED * MIXED).then_some(share)
    }
}

/// The parts that are nowhere thicker than the strokes of `letters`.
fn thin_parts(mask: &Mask, letters: &Mask) -> Mask {
    let thickest = |mask: &Mask| {
        let depth = distance_to(&mask.not());
        let mut depths: Vec<f32> = depth.data.into_iter().filter(|depth| *depth > 0.0 && depth.is_finite()).collect();
        quantile(&mut depths, 0.95)
    };
    let parts = components(mask);
    let depth = distance_to(&mask.not());
    let limit = thickest(&letters.minus(mask)).max(1.0);
    let mut thin = vec![true; parts.areas.len()];
    for (&part, &depth) in parts.labels.data.iter().zip(&depth.data) {
        thin[part as usize] &= depth <= limit;
    }
    parts.select(&thin)
}

/// Takes off what goes on steadily from the background into the mask and has no colour of the letters.
pub(super) fn without_background(mask: &Mask, lab: &Colour, inside: &Mask) -> Mask {
    let colours = own_colours(&erode(&mask.and(inside), 1), lab);
    if colours.is_empty() {
        return mask.clone();
    }
    let (width, height) = (mask.width, mask.height);
    let mut reached = mask.not();
    let mut open_ends: Vec<usize> = (0..mask.data.len()).filter(|&i| reached.data[i]).collect();
    while let Some(i) = open_ends.pop() {
        let (x, y) = (i % width, i / width);
        let left = (x > 0).then(|| i - 1);
        let right = (x + 1 < width).then_some(i + 1);
        let up = (y > 0).then(|| i - width);
        let down = (y + 1 < height).then_some(i + width);
        for j in [left, right, up, down].into_iter().flatten() {
            let steady = || distance_squared(lab.data[i], lab.data[j]) < STEADY * STEADY;
            if !reached.data[j] && steady() && closest(&colours, lab.data[j]).1 > FAR * FAR {
                reached.data[j] = true;
                open_ends.push(j);
            }
        }
    }
    // Lines of a pixel are the soft edges of letters, which matting needs.
    mask.minus(&open(&mask.and(&reached), 1))
}

/// About `most` of the values under a mask, evenly.
pub(super) fn sampled(lab: &Colour, mask: &Mask, most: usize) -> Vec<[f32; 3]> {
    let step = (mask.count() / most).max(1);
    lab.data.iter().zip(&mask.data).filter(|(_, m)| **m).map(|(c, _)| *c).step_by(step).collect()
}

/// The common colours under a mask.
pub(super) fn own_colours(mask: &Mask, lab: &Colour) -> Vec<[f32; 3]> {
    let own = sampled(lab, mask, 2000);
    if own.len() < 20 {
        return Vec::new();
    }
    let colours = kmeans(&own, OWN_COLOURS, 8, 0);
    let mut counts = vec![0usize; colours.len()];
    own.iter().for_each(|&colour| counts[closest(&colours, colour).0] += 1);
    colours.into_iter().zip(counts).filter(|(_, count)| count * RARE > own.len()).map(|(colour, _)| colour).collect()
}

/// Takes off lines much thinner than the strokes: edges of shapes behind the text.
pub(super) fn without_hairlines(mask: &Mask) -> Mask {
    if !mask.any() {
        return mask.clone();
    }
    let depth = distance_to(&mask.not());
    let mut depths: Vec<f32> = depth.data.iter().copied().filter(|d| *d > 0.0 && d.is_finite()).collect();
    let cut = (0.18 * quantile(&mut depths, 0.95)) as usize;
    if cut == 0 { mask.clone() } else { mask.and(&dilate(&erode(mask, cut), cut + 2)) }
}

/// Takes off components of fewer than `least` pixels.
pub(super) fn without_crumbs(mask: &Mask, least: f32) -> Mask {
    let parts = components(mask);
    parts.select(&parts.areas.iter().map(|&area| area as f32 >= least).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::Rect;

    const LETTER: [f32; 3] = [0.7, 0.2, 0.2];
    const GROUND: [f32; 3] = [0.4, 0.0, -0.2];
    const EDGE: [f32; 3] = [0.55, 0.1, 0.0];

    fn within(rect: Rect, x: usize, y: usize) -> bool {
        (rect.x0..rect.x1).contains(&x) && (rect.y0..rect.y1).contains(&y)
    }

    /// A stroke of 20 pixels, an edge around it, and a light of the edge's colour far from it.
    fn line(edge: usize) -> Plane<usize> {
        let stroke = Rect { x0: 30, y0: 20, x1: 50, y1: 80 };
        let around = stroke.padded(edge, 160, 100);
        let light = Rect { x0: 120, y0: 40, x1: 126, y1: 46 };
        Plane::from_fn(160, 100, |x, y| match (within(stroke, x, y), within(around, x, y) || within(light, x, y)) {
            (true, _) => 0,
            (_, true) => 1,
            _ => 2,
        })
    }

    fn letters(labels: &Plane<usize>, centres: &[[f32; 3]], smooth: bool) -> Mask {
        let inside = labels.same_size(true);
        let chosen = [true, true, false];
        Clusters { labels, centres, chosen: &chosen, inner: &[0.4, 0.1, 0.5], outer: &[0.0, 0.0, 1.0] }
            .letters(&inside, smooth)
    }

    #[test]
    fn a_light_of_the_colour_of_soft_edges_is_no_letter() {
        let mask = letters(&line(2), &[LETTER, EDGE, GROUND], false);
        assert!(mask.at(29, 50) && mask.at(28, 50), "the edge itself stays");
        assert!(!mask.at(122, 42));
    }

    #[test]
    fn a_thin_stroke_of_the_colour_of_soft_edges_stays_where_there_are_no_lights() {
        let stem = |x: usize, y: usize| (100..102).contains(&x) && (20..80).contains(&y);
        let labels = line(2);
        let labels = Plane::from_fn(160, 100, |x, y| if stem(x, y) { 1 } else { labels.at(x, y) });
        let dark = [0.61, 0.14, 0.08];
        let mask = letters(&labels, &[LETTER, dark, GROUND], true);
        assert!((20..80).all(|y| mask.at(100, y)));
        assert!(!letters(&labels, &[LETTER, dark, GROUND], false).at(100, 50));
        assert!(!letters(&labels, &[LETTER, EDGE, GROUND], true).at(100, 50), "half background");
    }

    #[test]
    fn an_outline_stays_whole_and_a_dot_of_another_colour_stays() {
        let mask = letters(&line(8), &[LETTER, EDGE, GROUND], false);
        assert!((22..30).all(|x| mask.at(x, 50)), "an outline of eight pixels");
        let mask = letters(&line(2), &[LETTER, [0.9, -0.2, 0.1], GROUND], false);
        assert!(mask.at(122, 42), "no mixture of letter and background");
    }

    #[test]
    fn background_that_the_mask_has_leaves_it_and_strokes_stay() {
        let stroke = Rect { x0: 30, y0: 20, x1: 50, y1: 80 };
        let lab = Plane::from_fn(160, 100, |x, y| if within(stroke, x, y) { LETTER } else { GROUND });
        let wedge = Rect { x0: 50, y0: 40, x1: 58, y1: 48 };
        let mask = Plane::from_fn(160, 100, |x, y| within(stroke, x, y) || within(wedge, x, y));
        let tidied = without_background(&mask, &lab, &lab.map(|_| true));
        assert!((41..47).all(|y| (51..57).all(|x| !tidied.at(x, y))));
        assert!(lab.map(|colour| colour == LETTER).minus(&tidied).count() == 0);
    }
}
