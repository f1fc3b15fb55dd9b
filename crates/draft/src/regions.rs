//! The evenly coloured regions of drawn art, and which of them are ground, shapes on it, or parts of things.

use crate::colour::distance_squared;
use crate::morphology::distance_to;
use crate::plane::{Colour, Mask, Plane};
use crate::segments::{borders, means};

/// Largest step between neighbouring pixels of an even filling, as Oklab distance, and least share of a region's inner
/// pixels that have none: gradients pass, texture does not.
const EVEN_STEP: f32 = 0.012;
const EVEN_SHARE: f32 = 0.85;
/// Share of the picture from which a region counts when regions of a thing are counted.
const LARGE: f32 = 0.001;
/// Shares of the border and of the picture from which a region is a shape of the scenery: a hill, a wave, a stage.
const SHAPE_BORDER: f32 = 0.04;
const SHAPE_AREA: f32 = 0.03;
/// Share of the picture from which what hangs together may be several things, if it has so many large regions.
const CROWD_AREA: f32 = 0.12;
const CROWD: usize = 6;
/// One with this share of the ground's share of the border is ground as well: who knows which of them is.
const SECOND_GROUND: f32 = 0.7;
/// Oklab distance up to which regions are of one colour.
const ONE_COLOUR: f32 = 0.014;
/// From so many regions of one colour along the border on they are a pattern of the ground: rays, stripes.
const PATTERN: usize = 4;

/// Regions by their number.
#[derive(Clone)]
pub(crate) struct Regions {
    pub labels: Plane<u32>,
    /// In pixels.
    pub areas: Vec<f32>,
    /// What everything stands on.
    pub ground: Vec<bool>,
    /// Of the ground's colour, but enclosed: no thing by itself.
    pub hole: Vec<bool>,
    /// Scenery at the picture's border.
    pub shape: Vec<bool>,
    /// Evenly filled.
    pub drawn: Vec<bool>,
    /// Ground that a figure may have in it: even regions on a photograph, away from its border, that look like what is
    /// behind them.
    pub inner: Vec<bool>,
    /// Neighbours, and the pixels along the border with each.
    beside: Vec<Vec<(u32, f32)>>,
}

impl Regions {
    /// `labels` are numbers below `count`; `border` is the share of the picture's border that each region has.
    pub(crate) fn new(labels: Plane<u32>, border: &[f32], lab: &Colour) -> Self {
        let count = border.len();
        let (colours, areas) = means(&labels, count, lab);
        let drawn = even(&labels, count, lab);
        let mut beside = vec![Vec::new(); count];
        for edge in borders(&labels, lab) {
            beside[edge.a as usize].push((edge.b, edge.length));
            beside[edge.b as usize].push((edge.a, edge.length));
        }
        let total = labels.data.len() as f32;
        let mut ground = vec![false; count];
        let mut shape: Vec<bool> =
            (0..count).map(|k| border[k] > SHAPE_BORDER && areas[k] > SHAPE_AREA * total).collect();
        // Of equals, the first.
        let first = (0..count).fold(0, |best, k| if border[k] > border[best] { k } else { best });
        let alike = |a: usize, b: usize| distance_squared(colours[a], colours[b]) < ONE_COLOUR * ONE_COLOUR;
        for k in 0..count {
            let pattern = || (0..count).filter(|&other| border[other] > 0.005 && alike(k, other)).count() >= PATTERN;
            let second = shape[k] && border[k] > SECOND_GROUND * border[first];
            ground[k] = k == first || second || border[k] > 0.005 && pattern();
        }
        let grounds: Vec<usize> = (0..count).filter(|&k| ground[k]).collect();
        // What has the ground's colour is seen through a hole, or a part of a thing: the masks say which.
        let mut hole = vec![false; count];
        for k in 0..count {
            hole[k] = !ground[k] && grounds.iter().any(|&other| alike(k, other));
            ground[k] |= hole[k] && border[k] > 0.0;
            shape[k] &= !ground[k] && !hole[k];
        }
        Self { labels, areas, ground, hole, shape, drawn, inner: vec![false; count], beside }
    }

    /// Only the evenly filled regions that `pieces` are made of; all else is ground. What is drawn on a photograph.
    pub(crate) fn within(&self, pieces: &Mask) -> Self {
        let inside = self.count_in(pieces);
        let ground: Vec<bool> = (0..self.areas.len()).map(|k| inside[k] < 0.6 * self.areas[k]).collect();
        let shape = self.shape.iter().zip(&inside).map(|(&shape, &inside)| shape && inside > 0.0).collect();
        let hole = vec![false; self.count()];
        let mut inner: Vec<bool> = ground.iter().zip(&self.drawn).map(|(&ground, &drawn)| ground && drawn).collect();
        let (right, bottom) = (self.labels.width - 1, self.labels.height - 1);
        let edge =
            (0..=right).flat_map(|x| [(x, 0), (x, bottom)]).chain((0..=bottom).flat_map(|y| [(0, y), (right, y)]));
        edge.for_each(|(x, y)| inner[self.labels.at(x, y) as usize] = false);
        Self { ground, hole, shape, inner, ..self.clone() }
    }

    /// Whether several things stand together: shapes of scenery, or much that hangs together and has many colours.
    pub(crate) fn are_crowded(&self) -> bool {
        let free: Vec<bool> = (0..self.count()).map(|k| !self.ground[k] && !self.hole[k]).collect();
        let crowd = |part: &Vec<bool>| {
            let large = (0..self.count()).filter(|&k| part[k] && self.drawn[k] && self.is_large(k)).count();
            self.area(part) > CROWD_AREA * self.total() && large >= CROWD
        };
        (0..self.count()).any(|k| self.shape[k]) || self.parts(&free).iter().any(crowd)
    }

    pub(crate) fn count(&self) -> usize {
        self.areas.len()
    }

    /// Pixels of the picture at working size.
    pub(crate) fn total(&self) -> f32 {
        self.labels.data.len() as f32
    }

    pub(crate) fn is_large(&self, k: usize) -> bool {
        self.areas[k] > LARGE * self.total()
    }

    /// Pixels of each region in a mask.
    pub(crate) fn count_in(&self, mask: &Mask) -> Vec<f32> {
        let mut counts = vec![0.0; self.count()];
        for (&label, _) in self.labels.data.iter().zip(&mask.data).filter(|(_, inside)| **inside) {
            counts[label as usize] += 1.0;
        }
        counts
    }

    pub(crate) fn mask(&self, set: &[bool]) -> Mask {
        self.labels.map(|label| set[label as usize])
    }

    pub(crate) fn area(&self, set: &[bool]) -> f32 {
        (0..self.count()).filter(|&k| set[k]).map(|k| self.areas[k]).sum()
    }

    /// Share of the edge of `set` along which it touches `other`.
    pub(crate) fn touching(&self, set: &[bool], other: &[bool]) -> f32 {
        let (mut all, mut common) = (0.0, 0.0);
        for k in (0..self.count()).filter(|&k| set[k]) {
            for &(next, length) in self.beside[k].iter().filter(|(next, _)| !set[*next as usize]) {
                all += length;
                common += if other[next as usize] { length } else { 0.0 };
            }
        }
        if all > 0.0 { common / all } else { 0.0 }
    }

    /// Neighbours of a region, and the pixels along the border with each.
    pub(crate) fn beside(&self, k: usize) -> &[(u32, f32)] {
        &self.beside[k]
    }

    /// The connected parts of a set, largest first.
    pub(crate) fn parts(&self, set: &[bool]) -> Vec<Vec<bool>> {
        let mut seen = vec![false; self.count()];
        let mut parts = Vec::new();
        for start in (0..self.count()).filter(|&k| set[k]) {
            if seen[start] {
                continue;
            }
            let (mut part, mut open) = (vec![false; self.count()], vec![start]);
            seen[start] = true;
            while let Some(k) = open.pop() {
                part[k] = true;
                for &(next, _) in &self.beside[k] {
                    let next = next as usize;
                    if set[next] && !seen[next] {
                        seen[next] = true;
                        open.push(next);
                    }
                }
            }
            parts.push(part);
        }
        // Stable: of equals, the one with the first region.
        parts.sort_by(|a, b| self.area(b).total_cmp(&self.area(a)));
        parts
    }

    /// The pixel of a region that is farthest from its edge.
    pub(crate) fn middle(&self, k: usize) -> (usize, usize) {
        let label = k as u32;
        let (width, height) = (self.labels.width, self.labels.height);
        // The picture's border is an edge as well.
        let outside = Plane::from_fn(width + 2, height + 2, |x, y| {
            let inside = (1..=width).contains(&x) && (1..=height).contains(&y);
            !inside || self.labels.at(x - 1, y - 1) != label
        });
        let far = distance_to(&outside);
        let best = (0..far.data.len()).fold(0, |best, at| if far.data[at] > far.data[best] { at } else { best });
        let (x, y) = (best % (width + 2), best / (width + 2));
        (x.saturating_sub(1), y.saturating_sub(1))
    }
}

/// Which regions have no steps inside.
pub(crate) fn even(labels: &Plane<u32>, count: usize, lab: &Colour) -> Vec<bool> {
    let (mut inner, mut steps) = (vec![0usize; count], vec![0usize; count]);
    for y in 1..labels.height {
        for x in 1..labels.width {
            let label = labels.at(x, y);
            if labels.at(x - 1, y) == label && labels.at(x, y - 1) == label {
                let left = distance_squared(lab.at(x, y), lab.at(x - 1, y));
                let up = distance_squared(lab.at(x, y), lab.at(x, y - 1));
                inner[label as usize] += 1;
                steps[label as usize] += usize::from(left.max(up) > EVEN_STEP * EVEN_STEP);
            }
        }
    }
    (0..count).map(|k| steps[k] as f32 <= (1.0 - EVEN_SHARE) * inner[k] as f32).collect()
}
