//! Gaussian blur of coverage.

use crate::raster::Coverage;

/// Gaussian blur of a given standard deviation in px; what lies outside counts as 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "averages of u8 and u16 are such")]
pub(crate) fn blur(coverage: &mut Coverage, deviation: f32) {
    let (width, height) = (coverage.width, coverage.height);
    let filter = Filter::new(deviation);
    if matches!(filter, Filter::None) || coverage.values.is_empty() {
        return;
    }
    let mut scratch = Vec::new();
    let mut line = Vec::new();
    let mut turned = vec![0_u16; width * height]; // columns one after the other, 8 bits after the point
    for (y, row) in coverage.values.chunks_exact(width).enumerate() {
        line.clear();
        line.extend(row.iter().map(|value| f32::from(*value) * 256.0));
        filter.apply(&mut line, &mut scratch);
        for (x, value) in line.iter().enumerate() {
            turned[x * height + y] = (value + 0.5) as u16;
        }
    }
    for (x, column) in turned.chunks_exact(height).enumerate() {
        line.clear();
        line.extend(column.iter().map(|value| f32::from(*value)));
        filter.apply(&mut line, &mut scratch);
        for (y, value) in line.iter().enumerate() {
            coverage.values[y * width + x] = (value / 256.0 + 0.5) as u8;
        }
    }
}

enum Filter {
    None,
    /// The middle of the kernel, and one half of it.
    Kernel(Vec<f32>),
    /// Three averages over so many px to each side.
    Boxes([usize; 3]),
}

impl Filter {
    /// A Gaussian that is cut at three deviations; for wide ones, three averages that are hardly different and take the
    /// same time for every width (Kovesi, "Fast Almost-Gaussian Filtering", 2010).
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small")]
    fn new(deviation: f32) -> Self {
        const NARROW: f32 = 0.05;
        const WIDE: f32 = 12.0;
        if deviation < NARROW {
            return Self::None;
        }
        let variance = deviation * deviation;
        if deviation >= WIDE {
            // Boxes of two odd sizes whose variances add up to that wanted.
            let ideal = (4.0 * variance + 1.0).sqrt();
            let small = ((ideal - 1.0) / 2.0).floor() as usize; // to each side
            let size = (2 * small + 1) as f32;
            let smaller = (12.0 * variance - 3.0 * size * size - 12.0 * size - 9.0) / (-4.0 * size - 4.0);
            return Self::Boxes(std::array::from_fn(|n| if (n as f32) < smaller.round() { small } else { small + 1 }));
        }
        let reach = (3.0 * deviation).ceil() as usize;
        let bell = |d: usize| libm::expf(-((d * d) as f32) / (2.0 * variance));
        let sum = bell(0) + 2.0 * (1..=reach).map(bell).sum::<f32>();
        Self::Kernel((0..=reach).map(|d| bell(d) / sum).collect())
    }

    fn apply(&self, line: &mut [f32], scratch: &mut Vec<f32>) {
        match self {
            Self::None => {}
            Self::Kernel(kernel) => convolve(line, kernel, scratch),
            Self::Boxes(boxes) => boxes.iter().for_each(|reach| average(line, *reach, scratch)),
        }
    }
}

/// The line between zeros, so that one weight after the other is added to all of it.
fn convolve(line: &mut [f32], kernel: &[f32], padded: &mut Vec<f32>) {
    let reach = kernel.len() - 1;
    pad(line, reach, padded);
    line.fill(0.0);
    for (d, weight) in kernel.iter().enumerate() {
        let (left, right) = (&padded[reach - d..][..line.len()], &padded[reach + d..][..line.len()]);
        let weight = if d == 0 { weight / 2.0 } else { *weight };
        for ((sum, left), right) in line.iter_mut().zip(left).zip(right) {
            *sum += (left + right) * weight;
        }
    }
}

/// The average over `reach` px to each side, from sums that are kept exactly.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "an average of floats is one")]
fn average(line: &mut [f32], reach: usize, padded: &mut Vec<f32>) {
    pad(line, reach, padded);
    let size = 2 * reach + 1;
    let mut sum: f64 = padded[..size - 1].iter().map(|value| f64::from(*value)).sum();
    for (n, value) in line.iter_mut().enumerate() {
        sum += f64::from(padded[n + size - 1]);
        *value = (sum / size as f64) as f32;
        sum -= f64::from(padded[n]);
    }
    // What rounding may leave below zero is none.
    line.iter_mut().for_each(|value| *value = value.max(0.0));
}

fn pad(line: &[f32], by: usize, padded: &mut Vec<f32>) {
    padded.clear();
    padded.resize(by, 0.0);
    padded.extend_from_slice(line);
    padded.resize(line.len() + 2 * by, 0.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The spread of a blurred spot, px, and its sum.
    fn spot(deviation: f32) -> (f32, f32) {
        let size = 401;
        let mut spot = Coverage { x: 0, y: 0, width: size, height: 3, values: vec![0; 3 * size] };
        // A wide bar, so that 8 bits suffice: its edge becomes the integral of the Gaussian.
        for row in spot.values.chunks_exact_mut(size) {
            row[200..].fill(255);
        }
        let filter = Filter::new(deviation);
        let mut line: Vec<f32> = spot.values[..size].iter().map(|value| f32::from(*value)).collect();
        filter.apply(&mut line, &mut Vec::new());
        let slopes: Vec<f32> = line.iter().zip(&line[1..]).map(|(a, b)| b - a).take(300).collect();
        let sum: f32 = slopes.iter().sum();
        let mean = slopes.iter().enumerate().map(|(n, slope)| n as f32 * slope).sum::<f32>() / sum;
        let variance = slopes.iter().enumerate().map(|(n, slope)| (n as f32 - mean).powi(2) * slope).sum::<f32>() / sum;
        (variance.sqrt(), sum / 255.0)
    }

    #[test]
    fn the_spread_is_the_deviation() {
        for deviation in [0.8, 2.0, 5.0, 11.9, 12.0, 17.3, 30.0] {
            let (spread, sum) = spot(deviation);
            assert!((spread / deviation - 1.0).abs() < 0.025, "{deviation}: {spread}");
            assert!((sum - 1.0).abs() < 0.01, "{deviation}: {sum}");
        }
    }
}
