//! What is known of the layers around their edges, at the engine's size.

use image::RgbaImage;

use super::column::Member;
use crate::LayerStack;

/// Around an edge, this many small pixels to each side count as its neighbourhood.
const REACH: usize = 2;

/// Alphas that differ by less (0 to 255) make no edge.
const FLAT: u8 = 6;

/// Squared colour difference (0 to 1 each channel) below which colours say nothing of alpha.
const HOLD: f32 = 0.001;

/// The edges of all layers of a stack.
pub(super) struct Edges {
    width: usize,
    height: usize,
    /// By how much a hard edge must be steepened.
    scale: f32,
    /// Whether any layer has an edge there.
    any: Vec<bool>,
    layers: Vec<Vec<Cell>>,
}

/// A layer at one small pixel.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    /// Least and greatest alpha of the neighbourhood.
    low: u8,
    high: u8,
    /// 0 (a soft ramp) to 255 (a step).
    hardness: u8,
    /// Mean colour of the layer in the neighbourhood, and the root of its variance.
    colour: [u8; 3],
    deviation: u8,
}

/// A large pixel's centre among the small ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The four small pixels around it: left top, right top, left bottom, right bottom.
    at: [usize; 4],
    weights: [f32; 4],
}

impl Edges {
    /// `small_input` is the input at the size of `stack`, `scale` how much larger the input itself is.
    pub(super) fn new(stack: &LayerStack, small_input: &RgbaImage, scale: f32) -> Self {
        let (width, height) = (stack.width() as usize, stack.height() as usize);
        let seen = visible_shares(stack);
        let layers: Vec<Vec<Cell>> =
            stack.layers().iter().zip(&seen).map(|(layer, seen)| cells(&layer.pixels, small_input, seen)).collect();
        let any = (0..width * height).map(|at| layers.iter().any(|cells| cells[at].is_edge())).collect();
        Self { width, height, scale, any, layers }
    }

    /// Where the large pixel `x`, `y` of a picture of `size` lies.
    pub(super) fn place(&self, x: usize, y: usize, size: (u32, u32)) -> Place {
        let (left, right, across) = between(x, size.0, self.width);
        let (top, bottom, down) = between(y, size.1, self.height);
        Place {
            at: [
                top * self.width + left,
                top * self.width + right,
                bottom * self.width + left,
                bottom * self.width + right,
            ],
            weights: [(1.0 - across) * (1.0 - down), across * (1.0 - down), (1.0 - across) * down, across * down],
        }
    }

    pub(super) fn any(&self, place: Place) -> bool {
        place.at.into_iter().any(|at| self.any[at])
    }

    /// Layer `index` at `place`, where its enlarged pixel is `pixel`.
    pub(super) fn member(&self, index: usize, place: Place, pixel: [u8; 4]) -> Member {
        let enlarged = f32::from(pixel[3]) / 255.0;
        let plain = [0, 1, 2].map(|channel: usize| f32::from(pixel[channel]) / 255.0);
        let cells = place.at.map(|at| self.layers[index][at]);
        if !cells.iter().any(Cell::is_edge) {
            return Member { colour: plain, alpha: enlarged, expected: enlarged, hold: None };
        }
        let mean = |value: fn(&Cell) -> u8| {
            let sum: f32 = cells.iter().zip(place.weights).map(|(cell, weight)| f32::from(value(cell)) * weight).sum();
            sum / 255.0
        };
        let (low, high) = (mean(|cell| cell.low), mean(|cell| cell.high));
        let colour = [mean(|cell| cell.colour[0]), mean(|cell| cell.colour[1]), mean(|cell| cell.colour[2])];
        let deviation = mean(|cell| cell.deviation);
        let expected = self.steepened(enlarged, low, high, mean(|cell| cell.hardness));
        Member { colour, alpha: expected, expected, hold: Some(HOLD + deviation * deviation) }
    }

    fn steepened(&self, alpha: f32, low: f32, high: f32, hardness: f32) -> f32 {
        let range = high - low;
        if range <= 0.0 {
            return alpha;
        }
        let inside = ((alpha - low) / range).clamp(0.0, 1.0);
        let gain = 1.0 + (self.scale - 1.0) * hardness;
        low + range * (0.5 + (inside - 0.5) * gain).clamp(0.0, 1.0)
    }
}

impl Cell {
    fn is_edge(&self) -> bool {
        self.high - self.low > FLAT
    }
}

/// The two small pixels around the centre of a large one, and how far it is from the first to the second.
fn between(position: usize, large: u32, small: usize) -> (usize, usize, f32) {
    let at = (position as f32 + 0.5) * small as f32 / large as f32 - 0.5;
    let at = at.clamp(0.0, (small - 1) as f32);
    let first = at as usize;
    (first, (first + 1).min(small - 1), at - first as f32)
}

/// How much of a full pixel of each layer the ones above let through, 0 to 255, the lowest layer first.
fn visible_shares(stack: &LayerStack) -> Vec<Vec<u8>> {
    let pixels = stack.width() as usize * stack.height() as usize;
    let mut through = vec![255_u8; pixels];
    let mut shares = Vec::new();
    for layer in stack.layers().iter().rev() {
        shares.push(through.clone());
        for (through, pixel) in through.iter_mut().zip(layer.pixels.pixels()) {
            // At most 255: a product of two bytes, divided by 255.
            *through = ((u32::from(*through) * u32::from(255 - pixel[3]) + 127) / 255) as u8;
        }
    }
    shares.reverse();
    shares
}

fn cells(layer: &RgbaImage, input: &RgbaImage, seen: &[u8]) -> Vec<Cell> {
    let (width, height) = (layer.width() as usize, layer.height() as usize);
    let alpha: Vec<u8> = layer.pixels().map(|pixel| pixel[3]).collect();
    let low = extreme(&alpha, (width, height), REACH, u8::min);
    let high = extreme(&alpha, (width, height), REACH, u8::max);
    let hardness = hardness(&alpha, (width, height));
    let colours = colours(layer, input, seen, &high);
    let cell = |at: usize| Cell {
        low: low[at],
        high: high[at],
        hardness: hardness[at],
        colour: colours[at].0,
        deviation: colours[at].1,
    };
    (0..alpha.len()).map(cell).collect()
}

/// Near 255 where alpha changes within three pixels by as much as it does within seven.
fn hardness(alpha: &[u8], size: (usize, usize)) -> Vec<u8> {
    let range = |reach| -> Vec<u8> {
        let (low, high) = (extreme(alpha, size, reach, u8::min), extreme(alpha, size, reach, u8::max));
        high.into_iter().zip(low).map(|(high, low)| high - low).collect()
    };
    let (near, far) = (extreme(&range(1), size, REACH, u8::max), range(REACH + 1));
    let ratio = |(near, far): (u8, u8)| {
        let ratio = f32::from(near) / f32::from(far.max(1));
        (((ratio - 0.6) / 0.3).clamp(0.0, 1.0) * 255.0) as u8
    };
    near.into_iter().zip(far).map(ratio).collect()
}

/// Mean colour of the layer around each pixel and how far it varies. What is
/// full and seen counts most, and shows the input's own colour.
fn colours(layer: &RgbaImage, input: &RgbaImage, seen: &[u8], high: &[u8]) -> Vec<([u8; 3], u8)> {
    let size = (layer.width() as usize, layer.height() as usize);
    // Weight, weighted colours, weighted sum of squares.
    let mut sums: Vec<[f32; 5]> = Vec::with_capacity(seen.len());
    for (((pixel, shown), seen), high) in layer.pixels().zip(input.pixels()).zip(seen).zip(high) {
        let is_seen = u32::from(*seen) * u32::from(pixel[3]) > 242 * 255 && shown[3] == 255;
        let [r, g, b, _] = if is_seen { shown.0 } else { pixel.0 }.map(f32::from);
        let fullness = f32::from(pixel[3]) / f32::from((*high).max(1));
        let weight = fullness.powi(4) * (0.02 + f32::from(*seen) / 255.0) * f32::from(pixel[3]) / 255.0;
        sums.push([weight, r * weight, g * weight, b * weight, (r * r + g * g + b * b) * weight]);
    }
    for _ in 0..2 {
        sums = spread(&sums, size);
    }
    let mean = |(sum, pixel): (&[f32; 5], &image::Rgba<u8>)| {
        let [weight, r, g, b, squares] = *sum;
        if weight < 1e-6 {
            let [r, g, b, _] = pixel.0;
            return ([r, g, b], 0);
        }
        let colour = [r / weight, g / weight, b / weight];
        let variance = squares / weight - colour.iter().map(|value| value * value).sum::<f32>();
        (colour.map(|value| value.round() as u8), variance.max(0.0).sqrt().min(255.0) as u8)
    };
    sums.iter().zip(layer.pixels()).map(mean).collect()
}

/// Sum over three by three pixels.
fn spread(sums: &[[f32; 5]], size: (usize, usize)) -> Vec<[f32; 5]> {
    let add = |a: [f32; 5], b: [f32; 5]| std::array::from_fn(|index| a[index] + b[index]);
    let across = along_rows(sums, size, 1, add);
    along_columns(&across, size, 1, add)
}

/// The least or greatest value within `reach` pixels.
fn extreme(values: &[u8], size: (usize, usize), reach: usize, choose: fn(u8, u8) -> u8) -> Vec<u8> {
    let across = along_rows(values, size, reach, choose);
    along_columns(&across, size, reach, choose)
}

fn along_rows<T: Copy>(values: &[T], size: (usize, usize), reach: usize, join: impl Fn(T, T) -> T) -> Vec<T> {
    let mut out = Vec::with_capacity(values.len());
    for row in values.chunks_exact(size.0) {
        for x in 0..size.0 {
            let around = &row[x.saturating_sub(reach)..(x + reach + 1).min(size.0)];
            out.push(around[1..].iter().fold(around[0], |sum, value| join(sum, *value)));
        }
    }
    out
}

fn along_columns<T: Copy>(values: &[T], size: (usize, usize), reach: usize, join: impl Fn(T, T) -> T) -> Vec<T> {
    let (width, height) = size;
    let mut out = Vec::with_capacity(values.len());
    for y in 0..height {
        let rows = y.saturating_sub(reach)..(y + reach + 1).min(height);
        for x in 0..width {
            let first = values[rows.start * width + x];
            out.push(rows.clone().skip(1).fold(first, |sum, row| join(sum, values[row * width + x])));
        }
    }
    out
}
