//! Which pixels around a line are letters, by their colours.

use crate::colour::{distance_squared, oklab_plane};
use crate::fill::quadratic::{Quadratic, Sample};
use crate::filter::{gaussian, gradient};
use crate::kmeans::{closest, kmeans};
use crate::morphology::{close, components, dilate, distance_to, erode};
use crate::numeric::quantile;
use crate::plane::{Colour, Gray, Mask, Plane, Rect, Rgb8};
use crate::text::detect::Line;
use crate::text::ink::{drop_scenery, main_colour};
use crate::text::tidy::{Clusters, sampled, without_background, without_crumbs, without_hairlines};
use crate::text::writing::looks_written;

const CLUSTERS: usize = 10;
/// Oklab residual under which a pixel belongs to the smooth background.
const ON_BACKGROUND: f32 = 0.035;
/// Share of a colour inside the line, against the ring, from which it is that of letters.
const OVER_REPRESENTED: f32 = 0.62;
/// Share of such pixels in the ring from which the background counts as smooth.
const SMOOTH: f32 = 0.93;

/// Share of the line that its letters cover.
const COVER: std::ops::RangeInclusive<f32> = 0.06..=0.92;
/// Share of the line from which a colour in it says how sharp letters are.
const COMMON_INSIDE: f32 = 0.05;
/// Share of the line from which what covers it is hardly letters alone.
const FILLED: f32 = 0.6;
/// Oklab distance up to which a colour is that of the plate under the line.
const ON_PLATE: f32 = 0.12;

/// A line with its surroundings: everything is in the coordinates of `rect`.
pub(super) struct Region {
    /// Distance to what the detector marked.
    distance: Gray,
    reach: f32,
    lab: Colour,
    ring: Mask,
    pub(super) smooth: bool,
    /// Typical colour of the background.
    background: [f32; 3],
}

/// The surroundings of a line, and the distance from what the detector marked there.
pub(super) fn frame(image: &Rgb8, line: &Line) -> (Rect, Gray) {
    let rect = line.rect.padded((2.6 * line.reach) as usize + 8, image.width, image.height);
    let mut marked = Plane::new(rect.width(), rect.height(), false);
    let (x, y) = (line.rect.x0 - rect.x0, line.rect.y0 - rect.y0);
    let inner = Rect { x0: x, y0: y, x1: x + line.mask.width, y1: y + line.mask.height };
    marked.paste(inner, &line.mask, &line.mask);
    (rect, distance_to(&marked))
}

/// Pixels that a part of the letters has at least.
fn least(inside: &Mask) -> f32 {
    (0.0006 * inside.count() as f32).max(6.0)
}

impl Region {
    pub(super) fn new(image: &Rgb8, line: &Line, rect: Rect, distance: Gray, taken: &Mask) -> Self {
        let reach = line.reach;
        let lab = oklab_plane(&image.crop(rect));
        let mut ring = distance.map(|d| d >= 1.3 * reach && d < 2.3 * reach).minus(&taken.crop(rect));
        if ring.count() < 50 {
            ring = distance.map(|d| d >= 1.25 * reach);
        }
        let around = sampled(&lab, &ring, 4000);
        let background =
            std::array::from_fn(|c| quantile(&mut around.iter().map(|colour| colour[c]).collect::<Vec<_>>(), 0.5));
        let mut region = Region { distance, reach, lab, ring, smooth: false, background };
        region.flatten_background();
        region
    }

    /// Subtracts a smooth background, so that gradients do not split into clusters.
    fn flatten_background(&mut self) {
        let (width, height) = (self.lab.width, self.lab.height);
        let step = (self.ring.count() / 4000).max(1);
        let place = |i: usize| ((i % width) as f32 - width as f32 / 2.0, (i / width) as f32 - height as f32 / 2.0);
        let samples: Vec<Sample> = (0..self.ring.data.len())
            .filter(|&i| self.ring.data[i])
            .step_by(step)
            .map(|i| Sample { x: place(i).0, y: place(i).1, colour: self.lab.data[i] })
            .collect();
        let Some(model) = Quadratic::fit(&samples, 0.02, 6) else { return };
        self.smooth = model.inliers(&samples, ON_BACKGROUND) > SMOOTH;
        if self.smooth {
            for (i, colour) in self.lab.data.iter_mut().enumerate() {
                let (x, y) = place(i);
                let background = model.at(x, y);
                *colour = std::array::from_fn(|c| colour[c] - background[c]);
            }
        }
    }

    pub(super) fn within(&self, reaches: f32) -> Mask {
        let limit = reaches * self.reach;
        self.distance.map(|d| d < limit)
    }

    pub(super) fn letters(&self, subject: Option<Mask>, is_read: bool) -> Option<Mask> {
        let inside = self.within(1.0);
        let (clusters, main) = self.text_clusters(&inside);
        // Where all of the colours together make no letters, such as in a wide glow, the main one may.
        let all = self.letters_of(&clusters, &inside, subject.as_ref());
        let filled = |mask: &Mask| mask.and(&inside).count() as f32 > FILLED * inside.count() as f32;
        if all.as_ref().is_some_and(|mask| !filled(mask)) {
            return all;
        }
        let plate = main.and(&self.within(1.6));
        if filled(&plate) {
            let band = self.distance.map(|d| d >= 0.75 * self.reach && d < 1.05 * self.reach);
            let letters = self.flip(&plate, &band, &inside);
            if letters != plate {
                return Some(letters);
            }
        }
        let main = self.letters_of(&main, &inside, subject.as_ref());
        let found = if main.as_ref().is_some_and(looks_written) { main } else { all.or(main) };
        // Letters on a narrow plate may have the colour of what is beyond it.
        found.or_else(|| if is_read { self.on_plate(&inside) } else { None })
    }

    /// What stands on the colour that is common right around the line.
    fn on_plate(&self, inside: &Mask) -> Option<Mask> {
        let band = self.distance.map(|d| d >= 0.75 * self.reach && d < 1.05 * self.reach);
        let samples = sampled(&self.lab, &self.within(1.05), 4000);
        let centres = kmeans(&samples, CLUSTERS, 12, 0);
        let labels = self.lab.map(|colour| closest(&centres, colour).0);
        let mut counts = vec![0usize; centres.len()];
        labels.data.iter().zip(&band.data).filter(|(_, band)| **band).for_each(|(label, _)| counts[*label] += 1);
        let plate = centres[(0..counts.len()).max_by_key(|&k| counts[k])?];
        let plate = self.lab.map(|colour| distance_squared(colour, plate) < ON_PLATE * ON_PLATE);
        let letters = self.flip(&plate, &band, inside);
        (letters != plate).then(|| without_crumbs(&close(&letters, 1), least(inside)))
    }

    fn letters_of(&self, clusters: &Mask, inside: &Mask, subject: Option<&Mask>) -> Option<Mask> {
        let by_colour = clusters.and(&self.within(1.6));
        let mut mask = self.keep_inner_parts(&by_colour, inside, subject);
        let band = self.distance.map(|d| d >= 0.75 * self.reach && d < 1.05 * self.reach);
        let on_band = mask.and(&band).count() as f32 / band.count().max(1) as f32;
        let filled = mask.and(inside).count() as f32 > FILLED * inside.count() as f32;
        if (on_band > 0.6 || filled) && !self.smooth {
            mask = self.flip(&mask, &band, inside);
        }
        mask = close(&without_hairlines(&without_background(&mask, &self.lab, inside)), 1);
        mask = without_crumbs(&mask, least(inside));
        let cover = mask.and(inside).count() as f32 / inside.count().max(1) as f32;
        COVER.contains(&cover).then_some(mask)
    }

    /// Pixels whose colour is over-represented inside against the ring around; and those of the main one of these.
    fn text_clusters(&self, inside: &Mask) -> (Mask, Mask) {
        let mut samples = sampled(&self.lab, inside, 4000);
        samples.extend(sampled(&self.lab, &self.ring, 4000));
        let centres = kmeans(&samples, CLUSTERS, 12, 0);
        let labels = self.lab.map(|colour| closest(&centres, colour).0);
        let share = |mask: &Mask| {
            let mut counts = vec![0.0f32; centres.len()];
            labels.data.iter().zip(&mask.data).filter(|(_, m)| **m).for_each(|(l, _)| counts[*l] += 1.0);
            let total = counts.iter().sum::<f32>().max(1.0);
            counts.into_iter().map(|c| c / total).collect::<Vec<f32>>()
        };
        let (inner, outer) = (share(inside), share(&self.ring));
        let mut chosen: Vec<bool> = (0..centres.len())
            .map(|k| {
                let mut ratio = inner[k] / (inner[k] + outer[k] + 1e-6);
                if inner[k] > 0.03 && (0.1..=OVER_REPRESENTED).contains(&ratio) {
                    let own = outer[k] * self.own_share(&labels.map(|l| l == k), inside);
                    ratio = inner[k] / (inner[k] + own + 1e-6);
                }
                if self.smooth {
                    let residual = centres[k].iter().map(|v| v * v).sum::<f32>().sqrt();
                    residual > 0.045 && inner[k] > 0.002 && ratio > 0.5
                } else {
                    ratio > OVER_REPRESENTED && inner[k] > 0.004
                }
            })
            .collect();
        let limits: Vec<f32> = centres.iter().map(|&centre| self.softest(centre)).collect();
        self.drop_soft_clusters(&labels, &mut chosen, inside, &limits);
        let all = chosen.clone();
        let clusters = Clusters { labels: &labels, centres: &centres, chosen: &all, inner: &inner, outer: &outer };
        if !self.smooth {
            drop_scenery(&clusters, inside, &mut chosen);
        }
        let main = main_colour(&clusters, inside).map_or_else(|| inside.same_size(false), |k| labels.map(|l| l == k));
        let clusters = Clusters { labels: &labels, centres: &centres, chosen: &chosen, inner: &inner, outer: &outer };
        (clusters.letters(inside, self.smooth), main)
    }

    /// Share of a colour's pixels in the ring that do not belong to large shapes beside the line,
    /// which say nothing about the colour of the letters.
    fn own_share(&self, colour: &Mask, inside: &Mask) -> f32 {
        let parts = components(colour);
        let (wide, ring) = (parts.count_in(&self.within(1.15)), parts.count_in(&self.ring));
        let large = inside.count() / 5;
        let beside = |k: usize| parts.areas[k] > large && wide[k] * 10 < parts.areas[k];
        let all: usize = ring[1..].iter().sum();
        let own: usize = (1..=parts.len()).filter(|&k| !beside(k)).map(|k| ring[k]).sum();
        own as f32 / all.max(1) as f32
    }

    /// How sharp the edge of a cluster has to be, relative to the sharpest: more where its colour
    /// is the background's in the shade.
    fn softest(&self, centre: [f32; 3]) -> f32 {
        let background = self.background;
        let colour: [f32; 3] = if self.smooth { std::array::from_fn(|c| centre[c] + background[c]) } else { centre };
        let square = background.iter().map(|v| v * v).sum::<f32>().max(1e-6);
        let scale = (0..3).map(|c| colour[c] * background[c]).sum::<f32>() / square;
        let shaded = distance_squared(colour, background.map(|v| v * scale)) < 0.03 * 0.03;
        if shaded && (0.35..0.97).contains(&scale) { 0.6 } else { 0.3 }
    }

    /// Letters end sharply; a cluster whose outer edge is soft is background or shadow. A shadow
    /// has many tones, of which only the outermost one shows at each round.
    fn drop_soft_clusters(&self, labels: &Plane<usize>, chosen: &mut [bool], inside: &Mask, limits: &[f32]) {
        let edges = gradient(&gaussian(&self.lab, 0.8));
        let mut sharpest = self.sharpest_edge(labels, chosen, inside, &edges);
        for _ in 0..CLUSTERS {
            if !self.drop_softest(labels, chosen, inside, (&edges, limits), &mut sharpest) {
                break;
            }
        }
    }

    /// How sharp the edge of the sharpest colour is, that of letters in a glow among them.
    fn sharpest_edge(&self, labels: &Plane<usize>, chosen: &[bool], inside: &Mask, edges: &Gray) -> f32 {
        let most = inside.count() as f32;
        let typical = |colour: usize| {
            let own = labels.zip(inside, |label, inside| inside && label == colour);
            if (own.count() as f32) < COMMON_INSIDE * most {
                return 0.0;
            }
            let rim = own.minus(&erode(&own, 1));
            let mut strengths: Vec<f32> =
                edges.data.iter().zip(&rim.data).filter(|(_, rim)| **rim).map(|(strength, _)| *strength).collect();
            quantile(&mut strengths, 0.5)
        };
        (0..chosen.len()).filter(|&colour| chosen[colour]).map(typical).fold(0.0, f32::max)
    }

    /// One round of it; false where all edges are sharp.
    fn drop_softest(
        &self,
        labels: &Plane<usize>,
        chosen: &mut [bool],
        inside: &Mask,
        (edges, limits): (&Gray, &[f32]),
        sharpest: &mut f32,
    ) -> bool {
        let mask = labels.map(|l| chosen[l]);
        let outer = mask.and(&dilate(&mask.not(), 1)).and(&self.within(1.2));
        let mut strengths: Vec<Vec<f32>> = vec![Vec::new(); chosen.len()];
        let mut sizes = vec![0usize; chosen.len()];
        let width = mask.width;
        for (i, &label) in labels.data.iter().enumerate() {
            sizes[label] += usize::from(inside.data[i]);
            if outer.data[i] {
                let (x, y) = (i % width, i / width);
                // The strongest gradient next to the edge pixel.
                let mut strongest = 0.0f32;
                for v in y.saturating_sub(1)..(y + 2).min(mask.height) {
                    for u in x.saturating_sub(1)..(x + 2).min(width) {
                        strongest = strongest.max(edges.at(u, v));
                    }
                }
                strengths[label].push(strongest);
            }
        }
        let typical: Vec<Option<f32>> = (0..chosen.len())
            .map(|k| {
                let enough = chosen[k] && strengths[k].len() as f32 > 15f32.max(0.02 * sizes[k] as f32);
                enough.then(|| quantile(&mut strengths[k], 0.5))
            })
            .collect();
        *sharpest = typical.iter().flatten().copied().fold(*sharpest, f32::max);
        let mut dropped = false;
        for (k, strength) in typical.iter().enumerate() {
            if strength.is_some_and(|s| s <= limits[k] * *sharpest) {
                chosen[k] = false;
                dropped = true;
            }
        }
        dropped
    }

    /// Components that lie mostly inside and are not part of a figure.
    fn keep_inner_parts(&self, mask: &Mask, inside: &Mask, subject: Option<&Mask>) -> Mask {
        let parts = components(mask);
        let wide = parts.count_in(&self.within(1.3));
        let band = self.distance.map(|d| d >= 0.75 * self.reach && d < 1.05 * self.reach);
        let (on_band, band_size) = (parts.count_in(&band), band.count().max(1) as f32);
        let least = least(inside);
        let figure = subject.and_then(|s| self.figure(s, inside));
        let in_figure = figure.as_ref().map(|f| parts.count_in(f));
        let keep: Vec<bool> = (0..parts.areas.len())
            .map(|k| {
                let area = parts.areas[k] as f32;
                let veto = in_figure.as_ref().is_some_and(|f| f[k] as f32 >= 0.5 * area);
                wide[k] as f32 > 0.72 * area && area >= least && (on_band[k] as f32) < 0.3 * band_size && !veto
            })
            .collect();
        parts.select(&keep)
    }

    /// The subject here, unless it is the text itself that the network found salient.
    pub(super) fn figure(&self, subject: &Mask, inside: &Mask) -> Option<Mask> {
        let parts = components(subject);
        let within = parts.count_in(&self.within(1.3));
        let keep: Vec<bool> = (0..parts.areas.len()).map(|k| within[k] * 2 <= parts.areas[k]).collect();
        let figure = parts.select(&keep);
        let share = figure.and(inside).count() as f32 / inside.count().max(1) as f32;
        (share < 0.75 && share > 0.0).then_some(figure)
    }

    /// The colours found are the plate behind the letters: take what is not plate.
    fn flip(&self, plate: &Mask, band: &Mask, inside: &Mask) -> Mask {
        let rest = self.within(0.95).minus(plate);
        let parts = components(&rest);
        let (on_band, band_size) = (parts.count_in(band), band.count().max(1) as f32);
        let least = 2.0 * least(inside);
        let keep: Vec<bool> = (0..parts.areas.len())
            .map(|k| parts.areas[k] as f32 >= least && (on_band[k] as f32) < 0.06 * band_size)
            .collect();
        let letters = parts.select(&keep);
        let share = letters.and(inside).count() as f32 / inside.count().max(1) as f32;
        if share > 0.08 && share < 0.6 { letters } else { plate.clone() }
    }
}
