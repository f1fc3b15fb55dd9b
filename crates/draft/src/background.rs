//! The smooth background of a poster: smooth regions that reach the border.
//!
//! Limits were chosen on the tuning posters of `synth`; those of the segmentation are scaled from the paper's.

use crate::colour::{distance_squared, oklab_plane};
use crate::fill::membrane::membrane;
use crate::filter::{gaussian, resize_rgb};
use crate::monitor::{Monitor, Stopped};
use crate::morphology::erode;
use crate::numeric::exp;
use crate::plane::{Colour, Mask, Plane, Rgb8, for_rows};
use crate::regions::{Regions, even};
use crate::segments::{Border, Sets, borders, felzenszwalb, means, numbered};

/// Long side in pixels at which segments are found: a finer one only takes longer.
pub(crate) const WORKING_SIDE: usize = 664;

/// Shares of the picture's border and of its area from which a segment is background.
const SEED_BORDER: f32 = 0.06;
const SEED_AREA: f32 = 0.05;
/// Share of the picture from which an enclosed segment can be an island of the background,
const ISLAND_AREA: f32 = 0.0003;
/// and its largest Oklab distance from it.
const ISLAND_DISTANCE: f32 = 0.03;
/// Share of the border from which a region is the ground of the picture;
const GROUND_BORDER: f32 = 0.35;
/// Oklab distance from it, largest share of its share of the border, and least flatness of another region that is a
/// shape on it.
const SHAPE_DISTANCE: f32 = 0.2;
const SHAPE_BORDER: f32 = 0.7;
const SHAPE_FLATNESS: f32 = 0.96;
/// Segments are joined if the contrast along their border, and the distance of their mean colours, are below these
/// Oklab distances.
const WEAK_CONTRAST: f32 = 0.035;
const SIMILAR_COLOUR: f32 = 0.12;
/// Contrast and distance from which two evenly filled segments are apart nevertheless, and their least size in pixels.
const FLAT_CONTRAST: f32 = 0.006;
const FLAT_DISTANCE: f32 = 0.015;
const FLAT_PIXELS: f32 = 150.0;
/// The same between parts of gradients, which have coarse steps of their own.
const GRADED_CONTRAST: f32 = 0.018;

/// The smooth background at working size.
pub(crate) struct Background {
    /// Where it is visible.
    pub mask: Mask,
    /// Share of the picture that it covers.
    pub area: f32,
    /// Share of the picture's border that it covers.
    pub border: f32,
    /// Share of its inner pixels without any gradient.
    pub flatness: f32,
    /// What the picture is made of, where it is drawn.
    pub regions: Regions,
}

/// Working size of a picture.
pub(crate) fn working_size(width: usize, height: usize) -> (usize, usize) {
    let scale = (WORKING_SIDE as f32 / width.max(height) as f32).min(1.0);
    let side = |length: usize| ((length as f32 * scale).round() as usize).max(1);
    (side(width), side(height))
}

/// Finds the smooth background.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(crate) fn find(image: &Rgb8, monitor: &Monitor) -> Result<Background, Stopped> {
    let (width, height) = working_size(image.width, image.height);
    let small = bilateral(&resize_rgb(image, width, height));
    let lab = oklab_plane(&small);
    monitor.check()?;
    let (groups, regions) = merged_segments(&lab, monitor)?;
    monitor.check()?;
    let count = groups.data.iter().max().map_or(0, |m| *m as usize + 1);
    let (colours, sizes) = means(&groups, count, &lab);
    let total = (width * height) as f32;
    let shares = border_shares(&groups, count);
    let mut seeds: Vec<usize> =
        (0..count).filter(|&k| shares[k] > SEED_BORDER && sizes[k] > SEED_AREA * total).collect();
    let on_ground = shapes_on_ground(&seeds, &shares, &colours);
    seeds.retain(|seed| {
        !on_ground.contains(seed) || flatness(&lab, &groups.map(|k| k as usize == *seed)) < SHAPE_FLATNESS
    });
    let mut chosen = vec![false; count];
    seeds.iter().for_each(|&k| chosen[k] = true);
    // Enclosed islands of the background's colour, as within letters and rings.
    let islands: Vec<usize> =
        (0..count).filter(|&k| sizes[k] > ISLAND_AREA * total && sizes[k] < SEED_AREA * total && !chosen[k]).collect();
    if !islands.is_empty() && !seeds.is_empty() {
        let beyond = means(&groups, count, &continued(&lab, &groups.map(|k| chosen[k as usize]))).0;
        for k in islands {
            let near = |other: [f32; 3]| distance_squared(colours[k], other) < ISLAND_DISTANCE * ISLAND_DISTANCE;
            chosen[k] = near(beyond[k]) || seeds.iter().any(|&s| near(colours[s]));
        }
    }
    let mask = groups.map(|k| chosen[k as usize]);
    let flatness = flatness(&lab, &mask);
    let sum = |values: &[f32]| seeds.iter().map(|&k| values[k]).sum::<f32>();
    Ok(Background { area: sum(&sizes) / total, border: sum(&shares), flatness, mask, regions })
}

/// Regions of the border that are large shapes (a sun, a wave, a curtain) rather than ground: of a colour that is far from
/// the ground's, which has most of the border.
fn shapes_on_ground(seeds: &[usize], shares: &[f32], colours: &[[f32; 3]]) -> Vec<usize> {
    let Some(&ground) = seeds.iter().max_by(|&&a, &&b| shares[a].total_cmp(&shares[b]).then(b.cmp(&a))) else {
        return Vec::new();
    };
    if shares[ground] < GROUND_BORDER {
        return Vec::new();
    }
    let far = |k: usize| distance_squared(colours[k], colours[ground]) > SHAPE_DISTANCE * SHAPE_DISTANCE;
    // As much border as the ground has: who knows which of them it is.
    let smaller = |k: usize| shares[k] < SHAPE_BORDER * shares[ground];
    seeds.iter().copied().filter(|&k| k != ground && far(k) && smaller(k)).collect()
}

/// The background continued where it is hidden.
fn continued(lab: &Colour, background: &Mask) -> Colour {
    membrane(lab, &erode(background, 2), 4)
}

/// Segments, joined where the border between them is weak; and the same, but with flat colours apart that hardly differ: a
/// white card on an off-white ground.
fn merged_segments(lab: &Colour, monitor: &Monitor) -> Result<(Plane<u32>, Regions), Stopped> {
    let segments = felzenszwalb(&gaussian(lab, 0.5), 60.0 / 65025.0, 30, monitor)?;
    let (colours, sizes) = means(&segments.labels, segments.count, lab);
    let even = even(&segments.labels, segments.count, lab);
    let mut edges = borders(&segments.labels, lab);
    let weak = |edge: &Border| {
        let distance = distance_squared(colours[edge.a as usize], colours[edge.b as usize]).sqrt();
        edge.contrast < WEAK_CONTRAST && distance < SIMILAR_COLOUR
    };
    edges.retain(weak);
    let mut sets = Sets::new(segments.count);
    for &Border { a, b, .. } in &edges {
        let (a, b) = (sets.find(a), sets.find(b));
        sets.join(a, b);
    }
    // A flat segment of each set: the soft edge between two of them joins only one. Stable: of equals, the first.
    let mut fine = Sets::new(segments.count);
    let mut flat: Vec<Option<usize>> =
        (0..segments.count).map(|k| (even[k] && sizes[k] > FLAT_PIXELS).then_some(k)).collect();
    // What has bands of a gradient in it.
    let mut graded = vec![false; segments.count];
    edges.sort_by(|a, b| a.contrast.total_cmp(&b.contrast));
    for Border { a, b, contrast, .. } in edges {
        let (a, b) = (fine.find(a), fine.find(b));
        let (one, other) = (flat[a as usize], flat[b as usize]);
        let differ = one
            .zip(other)
            .is_some_and(|(one, other)| distance_squared(colours[one], colours[other]) > FLAT_DISTANCE * FLAT_DISTANCE);
        let (gradient, two) = (graded[a as usize] || graded[b as usize], graded[a as usize] && graded[b as usize]);
        let least = if two { GRADED_CONTRAST } else { FLAT_CONTRAST };
        if a != b && (!differ || contrast <= least) {
            let joined = fine.join(a, b) as usize;
            flat[joined] = one.or(other);
            graded[joined] = gradient || differ;
        }
    }
    let roots: Vec<u32> = (0..segments.count as u32).map(|k| sets.find(k)).collect();
    let groups = segments.labels.map(|k| roots[k as usize]);
    let (names, count) = numbered((0..segments.count as u32).map(|k| fine.find(k)), segments.count);
    let labels = segments.labels.map(|k| names[k as usize]);
    let shares = border_shares(&labels, count);
    Ok((groups, Regions::new(labels, &shares, lab)))
}

/// Share of a three pixel frame that each group covers.
fn border_shares(groups: &Plane<u32>, count: usize) -> Vec<f32> {
    let (width, height) = (groups.width, groups.height);
    let mut counts = vec![0.0f32; count];
    let mut total = 0.0;
    for y in 0..height {
        for x in 0..width {
            if x < 3 || y < 3 || x + 3 >= width || y + 3 >= height {
                counts[groups.at(x, y) as usize] += 1.0;
                total += 1.0;
            }
        }
    }
    counts.iter().map(|c| c / total).collect()
}

fn flatness(lab: &Colour, mask: &Mask) -> f32 {
    let inner = erode(mask, 3);
    let (mut flat, mut total) = (0usize, 0usize);
    for y in 0..lab.height {
        for x in 0..lab.width {
            if inner.at(x, y) {
                let left = distance_squared(lab.at(x, y), lab.at(x.saturating_sub(1), y));
                let up = distance_squared(lab.at(x, y), lab.at(x, y.saturating_sub(1)));
                flat += usize::from(left.max(up) < 0.008 * 0.008);
                total += 1;
            }
        }
    }
    flat as f32 / total.max(1) as f32
}

/// Bilateral filter over 5 x 5 pixels: removes JPEG noise and grain from flat areas.
fn bilateral(image: &Rgb8) -> Rgb8 {
    let tone: Vec<f32> = (0..=765).map(|d| exp(-0.5 * (d as f32 / 18.0).powi(2))).collect();
    let (width, height) = (image.width, image.height);
    let mut out = image.clone();
    for_rows(&mut out.data, width, |y, row| {
        for (x, value) in row.iter_mut().enumerate() {
            let here = image.at(x, y);
            let (mut sum, mut weight) = ([0.0f32; 3], 0.0f32);
            for v in y.saturating_sub(2)..(y + 3).min(height) {
                for u in x.saturating_sub(2)..(x + 3).min(width) {
                    let far = u.abs_diff(x).pow(2) + v.abs_diff(y).pow(2);
                    if far > 4 {
                        continue;
                    }
                    let other = image.at(u, v);
                    let apart: usize = (0..3).map(|c| here[c].abs_diff(other[c]) as usize).sum();
                    let w = tone[apart] * (1.0 - far as f32 / 18.0);
                    weight += w;
                    for c in 0..3 {
                        sum[c] += w * f32::from(other[c]);
                    }
                }
            }
            *value = sum.map(|s| (s / weight + 0.5) as u8);
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::monitor;

    #[test]
    fn a_disk_on_plain_colour_leaves_the_plain_colour() {
        let image = Plane::from_fn(300, 200, |x, y| {
            if x.abs_diff(150).pow(2) + y.abs_diff(100).pow(2) < 2500 { [200, 30, 30] } else { [240, 220, 90] }
        });
        let (monitor, _reporter) = monitor();
        let background = find(&image, &monitor).expect("nobody stops it");
        assert!(background.flatness > 0.99 && background.border > 0.99);
        assert!((background.area - (1.0 - 7850.0 / 60000.0)).abs() < 0.02, "{}", background.area);
        assert!(!background.mask.at(150, 100) && background.mask.at(5, 5));
    }

    #[test]
    fn a_sun_at_the_border_stands_on_the_ground_and_a_shade_of_it_does_not() {
        let picture = |other: [u8; 3]| {
            Plane::from_fn(300, 200, move |x, y| {
                if x.abs_diff(300).pow(2) + y.abs_diff(80).pow(2) < 70 * 70 { other } else { [240, 220, 90] }
            })
        };
        let (monitor, _reporter) = monitor();
        let sun = find(&picture([20, 20, 20]), &monitor).expect("nobody stops it");
        assert!(!sun.mask.at(280, 80) && sun.mask.at(50, 80) && sun.flatness > 0.98);
        let shade = find(&picture([225, 200, 80]), &monitor).expect("nobody stops it");
        assert!(shade.mask.at(280, 80));
    }
}
