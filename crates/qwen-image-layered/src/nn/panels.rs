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
}

/// One of several products of as many rows and columns that are summed.
#[derive(Debug, Clone, Copy)]
pub struct Product<'a, T, W> {
    /// (m, stride)
    pub left: &'a [T],
    /// Terms of a row of `left`: as many as `right` is deep.
    pub stride: usize,
    /// The right operand.
    pub right: &'a Panels<W>,
}

/// The sum of `products` (at least one) and `bias`, to columns `first..` of `out` (m, out_stride). Sums are in f32 and
/// rounded once.
pub fn multiply<T: Element, W: Word>(
    products: &[Product<T, W>],
    bias: &[f32],
    out: &mut [T],
    out_stride: usize,
    first: usize,
) {
    let rows = block_rows(out.len() / out_stride.max(1), rayon::current_num_threads());
    let columns = products.first().map_or(0, |product| product.right.columns);
    let sums_stride = columns.next_multiple_of(LANES);
    out.par_chunks_mut(rows * out_stride).enumerate().for_each_init(
        || (Vec::new(), Vec::new()),
        |(block, sums), (task, out)| {
            let count = out.len() / out_stride;
            sums.resize(count.next_multiple_of(ROWS) * sums_stride, 0.0);
            for (index, product) in products.iter().enumerate() {
                let left = &product.left[task * rows * product.stride..][..count * product.stride];
                add_product(Product { left, ..*product }, block, sums, index > 0);
            }
            pulp::Arch::new().dispatch(|| {
                for (out, sums) in out.chunks_mut(out_stride).zip(sums.chunks(sums_stride)) {
                    let out = &mut out[first..first + columns];
                    for ((out, sum), bias) in out.iter_mut().zip(sums).zip(bias) {
                        *out = T::narrow(sum + bias);
                    }
                }
            });
        },
    );
}

/// Writes the product of one task's rows to `sums`, or adds it to those that are there. `block` is room to work in.
fn add_product<T: Element, W: Word>(product: Product<T, W>, block: &mut Vec<W>, sums: &mut [f32], keep: bool) {
    let Product { left, stride, right } = product;
    let sums_stride = right.columns.next_multiple_of(LANES);
    let passes = right.depth.div_ceil(DEPTH).max(1);
    let pass = right.depth.div_ceil(passes);
    let tiles = (left.len() / stride).div_ceil(ROWS);
    let kernel = W::kernel();
    for start in (0..right.depth).step_by(pass) {
        let depth = pass.min(right.depth - start);
        copy_block(left, stride, start, depth, tiles * ROWS, block);
        for panel in 0..right.count() {
            let (width, values) = (right.width(panel), right.part(panel, start, depth));
            for (tile, rows) in block.chunks(ROWS * depth).enumerate() {
                let rows = std::array::from_fn(|i| &rows[i * depth..][..depth]);
                let sums = &mut sums[tile * ROWS * sums_stride + panel * PANEL..];
                kernel.tile(rows, values, width, sums, sums_stride, keep || start > 0);
            }
        }
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
        multiply(&[Product { left: &left, stride: depth, right: &panels }], &bias, &mut out[0], stride, 2);
        panels.refill_straight(&straight, depth, columns, columns);
        multiply(&[Product { left: &left, stride: depth, right: &panels }], &bias, &mut out[1], stride, 2);
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
    fn several_products_are_summed_before_they_are_rounded() {
        let (m, depths, columns) = (21, [40, 6, 3], 70);
        let left = depths.map(|depth| (0..m * depth).map(|i| bf16::from_f32(value(i))).collect::<Vec<_>>());
        let right = depths.map(|depth| (0..columns * depth).map(|i| value(i + 5)).collect::<Vec<_>>());
        let panels: [Panels<Pair>; 3] = std::array::from_fn(|i| {
            let mut panels = Panels::default();
            panels.refill_transposed(&right[i], depths[i], columns, depths[i]);
            panels
        });
        let products: Vec<_> =
            (0..3).map(|i| Product { left: &left[i], stride: depths[i], right: &panels[i] }).collect();
        let mut out = vec![bf16::ZERO; m * columns];
        multiply(&products, &vec![0.25; columns], &mut out, columns, 0);
        for (i, found) in out.iter().enumerate() {
            let (row, column) = (i / columns, i % columns);
            let product = |k: usize, p: usize| left[k][row * depths[k] + p].widen() * right[k][column * depths[k] + p];
            let sum: f32 = (0..3).flat_map(|k| (0..depths[k]).map(move |p| (k, p))).map(|(k, p)| product(k, p)).sum();
            assert_eq!(found.widen(), bf16::narrow(sum + 0.25).widen(), "{row}, {column}");
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
