//! The inner loop of every matrix product on the CPU: 8 rows by up to 48 columns of sums, in registers.
//!
//! All of it is f32. AVX-512's own bf16 product (`vdpbf16ps`) is left aside on purpose: where it was measured
//! (Xeon of 2023), its 64 operations came at less than half the rate of f32's 64, so widening to f32 while a
//! matrix is packed is both faster and more exact.

use std::sync::LazyLock;

/// Rows of sums that are computed together.
pub const ROWS: usize = 8;
/// Widths of panels are multiples of this.
pub const LANES: usize = 16;
/// The widest panel.
pub const PANEL: usize = 3 * LANES;

type Function = unsafe fn(left: &[*const f32; ROWS], depth: usize, right: *const f32, width: usize, sums: Sums);

/// Where a tile's sums lie, and whether it adds to what is there.
#[derive(Clone, Copy)]
struct Sums {
    start: *mut f32,
    stride: usize,
    keep: bool,
}

/// A version of the loop for some instruction set.
#[derive(Clone, Copy)]
pub struct Kernel {
    function: Function,
    #[cfg(test)]
    pub name: &'static str,
}

/// The fastest one that this machine has.
pub static KERNEL: LazyLock<Kernel> = LazyLock::new(|| Kernel::all()[0]);

impl Kernel {
    /// What this machine can run, the fastest first.
    #[allow(clippy::vec_init_then_push, reason = "what comes first depends on the machine")]
    pub fn all() -> Vec<Self> {
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

    /// `sums (8, width) = [sums +] left (8, depth) right (depth, width)`, rows of sums `stride` apart.
    ///
    /// # Panics
    /// When `width` is not 16, 32 or 48, the rows of `left` are not as long as the first, or `right` or `sums`
    /// is too short: a defect of the caller.
    #[inline]
    #[allow(unsafe_code, reason = "the loops take raw pointers; the asserts bound all that they reach")]
    pub fn tile(self, left: [&[f32]; ROWS], right: &[f32], width: usize, sums: &mut [f32], stride: usize, keep: bool) {
        let depth = left[0].len();
        assert!(matches!(width, 16 | 32 | 48), "width of a panel");
        assert!(left.iter().all(|row| row.len() == depth), "rows of a tile are of one length");
        assert!(right.len() >= depth * width, "the panel is as deep as the rows");
        assert!(stride >= width && sums.len() >= (ROWS - 1) * stride + width, "the sums lie in their slice");
        let sums = Sums { start: sums.as_mut_ptr(), stride, keep };
        // SAFETY: the asserts above bound every element that is read or written, `sums` is borrowed mutably, and
        // `all` gives only functions whose instructions this machine has.
        unsafe { (self.function)(&left.map(<[f32]>::as_ptr), depth, right.as_ptr(), width, sums) }
    }
}

/// For machines without a version of their own; LLVM makes vectors of it.
#[allow(unsafe_code, reason = "one signature for all versions; the caller has checked the bounds")]
unsafe fn portable(left: &[*const f32; ROWS], depth: usize, right: *const f32, width: usize, sums: Sums) {
    const HEIGHT: usize = 4;
    let add = |a: f32, b: f32, c: f32| if cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c };
    for top in (0..ROWS).step_by(HEIGHT) {
        for column in (0..width).step_by(LANES) {
            let mut tile = [[0.0_f32; LANES]; HEIGHT];
            for p in 0..depth {
                for (i, row) in tile.iter_mut().enumerate() {
                    // SAFETY: as the caller promises, every row of `left` has `depth` values and `right` has
                    // `depth * width`.
                    let a = unsafe { *left[top + i].add(p) };
                    for (j, sum) in row.iter_mut().enumerate() {
                        *sum = add(a, unsafe { *right.add(p * width + column + j) }, *sum);
                    }
                }
            }
            for (i, row) in tile.iter().enumerate() {
                for (j, &sum) in row.iter().enumerate() {
                    // SAFETY: `sums` has 8 rows of `width` values, as the caller promises.
                    unsafe {
                        let place = sums.start.add((top + i) * sums.stride + column + j);
                        *place = if sums.keep { *place + sum } else { sum };
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vector instructions; the caller has checked bounds and machine")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{ROWS, Sums};

    /// A loop over `$height` rows and `V` vectors of columns at a time. Constant bounds: all sums stay in registers.
    macro_rules! kernel {
        ($name:ident, $features:literal, $height:literal, $lanes:literal, $zero:ident, $load:ident, $store:ident,
         $splat:ident, $fma:ident, $add:ident) => {
            #[target_feature(enable = $features)]
            unsafe fn $name<const V: usize>(
                left: &[*const f32; ROWS],
                depth: usize,
                right: *const f32,
                width: usize,
                sums: Sums,
            ) {
                for top in (0..ROWS).step_by($height) {
                    let mut tile = [[$zero(); V]; $height];
                    let mut right = right;
                    // SAFETY: every row of `left` has `depth` values, `right` has `depth` rows of `width`, of which
                    // the first `V * $lanes` are read, and `sums` has 8 rows of as many.
                    unsafe {
                        for p in 0..depth {
                            let mut b = [$load(right); V];
                            for j in 1..V {
                                b[j] = $load(right.add(j * $lanes));
                            }
                            for i in 0..$height {
                                let a = $splat(*left[top + i].add(p));
                                for j in 0..V {
                                    tile[i][j] = $fma(a, b[j], tile[i][j]);
                                }
                            }
                            right = right.add(width);
                        }
                        for i in 0..$height {
                            for j in 0..V {
                                let place = sums.start.add((top + i) * sums.stride + j * $lanes);
                                let old = if sums.keep { $load(place) } else { $zero() };
                                $store(place, $add(old, tile[i][j]));
                            }
                        }
                    }
                }
            }
        };
    }

    kernel!(
        rows_avx512,
        "avx512f",
        8,
        16,
        _mm512_setzero_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_set1_ps,
        _mm512_fmadd_ps,
        _mm512_add_ps
    );
    kernel!(
        rows_avx2,
        "avx2,fma",
        4,
        8,
        _mm256_setzero_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_set1_ps,
        _mm256_fmadd_ps,
        _mm256_add_ps
    );

    pub unsafe fn avx512(left: &[*const f32; ROWS], depth: usize, right: *const f32, width: usize, sums: Sums) {
        // SAFETY: as the caller promises.
        unsafe {
            match width {
                16 => rows_avx512::<1>(left, depth, right, width, sums),
                32 => rows_avx512::<2>(left, depth, right, width, sums),
                _ => rows_avx512::<3>(left, depth, right, width, sums),
            }
        }
    }

    /// Sixteen registers hold 4 x 24 sums.
    pub unsafe fn avx2(left: &[*const f32; ROWS], depth: usize, right: *const f32, width: usize, sums: Sums) {
        let step = if width == 48 { 24 } else { 16 };
        for column in (0..width).step_by(step) {
            // SAFETY: as the caller promises; `column + step` is at most `width`.
            unsafe {
                let part = Sums { start: sums.start.add(column), ..sums };
                if step == 24 {
                    rows_avx2::<3>(left, depth, right.add(column), width, part);
                } else {
                    rows_avx2::<2>(left, depth, right.add(column), width, part);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_equals_the_sum_of_products() {
        let value = |i: usize| ((i * 7919 % 64) as f32 - 31.5) / 8.0; // sums of its products are exact
        for kernel in Kernel::all() {
            for (depth, width, keep) in [(1, 48, false), (5, 16, true), (33, 32, true), (50, 48, true), (0, 16, true)] {
                let left: Vec<f32> = (0..ROWS * depth).map(value).collect();
                let right: Vec<f32> = (0..depth * width).map(|i| value(i + 3)).collect();
                let stride = width + 5;
                let before: Vec<f32> = (0..ROWS * stride).map(|i| value(i + 11)).collect();
                let mut sums = before.clone();
                let rows = std::array::from_fn(|i| &left[i * depth..][..depth]);
                kernel.tile(rows, &right, width, &mut sums, stride, keep);
                for (i, &found) in sums.iter().enumerate() {
                    let (row, column) = (i / stride, i % stride);
                    let product: f32 = (0..depth)
                        .map(|p| left[row * depth + p] * right.get(p * width + column).copied().unwrap_or(0.0))
                        .sum();
                    let expected = match column < width {
                        true if keep => before[i] + product,
                        true => product,
                        false => before[i],
                    };
                    assert_eq!(found, expected, "{} {depth} {width} at {row}, {column}", kernel.name);
                }
            }
        }
    }
}
