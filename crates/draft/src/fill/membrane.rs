//! Smooth filling: push-pull pyramids with a few relaxation sweeps a level, which
//! approximates the membrane (Laplace) solution in linear time.

use crate::plane::{Mask, Plane, for_rows};

/// Fills the pixels outside `valid` from those inside; `relax` sweeps a level.
///
/// Where nothing is valid the picture comes back as it is.
pub fn membrane<const C: usize>(image: &Plane<[f32; C]>, valid: &Mask, relax: usize) -> Plane<[f32; C]> {
    let known = valid.count();
    if known == 0 || known == valid.data.len() {
        return image.clone();
    }
    let (width, height) = (image.width, image.height);
    if width.min(height) <= 2 && width.max(height) <= 64 {
        return fill_with_mean(image, valid);
    }
    let (half, half_valid) = shrink(image, valid);
    let filled = membrane(&half, &half_valid, relax);
    let mut out = image.clone();
    for_rows(&mut out.data, width, |y, row| {
        for (x, pixel) in row.iter_mut().enumerate() {
            if !valid.at(x, y) {
                *pixel = sample_double(&filled, x, y);
            }
        }
    });
    debug_assert_eq!(out.height, height);
    smooth(&mut out, valid, relax);
    out
}

fn fill_with_mean<const C: usize>(image: &Plane<[f32; C]>, valid: &Mask) -> Plane<[f32; C]> {
    let mut sum = [0.0; C];
    for (pixel, _) in image.data.iter().zip(&valid.data).filter(|(_, v)| **v) {
        for c in 0..C {
            sum[c] += pixel[c];
        }
    }
    let mean = sum.map(|s| s / valid.count() as f32);
    image.zip(valid, |pixel, v| if v { pixel } else { mean })
}

/// Half the size; each pixel is the mean of the valid ones among its four.
fn shrink<const C: usize>(image: &Plane<[f32; C]>, valid: &Mask) -> (Plane<[f32; C]>, Mask) {
    let (width, height) = (image.width.div_ceil(2), image.height.div_ceil(2));
    let both = Plane::from_fn(width, height, |x, y| {
        let (mut sum, mut count) = ([0.0; C], 0.0f32);
        for v in 2 * y..(2 * y + 2).min(image.height) {
            for u in 2 * x..(2 * x + 2).min(image.width) {
                if valid.at(u, v) {
                    count += 1.0;
                    let pixel = image.at(u, v);
                    for c in 0..C {
                        sum[c] += pixel[c];
                    }
                }
            }
        }
        (sum.map(|s| s / count.max(1.0)), count > 0.0)
    });
    (both.map(|(pixel, _)| pixel), both.map(|(_, v)| v))
}

/// Linear sample of a half-size plane at a full-size pixel.
fn sample_double<const C: usize>(half: &Plane<[f32; C]>, x: usize, y: usize) -> [f32; C] {
    let axis = |k: usize, length: usize| {
        let position = (k as f32 * 0.5 - 0.25).clamp(0.0, (length - 1) as f32);
        let low = position as usize;
        (low, (low + 1).min(length - 1), position - low as f32)
    };
    let ((x0, x1, u), (y0, y1, v)) = (axis(x, half.width), axis(y, half.height));
    let (a, b, c, d) = (half.at(x0, y0), half.at(x1, y0), half.at(x0, y1), half.at(x1, y1));
    std::array::from_fn(|k| {
        let (top, bottom) = (a[k] + (b[k] - a[k]) * u, c[k] + (d[k] - c[k]) * u);
        top + (bottom - top) * v
    })
}

/// Gauss-Seidel sweeps over the holes in red-black order.
fn smooth<const C: usize>(image: &mut Plane<[f32; C]>, valid: &Mask, sweeps: usize) {
    let (width, height) = (image.width, image.height);
    let holes: Vec<Vec<(usize, usize)>> = (0..height).map(|y| runs_outside(valid.row(y))).collect();
    if width == 0 || holes.iter().all(Vec::is_empty) {
        return;
    }
    // Pixels of one colour only look at those of the other, and rows of even number only at
    // odd ones besides themselves: apart, all rows of a half can be worked on side by side.
    let mut halves: [Vec<[f32; C]>; 2] = [Vec::new(), Vec::new()];
    image.data.chunks(width).enumerate().for_each(|(y, row)| halves[y % 2].extend_from_slice(row));
    for sweep in 0..2 * sweeps {
        for parity in 0..2 {
            let [even, odd] = &mut halves;
            let (own, other) = if parity == 0 { (even, &*odd) } else { (odd, &*even) };
            let other = |y: usize| &other[y / 2 * width..][..width];
            for_rows(own, width, |k, row| {
                let y = 2 * k + parity;
                let (above, below) = ((y > 0).then(|| other(y - 1)), (y + 1 < height).then(|| other(y + 1)));
                for &(from, to) in &holes[y] {
                    let first = from + (from + y + sweep) % 2;
                    (first..to).step_by(2).for_each(|x| relax(row, x, above, below));
                }
            });
        }
    }
    for (y, row) in image.data.chunks_mut(width).enumerate() {
        row.copy_from_slice(&halves[y % 2][y / 2 * width..][..width]);
    }
}

/// Where a row is not valid, as half-open runs.
fn runs_outside(valid: &[bool]) -> Vec<(usize, usize)> {
    let mut runs = Vec::new();
    let mut at = 0;
    while let Some(gap) = valid[at..].iter().position(|&known| !known) {
        let from = at + gap;
        at = valid[from..].iter().position(|&known| known).map_or(valid.len(), |length| from + length);
        runs.push((from, at));
    }
    runs
}

/// A pixel becomes the mean of its neighbours.
#[inline(always)]
fn relax<const C: usize>(row: &mut [[f32; C]], x: usize, above: Option<&[[f32; C]]>, below: Option<&[[f32; C]]>) {
    if let (Some(above), Some(below), true) = (above, below, x > 0 && x + 1 < row.len()) {
        let (a, b, l, r) = (above[x], below[x], row[x - 1], row[x + 1]);
        row[x] = std::array::from_fn(|c| (a[c] + b[c] + l[c] + r[c]) * 0.25);
        return;
    }
    let (mut sum, mut count) = ([0.0; C], 0.0f32);
    let left = if x > 0 { Some(row[x - 1]) } else { None };
    let neighbours = [above.map(|row| row[x]), below.map(|row| row[x]), left, row.get(x + 1).copied()];
    for neighbour in neighbours.into_iter().flatten() {
        count += 1.0;
        for c in 0..C {
            sum[c] += neighbour[c];
        }
    }
    if count > 0.0 {
        let share = 1.0 / count;
        row[x] = sum.map(|s| s * share);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_ramp_is_continued_through_a_hole() {
        let ramp = Plane::from_fn(64, 48, |x, y| [x as f32 / 64.0, y as f32 / 48.0]);
        let valid = Plane::from_fn(64, 48, |x, y| !((20..40).contains(&x) && (15..30).contains(&y)));
        let broken = ramp.zip(&valid, |p, v| if v { p } else { [9.0; 2] });
        for (a, b) in membrane(&broken, &valid, 8).data.iter().zip(&ramp.data) {
            assert!((a[0] - b[0]).abs() < 0.03 && (a[1] - b[1]).abs() < 0.03);
        }
    }

    #[test]
    fn odd_shapes_are_filled() {
        for (width, height) in [(1, 1), (1, 900), (900, 1), (2, 3), (3, 65)] {
            let mut valid = Plane::new(width, height, false);
            valid.data[0] = true;
            let filled =
                membrane(&Plane::new(width, height, [0.5f32]).zip(&valid, |p, v| if v { p } else { [7.0] }), &valid, 2);
            assert!(filled.data.iter().all(|p| (p[0] - 0.5).abs() < 1e-5), "{width}x{height}");
        }
    }
}
