//! Bicubic resizing with antialias, equal to torchvision's on 8-bit pictures.

/// Source pixels and their integer weights for each output pixel of one axis.
struct Axis {
    /// First source index and weights of each output index.
    taps: Vec<(usize, Vec<i32>)>,
    /// Weights are scaled by `1 << precision`.
    precision: u32,
}

/// Resizes RGB pixels from `from` to `to`, both (width, height).
///
/// As torch does for 8-bit tensors (`_upsample_bicubic2d_aa`): columns first,
/// then rows, each rounded to 8 bit, with 16-bit weights.
pub fn resize_bicubic(rgb: &[u8], from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    let (width, height) = from;
    let wide = if width == to.0 {
        rgb.to_vec()
    } else {
        let axis = Axis::new(width, to.0);
        let mut out = Vec::with_capacity(to.0 * height * 3);
        for line in rgb.chunks_exact(width * 3) {
            for (first, weights) in &axis.taps {
                out.extend([0, 1, 2].map(|c| axis.blend(weights, |tap| line[(first + tap) * 3 + c])));
            }
        }
        out
    };
    if height == to.1 {
        return wide;
    }
    let axis = Axis::new(height, to.1);
    let line = to.0 * 3;
    let mut out = Vec::with_capacity(line * to.1);
    for (first, weights) in &axis.taps {
        out.extend((0..line).map(|i| axis.blend(weights, |tap| wide[(first + tap) * line + i])));
    }
    out
}

impl Axis {
    fn new(input: usize, output: usize) -> Self {
        let scale = input as f64 / output as f64;
        let stretch = scale.max(1.0);
        let support = 2.0 * stretch;
        let floats: Vec<(usize, Vec<f64>)> = (0..output)
            .map(|index| {
                let center = scale * (index as f64 + 0.5);
                let first = (center - support + 0.5).max(0.0) as usize;
                let end = ((center + support + 0.5) as usize).min(input);
                let weight = |tap: usize| cubic(((tap + first) as f64 - center + 0.5) / stretch);
                let weights: Vec<f64> = (0..end.saturating_sub(first)).map(weight).collect();
                let sum: f64 = weights.iter().sum();
                (first, weights.into_iter().map(|weight| weight / sum).collect())
            })
            .collect();
        let largest = floats.iter().flat_map(|(_, weights)| weights).fold(0.0f64, |a, &b| a.max(b));
        // As many bits as keep the largest weight within 16 bits.
        let fits = |bits: u32| ((0.5 + largest * f64::from(1u32 << (bits + 1))) as i64) < 1 << 15;
        let precision = (0..22).find(|&bits| !fits(bits)).unwrap_or(22);
        let integer = |weight: f64| (weight * f64::from(1u32 << precision) + 0.5f64.copysign(weight)) as i32;
        let taps = floats.into_iter().map(|(first, w)| (first, w.into_iter().map(integer).collect())).collect();
        Self { taps, precision }
    }

    fn blend(&self, weights: &[i32], value: impl Fn(usize) -> u8) -> u8 {
        let half = if self.precision == 0 { 0 } else { 1 << (self.precision - 1) };
        let sum = weights.iter().enumerate().fold(half, |sum, (tap, weight)| sum + weight * i32::from(value(tap)));
        (sum >> self.precision).clamp(0, 255) as u8
    }
}

/// Keys' cubic kernel with a = -0.5, which antialiasing filters use.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
    } else {
        0.0
    }
}
