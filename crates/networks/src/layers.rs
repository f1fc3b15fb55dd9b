//! Layers between convolutions: pointwise functions, sums, means, resizing.

use crate::NetworkError;
use crate::convolution::{Convolution, Map, Stop, Walk};

/// A pointwise function.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Point {
    /// `scale * x + shift`; one of each for all channels, or one for each channel.
    Affine(Vec<f32>, Vec<f32>),
    Rectify,
    /// `x * clamp(x + 3, 0, 6) / 6`
    HardSwish,
    /// `clamp(alpha * x + beta, 0, 1)`
    HardSigmoid(f32, f32),
    Sigmoid,
    /// `x * (erf(x / sqrt(2)) + 1) / 2`
    Gelu,
}

impl Point {
    /// Applies the function to pixels of `channels` values.
    pub(crate) fn apply(&self, values: &mut [f32], channels: usize) {
        match self {
            Self::Affine(scale, shift) if scale.len() == 1 && shift.len() == 1 => {
                let (scale, shift) = (scale[0], shift[0]);
                values.iter_mut().for_each(|value| *value = *value * scale + shift);
            }
            Self::Affine(scale, shift) => {
                for pixel in values.chunks_mut(channels) {
                    for (c, value) in pixel.iter_mut().enumerate() {
                        *value = *value * scale[c % scale.len()] + shift[c % shift.len()];
                    }
                }
            }
            Self::Rectify => values.iter_mut().for_each(|value| *value = value.max(0.0)),
            Self::HardSwish => values.iter_mut().for_each(|value| *value *= (*value + 3.0).clamp(0.0, 6.0) / 6.0),
            &Self::HardSigmoid(alpha, beta) => {
                values.iter_mut().for_each(|value| *value = (*value * alpha + beta).clamp(0.0, 1.0));
            }
            Self::Sigmoid => values.iter_mut().for_each(|value| *value = 1.0 / (1.0 + libm::expf(-*value))),
            Self::Gelu => {
                let share = |value: f32| 0.5 + 0.5 * error_function(value * std::f32::consts::FRAC_1_SQRT_2);
                values.iter_mut().for_each(|value| *value *= share(*value));
            }
        }
    }
}

/// The error function within 5e-7, as a quotient of polynomials (the coefficients of Eigen's `erf` for floats): without
/// branches, so that several values are computed at a time.
#[inline(always)]
fn error_function(x: f32) -> f32 {
    const ABOVE: [f32; 7] = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    const BELOW: [f32; 5] = [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2];
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let polynomial = |factors: &[f32]| factors.iter().fold(0.0, |sum, factor| sum * square + factor);
    x * polynomial(&ABOVE) / polynomial(&BELOW)
}

/// A depthwise convolution.
pub(crate) struct Depthwise {
    walk: Walk,
    /// (side, side, channels)
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Depthwise {
    /// From weights (channels, 1, side, side) and one bias for each channel.
    pub(crate) fn new(weights: &[f32], bias: &[f32], walk: Walk) -> Self {
        let (channels, places) = (bias.len(), walk.side * walk.side);
        let weights = (0..places * channels).map(|i| weights[i % channels * places + i / channels]).collect();
        Self { walk, weights, bias: bias.to_vec() }
    }

    pub(crate) fn channels(&self) -> usize {
        self.bias.len()
    }

    pub(crate) fn run(&self, map: &Map, finish: impl Fn(&mut [f32]) + Sync) -> Map {
        let Walk { side, dilation, stride } = self.walk;
        let (reach, channels) = (self.walk.reach(), map.channels);
        Map::from_rows(map.height.div_ceil(stride), map.width.div_ceil(stride), channels, |y, row| {
            let lines = (0..side).filter_map(|k| {
                let v = (y * stride + k * dilation).checked_sub(reach).filter(|&v| v < map.height)?;
                Some((map.row(v), &self.weights[k * side * channels..][..side * channels]))
            });
            let lines: Vec<(&[f32], &[f32])> = lines.collect();
            for (x, pixel) in row.chunks_mut(channels).enumerate() {
                // The places along a line that lie in the picture.
                let left = x * stride;
                let from = reach.saturating_sub(left).div_ceil(dilation);
                let to = side.min((map.width + reach - left).div_ceil(dilation));
                let places = || (from..to).map(|l| (left + l * dilation - reach, l));
                let (groups, rest) = pixel.as_chunks_mut::<LANES>();
                for (group, sums) in groups.iter_mut().enumerate() {
                    let at = group * LANES;
                    // This many stay in registers.
                    let mut found = [0.0; LANES];
                    found.copy_from_slice(&self.bias[at..at + LANES]);
                    for &(source, weights) in &lines {
                        for (u, l) in places() {
                            let (seen, weights) = (&source[u * channels + at..], &weights[l * channels + at..]);
                            add_products(&mut found, &seen[..LANES], &weights[..LANES]);
                        }
                    }
                    *sums = found;
                }
                let at = channels - rest.len();
                rest.copy_from_slice(&self.bias[at..]);
                for &(source, weights) in &lines {
                    for (u, l) in places() {
                        add_products(rest, &source[u * channels + at..], &weights[l * channels + at..]);
                    }
                }
            }
            finish(row);
        })
    }
}

/// Channels that are summed together, in registers.
const LANES: usize = 8;

#[inline(always)]
fn add_products(sums: &mut [f32], seen: &[f32], weights: &[f32]) {
    for ((sum, a), b) in sums.iter_mut().zip(seen).zip(weights) {
        *sum += a * b;
    }
}

/// A transposed convolution of 2 x 2 with a stride of 2: each pixel becomes four.
pub(crate) struct Doubling {
    /// To four times the outputs: those of the upper left, upper right, lower left, lower right.
    corners: Convolution,
}

impl Doubling {
    /// From weights (inputs, outputs, 2, 2).
    pub(crate) fn new(weights: &[f32], inputs: usize, outputs: usize) -> Self {
        let corners: Vec<f32> = (0..4 * outputs * inputs)
            .map(|i| {
                let (row, input) = (i / inputs, i % inputs);
                weights[(input * outputs + row % outputs) * 4 + row / outputs]
            })
            .collect();
        let walk = Walk { side: 1, dilation: 1, stride: 1 };
        Self { corners: Convolution::new(&corners, &vec![0.0; 4 * outputs], inputs, walk) }
    }

    pub(crate) fn inputs(&self) -> usize {
        self.corners.inputs()
    }

    pub(crate) fn outputs(&self) -> usize {
        self.corners.outputs() / 4
    }

    /// # Errors
    /// [`NetworkError::Stopped`] if `stopped` returned true.
    pub(crate) fn run(
        &self,
        map: &Map,
        stopped: Stop,
        finish: impl Fn(&mut [f32]) + Sync,
    ) -> Result<Map, NetworkError> {
        let corners = self.corners.run(&[map], stopped, |_, _| {})?;
        let outputs = self.outputs();
        Ok(Map::from_rows(2 * map.height, 2 * map.width, outputs, |y, row| {
            for (x, pixel) in row.chunks_mut(outputs).enumerate() {
                let corner = 2 * (y % 2) + x % 2;
                pixel.copy_from_slice(&corners.pixel(y / 2, x / 2)[corner * outputs..][..outputs]);
            }
            finish(row);
        }))
    }
}

/// The mean of each channel.
pub(crate) fn mean(map: &Map) -> Map {
    let mut sums = vec![0.0f64; map.channels];
    for pixel in map.values.chunks(map.channels) {
        sums.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    let count = (map.height * map.width).max(1) as f64;
    let values = sums.into_iter().map(|sum| (sum / count) as f32).collect();
    Map { height: 1, width: 1, channels: map.channels, values }
}

/// The largest of each pixel and its neighbours to the right and below.
pub(crate) fn peaks(map: &Map) -> Map {
    let channels = map.channels;
    Map::from_rows(map.height, map.width, channels, |y, row| {
        let (own, below) = (map.row(y), map.row((y + 1).min(map.height - 1)));
        for (i, value) in row.iter_mut().enumerate() {
            // The last pixel of a row is beside itself.
            let right = if i + channels < own.len() { i + channels } else { i };
            *value = own[i].max(own[right]).max(below[i]).max(below[right]);
        }
    })
}

/// Each pixel `times` in both directions.
pub(crate) fn repeated(map: &Map, times: usize) -> Map {
    Map::from_rows(times * map.height, times * map.width, map.channels, |y, row| {
        for (x, pixel) in row.chunks_mut(map.channels).enumerate() {
            pixel.copy_from_slice(map.pixel(y / times, x / times));
        }
    })
}

/// `combine(a, b)` of two maps of one size; a map of one pixel stands for all pixels.
pub(crate) fn combined(a: &Map, b: &Map, combine: impl Fn(f32, f32) -> f32 + Sync) -> Map {
    Map::from_rows(a.height, a.width, a.channels, |y, row| {
        if (b.height, b.width) == (a.height, a.width) {
            let pairs = row.iter_mut().zip(a.row(y)).zip(b.row(y));
            return pairs.for_each(|((value, &a), &b)| *value = combine(a, b));
        }
        for (pixel, own) in row.chunks_mut(a.channels).zip(a.row(y).chunks(a.channels)) {
            let pairs = pixel.iter_mut().zip(own).zip(&b.values);
            pairs.for_each(|((value, &a), &b)| *value = combine(a, b));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_function_is_near_the_exact_one() {
        let worst = (-6000..6000).map(|k| k as f32 / 1000.0).map(|x| (error_function(x) - libm::erff(x)).abs());
        let worst = worst.fold(0.0, f32::max);
        assert!(worst < 5e-7, "{worst}");
    }

    #[test]
    fn peaks_look_right_and_down() {
        let values = vec![1.0, 9.0, 2.0, 1.0, 3.0, 0.0, 4.0, 0.0, 0.0, 2.0, -1.0, -2.0];
        let found = peaks(&Map { height: 2, width: 3, channels: 2, values });
        assert_eq!(found.values, [4.0, 9.0, 3.0, 2.0, 3.0, 0.0, 4.0, 2.0, 0.0, 2.0, -1.0, -2.0]);
    }

    /// By the definition: channels beyond whole groups, strides, gaps between the places, and the edges of the picture.
    #[test]
    fn each_channel_is_convolved_by_itself() {
        let value = |i: usize| ((i * 37 + 11) % 23) as f32 - 11.0;
        for (channels, side, dilation, stride) in [(11, 5, 1, 2), (8, 3, 2, 1), (3, 3, 1, 1), (20, 5, 1, 1)] {
            let (height, width) = (9, 7);
            let values = (0..height * width * channels).map(value).collect();
            let map = Map { height, width, channels, values };
            let weights: Vec<f32> = (0..channels * side * side).map(|i| value(i + 5)).collect();
            let bias: Vec<f32> = (0..channels).map(value).collect();
            let walk = Walk { side, dilation, stride };
            let found = Depthwise::new(&weights, &bias, walk).run(&map, |_| {});
            assert_eq!((found.height, found.width), (height.div_ceil(stride), width.div_ceil(stride)));
            let reach = (dilation * (side - 1) / 2) as isize;
            for y in 0..found.height {
                for x in 0..found.width {
                    for c in 0..channels {
                        let mut sum = bias[c];
                        for k in 0..side {
                            for l in 0..side {
                                let at = |i: usize, k: usize| (i * stride + k * dilation) as isize - reach;
                                let (v, u) = (at(y, k), at(x, l));
                                if (0..height as isize).contains(&v) && (0..width as isize).contains(&u) {
                                    let weight = weights[(c * side + k) * side + l];
                                    sum += weight * map.pixel(v as usize, u as usize)[c];
                                }
                            }
                        }
                        // Whole numbers, so that every order of the sum gives the same.
                        assert_eq!(found.pixel(y, x)[c], sum, "{channels} channels at {x}, {y}");
                    }
                }
            }
        }
    }
}
