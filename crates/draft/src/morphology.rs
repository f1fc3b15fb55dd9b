//! Binary shapes: growing and shrinking, components, distances.

use crate::plane::{Gray, Mask, Plane, Rect, for_rows};

/// Horizontal distance of each pixel of a row to the nearest set one, at most 255;
/// `distance` comes full of 255.
fn row_distance(row: &[bool], distance: &mut [u8]) {
    if !row.contains(&true) {
        return;
    }
    let mut last = u8::MAX;
    for (d, &set) in distance.iter_mut().zip(row) {
        last = if set { 0 } else { last.saturating_add(1) };
        *d = last;
    }
    last = u8::MAX;
    for (d, &set) in distance.iter_mut().zip(row).rev() {
        last = if set { 0 } else { last.saturating_add(1) };
        *d = (*d).min(last);
    }
}

/// Grows a mask by a disk of `radius` pixels (0 to 250).
pub(crate) fn dilate(mask: &Mask, radius: usize) -> Mask {
    if radius == 0 || mask.data.is_empty() {
        return mask.clone();
    }
    let radius = radius.min(250);
    let (width, height) = (mask.width, mask.height);
    let mut rows = vec![u8::MAX; width * height];
    for_rows(&mut rows, width, |y, target| row_distance(mask.row(y), target));
    let empty: Vec<bool> = (0..height).map(|y| !mask.row(y).contains(&true)).collect();
    // The half width of the disk at each vertical offset; +0.5 rounds small disks.
    let limit = (radius as f32 + 0.3).powi(2);
    let span: Vec<u8> = (0..=radius).map(|dy| (limit - (dy * dy) as f32).max(0.0).sqrt() as u8).collect();
    let mut out = mask.same_size(false);
    for_rows(&mut out.data, width, |y, target| {
        for source in (y.saturating_sub(radius)..(y + radius + 1).min(height)).filter(|&source| !empty[source]) {
            let reach = span[source.abs_diff(y)];
            for (t, &d) in target.iter_mut().zip(&rows[source * width..(source + 1) * width]) {
                *t |= d <= reach;
            }
        }
    });
    out
}

/// Shrinks a mask by a disk of `radius` pixels; the canvas edge does not eat into it.
pub(crate) fn erode(mask: &Mask, radius: usize) -> Mask {
    dilate(&mask.not(), radius).not()
}

/// Grows and shrinks again: closes gaps up to twice the radius.
pub(crate) fn close(mask: &Mask, radius: usize) -> Mask {
    erode(&dilate(mask, radius), radius)
}

/// Shrinks and grows again: drops what is thinner than the disk.
pub(crate) fn open(mask: &Mask, radius: usize) -> Mask {
    dilate(&erode(mask, radius), radius)
}

/// Connected components of a mask.
pub(crate) struct Components {
    /// 0 outside, 1.. for the components in the order of their first pixel.
    pub labels: Plane<u32>,
    /// Pixels of each label; entry 0 counts the outside.
    pub areas: Vec<usize>,
    pub boxes: Vec<Rect>,
}

impl Components {
    /// Number of components.
    pub(crate) fn len(&self) -> usize {
        self.areas.len() - 1
    }

    /// How many set pixels of `mask` each label holds.
    pub(crate) fn count_in(&self, mask: &Mask) -> Vec<usize> {
        let mut counts = vec![0; self.areas.len()];
        for (&label, &set) in self.labels.data.iter().zip(&mask.data) {
            counts[label as usize] += usize::from(set);
        }
        counts
    }

    /// Mask of the labels that `keep` marks; 0 is never part of it.
    pub(crate) fn select(&self, keep: &[bool]) -> Mask {
        self.labels.map(|label| label != 0 && keep[label as usize])
    }
}

fn root(parents: &mut [u32], mut node: u32) -> u32 {
    while parents[node as usize] != node {
        parents[node as usize] = parents[parents[node as usize] as usize];
        node = parents[node as usize];
    }
    node
}

/// Set pixels side by side in a row, half-open.
struct Run {
    y: u32,
    from: u32,
    to: u32,
}

/// Runs of set pixels, row by row, and where the runs of each row begin.
fn runs(mask: &Mask) -> (Vec<Run>, Vec<usize>) {
    let (mut runs, mut starts) = (Vec::new(), Vec::with_capacity(mask.height + 1));
    for y in 0..mask.height {
        starts.push(runs.len());
        runs.extend(mask.runs(y).map(|(from, to)| Run { y: y as u32, from: from as u32, to: to as u32 }));
    }
    starts.push(runs.len());
    (runs, starts)
}

/// Labels the 8-connected components of a mask.
pub(crate) fn components(mask: &Mask) -> Components {
    let (runs, starts) = runs(mask);
    let mut parents: Vec<u32> = (0..runs.len() as u32).collect();
    for y in 1..mask.height {
        let mut above = starts[y - 1];
        for here in starts[y]..starts[y + 1] {
            // Corners touch: a run reaches one pixel further than it is long.
            while above < starts[y] && runs[above].to < runs[here].from {
                above += 1;
            }
            let mut other = above;
            while other < starts[y] && runs[other].from <= runs[here].to {
                let (a, b) = (root(&mut parents, here as u32), root(&mut parents, other as u32));
                parents[a.max(b) as usize] = a.min(b);
                other += 1;
            }
        }
    }
    label(mask, &runs, &mut parents)
}

fn label(mask: &Mask, runs: &[Run], parents: &mut [u32]) -> Components {
    let mut labels = mask.same_size(0u32);
    let (mut areas, mut boxes) = (vec![0], vec![Rect { x0: 0, y0: 0, x1: mask.width, y1: mask.height }]);
    let mut number = vec![0u32; runs.len()];
    for (index, run) in runs.iter().enumerate() {
        let (y, from, to) = (run.y as usize, run.from as usize, run.to as usize);
        let rect = Rect { x0: from, y0: y, x1: to, y1: y + 1 };
        // Roots are the first run of their set, so they are numbered before the others.
        let top = root(parents, index as u32) as usize;
        if top == index {
            number[index] = areas.len() as u32;
            areas.push(0);
            boxes.push(rect);
        }
        let name = number[top] as usize;
        areas[name] += to - from;
        boxes[name] = boxes[name].union(&rect);
        labels.data[y * mask.width + from..y * mask.width + to].fill(name as u32);
    }
    areas[0] = mask.data.len() - areas.iter().sum::<usize>();
    Components { labels, areas, boxes }
}

/// Drops components under `min_area` pixels and fills holes under `max_hole` pixels.
pub(crate) fn clean(mask: &Mask, min_area: usize, max_hole: usize) -> Mask {
    let parts = components(mask);
    let keep: Vec<bool> = parts.areas.iter().map(|&area| area >= min_area).collect();
    let kept = parts.select(&keep);
    let holes = components(&kept.not());
    let small: Vec<bool> = holes.areas.iter().map(|&area| area < max_hole).collect();
    kept.or(&holes.select(&small))
}

/// Bands of rows that [`nearest`] looks at side by side.
const BANDS: usize = 16;

/// Marks a plane of [`nearest`] where no pixel is set at all.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// Index (`y * width + x`) of the nearest set pixel of each pixel, by Euclidean
/// distance (Felzenszwalb and Huttenlocher 2012, lower envelope of parabolas).
pub(crate) fn nearest(mask: &Mask) -> Plane<u32> {
    let (width, height) = (mask.width, mask.height);
    let columns = nearest_in_columns(mask);
    let mut out = mask.same_size(NOWHERE);
    for_rows(&mut out.data, width.max(1), |y, target| {
        // (column, position from which its parabola is the lowest)
        let mut envelope: Vec<(usize, f32)> = Vec::with_capacity(width);
        let rise = |x: usize| {
            let row = columns[y * width + x];
            (row != NOWHERE).then(|| (row as f32 - y as f32).powi(2))
        };
        for x in 0..width {
            let Some(here) = rise(x) else { continue };
            let mut from = f32::NEG_INFINITY;
            while let Some(&(last, start)) = envelope.last() {
                let there = rise(last).unwrap_or(f32::INFINITY);
                let (a, b) = (x as f32, last as f32);
                let meet = ((here + a * a) - (there + b * b)) / (2.0 * (a - b));
                if meet > start {
                    from = meet;
                    break;
                }
                envelope.pop();
            }
            envelope.push((x, from));
        }
        let mut current = 0;
        for (x, value) in target.iter_mut().enumerate() {
            if envelope.is_empty() {
                break;
            }
            while current + 1 < envelope.len() && envelope[current + 1].1 < x as f32 {
                current += 1;
            }
            let column = envelope[current].0;
            *value = columns[y * width + column] * width as u32 + column as u32;
        }
    });
    debug_assert_eq!(out.height, height);
    out
}

/// Row of the nearest set pixel in the same column. Bands of rows are looked at side by side: what lies in the bands
/// above and below is known from their last and first set pixels.
fn nearest_in_columns(mask: &Mask) -> Vec<u32> {
    let (width, height) = (mask.width, mask.height);
    if width == 0 {
        return Vec::new();
    }
    let band = height.div_ceil(BANDS).max(1);
    let bands = height.div_ceil(band);
    // The first and the last set row of each column of each band.
    let mut ends = vec![(NOWHERE, NOWHERE); bands * width];
    for_rows(&mut ends, width, |k, ends| {
        for y in k * band..((k + 1) * band).min(height) {
            for ((first, last), &set) in ends.iter_mut().zip(mask.row(y)) {
                *first = if set && *first == NOWHERE { y as u32 } else { *first };
                *last = if set { y as u32 } else { *last };
            }
        }
    });
    let from = |own: std::ops::Range<usize>, end: fn(&(u32, u32)) -> u32, nearest_last: bool| {
        let mut found = vec![NOWHERE; width];
        let mut take = |k: usize| {
            for (found, ends) in found.iter_mut().zip(&ends[k * width..(k + 1) * width]) {
                *found = if end(ends) == NOWHERE { *found } else { end(ends) };
            }
        };
        if nearest_last {
            own.for_each(&mut take)
        } else {
            own.rev().for_each(&mut take)
        }
        found
    };
    let mut rows = vec![NOWHERE; width * height];
    for_rows(&mut rows, band * width, |k, rows| {
        let mut last = from(0..k, |ends| ends.1, true);
        for (y, row) in rows.chunks_mut(width).enumerate() {
            let y = k * band + y;
            for ((here, last), &set) in row.iter_mut().zip(&mut last).zip(mask.row(y)) {
                *last = if set { y as u32 } else { *last };
                *here = *last;
            }
        }
        // What lies below is the nearest from half way on.
        let mut last = from(k + 1..bands, |ends| ends.0, false);
        for (y, row) in rows.chunks_mut(width).enumerate().rev() {
            let y = (k * band + y) as u32;
            for (here, last) in row.iter_mut().zip(&mut last) {
                // `NOWHERE` is further than any row.
                *here = if last.abs_diff(y) < here.abs_diff(y) { *last } else { *here };
                *last = *here;
            }
        }
    });
    rows
}

/// Euclidean distance to the nearest set pixel; infinite where none is set.
pub(crate) fn distance_to(mask: &Mask) -> Gray {
    distance_from_nearest(&nearest(mask))
}

pub(crate) fn distance_from_nearest(nearest: &Plane<u32>) -> Gray {
    let width = nearest.width;
    Plane::from_fn(nearest.width, nearest.height, |x, y| {
        let index = nearest.at(x, y);
        if index == NOWHERE {
            return f32::INFINITY;
        }
        let (nx, ny) = (index as usize % width, index as usize / width);
        ((nx.abs_diff(x).pow(2) + ny.abs_diff(y).pow(2)) as f32).sqrt()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sparse(seed: u64) -> Mask {
        let mut random = crate::random::Random::new(seed);
        Plane { width: 23, height: 17, data: (0..23 * 17).map(|_| random.below(19) == 0).collect() }
    }

    #[test]
    fn nearest_agrees_with_a_search_of_all_pixels() {
        for seed in 0..20 {
            let mask = sparse(seed);
            let distance = distance_to(&mask);
            for y in 0..mask.height {
                for x in 0..mask.width {
                    let mut best = f32::INFINITY;
                    for v in 0..mask.height {
                        for u in 0..mask.width {
                            if mask.at(u, v) {
                                let square = (u.abs_diff(x).pow(2) + v.abs_diff(y).pow(2)) as f32;
                                best = best.min(square.sqrt());
                            }
                        }
                    }
                    assert_eq!(distance.at(x, y), best, "seed {seed} at {x},{y}");
                }
            }
        }
    }

    #[test]
    fn dilation_is_a_threshold_of_the_distance() {
        for seed in 0..10 {
            let mask = sparse(seed);
            let distance = distance_to(&mask);
            for radius in 1..6 {
                let limit = (radius as f32 + 0.3).powi(2);
                assert_eq!(dilate(&mask, radius), distance.map(|d| d * d <= limit), "seed {seed} radius {radius}");
            }
        }
    }

    #[test]
    fn components_join_over_corners_and_count_their_pixels() {
        let rows = ["#..#", ".#.#", "...#", "##.."];
        let data: Vec<bool> = rows.iter().flat_map(|row| row.chars().map(|c| c == '#')).collect();
        let parts = components(&Plane { width: 4, height: 4, data });
        assert_eq!(parts.areas, [9, 2, 3, 2]);
        assert_eq!(parts.boxes[2], Rect { x0: 3, y0: 0, x1: 4, y1: 3 });
    }

    #[test]
    fn clean_drops_specks_and_fills_pinholes() {
        let mut mask = Plane::new(20, 20, false);
        for y in 3..15 {
            for x in 3..15 {
                mask.set(x, y, true);
            }
        }
        let whole = mask.clone();
        mask.set(7, 7, false);
        mask.set(18, 18, true);
        assert_eq!(clean(&mask, 4, 4), whole);
    }
}
