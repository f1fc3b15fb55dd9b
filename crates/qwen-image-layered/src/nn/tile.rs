//! The inner loop of every matrix product on the CPU: 8 rows by up to 48 columns of f32 sums, in registers.
//!
//! Operands are [`Word`]s: f32, or pairs of bf16 where both operands are bf16 anyway and that pays.

#[cfg(target_arch = "x86_64")]
mod x86;

use super::word::{Pair, Word};

/// Rows of sums that are computed together.
pub const ROWS: usize = 8;
/// Widths of panels are multiples of this.
pub const LANES: usize = 16;
/// The widest panel.
pub const PANEL: usize = 3 * LANES;

type Function<W> = unsafe fn(left: &[*const W; ROWS], depth: usize, right: *const W, width: usize, sums: Sums);

/// Where a tile's sums lie, and whether it adds to what is there.
#[derive(Clone, Copy)]
struct Sums {
    start: *mut f32,
    stride: usize,
    keep: bool,
}

/// A version of the loop for some instruction set.
#[derive(Clone, Copy)]
pub struct Kernel<W> {
    function: Function<W>,
    #[cfg(test)]
    pub name: &'static str,
}

fn version<W>(function: Function<W>, _name: &'static str) -> Kernel<W> {
    Kernel {
        function,
        #[cfg(test)]
        name: _name,
    }
}

impl Kernel<f32> {
    /// What this machine can run, the fastest first.
    #[allow(clippy::vec_init_then_push, reason = "what comes first depends on the machine")]
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                all.push(version(x86::avx512, "avx512"));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(version(x86::avx2, "avx2"));
            }
        }
        all.push(version(portable, "portable"));
        all
    }
}

impl Kernel<Pair> {
    /// What this machine can run, the fastest first.
    #[allow(clippy::vec_init_then_push, reason = "what comes first depends on the machine")]
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512f") {
            all.push(version(x86::avx512_pairs, "avx512 pairs"));
        }
        all.push(version(portable_pairs, "portable pairs"));
        all
    }
}

impl<W: Word> Kernel<W> {
    /// `sums (8, width) = [sums +] left (8, depth) right (depth, width)`, rows of sums `stride` apart, `depth` in
    /// words.
    ///
    /// # Panics
    /// When `width` is not 16, 32 or 48, the rows of `left` are not as long as the first, or `right` or `sums`
    /// is too short: a defect of the caller.
    #[inline]
    #[allow(unsafe_code, reason = "the loops take raw pointers; the asserts bound all that they reach")]
    pub fn tile(self, left: [&[W]; ROWS], right: &[W], width: usize, sums: &mut [f32], stride: usize, keep: bool) {
        let depth = left[0].len();
        assert!(matches!(width, 16 | 32 | 48), "width of a panel");
        assert!(left.iter().all(|row| row.len() == depth), "rows of a tile are of one length");
        assert!(right.len() >= depth * width, "the panel is as deep as the rows");
        assert!(stride >= width && sums.len() >= (ROWS - 1) * stride + width, "the sums lie in their slice");
        let sums = Sums { start: sums.as_mut_ptr(), stride, keep };
        // SAFETY: the asserts above bound every element that is read or written, `sums` is borrowed mutably, and
        // `all` gives only functions whose instructions this machine has.
        unsafe { (self.function)(&left.map(<[W]>::as_ptr), depth, right.as_ptr(), width, sums) }
    }
}

/// Writes the first `rows` columns of `block` as rows, which are `width` words apart in `to`.
///
/// # Panics
/// When `to` is too short or `rows` above 16: a defect of the caller.
#[inline]
#[allow(unsafe_code, reason = "vector instructions, where the machine has them")]
pub fn turn<W: Word>(block: &[[W; LANES]; LANES], to: &mut [W], rows: usize, width: usize) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        assert!(rows <= LANES && (rows == 0 || to.len() >= (rows - 1) * width + LANES), "the rows lie in their slice");
        const { assert!(size_of::<W>() == 4) }
        // SAFETY: a word is 32 bits without a meaning to the function, every row that it writes lies in `to`, and
        // the machine has its instructions.
        unsafe { x86::turn_avx512(block.as_ptr().cast(), to.as_mut_ptr().cast(), rows, width) };
        return;
    }
    turn_portable(block, to, rows, width);
}

#[inline(always)]
fn turn_portable<W: Word>(block: &[[W; LANES]; LANES], to: &mut [W], rows: usize, width: usize) {
    for i in 0..rows {
        let column: [W; LANES] = std::array::from_fn(|lane| block[lane][i]);
        to[i * width..][..LANES].copy_from_slice(&column);
    }
}

/// For machines without a version of their own; LLVM makes vectors of it.
#[allow(unsafe_code, reason = "one signature for all versions; the caller has checked the bounds")]
unsafe fn portable(left: &[*const f32; ROWS], depth: usize, right: *const f32, width: usize, sums: Sums) {
    // SAFETY: as the caller promises.
    unsafe { portable_with(left, depth, right, width, sums, add) }
}

#[allow(unsafe_code, reason = "one signature for all versions; the caller has checked the bounds")]
unsafe fn portable_pairs(left: &[*const Pair; ROWS], depth: usize, right: *const Pair, width: usize, sums: Sums) {
    let dot = |a: Pair, b: Pair, sum| {
        let ([a0, a1], [b0, b1]) = (a.terms(), b.terms());
        add(a1, b1, add(a0, b0, sum))
    };
    // SAFETY: as the caller promises.
    unsafe { portable_with(left, depth, right, width, sums, dot) }
}

#[inline(always)]
fn add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
#[allow(unsafe_code, reason = "one signature for all versions; the caller has checked the bounds")]
unsafe fn portable_with<W: Word>(
    left: &[*const W; ROWS],
    depth: usize,
    right: *const W,
    width: usize,
    sums: Sums,
    add: impl Fn(W, W, f32) -> f32,
) {
    const HEIGHT: usize = 4;
    for top in (0..ROWS).step_by(HEIGHT) {
        for column in (0..width).step_by(LANES) {
            let mut tile = [[0.0_f32; LANES]; HEIGHT];
            for p in 0..depth {
                for (i, row) in tile.iter_mut().enumerate() {
                    // SAFETY: as the caller promises, every row of `left` has `depth` words and `right` has
                    // `depth * width`.
                    let a = unsafe { *left[top + i].add(p) };
                    for (j, sum) in row.iter_mut().enumerate() {
                        // SAFETY: as above.
                        let b = unsafe { *right.add(p * width + column + j) };
                        *sum = add(a, b, *sum);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums of its products are exact, in bf16 too.
    fn value(i: usize) -> f32 {
        ((i * 7919 % 64) as f32 - 31.5) / 8.0
    }

    fn check<W: Word>(kernel: Kernel<W>) {
        for (words, width, keep) in [(1, 48, false), (5, 16, true), (33, 32, true), (50, 48, true), (0, 16, true)] {
            let depth = words * W::TERMS;
            let left: Vec<f32> = (0..ROWS * depth).map(value).collect();
            let right: Vec<f32> = (0..width * depth).map(|i| value(i + 3)).collect(); // (width, depth)
            let mut left_words = vec![W::default(); ROWS * words];
            W::fill(&mut left_words, &left);
            let mut column = vec![W::default(); words];
            let mut right_words = vec![W::default(); words * width];
            for j in 0..width {
                W::fill(&mut column, &right[j * depth..][..depth]);
                column.iter().enumerate().for_each(|(p, &word)| right_words[p * width + j] = word);
            }
            let stride = width + 5;
            let before: Vec<f32> = (0..ROWS * stride).map(|i| value(i + 11)).collect();
            let mut sums = before.clone();
            let rows = std::array::from_fn(|i| &left_words[i * words..][..words]);
            kernel.tile(rows, &right_words, width, &mut sums, stride, keep);
            for (i, &found) in sums.iter().enumerate() {
                let (row, column) = (i / stride, i % stride);
                let product = || -> f32 { (0..depth).map(|p| left[row * depth + p] * right[column * depth + p]).sum() };
                let expected = match column < width {
                    true if keep => before[i] + product(),
                    true => product(),
                    false => before[i],
                };
                assert_eq!(found, expected, "{} {words} {width} at {row}, {column}", kernel.name);
            }
        }
    }

    #[test]
    fn blocks_are_turned_alike_on_every_machine() {
        let block: [[f32; LANES]; LANES] = std::array::from_fn(|i| std::array::from_fn(|j| (i * LANES + j) as f32));
        for (rows, width) in [(16, 48), (16, 16), (5, 32), (0, 16)] {
            let mut found = [vec![-1.0; 16 * width], vec![-1.0; 16 * width]];
            turn(&block, &mut found[0], rows, width);
            turn_portable(&block, &mut found[1], rows, width);
            assert_eq!(found[0], found[1]);
            let at =
                |k: usize| if k / width < rows && k % width < 16 { (k % width * 16 + k / width) as f32 } else { -1.0 };
            assert!(found[0].iter().enumerate().all(|(k, &value)| value == at(k)), "{rows} {width}");
        }
    }

    #[test]
    fn every_kernel_equals_the_sum_of_products() {
        Kernel::<f32>::all().into_iter().for_each(check);
        Kernel::<Pair>::all().into_iter().for_each(check);
    }
}
