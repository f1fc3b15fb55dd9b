//! Rays from one centre, as sale posters have them, and stripes, whose centre is infinitely far away: the borders between
//! flat colours are lines of one pencil, so that what is hidden has the colour of its ray where that is seen.

use crate::plane::{Mask, Plane};
use crate::random::Random;

/// Points of the borders that are looked at.
const POINTS: usize = 500;
/// How far around a point its border is followed, in pixels; its points there, at least; and how many times as long as
/// wide they are.
const REACH: usize = 9;
const FEWEST_POINTS: usize = 10;
const ELONGATED: f32 = 12.0;
/// Straight pieces of borders, at least; pairs of them that are tried; and the share that has to run to the centre.
const FEWEST: usize = 24;
const TRIES: usize = 400;
const MOST: f32 = 0.6;
/// Sine of the angle by which a border may miss the centre.
const MISSES: f32 = 0.05;
/// Rays are looked at in so many directions, or at so many distances.
const BINS: usize = 4096;
/// Pixels around the centre that say nothing.
const CENTRE: f32 = 12.0;
/// Share of seen pixels that have the colour of their ray; share of the most frequent colour.
const AGREED: f32 = 0.94;
const MONOTONOUS: f32 = 0.9;

/// A straight piece of a border: a point and the direction.
#[derive(Clone, Copy)]
struct Piece {
    at: [f32; 2],
    along: [f32; 2],
}

/// Where the lines meet: a point, or a direction.
#[derive(Clone, Copy)]
enum Centre {
    Point([f32; 2]),
    Direction([f32; 2]),
}

impl Centre {
    /// The direction from a place to the centre, with its distance.
    fn from(self, [x, y]: [f32; 2]) -> ([f32; 2], f32) {
        match self {
            Self::Direction(along) => (along, f32::INFINITY),
            Self::Point([u, v]) => {
                let distance = ((u - x).powi(2) + (v - y).powi(2)).sqrt().max(1e-3);
                ([(u - x) / distance, (v - y) / distance], distance)
            }
        }
    }

    /// Which ray a place is on; none too near the centre. `long` is the longest distance in the picture.
    fn bin(self, at: [f32; 2], long: f32) -> Option<usize> {
        let (direction, distance) = self.from(at);
        if distance < CENTRE {
            return None;
        }
        let share = match self {
            Self::Point(_) => libm::atan2f(direction[1], direction[0]) / std::f32::consts::TAU + 0.5,
            // Across the stripes.
            Self::Direction([u, v]) => (at[1] * u - at[0] * v) / (2.0 * long) + 0.5,
        };
        Some(((share * BINS as f32) as usize).min(BINS - 1))
    }
}

/// The label of each pixel by its ray; `None` for rays that are not seen, and everywhere where there are none. `known`
/// says where labels are right.
pub(super) fn labels(labels: &Plane<usize>, known: &Mask) -> Option<Plane<Option<usize>>> {
    let pieces = pieces(labels, known);
    let centre = centre(&pieces)?;
    let long = ((labels.width * labels.width + labels.height * labels.height) as f32).sqrt();
    let bin = |i: usize| centre.bin([(i % labels.width) as f32, (i / labels.width) as f32], long);
    let most = labels.data.iter().max().map_or(0, |&label| label + 1);
    let mut votes = vec![0u32; BINS * most];
    let mut totals = vec![0u32; most];
    for i in (0..labels.data.len()).filter(|&i| known.data[i]) {
        if let Some(bin) = bin(i) {
            votes[bin * most + labels.data[i]] += 1;
            totals[labels.data[i]] += 1;
        }
    }
    let all: u32 = totals.iter().sum();
    // Neighbours vote too: near the centre a ray is narrower than a pixel.
    let winner = |bin: usize| {
        let count = |label: usize| -> u32 {
            [(bin + BINS - 1) % BINS, bin, (bin + 1) % BINS].iter().map(|&bin| votes[bin * most + label]).sum()
        };
        (0..most).max_by_key(|&label| count(label)).filter(|&label| count(label) > 0)
    };
    let winners: Vec<Option<usize>> = (0..BINS).map(winner).collect();
    let agreed: u32 =
        winners.iter().enumerate().map(|(bin, winner)| winner.map_or(0, |label| votes[bin * most + label])).sum();
    let monotonous = totals.iter().max().is_none_or(|&largest| largest as f32 > MONOTONOUS * all as f32);
    if monotonous || (agreed as f32) < AGREED * all as f32 {
        return None;
    }
    Some(Plane::from_fn(labels.width, labels.height, |x, y| bin(y * labels.width + x).and_then(|bin| winners[bin])))
}

/// Straight pieces of the borders between labels.
fn pieces(labels: &Plane<usize>, known: &Mask) -> Vec<Piece> {
    let (width, height) = (labels.width, labels.height);
    let border = Plane::from_fn(width, height, |x, y| {
        let differs = |u: usize, v: usize| known.at(u, v) && labels.at(u, v) != labels.at(x, y);
        known.at(x, y) && ((x + 1 < width && differs(x + 1, y)) || (y + 1 < height && differs(x, y + 1)))
    });
    let points: Vec<usize> = (0..border.data.len()).filter(|&i| border.data[i]).collect();
    let step = points.len() / POINTS + 1;
    let straight = |&i: &usize| {
        let (x, y) = (i % width, i / width);
        if x < REACH || y < REACH || x + REACH >= width || y + REACH >= height {
            return None;
        }
        let mut sums = [0.0f32; 6];
        for v in y - REACH..=y + REACH {
            for u in (x - REACH..=x + REACH).filter(|&u| border.at(u, v)) {
                let (a, b) = (u as f32 - x as f32, v as f32 - y as f32);
                for (sum, value) in sums.iter_mut().zip([1.0, a, b, a * a, a * b, b * b]) {
                    *sum += value;
                }
            }
        }
        let [count, a, b, aa, ab, bb] = sums;
        if (count as usize) < FEWEST_POINTS {
            return None;
        }
        let (mean_a, mean_b) = (a / count, b / count);
        let (aa, ab, bb) = (aa / count - mean_a * mean_a, ab / count - mean_a * mean_b, bb / count - mean_b * mean_b);
        let root = ((aa - bb).powi(2) + 4.0 * ab * ab).sqrt();
        let (large, small) = ((aa + bb + root) / 2.0, (aa + bb - root) / 2.0);
        // Steps of pixels are as wide as a third of one.
        if large < ELONGATED * (small + 0.1) {
            return None;
        }
        let angle = 0.5 * libm::atan2f(2.0 * ab, aa - bb);
        let along = [libm::cosf(angle), libm::sinf(angle)];
        Some(Piece { at: [x as f32 + mean_a + 0.5, y as f32 + mean_b + 0.5], along })
    };
    points.iter().step_by(step).filter_map(straight).collect()
}

/// Where most pieces run to.
fn centre(pieces: &[Piece]) -> Option<Centre> {
    if pieces.len() < FEWEST {
        return None;
    }
    let misses = |centre: Centre, piece: &Piece| {
        let (to, _) = centre.from(piece.at);
        (to[0] * piece.along[1] - to[1] * piece.along[0]).abs()
    };
    let count = |centre: Centre| pieces.iter().filter(|piece| misses(centre, piece) < MISSES).count();
    let mut random = Random::new(5);
    let mut best: Option<(usize, Centre)> = None;
    for _ in 0..TRIES {
        let (a, b) = (pieces[random.below(pieces.len())], pieces[random.below(pieces.len())]);
        let found = meeting(a, b);
        let count = count(found);
        if best.is_none_or(|(most, _)| count > most) {
            best = Some((count, found));
        }
    }
    let (count, found) = best?;
    if (count as f32) < MOST * pieces.len() as f32 {
        return None;
    }
    Some(refined(found, pieces, misses))
}

/// Where two lines meet.
fn meeting(a: Piece, b: Piece) -> Centre {
    let cross = a.along[0] * b.along[1] - a.along[1] * b.along[0];
    if cross.abs() < 0.02 {
        return Centre::Direction(a.along);
    }
    let apart = [b.at[0] - a.at[0], b.at[1] - a.at[1]];
    let way = (apart[0] * b.along[1] - apart[1] * b.along[0]) / cross;
    Centre::Point([a.at[0] + way * a.along[0], a.at[1] + way * a.along[1]])
}

/// The point with the least sum of squared sines, by a few weighted least squares; a direction is the mean of all.
fn refined(centre: Centre, pieces: &[Piece], misses: impl Fn(Centre, &Piece) -> f32) -> Centre {
    let mut centre = centre;
    for _ in 0..4 {
        let own = pieces.iter().filter(|piece| misses(centre, piece) < MISSES);
        centre = match centre {
            Centre::Direction(along) => {
                let mut sum = [0.0, 0.0];
                for piece in own {
                    let same = piece.along[0] * along[0] + piece.along[1] * along[1] >= 0.0;
                    let sign = if same { 1.0 } else { -1.0 };
                    sum = [sum[0] + sign * piece.along[0], sum[1] + sign * piece.along[1]];
                }
                let length = (sum[0] * sum[0] + sum[1] * sum[1]).sqrt().max(1e-6);
                Centre::Direction([sum[0] / length, sum[1] / length])
            }
            Centre::Point(_) => {
                let (mut m, mut r) = ([0.0f32; 3], [0.0f32; 2]);
                for piece in own {
                    let weight = 1.0 / centre.from(piece.at).1.max(CENTRE).powi(2);
                    let normal = [-piece.along[1], piece.along[0]];
                    let offset = normal[0] * piece.at[0] + normal[1] * piece.at[1];
                    m[0] += weight * normal[0] * normal[0];
                    m[1] += weight * normal[0] * normal[1];
                    m[2] += weight * normal[1] * normal[1];
                    r[0] += weight * normal[0] * offset;
                    r[1] += weight * normal[1] * offset;
                }
                let determinant = m[0] * m[2] - m[1] * m[1];
                if determinant.abs() < 1e-12 {
                    return centre;
                }
                Centre::Point([(r[0] * m[2] - r[1] * m[1]) / determinant, (r[1] * m[0] - r[0] * m[1]) / determinant])
            }
        };
    }
    centre
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Share of the hidden pixels whose ray is known and right, and of those that are wrong.
    fn hidden(truth: impl Fn(usize, usize) -> usize + Sync) -> Option<(f32, f32)> {
        let all = Plane::from_fn(300, 220, truth);
        let hole = Plane::from_fn(300, 220, |x, y| (60..240).contains(&x) && (70..150).contains(&y));
        let found = labels(&all.zip(&hole, |label, hidden| if hidden { 0 } else { label }), &hole.not())?;
        let count = hole.count() as f32;
        let share =
            |is: &dyn Fn(usize) -> bool| (0..hole.data.len()).filter(|&i| hole.data[i] && is(i)).count() as f32 / count;
        let right = share(&|i| found.data[i] == Some(all.data[i]));
        let wrong = share(&|i| found.data[i].is_some_and(|label| label != all.data[i]));
        Some((right, wrong))
    }

    #[test]
    fn rays_go_on_behind_what_hides_them_and_their_centre() {
        let ray = |x: usize, y: usize| {
            let angle = libm::atan2f(y as f32 - 107.3, x as f32 - 148.6);
            ((angle + 4.0) / std::f32::consts::TAU * 28.0) as usize % 2
        };
        let (right, wrong) = hidden(ray).expect("rays");
        assert!(right > 0.9 && wrong < 0.04, "{right} {wrong}");
    }

    #[test]
    fn so_do_stripes() {
        let (right, wrong) = hidden(|x, y| (x + y / 2) / 17 % 2).expect("stripes");
        assert!(right > 0.95 && wrong < 0.04, "{right} {wrong}");
    }

    #[test]
    fn other_patterns_have_no_rays() {
        assert_eq!(hidden(|x, y| (x / 20 + y / 20) % 2), None, "a chequer");
        assert_eq!(hidden(|x, y| usize::from((x % 40).abs_diff(20).pow(2) + (y % 40).abs_diff(20).pow(2) < 150)), None);
        assert_eq!(hidden(|_, _| 1), None);
    }
}
