use image::RgbaImage;
use serde::{Deserialize, Serialize};

use crate::composite::premultiply;
use crate::{Difference, Layer, LayerStack, Rect, SizeMismatch, flatten};

/// How well the layers of a result give the input back, and which of them look wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The recomposition error: the composite against the input; `worst` is where it is largest.
    pub recomposition: Difference,
    /// The lowest layer first.
    pub layers: Vec<LayerReport>,
}

/// Measurements and flags of one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerReport {
    /// Bounding box of the pixels with alpha above 0; none for an empty layer.
    pub bounding_box: Option<Rect>,
    /// Mean alpha over the canvas, 0 to 1.
    pub coverage: f64,
    /// How much of the layer's alpha the layers above leave to be seen, 0 to 1; 0 for an empty layer.
    pub visible_share: f64,
    /// No pixel has an alpha above [`Thresholds::empty_alpha`].
    pub empty: bool,
    /// The lowest layer that this one repeats.
    pub duplicate_of: Option<usize>,
    /// It shows the whole picture although other layers hold parts of it.
    pub copy_of_composite: bool,
}

/// When a layer counts as empty, as a duplicate or as a copy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Alpha up to this (0 to 255) is nothing. Engines that leave faint noise set it above 0.
    pub empty_alpha: u8,
    /// Largest mean difference of two layers that are the same, 0 to 255, over
    /// the four premultiplied channels of the pixels that either of them has.
    pub duplicate_mean: f64,
    /// Largest difference of a channel (0 to 255) at which a pixel repeats the picture.
    pub copy_difference: u8,
    /// Share of the pixels (0 to 1) that a copy must repeat, both of the whole
    /// canvas and of what the other layers hold.
    pub copy_share: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { empty_alpha: 0, duplicate_mean: 1.0, copy_difference: 8, copy_share: 0.97 }
    }
}

impl Report {
    /// Compares the composite of `stack` with `input` and its layers with each other.
    ///
    /// # Errors
    /// When the input is not as large as the canvas.
    pub fn new(stack: &LayerStack, input: &RgbaImage, thresholds: &Thresholds) -> Result<Self, SizeMismatch> {
        let recomposition = Difference::between(&flatten(stack), input)?;
        let sums = sums(stack, input, thresholds);
        let mut layers: Vec<LayerReport> = Vec::with_capacity(sums.len());
        for (layer, sum) in stack.layers().iter().zip(&sums) {
            let empty = sum.max_alpha <= thresholds.empty_alpha;
            let coverage = layer.coverage(stack.width(), stack.height());
            let duplicate_of = layers.iter().zip(stack.layers()).position(|(report, other)| {
                let alike = (report.coverage - coverage).abs() < 0.01 && !report.empty && !empty;
                alike && is_duplicate(other, layer, thresholds.duplicate_mean)
            });
            layers.push(LayerReport {
                bounding_box: layer.bounding_box(),
                coverage,
                visible_share: if sum.alpha > 0.0 { sum.visible / sum.alpha } else { 0.0 },
                empty,
                duplicate_of,
                copy_of_composite: !empty && sum.is_copy(thresholds.copy_share),
            });
        }
        Ok(Self { recomposition, layers })
    }
}

/// What one pass over the pixels finds of a layer.
#[derive(Debug, Clone, Default)]
struct Sums {
    max_alpha: u8,
    alpha: f64,
    visible: f64,
    /// Of the whole canvas, once the pass is over.
    likeness: Likeness,
}

/// How many pixels repeat the picture.
#[derive(Debug, Clone, Copy, Default)]
struct Likeness {
    pixels: u64,
    repeated: u64,
    /// The same where another layer has at least half alpha and differs from this one.
    shared: u64,
    shared_repeated: u64,
}

impl Likeness {
    fn add(&mut self, repeats: bool, is_shared: bool) {
        self.pixels += 1;
        self.repeated += u64::from(repeats);
        self.shared += u64::from(is_shared);
        self.shared_repeated += u64::from(is_shared && repeats);
    }

    fn combined(self, other: Self, by: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            pixels: by(self.pixels, other.pixels),
            repeated: by(self.repeated, other.repeated),
            shared: by(self.shared, other.shared),
            shared_repeated: by(self.shared_repeated, other.shared_repeated),
        }
    }
}

impl Sums {
    fn is_copy(&self, share: f64) -> bool {
        let most = |part: u64, whole: u64| part as f64 >= share * whole as f64;
        let Likeness { pixels, repeated, shared, shared_repeated } = self.likeness;
        // A background must not count as a copy for want of anything else to show.
        shared > 0 && most(repeated, pixels) && most(shared_repeated, shared)
    }
}

/// The cost is that of the layers' own pixels: where a layer has none, it is what every other such layer is.
fn sums(stack: &LayerStack, input: &RgbaImage, thresholds: &Thresholds) -> Vec<Sums> {
    let mut sums = vec![Sums::default(); stack.len()];
    // Of a layer without pixels, on the whole canvas and where each layer has some.
    let (mut nowhere, mut instead) = (Likeness::default(), vec![Likeness::default(); stack.len()]);
    let mut column: Vec<(usize, [u8; 4])> = Vec::with_capacity(stack.len());
    for (y, input_row) in (0..).zip(input.chunks_exact(stack.width() as usize * 4)) {
        let rows = stack.iter().enumerate().map(|(index, layer)| (index, layer.x as usize, layer.row(y)));
        let rows: Vec<_> = rows.filter(|(.., row)| !row.is_empty()).collect();
        for (x, wanted) in input_row.as_chunks::<4>().0.iter().enumerate() {
            column.clear();
            column.extend(
                rows.iter().filter_map(|(index, start, row)| Some((*index, *row.get(x.checked_sub(*start)?)?))),
            );
            add_pixel(&mut sums, &column, *wanted, thresholds.copy_difference);
            let empty = [0; 4];
            let repeats = distance(empty, *wanted) <= thresholds.copy_difference;
            let is_shared = differs(&column, None, empty, thresholds.copy_difference);
            nowhere.add(repeats, is_shared);
            column.iter().for_each(|(index, _)| instead[*index].add(repeats, is_shared));
        }
    }
    for (sum, instead) in sums.iter_mut().zip(instead) {
        let elsewhere = nowhere.combined(instead, |all, some| all - some);
        sum.likeness = sum.likeness.combined(elsewhere, |here, there| here + there);
    }
    sums
}

/// `column` are the layers' pixels at one place, the lowest first, each with the number of its layer.
fn add_pixel(sums: &mut [Sums], column: &[(usize, [u8; 4])], wanted: [u8; 4], limit: u8) {
    let mut through = 1.0;
    for (index, pixel) in column.iter().rev() {
        let sum = &mut sums[*index];
        let alpha = f64::from(pixel[3]) / 255.0;
        sum.max_alpha = sum.max_alpha.max(pixel[3]);
        sum.alpha += alpha;
        sum.visible += alpha * through;
        through *= 1.0 - alpha;
        sum.likeness.add(distance(*pixel, wanted) <= limit, differs(column, Some(*index), *pixel, limit));
    }
}

/// Whether a layer other than `own` has at least half alpha and another colour.
fn differs(column: &[(usize, [u8; 4])], own: Option<usize>, pixel: [u8; 4], limit: u8) -> bool {
    column.iter().any(|(index, other)| Some(*index) != own && other[3] >= 128 && distance(*other, pixel) > limit)
}

/// Largest difference of a premultiplied channel.
fn distance(a: [u8; 4], b: [u8; 4]) -> u8 {
    if a == b {
        return 0;
    }
    let (a, b) = (premultiply(image::Rgba(a)).0, premultiply(image::Rgba(b)).0);
    a.into_iter().zip(b).map(|(a, b)| a.abs_diff(b)).max().unwrap_or(0)
}

/// Layers that nowhere lie in the same place repeat nothing.
fn is_duplicate(a: &Layer, b: &Layer, limit: f64) -> bool {
    if a.rect().intersection(b.rect()).is_none() {
        return false;
    }
    let area = a.rect().union(b.rect());
    let (mut sum, mut count) = (0_u64, 0_u64);
    for (x, y) in (area.y..area.y + area.height).flat_map(|y| (area.x..area.x + area.width).map(move |x| (x, y))) {
        let (a, b) = (a.pixel_at(x, y), b.pixel_at(x, y));
        if a[3] == 0 && b[3] == 0 {
            continue;
        }
        count += 4;
        if a != b {
            let (a, b) = (premultiply(a).0, premultiply(b).0);
            sum += a.into_iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(b))).sum::<u64>();
        }
    }
    count > 0 && sum as f64 <= limit * count as f64
}

#[cfg(test)]
mod tests;
