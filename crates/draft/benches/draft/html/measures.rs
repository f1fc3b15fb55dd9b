//! What is measured of one poster.

use image::{Rgba, RgbaImage};
use layers::{Kind, Layer, LayerStack};
use serde::{Deserialize, Serialize};

use super::canvas::{are_of_one_group, opacity, pixel, without_text};
use super::names::{Names, names};
use super::truth::{Mask, Truth};

/// Levels by which a channel differs where something else is seen.
const VISIBLE: u8 = 24;
/// Opacity from which a pixel counts as a layer's.
const OPAQUE: u8 = 127;

/// The measures of one decomposition; shares and distances from 0 to 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measures {
    pub name: String,
    pub kind: String,
    pub script: String,
    /// Share of the text pixels that still look like the poster when all text layers are off.
    pub left: f64,
    /// Share of the text pixels that then look like neither the poster nor the truth.
    pub ghost: f64,
    /// Share of the text layers' opaque pixels that are no text.
    pub wrong: f64,
    /// Mean IoU of the true subjects with their best layers; none on a poster without a subject.
    pub subject: Option<f64>,
    /// The same for objects.
    pub object: Option<f64>,
    /// Every true thing by itself.
    #[serde(default)]
    pub each: Vec<Match>,
    /// Mean difference of the background from the true one where something covers it.
    pub hidden: Option<f64>,
    /// What the text layers say.
    pub names: Names,
    pub layers: usize,
    pub seconds: f64,
}

/// A true thing and the layers that fit it best.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Match {
    /// `subject` or `object`.
    pub kind: String,
    pub name: String,
    /// Share of the poster.
    pub share: f64,
    pub iou: f64,
    /// Numbers of the layers, the lowest of the stack being 0.
    pub layers: Vec<usize>,
}

/// What became of a pixel of the poster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Text that is gone, or no text and in no text layer.
    Right,
    Left,
    Ghost,
    Wrong,
}

/// The fate of every pixel, row by row, and the picture without the text layers.
pub(crate) struct Fates {
    pub fates: Vec<Fate>,
    pub without_text: RgbaImage,
}

/// Largest difference of a channel.
fn difference(a: &Rgba<u8>, b: &Rgba<u8>) -> u8 {
    (0..3).map(|c| a[c].abs_diff(b[c])).max().unwrap_or(0)
}

/// Scores a decomposition.
pub(crate) fn measure(found: &LayerStack, truth: &Truth, seconds: f64) -> (Measures, Fates) {
    let found_without = without_text(found);
    let (mut text, mut opaque) = (0_u64, 0_u64);
    let mut fates = Vec::with_capacity(truth.poster.len() / 4);
    let texts: Vec<&Layer> = found.layers().iter().filter(|layer| layer.kind == Kind::Text).collect();
    for (x, y, poster) in truth.poster.enumerate_pixels() {
        let true_behind = truth.without_text.get_pixel(x, y);
        let is_text = difference(poster, true_behind) > VISIBLE;
        let is_opaque = texts.iter().any(|layer| pixel(layer, x, y)[3] > OPAQUE);
        text += u64::from(is_text);
        opaque += u64::from(is_opaque);
        let behind = found_without.get_pixel(x, y);
        let off = difference(behind, true_behind);
        fates.push(match is_text {
            true if off > VISIBLE && difference(behind, poster) < off => Fate::Left,
            true if off > VISIBLE => Fate::Ghost,
            false if is_opaque => Fate::Wrong,
            _ => Fate::Right,
        });
    }
    let share = |fate: Fate, of: u64| fates.iter().filter(|&&one| one == fate).count() as f64 / of.max(1) as f64;
    let said: Vec<&str> = texts.iter().filter_map(|layer| layer.text.as_deref()).collect();
    let each = things(found, truth);
    let measures = Measures {
        name: truth.name.clone(),
        kind: truth.description.kind.clone(),
        script: truth.description.script.clone(),
        left: share(Fate::Left, text),
        ghost: share(Fate::Ghost, text),
        wrong: share(Fate::Wrong, opaque),
        subject: mean(&each, "subject"),
        object: mean(&each, "object"),
        each,
        hidden: hidden(found, truth),
        names: names(&truth.description.lines, &said),
        layers: found.len(),
        seconds,
    };
    (measures, Fates { fates, without_text: found_without })
}

/// Mean IoU of the things of a kind.
fn mean(each: &[Match], wanted: &str) -> Option<f64> {
    let scores: Vec<f64> = each.iter().filter(|one| one.kind == wanted).map(|one| one.iou).collect();
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

/// Each true thing with its best match.
fn things(found: &LayerStack, truth: &Truth) -> Vec<Match> {
    let layers: Vec<(usize, &Layer, Mask)> = (0..)
        .zip(found.layers())
        .filter(|(_, layer)| layer.kind != Kind::Text && layer.kind != Kind::Background)
        .map(|(k, layer)| (k, layer, Mask::new(found.width(), &opacity(layer, found.width(), found.height()))))
        .collect();
    let pixels = f64::from(found.width()) * f64::from(found.height());
    let things = truth.description.things.iter().zip(&truth.masks);
    things
        .map(|(thing, mask)| {
            let (iou, layers) = best_match(mask, &layers);
            let (kind, name) = (thing.layer.clone(), thing.name.clone());
            Match { kind, name, share: mask.count as f64 / pixels, iou, layers }
        })
        .collect()
}

/// The best IoU with a layer or with a union inside one group: the best layer takes in others while that helps.
fn best_match(truth: &Mask, layers: &[(usize, &Layer, Mask)]) -> (f64, Vec<usize>) {
    let better = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1));
    let first = layers.iter().enumerate().map(|(k, (_, _, mask))| (truth.iou(mask), k)).max_by(better);
    let Some((mut best, first)) = first.filter(|(iou, _)| *iou > 0.0) else { return (0.0, Vec::new()) };
    let mut union = layers[first].2.clone();
    let mut used = vec![first];
    loop {
        let more = (0..layers.len())
            .filter(|k| !used.contains(k) && are_of_one_group(layers[*k].1, layers[first].1))
            .filter(|&k| truth.overlaps(&layers[k].2))
            .map(|k| (truth.iou(&union.union(&layers[k].2)), k))
            .max_by(better);
        match more {
            Some((iou, k)) if iou > best => {
                best = iou;
                union = union.union(&layers[k].2);
                used.push(k);
            }
            _ => return (best, used.into_iter().map(|k| layers[k].0).collect()),
        }
    }
}

/// Mean difference of the lowest layer from the true background where text or things cover it and the page knows what
/// is behind them.
fn hidden(found: &LayerStack, truth: &Truth) -> Option<f64> {
    let background = found.layers().first()?;
    let width = truth.bare.width();
    let known = |at: usize| {
        let things = truth.description.things.iter().zip(&truth.masks);
        !things.into_iter().any(|(thing, mask)| thing.behind == "unknown" && mask.inside[at])
    };
    let (mut sum, mut count) = (0.0, 0_u64);
    for (x, y, bare) in truth.bare.enumerate_pixels() {
        let at = y as usize * width as usize + x as usize;
        let is_covered = difference(truth.poster.get_pixel(x, y), truth.without_text.get_pixel(x, y)) > VISIBLE
            || truth.masks.iter().any(|mask| mask.inside[at]);
        if is_covered && known(at) {
            let seen = pixel(background, x, y);
            sum += (0..3).map(|c| f64::from(seen[c].abs_diff(bare[c]))).sum::<f64>() / 765.0;
            count += 1;
        }
    }
    (count > 0).then(|| sum / count as f64)
}
