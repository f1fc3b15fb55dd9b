//! Segmentation by a minimum spanning forest (Felzenszwalb and Huttenlocher 2004)
//! and the graph of neighbouring segments.

use rayon::prelude::*;

use crate::colour::distance_squared;
use crate::monitor::{Monitor, Stopped};
use crate::plane::{Colour, Plane, for_rows};

/// Disjoint sets of `u32` nodes.
pub(crate) struct Sets(Vec<u32>);

impl Sets {
    pub(crate) fn new(count: usize) -> Self {
        Self((0..count as u32).collect())
    }

    pub(crate) fn find(&mut self, mut node: u32) -> u32 {
        while self.0[node as usize] != node {
            let above = self.0[self.0[node as usize] as usize];
            self.0[node as usize] = above;
            node = above;
        }
        node
    }

    /// Joins two roots; the smaller number stays the root.
    pub(crate) fn join(&mut self, a: u32, b: u32) -> u32 {
        let (low, high) = (a.min(b), a.max(b));
        self.0[high as usize] = low;
        low
    }
}

/// Segments of a picture, numbered from 0 in the order of their first pixel.
pub(crate) struct Segments {
    pub labels: Plane<u32>,
    pub count: usize,
}

/// `scale` is the tolerance for small segments, in colour distance times pixels;
/// segments under `min_size` pixels join their closest neighbour.
///
/// # Errors
/// [`Stopped`] when the caller gave up.
pub(crate) fn felzenszwalb(image: &Colour, scale: f32, min_size: u32, monitor: &Monitor) -> Result<Segments, Stopped> {
    let (width, height) = (image.width, image.height);
    let edges = sorted_edges(image);
    monitor.check()?;
    let mut forest = Forest::new(width * height, scale);
    let ends = |key: u64| {
        let index = (key & 0xffff_ffff) as u32;
        let (from, direction) = (index / 4, index % 4);
        let to = from + [1, width as u32, width as u32 + 1, width as u32 - 1][direction as usize];
        (from, to)
    };
    // Edges within a segment stay within it, so only those between segments are looked at again.
    let mut between = Vec::new();
    for &key in &edges {
        let (from, to) = ends(key);
        let (a, b) = (forest.find(from), forest.find(to));
        if a == b {
            continue;
        }
        let weight = f32::from_bits((key >> 32) as u32);
        if weight < forest.0[a as usize].tolerance.min(forest.0[b as usize].tolerance) {
            let joined = forest.join(a, b);
            joined.tolerance = weight + scale / joined.size as f32;
        } else {
            between.push((from, to));
        }
    }
    monitor.check()?;
    for (from, to) in between {
        let (a, b) = (forest.find(from), forest.find(to));
        if a != b && forest.0[a as usize].size.min(forest.0[b as usize].size) < min_size {
            forest.join(a, b);
        }
    }
    Ok(forest.numbered(width, height))
}

/// A pixel; of the first one of a segment, `size` and `tolerance` are those of the segment. Together, so that what
/// is read with the root lies where the root does.
#[derive(Clone, Copy)]
struct Node {
    parent: u32,
    size: u32,
    tolerance: f32,
}

struct Forest(Vec<Node>);

impl Forest {
    fn new(count: usize, tolerance: f32) -> Self {
        Self((0..count as u32).map(|parent| Node { parent, size: 1, tolerance }).collect())
    }

    fn find(&mut self, mut node: u32) -> u32 {
        loop {
            let above = self.0[node as usize].parent;
            if above == node {
                return node;
            }
            let next = self.0[above as usize].parent;
            self.0[node as usize].parent = next;
            node = next;
        }
    }

    /// Joins two roots; the smaller number stays the root.
    fn join(&mut self, a: u32, b: u32) -> &mut Node {
        let (low, high) = (a.min(b), a.max(b));
        self.0[high as usize].parent = low;
        let size = self.0[high as usize].size;
        let root = &mut self.0[low as usize];
        root.size += size;
        root
    }

    fn numbered(mut self, width: usize, height: usize) -> Segments {
        let pixels = width * height;
        let (data, count) = numbered((0..pixels as u32).map(|pixel| self.find(pixel)), pixels);
        Segments { labels: Plane { width, height, data }, count }
    }
}

/// Roots, each below `most`, as numbers without gaps, in the order of their first place; and how many there are.
pub(crate) fn numbered(roots: impl Iterator<Item = u32>, most: usize) -> (Vec<u32>, usize) {
    let mut names = vec![u32::MAX; most];
    let mut count = 0;
    let numbers = roots
        .map(|root| {
            let name = &mut names[root as usize];
            if *name == u32::MAX {
                *name = count;
                count += 1;
            }
            *name
        })
        .collect();
    (numbers, count as usize)
}

/// What of a weight's bits counts: steps of 1 in 65,536 of it are as good as none, and are sorted in two rounds.
const WEIGHT: u32 = 0xffff_ff00;

/// Edges of the 8-neighbourhood as (weight bits, pixel * 4 + direction), lightest first.
fn sorted_edges(image: &Colour) -> Vec<u64> {
    let (width, height) = (image.width, image.height);
    // Four places for each pixel; edges that would leave the picture are taken out below.
    let mut edges = vec![[u64::MAX; 4]; width * height];
    for_rows(&mut edges, width, |y, row| {
        for (x, edges) in row.iter_mut().enumerate() {
            let here = image.at(x, y);
            let index = (y * width + x) as u64 * 4;
            let (right, down) = (x + 1 < width, y + 1 < height);
            let targets = [
                (right, x + 1, y),
                (down, x, y + 1),
                (right && down, x + 1, y + 1),
                (x > 0 && down, x.wrapping_sub(1), y + 1),
            ];
            for (direction, (edge, (inside, u, v))) in edges.iter_mut().zip(targets).enumerate() {
                if inside {
                    let weight = distance_squared(here, image.at(u, v)).sqrt();
                    *edge = (u64::from(weight.to_bits() & WEIGHT) << 32) | (index + direction as u64);
                }
            }
        }
    });
    let mut edges = edges.into_flattened();
    edges.retain(|&edge| edge != u64::MAX);
    sort_by_weight(edges)
}

/// Sorts by the weights, and keeps the order of what has the same: two rounds of
/// counting, 12 bits each. Positive floats are in the order of their bits.
fn sort_by_weight(mut edges: Vec<u64>) -> Vec<u64> {
    const BITS: u32 = 12;
    let mut sorted = vec![0u64; edges.len()];
    for round in 0..2 {
        let digit = |edge: u64| (edge >> (40 + round * BITS)) as usize & ((1 << BITS) - 1);
        let mut starts = vec![0usize; 1 << BITS];
        edges.iter().for_each(|&edge| starts[digit(edge)] += 1);
        let mut sum = 0;
        for start in &mut starts {
            sum += std::mem::replace(start, sum);
        }
        for &edge in &edges {
            let place = &mut starts[digit(edge)];
            sorted[*place] = edge;
            *place += 1;
        }
        std::mem::swap(&mut edges, &mut sorted);
    }
    edges
}

/// Two segments that touch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Border {
    pub a: u32,
    pub b: u32,
    /// Pixel pairs along the border.
    pub length: f32,
    /// Mean colour distance across it.
    pub contrast: f32,
}

/// Borders between segments, ordered by segment numbers.
pub(crate) fn borders(labels: &Plane<u32>, image: &Colour) -> Vec<Border> {
    let (width, height) = (labels.width, labels.height);
    let mut pairs: Vec<(u64, f32)> = (0..height)
        .into_par_iter()
        .flat_map_iter(|y| (0..width).map(move |x| (x, y)))
        .flat_map_iter(|(x, y)| {
            let (label, here) = (labels.at(x, y), image.at(x, y));
            let right = (x + 1 < width).then(|| (x + 1, y));
            let down = (y + 1 < height).then(|| (x, y + 1));
            [right, down].into_iter().flatten().filter_map(move |(u, v)| {
                let other = labels.at(u, v);
                if other == label {
                    return None;
                }
                let key = (u64::from(label.min(other)) << 32) | u64::from(label.max(other));
                Some((key, distance_squared(here, image.at(u, v)).sqrt()))
            })
        })
        .collect();
    // Stable: the sums below run in the order of the pixels on every machine.
    pairs.sort_by_key(|pair| pair.0);
    let mut found: Vec<Border> = Vec::new();
    for run in pairs.chunk_by(|x, y| x.0 == y.0) {
        let sum: f32 = run.iter().map(|pair| pair.1).sum();
        let length = run.len() as f32;
        found.push(Border { a: (run[0].0 >> 32) as u32, b: run[0].0 as u32, length, contrast: sum / length });
    }
    found
}

/// Mean colour and size of each segment.
pub(crate) fn means(labels: &Plane<u32>, count: usize, image: &Colour) -> (Vec<[f32; 3]>, Vec<f32>) {
    let mut sums = vec![([0.0f64; 3], 0usize); count];
    for (&label, colour) in labels.data.iter().zip(&image.data) {
        let (sum, size) = &mut sums[label as usize];
        *size += 1;
        for c in 0..3 {
            sum[c] += f64::from(colour[c]);
        }
    }
    let mean = sums.iter().map(|(sum, size)| sum.map(|v| (v / (*size).max(1) as f64) as f32)).collect();
    (mean, sums.iter().map(|(_, size)| *size as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::monitor;

    #[test]
    fn edges_are_sorted_like_numbers() {
        let mut random = crate::random::Random::new(3);
        let data = (0..40 * 30).map(|_| std::array::from_fn(|_| (random.below(9) as f32) * 0.11)).collect();
        let edges = sorted_edges(&Plane { width: 40, height: 30, data });
        assert_eq!(edges.len(), 39 * 30 + 40 * 29 + 2 * 39 * 29);
        let mut expected = edges.clone();
        expected.sort_unstable();
        assert_eq!(edges, expected);
    }

    #[test]
    fn flat_patches_become_one_segment_each() {
        let image =
            Plane::from_fn(
                60,
                40,
                |x, y| if (20..40).contains(&x) && (10..30).contains(&y) { [0.9; 3] } else { [0.1; 3] },
            );
        let (monitor, _reporter) = monitor();
        let segments = felzenszwalb(&image, 0.001, 10, &monitor).expect("nobody stops it");
        assert_eq!(segments.count, 2);
        let border = borders(&segments.labels, &image);
        assert_eq!(border.len(), 1);
        assert_eq!(border[0].length, 80.0);
        let (mean, size) = means(&segments.labels, 2, &image);
        assert_eq!((size[0], size[1]), (2000.0, 400.0));
        assert!((mean[1][0] - 0.9).abs() < 1e-6);
    }
}
