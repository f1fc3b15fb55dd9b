//! The inner loop of convolutions: 12 pixels by 16 or 32 channels of sums, in registers.
//!
//! Every sum is one chain of fused multiply-adds in one order, whatever the width of the
//! vectors is, so that machines with such an instruction agree to the last bit.

use std::sync::LazyLock;

/// Pixels whose sums are computed together.
pub(crate) const PIXELS: usize = 12;
/// Channels of a panel are multiples of this.
pub(crate) const LANES: usize = 16;
/// Channels of the widest panel.
pub(crate) const PANEL: usize = 2 * LANES;

/// The input of one call.
#[derive(Clone, Copy)]
pub(crate) struct Tile<'a> {
    /// Input values that the first pixel sees, and those to its right.
    pub seen: &'a [f32],
    /// Values from one pixel to the next.
    pub step: usize,
    /// Where in `seen` the runs of values begin that the first pixel sees.
    pub runs: &'a [usize],
    /// Values of a run.
    pub depth: usize,
    /// Weights (runs * depth, width).
    pub panel: &'a [f32],
    /// One for each channel of the panel.
    pub bias: &'a [f32],
}

type Function = unsafe fn(tile: &Tile, width: usize, sums: *mut f32);

/// The loop for one instruction set.
#[derive(Clone, Copy)]
pub(crate) struct Kernel {
    function: Function,
    #[cfg(test)]
    pub name: &'static str,
}

/// The fastest kernel that this machine supports.
pub(crate) static KERNEL: LazyLock<Kernel> = LazyLock::new(|| Kernel::all()[0]);

impl Kernel {
    /// The kernels that this machine supports, fastest first.
    #[allow(clippy::vec_init_then_push, reason = "what comes first depends on the machine")]
    pub(crate) fn all() -> Vec<Self> {
        let kernel = |function: Function, _name: &'static str| Self {
            function,
            #[cfg(test)]
            name: _name,
        };
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                all.push(kernel(x86::avx512, "avx512"));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(kernel(x86::avx2, "avx2"));
            }
        }
        all.push(kernel(portable, "portable"));
        all
    }

    /// `sums (12, width) = bias + seen (12, runs * depth) panel (runs * depth, width)`; `width` is `bias.len()`.
    ///
    /// # Panics
    /// When `width` is not 16 or 32, or a slice is too short: a defect of the caller.
    #[inline]
    #[allow(unsafe_code, reason = "the loops take raw pointers; the asserts bound all that they reach")]
    pub(crate) fn run(self, tile: &Tile, sums: &mut [f32]) {
        let width = tile.bias.len();
        assert!(width == LANES || width == PANEL, "width of a panel");
        assert!(tile.panel.len() >= tile.runs.len() * tile.depth * width, "the panel is as deep as what is seen");
        let last = tile.runs.iter().max().map_or(0, |&run| run + (PIXELS - 1) * tile.step + tile.depth);
        assert!(tile.seen.len() >= last, "all pixels see values");
        assert!(sums.len() >= PIXELS * width, "the sums lie in their slice");
        // SAFETY: the asserts above bound every element that is read or written, and `all` gives only functions
        // whose instructions this machine has.
        unsafe { (self.function)(tile, width, sums.as_mut_ptr()) }
    }
}

/// The portable version, which LLVM vectorizes.
#[allow(unsafe_code, reason = "one signature for all versions; the caller has checked the bounds")]
unsafe fn portable(tile: &Tile, width: usize, sums: *mut f32) {
    const HEIGHT: usize = 4;
    // Without an instruction for it, the fused form would be a call of the library for each product.
    let add = |a: f32, b: f32, c: f32| if cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c };
    for top in (0..PIXELS).step_by(HEIGHT) {
        for column in (0..width).step_by(LANES) {
            let bias: [f32; LANES] = std::array::from_fn(|j| tile.bias[column + j]);
            let mut found = [bias; HEIGHT];
            for (k, &run) in tile.runs.iter().enumerate() {
                for p in 0..tile.depth {
                    let weights = &tile.panel[(k * tile.depth + p) * width + column..][..LANES];
                    for (i, row) in found.iter_mut().enumerate() {
                        let a = tile.seen[run + (top + i) * tile.step + p];
                        row.iter_mut().zip(weights).for_each(|(sum, &b)| *sum = add(a, b, *sum));
                    }
                }
            }
            for (i, row) in found.iter().enumerate() {
                // SAFETY: `sums` has 12 rows of `width` values, as the caller promises.
                unsafe { sums.add((top + i) * width + column).copy_from_nonoverlapping(row.as_ptr(), LANES) };
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vector instructions; the caller has checked bounds and machine")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{LANES, PANEL, PIXELS, Tile};

    /// A loop over `P` pixels and `V` vectors of channels at a time, from pixel `top` and channel `column` on.
    /// Constant bounds: all sums stay in registers.
    macro_rules! kernel {
        ($name:ident, $features:literal, $lanes:literal, $load:ident, $store:ident, $splat:ident, $fma:ident) => {
            #[target_feature(enable = $features)]
            unsafe fn $name<const V: usize, const P: usize>(
                tile: &Tile,
                width: usize,
                top: usize,
                column: usize,
                sums: *mut f32,
            ) {
                // SAFETY: the caller has checked that `bias` and rows of the panel have `width` values from `column`
                // on, that each run of each pixel lies in `seen`, and that `sums` has 12 rows of `width`.
                unsafe {
                    let mut bias = [$load(tile.bias.as_ptr().add(column)); V];
                    for j in 1..V {
                        bias[j] = $load(tile.bias.as_ptr().add(column + j * $lanes));
                    }
                    let mut found = [bias; P];
                    let mut weights = tile.panel.as_ptr().add(column);
                    for &run in tile.runs {
                        let seen = tile.seen.as_ptr().add(run + top * tile.step);
                        for p in 0..tile.depth {
                            let mut b = [$load(weights); V];
                            for j in 1..V {
                                b[j] = $load(weights.add(j * $lanes));
                            }
                            for i in 0..P {
                                let a = $splat(*seen.add(i * tile.step + p));
                                for j in 0..V {
                                    found[i][j] = $fma(a, b[j], found[i][j]);
                                }
                            }
                            weights = weights.add(width);
                        }
                    }
                    for i in 0..P {
                        for j in 0..V {
                            $store(sums.add((top + i) * width + column + j * $lanes), found[i][j]);
                        }
                    }
                }
            }
        };
    }

    kernel!(rows_avx512, "avx512f", 16, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_fmadd_ps);
    kernel!(rows_avx2, "avx2,fma", 8, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_fmadd_ps);

    pub(super) unsafe fn avx512(tile: &Tile, width: usize, sums: *mut f32) {
        // SAFETY: as the caller promises.
        unsafe {
            if width == PANEL {
                rows_avx512::<2, PIXELS>(tile, width, 0, 0, sums);
            } else {
                rows_avx512::<1, PIXELS>(tile, width, 0, 0, sums);
            }
        }
    }

    /// Sixteen registers hold 6 x 16 sums.
    pub(super) unsafe fn avx2(tile: &Tile, width: usize, sums: *mut f32) {
        for column in (0..width).step_by(LANES) {
            for top in (0..PIXELS).step_by(6) {
                // SAFETY: as the caller promises; `column + 16` is at most `width`.
                unsafe { rows_avx2::<2, 6>(tile, width, top, column, sums) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the width of its vectors, a processor with fused multiply-adds gives the same bits.
    #[test]
    fn fused_kernels_agree_to_the_last_bit() {
        let value = |i: usize| ((i * 7919 % 1009) as f32 - 504.0) / 317.0;
        let seen: Vec<f32> = (0..12 * 16 + 16).map(value).collect();
        let panel: Vec<f32> = (0..2 * 16 * PANEL).map(|i| value(i + 3)).collect();
        let bias: Vec<f32> = (0..PANEL).map(|i| value(i + 11)).collect();
        let tile = Tile { seen: &seen, step: 16, runs: &[0, 16], depth: 16, panel: &panel, bias: &bias };
        let mut found = Vec::new();
        for kernel in Kernel::all() {
            if kernel.name != "portable" || cfg!(target_arch = "aarch64") {
                let mut sums = vec![0.0f32; PIXELS * PANEL];
                kernel.run(&tile, &mut sums);
                found.push(sums);
            }
        }
        for (index, &sum) in found.first().into_iter().flatten().enumerate() {
            let (pixel, channel) = (index / PANEL, index % PANEL);
            let product = |chain: f32, p: usize| seen[pixel * 16 + p].mul_add(panel[p * PANEL + channel], chain);
            assert_eq!(sum, (0..32).fold(bias[channel], product), "one chain of sums at {pixel}, {channel}");
        }
        assert!(found.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn every_kernel_equals_the_sum_of_products() {
        let value = |i: usize| ((i * 7919 % 64) as f32 - 31.5) / 8.0; // sums of its products are exact
        for kernel in Kernel::all() {
            for (depth, width, step, runs) in [(1, 16, 1, vec![0]), (5, 32, 7, vec![0, 9, 30]), (16, 16, 16, vec![3])] {
                let seen: Vec<f32> = (0..30 + 11 * step + depth).map(value).collect();
                let panel: Vec<f32> = (0..runs.len() * depth * width).map(|i| value(i + 3)).collect();
                let bias: Vec<f32> = (0..width).map(|i| value(i + 11)).collect();
                let mut sums = vec![f32::NAN; PIXELS * width];
                kernel.run(&Tile { seen: &seen, step, runs: &runs, depth, panel: &panel, bias: &bias }, &mut sums);
                for (i, &found) in sums.iter().enumerate() {
                    let (pixel, channel) = (i / width, i % width);
                    let mut expected = bias[channel];
                    for (k, run) in runs.iter().enumerate() {
                        for p in 0..depth {
                            expected += seen[run + pixel * step + p] * panel[(k * depth + p) * width + channel];
                        }
                    }
                    assert_eq!(found, expected, "{} {depth} {width} at {pixel}, {channel}", kernel.name);
                }
            }
        }
    }
}
