//! The evaluation protocol of LayerD (Suzuki et al., "LayerD: Decomposing
//! Raster Graphic Designs into Layers", ICCV 2025, section 4) for measuring
//! predicted layers against known ones.
//!
//! All values are in 0..=1; `a` is alpha, `c` straight colour, `p` the
//! prediction, `g` the ground truth.
//!
//! 1. **Grouping.** In both stacks, the layers that nothing above overlaps
//!    (alpha above 0 in a common pixel) are composited into one, taken away,
//!    and so on downwards. The order of layers that do not overlap is
//!    arbitrary, so it must not count.
//! 2. **Pair measures.** RGB L1: `sum(a_g mean_rgb|c_p - c_g|) / sum(a_g)`.
//!    Alpha soft IoU: `sum(min(a_p, a_g)) / sum(max(a_p, a_g))`. Cost: the mean
//!    of RGB L1 and `1 - IoU`.
//! 3. **Alignment.** Dynamic time warping from the bottom pair to the top pair
//!    that minimises the summed cost; every layer is in at least one pair. A
//!    score is the mean of a measure over the pairs.
//! 4. **Edits.** Ground truth is one of many right answers, so adjacent layers
//!    of either stack may be merged, one merge at a time, at most `max_edits`
//!    times and never below two layers. Each time the merge with the largest
//!    gain in similarity (`1 - cost`) to the present partners is made:
//!    for layers `i`, `i + 1` with partners `G_i`, `G_{i+1}` and the merged
//!    layer `m`, the gain is `s(m, G_i) + max(s(m, G_{i+1}), s(l_{i+2}, G_i),
//!    s(l_{i+2}, G_{i+1})) - s(l_i, G_i) - s(l_{i+1}, G_{i+1})`, where `s` sums
//!    over the partners. It ends when nothing gains.
//!
//! One difference to the authors' program, which follows the paper's wording
//! here: it weights RGB L1 by `a_g > 0`, this module by `a_g`.

use std::collections::HashMap;
use std::rc::Rc;

use image::RgbaImage;

use crate::composite::over;
use crate::{LayerStack, SizeMismatch};

mod alignment;
#[cfg(test)]
mod tests;

use alignment::{best_merge, warp};

/// How close one predicted layer is to one true layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairScore {
    /// Mean difference of straight colours over the true layer, 0 (equal) to 1.
    pub rgb_l1: f64,
    /// Soft intersection over union of alpha, 0 to 1 (equal).
    pub alpha_iou: f64,
}

impl PairScore {
    /// Mean of RGB L1 and `1 - IoU`, 0 (equal) to 1.
    pub fn cost(self) -> f64 {
        f64::midpoint(self.rgb_l1, 1.0 - self.alpha_iou)
    }
}

/// Means over the aligned pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Merges that were made, at most as many as allowed.
    pub edits: usize,
    /// Mean RGB L1, 0 (equal) to 1.
    pub rgb_l1: f64,
    /// Mean soft IoU of alpha, 0 to 1 (equal).
    pub alpha_iou: f64,
    /// Mean of [`PairScore::cost`], 0 (equal) to 1.
    pub cost: f64,
}

/// Why two stacks cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// The canvases differ in size.
    #[error(transparent)]
    Size(#[from] SizeMismatch),
    /// One of the stacks is empty.
    #[error("a stack without layers cannot be evaluated")]
    NoLayers,
}

/// Compares two layers of one size.
///
/// # Errors
/// When their sizes differ.
pub fn pair_score(predicted: &RgbaImage, truth: &RgbaImage) -> Result<PairScore, SizeMismatch> {
    if predicted.dimensions() != truth.dimensions() {
        return Err(SizeMismatch { a: predicted.dimensions(), b: truth.dimensions() });
    }
    Ok(score(predicted, truth))
}

/// Scores `predicted` against `truth` with 0, 1, ... `max_edits` merges
/// allowed: `max_edits + 1` scores. The paper uses 5.
///
/// # Errors
/// When the canvases differ or a stack has no layer.
pub fn evaluate(predicted: &LayerStack, truth: &LayerStack, max_edits: usize) -> Result<Vec<Score>, EvaluationError> {
    let (a, b) = ((predicted.width(), predicted.height()), (truth.width(), truth.height()));
    if a != b {
        return Err(SizeMismatch { a, b }.into());
    }
    if predicted.layers().is_empty() || truth.layers().is_empty() {
        return Err(EvaluationError::NoLayers);
    }
    let mut table = Table::default();
    let mut predicted = table.enter(group(predicted));
    let mut truth = table.enter(group(truth));
    let mut pairs = warp(&mut table, &predicted, &truth);
    let mut scores = vec![mean(&mut table, &predicted, &truth, &pairs, 0)];
    for edits in 1..=max_edits {
        let for_truth: Vec<_> = pairs.iter().map(|(p, g)| (*g, *p)).collect();
        let merge_predicted = best_merge(&mut table, &predicted, &truth, &pairs, false);
        let merge_truth = best_merge(&mut table, &truth, &predicted, &for_truth, true);
        let (merge, layers) = match (merge_predicted, merge_truth) {
            (Some(p), Some(g)) if p.gain > g.gain => (p, &mut predicted),
            (_, Some(g)) => (g, &mut truth),
            (Some(p), None) => (p, &mut predicted),
            (None, None) => break,
        };
        layers.splice(merge.at..merge.at + 2, [merge.merged]);
        pairs = warp(&mut table, &predicted, &truth);
        scores.push(mean(&mut table, &predicted, &truth, &pairs, edits));
    }
    if let Some(last) = scores.last().copied() {
        scores.resize(max_edits + 1, last);
    }
    Ok(scores)
}

/// A layer with a number by which its pair scores are remembered.
#[derive(Clone)]
struct Entry {
    id: usize,
    pixels: Rc<RgbaImage>,
}

/// Pair scores that were computed already.
#[derive(Default)]
struct Table {
    next_id: usize,
    scores: HashMap<(usize, usize), PairScore>,
}

impl Table {
    fn enter(&mut self, layers: Vec<RgbaImage>) -> Vec<Entry> {
        layers.into_iter().map(|pixels| self.add(pixels)).collect()
    }

    fn add(&mut self, pixels: RgbaImage) -> Entry {
        self.next_id += 1;
        Entry { id: self.next_id, pixels: Rc::new(pixels) }
    }

    fn score(&mut self, predicted: &Entry, truth: &Entry) -> PairScore {
        *self.scores.entry((predicted.id, truth.id)).or_insert_with(|| score(&predicted.pixels, &truth.pixels))
    }
}

fn score(predicted: &RgbaImage, truth: &RgbaImage) -> PairScore {
    let (mut differences, mut weight, mut intersection, mut union) = (0_u64, 0_u64, 0_u64, 0_u64);
    for (p, g) in predicted.pixels().zip(truth.pixels()) {
        let difference: u64 = (0..3).map(|channel| u64::from(p[channel].abs_diff(g[channel]))).sum();
        differences += difference * u64::from(g[3]);
        weight += u64::from(g[3]);
        intersection += u64::from(p[3].min(g[3]));
        union += u64::from(p[3].max(g[3]));
    }
    let ratio = |part: u64, whole: f64| if whole > 0.0 { part as f64 / whole } else { 0.0 };
    PairScore { rgb_l1: ratio(differences, weight as f64 * 3.0 * 255.0), alpha_iou: ratio(intersection, union as f64) }
}

fn mean(table: &mut Table, predicted: &[Entry], truth: &[Entry], pairs: &[(usize, usize)], edits: usize) -> Score {
    let count = pairs.len().max(1) as f64;
    let mut sum = Score { edits, rgb_l1: 0.0, alpha_iou: 0.0, cost: 0.0 };
    for (p, g) in pairs {
        let score = table.score(&predicted[*p], &truth[*g]);
        sum.rgb_l1 += score.rgb_l1 / count;
        sum.alpha_iou += score.alpha_iou / count;
        sum.cost += score.cost() / count;
    }
    sum
}

/// Composites layers that can be seen whole, from the top downwards. The lowest group comes first.
fn group(stack: &LayerStack) -> Vec<RgbaImage> {
    let whole: Vec<_> = stack.iter().map(|layer| layer.on_canvas(stack.width(), stack.height())).collect();
    let mut rest: Vec<&RgbaImage> = whole.iter().map(AsRef::as_ref).collect();
    let mut groups = Vec::new();
    while !rest.is_empty() {
        let covered = |index: usize| rest[index + 1..].iter().any(|above| overlap(rest[index], above));
        let (hidden, free): (Vec<_>, Vec<_>) = (0..rest.len()).partition(|index| covered(*index));
        let pictures: Vec<&RgbaImage> = free.iter().map(|index| rest[*index]).collect();
        groups.push(merge_all(&pictures));
        rest = hidden.into_iter().map(|index| rest[index]).collect();
    }
    groups.reverse();
    groups
}

fn overlap(a: &RgbaImage, b: &RgbaImage) -> bool {
    a.pixels().zip(b.pixels()).any(|(a, b)| a[3] > 0 && b[3] > 0)
}

/// A single layer stays as it is, with the colours under its alpha 0.
fn merge_all(pictures: &[&RgbaImage]) -> RgbaImage {
    let mut pictures = pictures.iter();
    let Some(first) = pictures.next() else { return RgbaImage::new(0, 0) };
    pictures.fold((*first).clone(), |below, top| merge(&below, top))
}

fn merge(below: &RgbaImage, top: &RgbaImage) -> RgbaImage {
    let mut out = below.clone();
    for (out, top) in out.pixels_mut().zip(top.pixels()) {
        *out = over(*top, *out);
    }
    out
}
