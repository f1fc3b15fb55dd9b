//! Smooth filling: push-pull pyramids with a few relaxation sweeps a level, which
//! approximates the membrane (Laplace) solution in linear time.

use crate::plane::{Mask, Plane, for_rows};

/// Fills the pixels outside `valid` from those inside; `relax` sweeps a level.
///
/// Where nothing is valid the picture comes back as it is.
pub(crate) fn membrane<const C: usize>(image: &Plane<[f32; C]>, valid: &Mask, relax: usize) -> Plane<[f32; C]> {
    filled(image, valid, &valid.not(), relax)
}

/// The same where only the pixels of `wanted` matter: the others are filled roughly or not at all.
pub(crate) fn membrane_at<const C: usize>(
    image: &Plane<[f32; C]>,
    valid: &Mask,
    wanted: &Mask,
    relax: usize,
) -> Plane<[f32; C]> {
    if !wanted.any() {
        return image.clone();
    }
    filled(image, valid, &wanted.minus(valid), relax)
}

fn filled<const C: usize>(image: &Plane<[f32; C]>, valid: &Mask, smoothed: &Mask, relax: usize) -> Plane<[f32; C]> {
    let known = valid.count();
    if known == 0 || known == valid.data.len() {
        return image.clone();
    }
    let (width, height) = (image.width, image.height);
    if width.min(height) <= 2 && width.max(height) <= 64 {
        return fill_with_mean(image, valid);
    }
    let (half, half_valid) = shrink(image, valid);
    let coarse = membrane(&half, &half_valid, relax);
    let mut out = image.clone();
    for_rows(&mut out.data, width, |y, row| {
        for (x, pixel) in row.iter_mut().enumerate() {
            if !valid.at(x, y) {
                *pixel = sample_double(&coarse, x, y);
            }
        }
    });
    debug_assert_eq!(out.height, height);
    smooth(&mut out, smoothed, relax);
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

fn shrink<const C: usize>(image: &Plane<[f32; C]>, valid: &Mask) -> (Plane<[f32; C]>, Mask) {
    halved(image.width, image.height, |x, y| valid.at(x, y).then(|| image.at(x, y)))
}

/// Half the size; each pixel is the mean of what there is of its four. `at(x, y)` gives the pixels.
pub(crate) fn halved<const C: usize>(
    width: usize,
    height: usize,
    at: impl Fn(usize, usize) -> Option<[f32; C]> + Sync,
) -> (Plane<[f32; C]>, Mask) {
    let both = Plane::from_fn(width.div_ceil(2), height.div_ceil(2), |x, y| {
        let (mut sum, mut count) = ([0.0; C], 0.0f32);
        for v in 2 * y..(2 * y + 2).min(height) {
            for u in 2 * x..(2 * x + 2).min(width) {
                if let Some(pixel) = at(u, v) {
                    count += 1.0;
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
pub(crate) fn sample_double<const C: usize>(half: &Plane<[f32; C]>, x: usize, y: usize) -> [f32; C] {
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
fn smooth<const C: usize>(image: &mut Plane<[f32; C]>, holes: &Mask, sweeps: usize) {
    let (width, height) = (image.width, image.height);
    let holes: Vec<Vec<(usize, usize)>> = (0..height).map(|y| holes.runs(y).collect()).collect();
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
    fn only_what_is_wanted_has_to_be_smooth() {
        let image = Plane::from_fn(50, 40, |x, y| [x as f32 / 50.0, (y % 7) as f32 / 7.0]);
        let valid = Plane::from_fn(50, 40, |x, y| !((10..40).contains(&x) && (8..30).contains(&y)));
        let wanted = Plane::from_fn(50, 40, |x, _| x < 25);
        let (all, some) = (membrane(&image, &valid, 8), membrane_at(&image, &valid, &wanted, 8));
        for y in 0..40 {
            for x in 0..50 {
                if valid.at(x, y) {
                    assert_eq!(some.at(x, y), image.at(x, y));
                }
                // Sweeps carry what is beyond the border of the wanted pixels a little way.
                if x < 16 {
                    assert!((0..2).all(|c| (all.at(x, y)[c] - some.at(x, y)[c]).abs() < 0.02), "{x}, {y}");
                }
            }
        }
        let none = valid.map(|_| false);
        assert_eq!(membrane_at(&image, &valid, &none, 8), image);
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
