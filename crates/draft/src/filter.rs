//! Smoothing and resizing of planes.

use crate::plane::{Colour, Gray, Mask, Plane, Rgb8, for_rows};
use fast_image_resize as fir;

/// Gaussian blur, sigma in pixels, the edge repeated.
pub(crate) fn gaussian<const C: usize>(image: &Plane<[f32; C]>, sigma: f32) -> Plane<[f32; C]> {
    let kernel = gaussian_kernel(sigma);
    convolve_columns(&convolve_rows(image, &kernel), &kernel)
}

/// [`gaussian`] where only the pixels of `wanted` matter: the others are 0. Pixels of the image are made by `at(x, y)`
/// when they are needed.
pub(crate) fn gaussian_at<const C: usize>(
    at: impl Fn(usize, usize) -> [f32; C] + Sync,
    sigma: f32,
    wanted: &Mask,
) -> Plane<[f32; C]> {
    let kernel = gaussian_kernel(sigma);
    let radius = kernel.len() - 1;
    let (width, height) = (wanted.width, wanted.height);
    // Rows are blurred where a wanted pixel is above or below.
    let mut near = wanted.same_size(false);
    for_rows(&mut near.data, width, |y, target| {
        for source in y.saturating_sub(radius)..(y + radius + 1).min(height) {
            target.iter_mut().zip(wanted.row(source)).for_each(|(t, &set)| *t |= set);
        }
    });
    let mut rows = wanted.same_size([0.0; C]);
    for_rows(&mut rows.data, width, |y, target| {
        let mut line = vec![[0.0; C]; width + 2 * radius];
        for (from, to) in near.runs(y) {
            // The pixels that the run sees, the edge repeated.
            for (k, value) in line[..to - from + 2 * radius].iter_mut().enumerate() {
                *value = at((from + k).saturating_sub(radius).min(width - 1), y);
            }
            for (k, value) in target[from..to].iter_mut().enumerate() {
                *value = std::array::from_fn(|c| {
                    let taps = (1..=radius).map(|t| kernel[t] * (line[k + radius - t][c] + line[k + radius + t][c]));
                    kernel[0] * line[k + radius][c] + taps.sum::<f32>()
                });
            }
        }
    });
    let mut out = wanted.same_size([0.0; C]);
    for_rows(&mut out.data, width, |y, target| {
        for (from, to) in wanted.runs(y) {
            for (k, &w) in kernel.iter().enumerate() {
                let sources: &[usize] = if k == 0 { &[y] } else { &[y.saturating_sub(k), (y + k).min(height - 1)] };
                for &source in sources {
                    for (t, s) in target[from..to].iter_mut().zip(&rows.row(source)[from..to]) {
                        for c in 0..C {
                            t[c] += w * s[c];
                        }
                    }
                }
            }
        }
    });
    out
}

/// Weights from the middle outwards, up to three times sigma.
fn gaussian_kernel(sigma: f32) -> Vec<f32> {
    let radius = (3.0 * sigma).ceil().max(1.0) as usize;
    let mut kernel: Vec<f32> = (0..=radius).map(|k| crate::numeric::exp(-0.5 * (k as f32 / sigma).powi(2))).collect();
    let sum: f32 = kernel[0] + 2.0 * kernel[1..].iter().sum::<f32>();
    kernel.iter_mut().for_each(|w| *w /= sum);
    kernel
}

fn convolve_rows<const C: usize>(image: &Plane<[f32; C]>, kernel: &[f32]) -> Plane<[f32; C]> {
    let width = image.width;
    let mut out = image.same_size([0.0; C]);
    for_rows(&mut out.data, width, |y, target| {
        let row = image.row(y);
        for (t, s) in target.iter_mut().zip(row) {
            *t = s.map(|v| v * kernel[0]);
        }
        for (k, &w) in kernel.iter().enumerate().skip(1) {
            let inner = k.min(width)..width.saturating_sub(k).max(k.min(width));
            for x in (0..inner.start).chain(inner.end..width) {
                let (a, b) = (row[x.saturating_sub(k)], row[(x + k).min(width - 1)]);
                for c in 0..C {
                    target[x][c] += w * (a[c] + b[c]);
                }
            }
            // Away from the edges all values of the row move alike.
            let left = row[..inner.len()].as_flattened();
            let right = row[(2 * k).min(width)..].as_flattened();
            let values = target[inner].as_flattened_mut().iter_mut();
            values.zip(left.iter().zip(right)).for_each(|(t, (a, b))| *t += w * (a + b));
        }
    });
    out
}

fn convolve_columns<const C: usize>(image: &Plane<[f32; C]>, kernel: &[f32]) -> Plane<[f32; C]> {
    let (width, height) = (image.width, image.height);
    let mut out = image.same_size([0.0; C]);
    for_rows(&mut out.data, width, |y, target| {
        for (k, &w) in kernel.iter().enumerate() {
            let sources: &[usize] = if k == 0 { &[y] } else { &[y.saturating_sub(k), (y + k).min(height - 1)] };
            for &source in sources {
                for (t, s) in target.iter_mut().zip(image.row(source)) {
                    for c in 0..C {
                        t[c] += w * s[c];
                    }
                }
            }
        }
    });
    out
}

/// Mean over a square window of `2 * radius + 1`, cut at the canvas edge.
pub(crate) fn box_mean<const C: usize>(image: &Plane<[f32; C]>, radius: usize) -> Plane<[f32; C]> {
    let (width, height) = (image.width, image.height);
    let mut rows = image.same_size([0.0f32; C]);
    for_rows(&mut rows.data, width, |y, target| {
        let row = image.row(y);
        // From the left end of all windows to the right, so that sums keep their order.
        for shift in 0..=2 * radius {
            let first = radius.saturating_sub(shift).min(width);
            let seen = &row[shift.saturating_sub(radius).min(width)..];
            let values = target[first..].as_flattened_mut().iter_mut();
            values.zip(seen.as_flattened()).for_each(|(t, s)| *t += s);
        }
        for (x, value) in target.iter_mut().enumerate() {
            let count = (x + radius + 1).min(width) - x.saturating_sub(radius);
            *value = value.map(|v| v / count as f32);
        }
    });
    let mut out = image.same_size([0.0f32; C]);
    for_rows(&mut out.data, width, |y, target| {
        let (from, to) = (y.saturating_sub(radius), (y + radius + 1).min(height));
        for source in from..to {
            for (t, s) in target.iter_mut().zip(rows.row(source)) {
                for c in 0..C {
                    t[c] += s[c];
                }
            }
        }
        let scale = 1.0 / (to - from) as f32;
        target.iter_mut().for_each(|t| *t = t.map(|v| v * scale));
    });
    out
}

/// Colour guided filter (He, Sun, Tang 2013): `input` smoothed along the edges of
/// `guide` (0 to 1).
pub(crate) fn guided(guide: &Colour, input: &Gray, radius: usize, epsilon: f32) -> Gray {
    // r g b p, then rp gp bp, then rr rg rb gg gb bb
    let moments =
        guide.zip(input, |[r, g, b], p| [r, g, b, p, r * p, g * p, b * p, r * r, r * g, r * b, g * g, g * b, b * b]);
    let means = box_mean(&moments, radius);
    drop(moments);
    let coefficients = means.map(|m| {
        let [r, g, b, p] = [m[0], m[1], m[2], m[3]];
        let covariance = [m[4] - r * p, m[5] - g * p, m[6] - b * p];
        let (a11, a12, a13) = (m[7] - r * r + epsilon, m[8] - r * g, m[9] - r * b);
        let (a22, a23, a33) = (m[10] - g * g + epsilon, m[11] - g * b, m[12] - b * b + epsilon);
        let (i11, i12, i13) = (a22 * a33 - a23 * a23, a13 * a23 - a12 * a33, a12 * a23 - a13 * a22);
        let (i22, i23, i33) = (a11 * a33 - a13 * a13, a12 * a13 - a11 * a23, a11 * a22 - a12 * a12);
        let determinant = (a11 * i11 + a12 * i12 + a13 * i13).max(1e-12);
        let [x, y, z] = covariance;
        let slope = [
            (i11 * x + i12 * y + i13 * z) / determinant,
            (i12 * x + i22 * y + i23 * z) / determinant,
            (i13 * x + i23 * y + i33 * z) / determinant,
        ];
        [slope[0], slope[1], slope[2], p - slope[0] * r - slope[1] * g - slope[2] * b]
    });
    drop(means);
    box_mean(&coefficients, radius).zip(guide, |c, [r, g, b]| c[0] * r + c[1] * g + c[2] * b + c[3])
}

/// Resizes an 8-bit picture; shrinking averages over the area, growing is linear.
pub(crate) fn resize_rgb(image: &Rgb8, width: usize, height: usize) -> Rgb8 {
    if (image.width, image.height) == (width, height) {
        return image.clone();
    }
    let pixels = image.data.iter().map(|&pixel| fir::pixels::U8x3::new(pixel)).collect();
    let source = fir::images::TypedImage::from_pixels(image.width as u32, image.height as u32, pixels)
        .expect("a plane has as many pixels as its size says");
    let mut target = fir::images::TypedImage::<fir::pixels::U8x3>::new(width as u32, height as u32);
    let filter = fir::ResizeAlg::Convolution(fir::FilterType::Bilinear);
    // The call for one pixel type: the one for any compiles the kernels of all of them into this crate.
    fir::Resizer::new()
        .resize_typed(&source, &mut target, &fir::ResizeOptions::new().resize_alg(filter))
        .expect("the whole of the source is resized");
    let data = target.pixels().iter().map(|pixel| pixel.0).collect();
    Plane { width, height, data }
}

/// Resizes one channel, linear between the pixel centres; for growing or mild shrinking.
pub(crate) fn resize_gray(image: &Gray, width: usize, height: usize) -> Gray {
    resize_linear(&image.map(|v| [v]), width, height).map(|v| v[0])
}

/// Linear interpolation between pixel centres.
pub(crate) fn resize_linear<const C: usize>(image: &Plane<[f32; C]>, width: usize, height: usize) -> Plane<[f32; C]> {
    let axis = |length: usize, source: usize| -> Vec<(usize, usize, f32)> {
        let scale = source as f32 / length as f32;
        (0..length)
            .map(|k| {
                let position = ((k as f32 + 0.5) * scale - 0.5).clamp(0.0, (source - 1) as f32);
                let low = position as usize;
                (low, (low + 1).min(source - 1), position - low as f32)
            })
            .collect()
    };
    let (columns, rows) = (axis(width, image.width), axis(height, image.height));
    let mut out = Plane::new(width, height, [0.0; C]);
    for_rows(&mut out.data, width, |y, target| {
        let (y0, y1, v) = rows[y];
        let (above, below) = (image.row(y0), image.row(y1));
        for (t, &(x0, x1, u)) in target.iter_mut().zip(&columns) {
            for c in 0..C {
                let top = above[x0][c] + (above[x1][c] - above[x0][c]) * u;
                let bottom = below[x0][c] + (below[x1][c] - below[x0][c]) * u;
                t[c] = top + (bottom - top) * v;
            }
        }
    });
    out
}

/// Averages over the area of each target pixel; for shrinking.
pub(crate) fn resize_area<const C: usize>(image: &Plane<[f32; C]>, width: usize, height: usize) -> Plane<[f32; C]> {
    area_means((image.width, image.height), (width, height), |x, y| image.at(x, y))
}

/// The same of values that are made when they are needed: `at(x, y)` within the size that is shrunk `from`.
pub(crate) fn area_means<const C: usize>(
    from: (usize, usize),
    to: (usize, usize),
    at: impl Fn(usize, usize) -> [f32; C] + Sync,
) -> Plane<[f32; C]> {
    let span = |k: usize, length: usize, source: usize| {
        let scale = source as f32 / length as f32;
        let (from, to) = (k as f32 * scale, ((k + 1) as f32 * scale).min(source as f32));
        (from as usize..(to.ceil() as usize).min(source))
            .map(move |i| (i, (to.min((i + 1) as f32) - from.max(i as f32)).max(1e-6)))
    };
    Plane::from_fn(to.0, to.1, |x, y| {
        let (mut sum, mut weight) = ([0.0; C], 0.0);
        for (j, v) in span(y, to.1, from.1) {
            for (i, u) in span(x, to.0, from.0) {
                let pixel = at(i, j);
                weight += u * v;
                for c in 0..C {
                    sum[c] += pixel[c] * u * v;
                }
            }
        }
        sum.map(|s| s / weight)
    })
}

/// Length of the colour gradient (largest over the channels, per pixel) by Sobel's kernel.
pub(crate) fn gradient(image: &Colour) -> Gray {
    let (width, height) = (image.width, image.height);
    Plane::from_fn(width, height, |x, y| {
        let (xs, ys) =
            ([x.saturating_sub(1), x, (x + 1).min(width - 1)], [y.saturating_sub(1), y, (y + 1).min(height - 1)]);
        let p = |i: usize, j: usize| image.at(xs[i], ys[j]);
        let mut best = 0.0f32;
        for c in 0..3 {
            let dx = p(2, 0)[c] + 2.0 * p(2, 1)[c] + p(2, 2)[c] - p(0, 0)[c] - 2.0 * p(0, 1)[c] - p(0, 2)[c];
            let dy = p(0, 2)[c] + 2.0 * p(1, 2)[c] + p(2, 2)[c] - p(0, 0)[c] - 2.0 * p(1, 0)[c] - p(2, 0)[c];
            best = best.max(dx * dx + dy * dy);
        }
        best.sqrt() / 8.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blurs_and_means_keep_a_constant() {
        let flat = Plane::new(19, 7, [0.25f32, 0.5, 1.0]);
        for plane in [gaussian(&flat, 2.0), box_mean(&flat, 3), resize_linear(&flat, 40, 3), resize_area(&flat, 5, 3)] {
            for pixel in plane.data {
                assert!(
                    (pixel[0] - 0.25).abs() < 1e-5 && (pixel[1] - 0.5).abs() < 1e-5 && (pixel[2] - 1.0).abs() < 1e-5
                );
            }
        }
    }

    /// By the definition, at all edges and for windows wider than the picture.
    #[test]
    fn blurs_and_means_are_sums_over_their_windows() {
        let mut random = crate::random::Random::new(5);
        for (width, height) in [(1, 1), (2, 9), (5, 4), (23, 7)] {
            let data = (0..width * height).map(|_| [random.below(64) as f32, random.below(64) as f32]).collect();
            let image = Plane { width, height, data };
            let kernel = [0.5f32, 0.25, 0.125, 0.0625];
            let blurred = convolve_rows(&image, &kernel);
            let means = box_mean(&image, 3);
            for y in 0..height {
                for x in 0..width {
                    let at = |u: isize| image.at((x as isize + u).clamp(0, width as isize - 1) as usize, y);
                    let mean = |c: usize| {
                        let rows = y.saturating_sub(3)..(y + 4).min(height);
                        let columns = x.saturating_sub(3)..(x + 4).min(width);
                        let count = (rows.len() * columns.len()) as f32;
                        rows.flat_map(|v| columns.clone().map(move |u| (u, v)))
                            .map(|(u, v)| image.at(u, v)[c])
                            .sum::<f32>()
                            / count
                    };
                    for c in 0..2 {
                        let taps = (1..4).map(|k| kernel[k as usize] * (at(-k)[c] + at(k)[c])).sum::<f32>();
                        assert_eq!(blurred.at(x, y)[c], 0.5 * at(0)[c] + taps, "{width} x {height} at {x}, {y}");
                        assert!((means.at(x, y)[c] - mean(c)).abs() < 1e-3, "{width} x {height} at {x}, {y}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_blur_of_some_pixels_is_the_blur_of_all_there() {
        let mut random = crate::random::Random::new(8);
        for (width, height) in [(1, 1), (7, 3), (40, 25)] {
            let data = (0..width * height).map(|_| [random.below(99) as f32, random.below(99) as f32]).collect();
            let image: Plane<[f32; 2]> = Plane { width, height, data };
            let wanted = image.map(|[a, _]| a < 30.0);
            let (all, some) = (gaussian(&image, 1.5), gaussian_at(|x, y| image.at(x, y), 1.5, &wanted));
            for ((a, b), wanted) in all.data.iter().zip(&some.data).zip(&wanted.data) {
                assert!(!wanted || (0..2).all(|c| (a[c] - b[c]).abs() < 1e-3), "{a:?} {b:?} in {width} x {height}");
            }
        }
    }

    #[test]
    fn the_guided_filter_follows_the_edge_of_the_guide() {
        let guide = Plane::from_fn(40, 20, |x, _| if x < 23 { [0.1, 0.2, 0.3] } else { [0.9, 0.8, 0.7] });
        // The mask stops three pixels short of the edge.
        let input = Plane::from_fn(40, 20, |x, _| if x < 20 { 1.0 } else { 0.0 });
        let out = guided(&guide, &input, 6, 1e-4);
        assert!(out.at(21, 10) > 0.5 && out.at(24, 10) < 0.3);
    }
}
