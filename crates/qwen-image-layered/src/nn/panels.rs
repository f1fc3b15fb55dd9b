//! Matrix products on the CPU: the right operand in panels, the left one in blocks that fit the caches
//! (the scheme of Goto and van de Geijn 2008, and of BLIS).

use rayon::prelude::*;

use super::cpu::Element;
use super::tile::{LANES, PANEL, ROWS, turn};
use super::word::Word;

/// Words of depth in one pass over a block: a panel of it is 72 KiB, which the second-level cache streams fast enough.
const DEPTH: usize = 384;
/// Rows of one task: with a pass's depth 144 KiB, and at [`COLUMNS`] columns 360 KiB of sums.
const BLOCK_ROWS: usize = 96;
/// Columns that are worth packing together.
pub const COLUMNS: usize = 20 * PANEL;

/// The right operand of products, (depth, columns), cut into panels of 48 columns; the last one is
/// narrower and filled up with zeros to 16, 32 or 48. Within a panel, one row of words follows the other; where a word
/// holds several terms, they are neighbours in depth.
#[derive(Debug, Clone, Default)]
pub struct Panels<W> {
    values: Vec<W>,
    /// In words.
    depth: usize,
    columns: usize,
}

impl<W: Word> Panels<W> {
    /// Panels of this size whose words `fill(first column, count, width, panel)` writes, on some thread.
    /// Reuses the memory of `self`; what `fill` leaves alone is 0.
    fn refill(&mut self, depth: usize, columns: usize, fill: impl Fn(usize, usize, usize, &mut [W]) + Sync) {
        let depth = depth.div_ceil(W::TERMS);
        // Of one size, the same words are written each time: the others are still 0.
        if (self.depth, self.columns) != (depth, columns) {
            (self.depth, self.columns) = (depth, columns);
            self.values.clear();
            self.values.resize(depth * columns.next_multiple_of(LANES), W::default());
        }
        if depth == 0 {
            return;
        }
        self.values.par_chunks_mut(PANEL * depth).enumerate().for_each(|(index, panel)| {
            let first = index * PANEL;
            pulp::Arch::new().dispatch(|| fill(first, PANEL.min(columns - first), panel.len() / depth, panel));
        });
    }

    /// From the operand's transpose: `rows` (columns, depth), of which neighbours are `stride` apart.
    pub fn refill_transposed<T: Element>(&mut self, rows: &[T], depth: usize, columns: usize, stride: usize) {
        self.refill(depth, columns, |first, count, width, panel| {
            for lane in (0..count).step_by(LANES) {
                let lanes = LANES.min(count - lane);
                transpose(&rows[(first + lane) * stride..], lanes, stride, depth, &mut panel[lane..], width);
            }
        });
    }

    /// From `rows` (depth, columns), of which neighbours are `stride` apart.
    pub fn refill_straight<T: Element>(&mut self, rows: &[T], depth: usize, columns: usize, stride: usize) {
        self.refill(depth, columns, |first, count, width, panel| {
            for (p, words) in panel.chunks_mut(width).enumerate() {
                let row = |p: usize| (p < depth).then(|| &rows[p * stride + first..][..count]);
                W::stack(&mut words[..count], [row(W::TERMS * p), row(W::TERMS * p + 1)]);
            }
        });
    }

    /// How many panels there are.
    pub fn count(&self) -> usize {
        self.columns.div_ceil(PANEL)
    }

    /// Width of panel `index`.
    pub fn width(&self, index: usize) -> usize {
        PANEL.min(self.columns.next_multiple_of(LANES) - index * PANEL)
    }

    /// Rows of words `start..start + depth` of panel `index`.
    pub fn part(&self, index: usize, start: usize, depth: usize) -> &[W] {
        let width = self.width(index);
        &self.values[index * PANEL * self.depth + start * width..][..depth * width]
    }

    /// `left` (m, left_stride) times this, plus `bias`, to columns `first..` of `out` (m, out_stride).
    ///
    /// Rows of `left` are as long as this is deep, in terms.
    pub fn multiply<T: Element>(
        &self,
        left: &[T],
        left_stride: usize,
        bias: &[f32],
        out: &mut [T],
        out_stride: usize,
        first: usize,
    ) {
        let rows = block_rows(out.len() / out_stride.max(1), rayon::current_num_threads());
        let sums_stride = self.columns.next_multiple_of(LANES);
        let passes = self.depth.div_ceil(DEPTH).max(1);
        let pass = self.depth.div_ceil(passes);
        let kernel = W::kernel();
        out.par_chunks_mut(rows * out_stride).zip(left.par_chunks(rows * left_stride)).for_each_init(
            || (Vec::new(), Vec::new()),
            |(block, sums), (out, left)| {
                let tiles = (left.len() / left_stride).div_ceil(ROWS);
                sums.resize(tiles * ROWS * sums_stride, 0.0);
                for start in (0..self.depth).step_by(pass) {
                    let depth = pass.min(self.depth - start);
                    copy_block(left, left_stride, start, depth, tiles * ROWS, block);
                    for panel in 0..self.count() {
                        let (width, right) = (self.width(panel), self.part(panel, start, depth));
                        for (tile, rows) in block.chunks(ROWS * depth).enumerate() {
                            let rows = std::array::from_fn(|i| &rows[i * depth..][..depth]);
                            let sums = &mut sums[tile * ROWS * sums_stride + panel * PANEL..];
                            kernel.tile(rows, right, width, sums, sums_stride, start > 0);
                        }
                    }
                }
                pulp::Arch::new().dispatch(|| {
                    for (out, sums) in out.chunks_mut(out_stride).zip(sums.chunks(sums_stride)) {
                        let out = &mut out[first..first + self.columns];
                        for ((out, sum), bias) in out.iter_mut().zip(sums).zip(bias) {
                            *out = T::narrow(sum + bias);
                        }
                    }
                });
            },
        );
    }
}

/// Rows of one task: as many as fit the caches, but such that no thread has much more to do than another.
fn block_rows(rows: usize, threads: usize) -> usize {
    let tiles = rows.div_ceil(ROWS);
    let most = BLOCK_ROWS / ROWS;
    // Tiles of the thread that has the most, for each size of a task; of equals the largest.
    let longest = |size: usize| tiles.div_ceil(size).div_ceil(threads) * size;
    (1..=most).rev().min_by_key(|&size| longest(size)).unwrap_or(most) * ROWS
}

/// Words `start..start + depth` of the rows of `left`, `stride` terms apart, as a block of `rows`, filled up with 0.
fn copy_block<T: Element, W: Word>(
    left: &[T],
    stride: usize,
    start: usize,
    depth: usize,
    rows: usize,
    block: &mut Vec<W>,
) {
    block.resize(rows * depth, W::default());
    let count = left.len() / stride;
    pulp::Arch::new().dispatch(|| {
        for (words, row) in block.chunks_mut(depth).zip(left.chunks(stride)) {
            W::fill(words, &row[W::TERMS * start..stride.min(W::TERMS * (start + depth))]);
        }
    });
    block[count * depth..].fill(W::default());
}

/// Writes up to 16 `rows` of `depth` terms, `stride` apart, as columns of `panel`, whose rows are `width` words apart.
#[inline(always)]
fn transpose<T: Element, W: Word>(
    rows: &[T],
    count: usize,
    stride: usize,
    depth: usize,
    panel: &mut [W],
    width: usize,
) {
    let mut block = [[W::default(); LANES]; LANES];
    let terms = LANES * W::TERMS;
    for start in (0..depth).step_by(terms) {
        let length = terms.min(depth - start);
        let rows = block.iter_mut().zip(rows.chunks(stride)).take(count);
        if length == terms {
            // A length that the compiler knows makes single loads of it.
            rows.for_each(|(to, row)| W::fill(to, &row[start..start + terms]));
        } else {
            rows.for_each(|(to, row)| W::fill(to, &row[start..start + length]));
        }
        turn(&block, &mut panel[start / W::TERMS * width..], length.div_ceil(W::TERMS), width);
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;
    use crate::nn::word::Pair;

    fn value(i: usize) -> f32 {
        ((i * 7919 % 64) as f32 - 31.5) / 8.0
    }

    /// `left` and `right` hold values that bf16 has too, so both kinds of words give the exact sums.
    fn check<T: Element, W: Word>(m: usize, depth: usize, columns: usize) {
        let left: Vec<T> = (0..m * depth).map(|i| T::narrow(value(i))).collect();
        let right: Vec<bf16> = (0..columns * depth).map(|i| bf16::from_f32(value(i + 5))).collect();
        let bias: Vec<f32> = (0..columns).map(value).collect();
        let mut straight = vec![0.0; depth * columns];
        for (i, value) in right.iter().enumerate() {
            straight[i % depth * columns + i / depth] = value.to_f32();
        }
        let (mut panels, stride) = (Panels::<W>::default(), columns + 3);
        let mut out = vec![vec![T::default(); m * stride]; 2];
        panels.refill_transposed(&right, depth, columns, depth);
        panels.multiply(&left, depth, &bias, &mut out[0], stride, 2);
        panels.refill_straight(&straight, depth, columns, columns);
        panels.multiply(&left, depth, &bias, &mut out[1], stride, 2);
        for (i, (&found, other)) in out[0].iter().zip(&out[1]).enumerate() {
            let (row, column) = (i / stride, i % stride);
            let expected = match column.checked_sub(2).filter(|&column| column < columns) {
                None => 0.0,
                Some(column) => {
                    let product = |p: usize| left[row * depth + p].widen() * straight[p * columns + column];
                    bias[column] + (0..depth).map(product).sum::<f32>()
                }
            };
            let place = format!("({m}, {depth}, {columns}) at {row}, {column}");
            assert_eq!((found.widen(), other.widen()), (T::narrow(expected).widen(), found.widen()), "{place}");
        }
    }

    #[test]
    fn products_equal_sums_at_every_edge() {
        for (m, depth, columns) in [(1, 1, 1), (7, 5, 50), (8, 385, 48), (9, 801, 97), (205, 17, 130)] {
            check::<f32, f32>(m, depth, columns);
            check::<bf16, f32>(m, depth, columns);
            check::<bf16, Pair>(m, depth, columns);
        }
    }

    #[test]
    fn threads_get_equal_shares() {
        assert_eq!([9600, 546, 16, 1].map(|rows| block_rows(rows, 2)), [96, 56, 8, 8]);
        assert_eq!([546, 0].map(|rows| block_rows(rows, 64)), [16, 96]);
    }

    #[test]
    fn panels_of_another_size_keep_nothing() {
        let mut panels = Panels::<Pair>::default();
        panels.refill_transposed(&[1.0_f32; 64 * 5], 5, 64, 5);
        panels.refill_transposed(&[1.0_f32; 50 * 3], 3, 50, 3);
        assert!(panels.part(1, 0, 2).iter().enumerate().all(|(i, word)| (i % 16 < 2) == (word.bits() != 0)));
    }
}
