//! Matrix products on the CPU: the right operand in panels, the left one in blocks that fit the caches
//! (the scheme of Goto and van de Geijn 2008, and of BLIS).

use rayon::prelude::*;

use super::cpu::Element;
use super::tile::{KERNEL, LANES, PANEL, ROWS};

/// Depth of one pass over a block: a panel of it is 72 KiB, which the second-level cache streams fast enough.
const DEPTH: usize = 384;
/// Rows of one task: with a pass's depth 144 KiB, and at [`COLUMNS`] columns 360 KiB of sums.
const BLOCK_ROWS: usize = 96;
/// Columns that are worth packing together.
pub const COLUMNS: usize = 20 * PANEL;

/// The right operand of products, (depth, columns) in f32, cut into panels of 48 columns; the last one is
/// narrower and filled up with zeros to 16, 32 or 48. Within a panel, one row follows the other.
#[derive(Debug, Clone, Default)]
pub struct Panels {
    values: Vec<f32>,
    depth: usize,
    columns: usize,
}

impl Panels {
    /// Panels of this size whose values `fill(first column, count, width, panel)` writes, on some thread.
    /// Reuses the memory of `self`; what `fill` leaves alone is 0.
    pub fn refill(&mut self, depth: usize, columns: usize, fill: impl Fn(usize, usize, usize, &mut [f32]) + Sync) {
        (self.depth, self.columns) = (depth, columns);
        self.values.clear();
        self.values.resize(depth * columns.next_multiple_of(LANES), 0.0);
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
            for (p, panel) in panel.chunks_mut(width).enumerate() {
                let row = &rows[p * stride + first..][..count];
                panel.iter_mut().zip(row).for_each(|(to, from)| *to = from.widen());
            }
        });
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// How many panels there are.
    pub fn count(&self) -> usize {
        self.columns.div_ceil(PANEL)
    }

    /// Width of panel `index`.
    pub fn width(&self, index: usize) -> usize {
        PANEL.min(self.columns.next_multiple_of(LANES) - index * PANEL)
    }

    /// Rows `start..start + depth` of panel `index`.
    pub fn part(&self, index: usize, start: usize, depth: usize) -> &[f32] {
        let width = self.width(index);
        &self.values[index * PANEL * self.depth + start * width..][..depth * width]
    }

    /// `left` (m, depth) times this, plus `bias`, to columns `first..` of `out` (m, out_stride).
    pub fn multiply<T: Element>(&self, left: &[T], bias: &[f32], out: &mut [T], out_stride: usize, first: usize) {
        let rows = block_rows(out.len() / out_stride.max(1));
        let sums_stride = self.columns.next_multiple_of(LANES);
        let passes = self.depth.div_ceil(DEPTH).max(1);
        let pass = self.depth.div_ceil(passes);
        out.par_chunks_mut(rows * out_stride).zip(left.par_chunks(rows * self.depth)).for_each_init(
            || (Vec::new(), Vec::new()),
            |(block, sums), (out, left)| {
                let tiles = (left.len() / self.depth).div_ceil(ROWS);
                sums.resize(tiles * ROWS * sums_stride, 0.0);
                for start in (0..self.depth).step_by(pass) {
                    let depth = pass.min(self.depth - start);
                    copy_block(left, self.depth, start, depth, tiles * ROWS, block);
                    for panel in 0..self.count() {
                        let (width, right) = (self.width(panel), self.part(panel, start, depth));
                        for (tile, rows) in block.chunks(ROWS * depth).enumerate() {
                            let rows = std::array::from_fn(|i| &rows[i * depth..][..depth]);
                            let sums = &mut sums[tile * ROWS * sums_stride + panel * PANEL..];
                            KERNEL.tile(rows, right, width, sums, sums_stride, start > 0);
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

/// Rows of one task, so that each thread has some tasks.
fn block_rows(rows: usize) -> usize {
    (rows / (4 * rayon::current_num_threads())).next_multiple_of(ROWS).clamp(ROWS, BLOCK_ROWS)
}

/// Columns `start..start + depth` of `left`, its rows `stride` apart, as a block of `rows`, filled up with zeros.
fn copy_block<T: Element>(left: &[T], stride: usize, start: usize, depth: usize, rows: usize, block: &mut Vec<f32>) {
    block.clear();
    block.reserve(rows * depth);
    pulp::Arch::new().dispatch(|| {
        for row in left.chunks(stride) {
            block.extend(row[start..start + depth].iter().map(|value| value.widen()));
        }
    });
    block.resize(rows * depth, 0.0);
}

/// Writes up to 16 `rows` of `depth` values, `stride` apart, as columns of `panel`, whose rows are `width` apart.
#[inline(always)]
fn transpose<T: Element>(rows: &[T], count: usize, stride: usize, depth: usize, panel: &mut [f32], width: usize) {
    let mut block = [[0.0_f32; LANES]; LANES];
    for start in (0..depth).step_by(LANES) {
        let length = LANES.min(depth - start);
        for (lane, to) in block.iter_mut().enumerate().take(count) {
            let row = &rows[lane * stride + start..][..length];
            to.iter_mut().zip(row).for_each(|(to, from)| *to = from.widen());
        }
        for i in 0..length {
            let column: [f32; LANES] = std::array::from_fn(|lane| block[lane][i]);
            panel[(start + i) * width..][..LANES].copy_from_slice(&column);
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    fn value(i: usize) -> f32 {
        ((i * 7919 % 64) as f32 - 31.5) / 8.0
    }

    #[test]
    fn products_equal_sums_at_every_edge() {
        for (m, depth, columns) in [(1, 1, 1), (7, 5, 50), (8, 385, 48), (9, 800, 97), (205, 17, 130)] {
            let left: Vec<bf16> = (0..m * depth).map(|i| bf16::from_f32(value(i))).collect();
            let right: Vec<bf16> = (0..columns * depth).map(|i| bf16::from_f32(value(i + 5))).collect();
            let bias: Vec<f32> = (0..columns).map(value).collect();
            let wide: Vec<f32> = left.iter().map(|x| x.to_f32()).collect();
            let mut straight = vec![0.0; depth * columns];
            for (i, value) in right.iter().enumerate() {
                straight[i % depth * columns + i / depth] = value.to_f32();
            }
            let (mut panels, stride) = (Panels::default(), columns + 3);
            let mut out = vec![vec![0.0_f32; m * stride]; 2];
            panels.refill_transposed(&right, depth, columns, depth);
            panels.multiply(&wide, &bias, &mut out[0], stride, 2);
            panels.refill_straight(&straight, depth, columns, columns);
            panels.multiply(&wide, &bias, &mut out[1], stride, 2);
            assert_eq!(out[0], out[1]);
            let mut narrow = vec![bf16::ZERO; m * stride];
            panels.multiply(&left, &bias, &mut narrow, stride, 2);
            for (i, (&found, narrow)) in out[0].iter().zip(narrow).enumerate() {
                let (row, column) = (i / stride, i % stride);
                let expected = match column.checked_sub(2).filter(|&column| column < columns) {
                    None => 0.0,
                    Some(column) => {
                        let product = |p: usize| wide[row * depth + p] * straight[p * columns + column];
                        bias[column] + (0..depth).map(product).sum::<f32>()
                    }
                };
                assert_eq!(found, expected, "({m}, {depth}, {columns}) at {row}, {column}");
                assert_eq!(narrow, bf16::from_f32(expected));
            }
        }
    }
}
