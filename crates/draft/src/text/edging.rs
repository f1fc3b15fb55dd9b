//! What letters have around them that is neither letter nor background: outlines, second outlines and hard shadows.

use crate::colour::distance_squared;
use crate::filter::gaussian;
use crate::kmeans::{closest, kmeans};
use crate::morphology::{close, components, dilate, distance_to, erode};
use crate::numeric::quantile;
use crate::plane::{Mask, Plane};
use crate::text::complete::Surroundings;

/// Widest outline, in heights of the letters.
const OUTLINE: f32 = 0.16;
/// How far from the letters a hard shadow or a second outline lies, in heights of the letters, and its share of what is
/// there.
const COMPANION: f32 = 0.14;
const COMPANION_SHARE: f32 = 0.1;
/// Oklab distance up to which a pixel has the colour of the outline.
const OWN_COLOUR: f32 = 0.1;
/// Oklab distance from its colour that half of a hard shadow stays within.
const UNEVEN: f32 = 0.025;
/// Share of the step from a hard shadow to what lies 5 px beyond it that is over within 2 px.
const AT_ONCE: f32 = 0.8;
/// Parts of a line that are looked at by themselves.
const PARTS: usize = 12;
/// How far a hard shadow may be shifted, in heights of the letters, and at least, in pixels.
const SHIFT: f32 = 0.16;
const LEAST_SHIFT: f32 = 3.0;
/// Points of the letters' edge that are looked at, and those that say something, at least.
const EDGE_POINTS: usize = 500;
const FEWEST_POINTS: usize = 40;
/// Step of the colour (Oklab) at the edge of a hard shadow, at least; the share of the edge that has it; and what of it
/// may be left further out, where a soft shadow still fades.
const SHADOW_STEP: f32 = 0.025;
const SHADOW_EDGE: f32 = 0.75;
const FADES: f32 = 0.35;
/// Share of the step that is within its two middle pixels of four.
const SHARP: f32 = 0.62;

/// A point of the letters' edge and the direction outwards.
struct EdgePoint {
    at: [f32; 2],
    outward: [f32; 2],
    /// Part of the line that it is in, of twelve.
    part: usize,
}

impl Surroundings {
    /// The letters with an outline around them: a second colour right at their edge, all around, that ends sharply.
    pub(super) fn with_outline(&self, mask: &Mask) -> Mask {
        let most = (OUTLINE * self.frame.height()) as usize;
        if most < 2 || !mask.any() {
            return mask.clone();
        }
        let distance = distance_to(mask);
        let far = most as f32 + 4.5;
        let mut rings: Vec<Vec<usize>> = vec![Vec::new(); most + 5];
        for (i, &d) in distance.data.iter().enumerate() {
            if d > 0.0 && d < far && !self.others.data[i] {
                rings[(d + 0.5) as usize].push(i);
            }
        }
        let first: Vec<[f32; 3]> =
            rings[1].iter().chain(&rings[2]).step_by(rings[1].len() / 1000 + 1).map(|&i| self.lab.data[i]).collect();
        let centres = kmeans(&first, 4, 8, 0);
        let mut counts = vec![0usize; centres.len()];
        first.iter().for_each(|&colour| counts[closest(&centres, colour).0] += 1);
        let Some(main) = (0..centres.len()).max_by_key(|&k| counts[k]) else { return mask.clone() };
        let colour = centres[main];
        if self.inks.iter().any(|&ink| distance_squared(ink, colour) < OWN_COLOUR * OWN_COLOUR) {
            return mask.clone();
        }
        let alike = |i: usize| distance_squared(self.lab.data[i], colour) < OWN_COLOUR * OWN_COLOUR;
        let share =
            |ring: usize| rings[ring].iter().filter(|&&i| alike(i)).count() as f32 / rings[ring].len().max(1) as f32;
        let Some(width) = (2..=most).find(|&w| share(w) > 0.55 && share(w + 3) < 0.3) else { return mask.clone() };
        if (1..=width).any(|ring| share(ring) < 0.4 && ring > 1) {
            return mask.clone();
        }
        Plane::from_fn(mask.width, mask.height, |x, y| {
            let i = y * mask.width + x;
            mask.data[i] || (distance.data[i] < width as f32 + 2.5 && alike(i) && !self.others.data[i])
        })
    }

    /// The letters with the hard shadow or second outline beside them: a colour that is there only, and along the whole
    /// line.
    pub(super) fn with_companions(&self, mask: &Mask, place: &(impl Fn(usize, usize) -> [f32; 2] + Sync)) -> Mask {
        let near = (COMPANION * self.frame.height()) as usize;
        if near < 3 || !mask.any() {
            return mask.clone();
        }
        let distance = distance_to(mask);
        let far = 2.5 * near as f32;
        let (mut beside, mut away) = (Vec::new(), Vec::new());
        for (i, &d) in distance.data.iter().enumerate().filter(|(i, _)| !self.others.data[*i]) {
            if d > 1.5 && d < near as f32 {
                beside.push(i);
            } else if d > 1.5 * near as f32 && d < far {
                away.push(i);
            }
        }
        if beside.is_empty() || away.is_empty() {
            return mask.clone();
        }
        let sample: Vec<[f32; 3]> = beside.iter().step_by(beside.len() / 2000 + 1).map(|&i| self.lab.data[i]).collect();
        let width = mask.width;
        let mut found = mask.clone();
        for colour in kmeans(&sample, 6, 8, 0) {
            let alike = |i: usize| distance_squared(self.lab.data[i], colour) < OWN_COLOUR * OWN_COLOUR;
            let share = |places: &[usize]| places.iter().filter(|&&i| alike(i)).count() as f32 / places.len() as f32;
            if share(&beside) < COMPANION_SHARE || share(&away) > 0.08 * share(&beside) {
                continue;
            }
            let length = (self.frame.end - self.frame.start).max(1.0);
            let mut parts = [false; PARTS];
            for &i in beside.iter().filter(|&&i| alike(i)) {
                let along = (place(i % width, i / width)[0] - self.frame.start) / length;
                parts[(along * PARTS as f32).clamp(0.0, PARTS as f32 - 1.0) as usize] = true;
            }
            if parts.iter().filter(|&&there| there).count() < 9 {
                continue;
            }
            let own = Plane::from_fn(width, mask.height, |x, y| {
                let i = y * width + x;
                distance.data[i] > 0.0 && distance.data[i] < 1.5 * near as f32 && alike(i) && !self.others.data[i]
            });
            let pieces = components(&own);
            let touching: Vec<bool> = pieces.count_in(&dilate(mask, 2)).iter().map(|&count| count > 0).collect();
            let beside = pieces.select(&touching);
            if self.ends_sharply(&beside, mask) {
                found = found.or(&beside);
            }
        }
        if found == *mask { found } else { close(&found, 1) }
    }

    /// Whether the shape has one colour and is over right at its edge: a soft shadow fades.
    fn ends_sharply(&self, shape: &Mask, letters: &Mask) -> bool {
        let both = shape.or(letters);
        let ring = |from: usize, to: usize| {
            let ring = dilate(shape, to).minus(&dilate(&both, from)).minus(&self.others);
            // What is nearer to the letters than to the shape says nothing about it.
            ring.minus(&dilate(letters, to))
        };
        let own = erode(&both, 1).minus(&dilate(letters, 1));
        let inner = own.minus(&erode(&both, 3)).minus(&dilate(letters, 2));
        let [own_colour, inner, outer, further] =
            [&own, &inner, &ring(1, 2), &ring(4, 6)].map(|part| self.typical(part));
        let (Some(own_colour), Some(inner), Some(outer), Some(further)) = (own_colour, inner, outer, further) else {
            return false;
        };
        let mut off: Vec<f32> = (0..own.data.len())
            .filter(|&i| own.data[i])
            .map(|i| distance_squared(self.lab.data[i], own_colour).sqrt())
            .collect();
        if quantile(&mut off, 0.5) > UNEVEN {
            return false;
        }
        let whole = distance_squared(inner, further).sqrt();
        whole > SHADOW_STEP && distance_squared(inner, outer).sqrt() > AT_ONCE * whole
    }

    /// The median colour of a mask, channel by channel.
    fn typical(&self, mask: &Mask) -> Option<[f32; 3]> {
        let colours: Vec<[f32; 3]> = (0..mask.data.len()).filter(|&i| mask.data[i]).map(|i| self.lab.data[i]).collect();
        let middle = |c: usize| quantile(&mut colours.iter().map(|colour| colour[c]).collect::<Vec<_>>(), 0.5);
        (!colours.is_empty()).then(|| std::array::from_fn(middle))
    }

    /// The letters with their hard shadow: the same shape shifted, whose edge has one and the same step of colour
    /// everywhere.
    pub(super) fn with_hard_shadow(&self, mask: Mask, place: &(impl Fn(usize, usize) -> [f32; 2] + Sync)) -> Mask {
        let most = SHIFT * self.frame.height();
        if most < LEAST_SHIFT {
            return mask;
        }
        let points = self.edge_points(&mask, place);
        let free = dilate(&mask, 1).or(&self.others).not();
        let radius = most as i32;
        let mut best: Option<(f32, [i32; 2])> = None;
        for dy in -radius..=radius {
            for dx in -radius..=radius {
                let length = ((dx * dx + dy * dy) as f32).sqrt();
                if length < LEAST_SHIFT || length > most {
                    continue;
                }
                let score = self.shadow_step(&points, &free, [dx as f32, dy as f32]);
                if score > best.map_or(0.0, |(score, _)| score) {
                    best = Some((score, [dx, dy]));
                }
            }
        }
        let Some((_, [dx, dy])) = best else { return mask };
        Plane::from_fn(mask.width, mask.height, |x, y| {
            let (u, v) = (x as i32 - dx, y as i32 - dy);
            let inside = u >= 0 && v >= 0 && (u as usize) < mask.width && (v as usize) < mask.height;
            mask.at(x, y) || inside && mask.at(u as usize, v as usize) && !self.others.at(x, y)
        })
    }

    fn edge_points(&self, mask: &Mask, place: &impl Fn(usize, usize) -> [f32; 2]) -> Vec<EdgePoint> {
        let soft = gaussian(&mask.map(|letter| [if letter { 1.0 } else { 0.0 }]), 1.5);
        let length = (self.frame.end - self.frame.start).max(1.0);
        let mut points = Vec::new();
        for y in 1..mask.height.saturating_sub(1) {
            for x in 1..mask.width.saturating_sub(1) {
                let surrounded = mask.at(x - 1, y) && mask.at(x + 1, y) && mask.at(x, y - 1) && mask.at(x, y + 1);
                if !mask.at(x, y) || surrounded {
                    continue;
                }
                let slope = [soft.at(x - 1, y)[0] - soft.at(x + 1, y)[0], soft.at(x, y - 1)[0] - soft.at(x, y + 1)[0]];
                let size = (slope[0] * slope[0] + slope[1] * slope[1]).sqrt();
                if size > 0.1 {
                    let along = (place(x, y)[0] - self.frame.start) / length;
                    let part = (along * PARTS as f32).clamp(0.0, PARTS as f32 - 1.0) as usize;
                    points.push(EdgePoint { at: [x as f32, y as f32], outward: slope.map(|s| s / size), part });
                }
            }
        }
        let step = points.len() / EDGE_POINTS + 1;
        points.into_iter().step_by(step).collect()
    }

    /// How strong the step of colour is at the edge of the letters shifted by `by`; 0 where there is none.
    fn shadow_step(&self, points: &[EdgePoint], free: &Mask, by: [f32; 2]) -> f32 {
        let (width, height) = (self.lab.width as f32, self.lab.height as f32);
        let length = (by[0] * by[0] + by[1] * by[1]).sqrt();
        let seen = |point: &EdgePoint, beyond: f32| {
            let [x, y]: [f32; 2] = std::array::from_fn(|k| (point.at[k] + by[k] + beyond * point.outward[k]).round());
            let inside = x >= 0.0 && y >= 0.0 && x < width && y < height;
            (inside && free.at(x as usize, y as usize)).then(|| self.lab.at(x as usize, y as usize))
        };
        let facing = points.iter().filter(|point| point.outward[0] * by[0] + point.outward[1] * by[1] > 0.5 * length);
        let minus = |a: [f32; 3], b: [f32; 3]| -> [f32; 3] { std::array::from_fn(|c| a[c] - b[c]) };
        let (mut steps, mut sharp, mut further) = (Vec::new(), Vec::new(), Vec::new());
        let mut all = 0;
        let (mut known, mut parts) = ([false; PARTS], [false; PARTS]);
        for point in facing {
            all += 1;
            let (Some(inner), Some(outer)) = (seen(point, -1.5), seen(point, 2.5)) else { continue };
            known[point.part] = true;
            steps.push((minus(inner, outer), point.part));
            sharp.extend(seen(point, -0.5).zip(seen(point, 1.5)).map(|(inner, outer)| minus(inner, outer)));
            further.extend(seen(point, 5.5).map(|far| minus(outer, far)));
        }
        if steps.len() < FEWEST_POINTS || steps.len() * 2 < all || further.len() * 2 < steps.len() {
            return 0.0;
        }
        let middle = |values: &mut dyn Iterator<Item = [f32; 3]>| -> [f32; 3] {
            let values: Vec<[f32; 3]> = values.collect();
            std::array::from_fn(|c| quantile(&mut values.iter().map(|value| value[c]).collect::<Vec<_>>(), 0.5))
        };
        let size = |v: [f32; 3]| v.iter().map(|v| v * v).sum::<f32>().sqrt();
        let step = middle(&mut steps.iter().map(|&(step, _)| step));
        let strength = size(step);
        if strength < SHADOW_STEP || size(middle(&mut further.into_iter())) > FADES * strength {
            return 0.0;
        }
        // That of a soft shadow rises over more pixels.
        if size(middle(&mut sharp.into_iter())) < SHARP * strength {
            return 0.0;
        }
        let mut alike = 0;
        for (_, part) in steps.iter().filter(|(own, _)| size(minus(*own, step)) < 0.5 * strength) {
            parts[*part] = true;
            alike += 1;
        }
        let share = alike as f32 / steps.len() as f32;
        let through =
            parts.iter().filter(|&&there| there).count() * 4 >= known.iter().filter(|&&there| there).count() * 3;
        if share > SHADOW_EDGE && through { share * strength } else { 0.0 }
    }
}
