//! Convolutions of pictures with their channels last, without a copy of each patch: a row of
//! sums reads runs of the rows that it sees.

use rayon::prelude::*;

use crate::NetworkError;
use crate::kernel::{KERNEL, LANES, PANEL, PIXELS, Tile};

/// Returns true once the caller has asked to stop, and from then on.
pub type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// A feature map: rows of pixels, channels last.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub values: Vec<f32>,
}

impl Map {
    pub fn new(height: usize, width: usize, channels: usize) -> Self {
        Self { height, width, channels, values: vec![0.0; height * width * channels] }
    }

    /// Values of row `y`.
    pub fn row(&self, y: usize) -> &[f32] {
        let length = self.width * self.channels;
        &self.values[y * length..(y + 1) * length]
    }

    /// The values of the pixel in column `x` of row `y`.
    pub fn pixel(&self, y: usize, x: usize) -> &[f32] {
        &self.row(y)[x * self.channels..(x + 1) * self.channels]
    }

    /// A picture of this size whose rows `fill(y, row)` writes, on some thread.
    pub fn from_rows(height: usize, width: usize, channels: usize, fill: impl Fn(usize, &mut [f32]) + Sync) -> Self {
        let mut map = Self::new(height, width, channels);
        let rows = map.values.par_chunks_mut((width * channels).max(1)).enumerate();
        rows.for_each(|(y, row)| fill(y, row));
        map
    }
}

/// Size, dilation and stride of a kernel; the picture is padded with zeros so that it keeps its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Walk {
    /// Side of the kernel, odd.
    pub side: usize,
    pub dilation: usize,
    /// Step from one output pixel to the next, in input pixels.
    pub stride: usize,
}

impl Walk {
    /// How far the kernel reaches beyond its middle.
    pub(crate) fn reach(self) -> usize {
        self.side / 2 * self.dilation
    }
}

/// A convolution with zeros around the picture.
pub(crate) struct Convolution {
    inputs: usize,
    outputs: usize,
    walk: Walk,
    /// Panels of 32 channels, the last one of 16 or 32: weights (side, side, inputs, channels).
    panels: Vec<Panel>,
}

struct Panel {
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Convolution {
    /// From weights (outputs, inputs, side, side) and one bias for each output.
    ///
    /// # Panics
    /// When the slices do not have these sizes: a defect of the caller.
    pub(crate) fn new(weights: &[f32], bias: &[f32], inputs: usize, walk: Walk) -> Self {
        let (outputs, side) = (bias.len(), walk.side);
        assert_eq!(weights.len(), outputs * inputs * side * side, "weights of a convolution");
        let panels = (0..outputs).step_by(PANEL).map(|first| {
            let count = PANEL.min(outputs - first);
            let width = count.next_multiple_of(LANES);
            let mut panel = Panel { weights: vec![0.0; side * side * inputs * width], bias: vec![0.0; width] };
            panel.bias[..count].copy_from_slice(&bias[first..first + count]);
            for output in 0..count {
                for input in 0..inputs {
                    for place in 0..side * side {
                        panel.weights[(place * inputs + input) * width + output] =
                            weights[((first + output) * inputs + input) * side * side + place];
                    }
                }
            }
            panel
        });
        Self { inputs, outputs, walk, panels: panels.collect() }
    }

    /// Number of input channels.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of output channels.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// The convolution of `parts`, whose channels stand one after the other; `finish(y, row)`
    /// is called with each row of the result. `stopped` is called at each row.
    ///
    /// # Errors
    /// [`NetworkError::Stopped`] if `stopped` returned true.
    ///
    /// # Panics
    /// When the parts are not of one size or do not have the right number of channels.
    pub(crate) fn run(
        &self,
        parts: &[&Map],
        stopped: Stop,
        finish: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Result<Map, NetworkError> {
        let (height, width) = (parts[0].height, parts[0].width);
        assert!(parts.iter().all(|part| (part.height, part.width) == (height, width)), "parts of one size");
        assert_eq!(parts.iter().map(|part| part.channels).sum::<usize>(), self.inputs, "channels of a convolution");
        let Walk { side, dilation, stride } = self.walk;
        let reach = self.walk.reach();
        let mut out = Map::new(height.div_ceil(stride), width.div_ceil(stride), self.outputs);
        let out_width = out.width;
        // As much as the last pixels of the last tile see.
        let line = ((out_width.next_multiple_of(PIXELS) - 1) * stride + 1).max(width) + 2 * reach;
        let line = line * self.inputs;
        let (runs, depth) = self.runs(line);
        let rows = out.values.par_chunks_mut((out_width * self.outputs).max(1)).enumerate();
        let scratch = || (vec![0.0f32; side * line], [0.0f32; PIXELS * PANEL]);
        rows.for_each_init(scratch, |(seen, sums), (y, row)| {
            if stopped() {
                return;
            }
            let seen = match parts {
                // Single pixels can be read where they are, but for the end of the picture.
                [part] if side == 1 && stride == 1 && part.values.len() >= y * width * self.inputs + line => {
                    &part.values[y * width * self.inputs..]
                }
                _ => {
                    for (k, line) in seen.chunks_mut(line).enumerate() {
                        gather_row(parts, (y * stride + k * dilation).checked_sub(reach), reach, line);
                    }
                    &*seen
                }
            };
            let mut first = 0;
            for panel in &self.panels {
                let count = panel.bias.len().min(self.outputs - first);
                for x in (0..out_width).step_by(PIXELS) {
                    let tile = Tile {
                        seen: &seen[x * stride * self.inputs..],
                        step: stride * self.inputs,
                        runs: &runs,
                        depth,
                        panel: &panel.weights,
                        bias: &panel.bias,
                    };
                    KERNEL.run(&tile, sums);
                    let pixels = row[x * self.outputs..].chunks_mut(self.outputs).take(PIXELS);
                    for (pixel, sums) in pixels.zip(sums.chunks(panel.bias.len())) {
                        pixel[first..first + count].copy_from_slice(&sums[..count]);
                    }
                }
                first += count;
            }
            finish(y, row);
        });
        if stopped() { Err(NetworkError::Stopped) } else { Ok(out) }
    }

    /// Where the runs that a pixel sees begin, lines of `line` values one after the other,
    /// and how long they are. Neighbouring pixels of a line are one run.
    fn runs(&self, line: usize) -> (Vec<usize>, usize) {
        let Walk { side, dilation, .. } = self.walk;
        if dilation == 1 {
            return ((0..side).map(|k| k * line).collect(), side * self.inputs);
        }
        let places = (0..side).flat_map(|k| (0..side).map(move |l| (k, l)));
        (places.map(|(k, l)| k * line + l * dilation * self.inputs).collect(), self.inputs)
    }
}

/// Row `y` of all parts, their channels side by side, with `reach` pixels of zeros before it
/// and the rest of `line` filled with zeros; only zeros outside the picture.
fn gather_row(parts: &[&Map], y: Option<usize>, reach: usize, line: &mut [f32]) {
    let Some(y) = y.filter(|&y| y < parts[0].height) else { return line.fill(0.0) };
    let inputs: usize = parts.iter().map(|part| part.channels).sum();
    let (start, end) = (reach * inputs, (reach + parts[0].width) * inputs);
    line[..start].fill(0.0);
    line[end..].fill(0.0);
    if let [part] = parts {
        return line[start..end].copy_from_slice(part.row(y));
    }
    let mut first = 0;
    for part in parts {
        let pixels = line[start..end].chunks_mut(inputs).zip(part.row(y).chunks(part.channels));
        pixels.for_each(|(pixel, values)| pixel[first..first + values.len()].copy_from_slice(values));
        first += part.channels;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(height: usize, width: usize, channels: usize, salt: usize) -> Map {
        let values = (0..height * width * channels).map(|i| (((i + salt) * 7919 % 64) as f32 - 31.5) / 8.0);
        Map { height, width, channels, values: values.collect() }
    }

    /// By the definition, for every size and edge; all sums are exact.
    #[test]
    fn convolutions_equal_sums_of_products() {
        for (height, width, channels, outputs, walk) in [
            (5, 7, [3, 0], 64, Walk { side: 3, dilation: 1, stride: 1 }),
            (9, 30, [16, 16], 16, Walk { side: 3, dilation: 2, stride: 1 }),
            (4, 13, [5, 2], 1, Walk { side: 1, dilation: 1, stride: 1 }),
            (6, 6, [16, 4], 33, Walk { side: 3, dilation: 8, stride: 1 }),
            (9, 26, [3, 0], 16, Walk { side: 3, dilation: 1, stride: 2 }),
            (8, 49, [3, 0], 16, Walk { side: 3, dilation: 1, stride: 2 }),
        ] {
            let Walk { side, dilation, stride } = walk;
            let parts: Vec<Map> = channels.iter().filter(|&&c| c > 0).map(|&c| filled(height, width, c, c)).collect();
            let inputs: usize = channels.iter().sum();
            let weights: Vec<f32> = filled(outputs, inputs, side * side, 5).values;
            let bias: Vec<f32> = filled(1, 1, outputs, 9).values;
            let convolution = Convolution::new(&weights, &bias, inputs, walk);
            let found = convolution.run(&parts.iter().collect::<Vec<_>>(), &|| false, |_, row| {
                row.iter_mut().for_each(|value| *value *= 2.0);
            });
            let found = found.expect("nobody stops it");
            assert_eq!((found.height, found.width), (height.div_ceil(stride), width.div_ceil(stride)));
            for y in 0..found.height {
                for x in 0..found.width {
                    for output in 0..outputs {
                        let mut expected = bias[output];
                        for k in 0..side * side {
                            let reach = walk.reach();
                            let (v, u) = (y * stride + k / side * dilation, x * stride + k % side * dilation);
                            if v < reach || u < reach || v - reach >= height || u - reach >= width {
                                continue;
                            }
                            let pixel = parts.iter().flat_map(|part| part.pixel(v - reach, u - reach));
                            for (input, value) in pixel.enumerate() {
                                expected += value * weights[(output * inputs + input) * side * side + k];
                            }
                        }
                        assert_eq!(found.pixel(y, x)[output], 2.0 * expected, "{y}, {x}, {output}");
                    }
                }
            }
        }
    }
}
