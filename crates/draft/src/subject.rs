//! From a saliency map to the outline of the subject: a cut through the graph of
//! segments, where saliency and colour pull and weak borders hold together.

use crate::background::working_size;
use crate::colour::{distance_squared, oklab_plane};
use crate::filter::{gaussian, resize_gray, resize_rgb};
use crate::maxflow::Graph;
use crate::monitor::{Monitor, Stopped};
use crate::numeric::exp;
use crate::plane::{Colour, Gray, Mask, Plane, Rgb8};
use crate::segments::{borders, felzenszwalb, means};

/// Segments are cut along a grid of this many pixels, so that one leaking
/// segment cannot take half the picture.
const GRID: usize = 44;
/// Cost of a border pixel relative to the pull of a segment's pixels.
const PULL: f32 = 0.12;

/// The subject at working size. `limits` bound the saliency from which a segment
/// counts as subject where the map is ambiguous.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(crate) fn outline(image: &Rgb8, saliency: &Gray, limits: (f32, f32), monitor: &Monitor) -> Result<Mask, Stopped> {
    let (width, height) = working_size(image.width, image.height);
    let lab = oklab_plane(&resize_rgb(image, width, height));
    let (labels, whole, count) = gridded_segments(&lab, monitor)?;
    monitor.check()?;
    let map = resize_gray(saliency, width, height);
    let (colours, sizes) = means(&labels, count, &lab);
    let salient = mean_of(&labels, count, &map, &sizes);
    let threshold = threshold(saliency, limits);
    let likeness = colour_likeness(&colours, &sizes, &salient);
    let mut graph = Graph::new(count);
    for k in 0..count {
        let p = salient[k].clamp(0.02, 0.98);
        let lean = logit(p) - logit(threshold) + 0.12 * likeness[k] * (1.0 - (2.0 * salient[k] - 1.0).powi(4));
        graph.leaning(k, (100.0 * PULL * lean * sizes[k]) as i64);
    }
    for border in borders(&labels, &lab) {
        let (a, b) = (border.a as usize, border.b as usize);
        let contrast = distance_squared(colours[a], colours[b]).sqrt().max(border.contrast);
        let mut cost = border.length * (1.2 * exp(-(contrast / 0.05).powi(2)) + 0.06);
        if whole[a] == whole[b] {
            cost += 0.5 * border.length;
        }
        graph.neighbours(a, b, (100.0 * cost) as i64);
    }
    monitor.check()?;
    let sides = graph.cut();
    Ok(labels.map(|k| sides[k as usize]))
}

fn logit(p: f32) -> f32 {
    libm::logf(p / (1.0 - p))
}

/// Segments cut along the grid, the segment each came from, and their number.
fn gridded_segments(lab: &Colour, monitor: &Monitor) -> Result<(Plane<u32>, Vec<u32>, usize), Stopped> {
    // Twice the plain a and b, as 1.6 is already in the plane.
    let stretched = lab.map(|[l, a, b]| [l, 1.25 * a, 1.25 * b]);
    let segments = felzenszwalb(&gaussian(&stretched, 0.6), 80.0 / 65025.0, 40, monitor)?;
    let across = lab.width / GRID + 1;
    let cells = Plane::from_fn(lab.width, lab.height, |x, y| {
        let cell = (y / GRID) * across + x / GRID;
        (u64::from(segments.labels.at(x, y)) << 32) | cell as u64
    });
    let mut keys = cells.data.clone();
    keys.sort_unstable();
    keys.dedup();
    let labels = cells.map(|key| keys.binary_search(&key).map_or(0, |k| k as u32));
    let whole = keys.iter().map(|key| (key >> 32) as u32).collect();
    Ok((labels, whole, keys.len()))
}

fn mean_of(labels: &Plane<u32>, count: usize, map: &Gray, sizes: &[f32]) -> Vec<f32> {
    let mut sums = vec![0.0f64; count];
    labels.data.iter().zip(&map.data).for_each(|(&l, &v)| sums[l as usize] += f64::from(v));
    sums.iter().zip(sizes).map(|(s, n)| (*s / f64::from(n.max(1.0))) as f32).collect()
}

/// 0.45 for a clear map; Otsu's threshold, lowered, for an ambiguous one.
fn threshold(saliency: &Gray, limits: (f32, f32)) -> f32 {
    let some = saliency.data.iter().filter(|&&v| v > 0.15).count();
    let unsure = saliency.data.iter().filter(|&&v| v > 0.15 && v < 0.7).count();
    if (unsure as f32) < 0.33 * some.max(1) as f32 {
        return 0.45;
    }
    (0.6 * otsu(saliency)).clamp(limits.0, limits.1)
}

/// The threshold, 0 to 1, that best parts a map into two classes (Otsu 1979).
fn otsu(map: &Gray) -> f32 {
    let mut histogram = [0.0f64; 256];
    map.data.iter().for_each(|v| histogram[(v * 255.0).clamp(0.0, 255.0) as usize] += 1.0);
    let total: f64 = histogram.iter().sum();
    let sum: f64 = histogram.iter().enumerate().map(|(k, n)| k as f64 * n).sum();
    let (mut below, mut below_sum, mut best) = (0.0, 0.0, (0.0, 0));
    for (k, n) in histogram.iter().enumerate() {
        below += n;
        below_sum += k as f64 * n;
        let above = total - below;
        if below > 0.0 && above > 0.0 {
            let apart = below_sum / below - (sum - below_sum) / above;
            let between = below * above * apart * apart;
            if between > best.0 {
                best = (between, k);
            }
        }
    }
    best.1 as f32 / 255.0
}

/// Log ratio of a segment's colour among surely salient and surely plain segments.
fn colour_likeness(colours: &[[f32; 3]], sizes: &[f32], salient: &[f32]) -> Vec<f32> {
    let bin = |colour: [f32; 3]| {
        let part = |v: f32, low: f32, span: f32, bins: f32| (((v - low) / span).clamp(0.0, 0.999) * bins) as usize;
        (part(colour[0], 0.0, 1.0, 10.0), part(colour[1], -0.64, 1.28, 16.0), part(colour[2], -0.64, 1.28, 16.0))
    };
    let mut histograms = [vec![0.0f32; 2560], vec![0.0f32; 2560]];
    for ((colour, &size), &s) in colours.iter().zip(sizes).zip(salient) {
        let (l, a, b) = bin(*colour);
        let side = if s > 0.8 {
            0
        } else if s < 0.1 {
            1
        } else {
            continue;
        };
        // Spread over the neighbouring hues, as bins are arbitrary.
        for da in 0..3usize {
            for db in 0..3usize {
                let (u, v) = ((a + da).saturating_sub(1).min(15), (b + db).saturating_sub(1).min(15));
                let weight = [0.25, 0.5, 0.25][da] * [0.25, 0.5, 0.25][db];
                histograms[side][l * 256 + u * 16 + v] += weight * size;
            }
        }
    }
    let totals = [0, 1].map(|k| histograms[k].iter().sum::<f32>() + 1.0);
    colours
        .iter()
        .map(|&colour| {
            let (l, a, b) = bin(colour);
            let p = |k: usize| histograms[k][l * 256 + a * 16 + b] / totals[k] + 1e-4;
            libm::logf(p(0) / p(1)).clamp(-2.5, 2.5)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::monitor;

    #[test]
    fn a_vague_map_snaps_to_the_shape_under_it() {
        let inside = |x: usize, y: usize| (100..200).contains(&x) && (60..140).contains(&y);
        let image = Plane::from_fn(300, 200, |x, y| if inside(x, y) { [200, 60, 40] } else { [40, 90, 160] });
        let map = Plane::from_fn(320, 320, |x, y| {
            let (dx, dy) = ((x as f32 - 160.0) / 60.0, (y as f32 - 160.0) / 70.0);
            (1.2 - 0.6 * (dx * dx + dy * dy)).clamp(0.0, 1.0)
        });
        let (monitor, _reporter) = monitor();
        let mask = outline(&image, &map, (0.18, 0.45), &monitor).expect("nobody stops it");
        let wrong = (0..200)
            .flat_map(|y| (0..300).map(move |x| (x, y)))
            .filter(|&(x, y)| mask.at(x, y) != inside(x, y))
            .count();
        assert!(wrong < 300, "{wrong}");
    }
}
