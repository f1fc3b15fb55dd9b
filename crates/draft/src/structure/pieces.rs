//! Which connected pieces are layers of their own, and which go together or with another.

use super::blocks::joined;
use super::look::Look;

/// Share of the picture from which a piece is a layer of its own in any company,
const WORTH_A_LAYER: f32 = 0.002;
/// and from which one is that stands alone.
const ALONE: f32 = 0.0006;
/// Share of the picture from which a swarm of small pieces is a layer.
const SWARM: f32 = 0.0006;
/// Fewest pieces of a swarm.
const FEWEST: usize = 3;
/// Largest distance of two pieces of a swarm, in sides of a square as large as the larger one.
const NEAR: f32 = 3.0;
/// Largest difference of their colours, as Oklab distance.
const SAME_COLOUR: f32 = 0.08;
/// Thickness of strokes in pixels of a picture with a long side of 1000 under which a piece is a hairline.
const HAIRLINE: f32 = 2.0;
/// A piece under this share of one around or beside it is an ornament of that.
const ORNAMENT_SHARE: f32 = 0.05;
/// How far an ornament may be from its piece, in sides of a square as large as it.
const BESIDE: f32 = 1.0;

/// Whether a look is that of a line drawn thinly; `long` is the long side of the picture.
pub(crate) fn is_hairline(look: &Look, long: usize) -> bool {
    look.thickness() < (HAIRLINE * long as f32 / 1000.0).max(1.5)
}

/// Side of a square of the same area: that of a long line is short.
fn side(look: &Look) -> f32 {
    (look.area as f32).sqrt()
}

/// Groups of pieces (their places), each of which is a layer. The largest comes first; no piece is left out.
pub(crate) fn groups(looks: &[Look], (width, height): (usize, usize)) -> Vec<Vec<usize>> {
    let share = |area: u64| area as f32 / (width * height).max(1) as f32;
    let long = width.max(height);
    let mut order: Vec<usize> = (0..looks.len()).collect();
    order.sort_by_key(|&k| (std::cmp::Reverse(looks[k].area), k));
    let solid = |k: &usize| !is_hairline(&looks[*k], long);
    let large = |k: &usize| solid(k) && share(looks[*k].area) >= WORTH_A_LAYER;
    let (mut groups, small): (Vec<Vec<usize>>, Vec<usize>) = {
        let (large, small): (Vec<usize>, Vec<usize>) = order.iter().partition(|&k| large(k));
        (large.into_iter().map(|k| vec![k]).collect(), small)
    };
    let (ornaments, small): (Vec<usize>, Vec<usize>) =
        small.into_iter().partition(|&k| owner(looks, &groups, k).is_some());
    let mut rest = Vec::new();
    for swarm in swarms(looks, &small) {
        let area: u64 = swarm.iter().map(|&k| looks[k].area).sum();
        let enough = if swarm.len() >= FEWEST { share(area) >= SWARM } else { share(area) >= ALONE };
        if enough && swarm.iter().any(solid) {
            groups.push(swarm);
        } else {
            rest.extend(swarm);
        }
    }
    if groups.is_empty() {
        return if rest.is_empty() { ornaments.into_iter().map(|k| vec![k]).collect() } else { vec![rest] };
    }
    let homes: Vec<Vec<usize>> = groups.clone();
    for k in ornaments.into_iter().chain(rest) {
        let nearest = |group: &[usize]| {
            let each = group.iter().map(|&other| {
                looks[other].gap(&looks[k]) / long as f32 + 0.1 * looks[other].colour_distance(&looks[k])
            });
            each.fold(f32::INFINITY, f32::min)
        };
        let home = owner(looks, &homes, k)
            .or_else(|| (0..homes.len()).min_by(|&a, &b| nearest(&homes[a]).total_cmp(&nearest(&homes[b]))));
        groups[home.unwrap_or(0)].push(k);
    }
    groups
}

/// The large piece that a small one is an ornament of: one around it, or right beside it.
fn owner(looks: &[Look], groups: &[Vec<usize>], k: usize) -> Option<usize> {
    let near = |group: &&Vec<usize>| {
        let large = &looks[group[0]];
        (looks[k].area as f32) < ORNAMENT_SHARE * large.area as f32 && large.gap(&looks[k]) <= BESIDE * side(&looks[k])
    };
    let gap = |group: &Vec<usize>| looks[group[0]].gap(&looks[k]);
    let found = groups.iter().enumerate().filter(|(_, group)| near(group));
    found.min_by(|(_, a), (_, b)| gap(a).total_cmp(&gap(b))).map(|(at, _)| at)
}

/// Small pieces of one colour near each other, in the order of their first ones.
fn swarms(looks: &[Look], small: &[usize]) -> Vec<Vec<usize>> {
    let together = |a: usize, b: usize| {
        let (one, other) = (&looks[small[a]], &looks[small[b]]);
        one.gap(other) <= NEAR * side(one).max(side(other)) && one.colour_distance(other) <= SAME_COLOUR
    };
    joined(small.len(), together).into_iter().map(|swarm| swarm.into_iter().map(|at| small[at]).collect()).collect()
}

#[cfg(test)]
mod tests {
    use layers::Kind;

    use super::*;
    use crate::layer::{Part, Sheet};
    use crate::plane::Plane;

    /// Groups of rectangles of a colour each, on a white picture of 1000 x 1000.
    fn found(pieces: &[([usize; 4], [u8; 3])]) -> Vec<Vec<usize>> {
        let at = |x: usize, y: usize| {
            pieces.iter().rposition(|([x0, y0, x1, y1], _)| (*x0..*x1).contains(&x) && (*y0..*y1).contains(&y))
        };
        let sheet = Sheet {
            above: Plane::from_fn(1000, 1000, |x, y| at(x, y).map_or([255; 3], |k| pieces[k].1)),
            alpha: Plane::from_fn(1000, 1000, |x, y| at(x, y).map_or(0, |_| 255)),
            owner: Plane::from_fn(1000, 1000, |x, y| at(x, y).map_or(0, |k| k as u8 + 1)),
            parts: vec![Part::new(Kind::Object); pieces.len()],
            kind: Kind::Object,
        };
        groups(&Look::of(&sheet, &Plane::new(1000, 1000, [255; 3])), (1000, 1000))
    }

    const RED: [u8; 3] = [220, 30, 40];
    const BLUE: [u8; 3] = [30, 60, 200];

    #[test]
    fn sparkles_are_one_layer_and_a_dot_goes_with_what_it_is_beside() {
        let mut pieces = vec![([100, 100, 300, 300], RED), ([700, 700, 800, 800], BLUE)];
        // A dot of an i above the first, and sparkles far from both.
        pieces.push(([190, 80, 205, 95], RED));
        pieces.extend((0..5).map(|k| ([500 + 30 * k, 200, 515 + 30 * k, 215], BLUE)));
        assert_eq!(found(&pieces), [vec![0, 2], vec![1], vec![3, 4, 5, 6, 7]]);
    }

    #[test]
    fn small_pieces_of_two_colours_do_not_swarm_together() {
        let dots = (0..8).map(|k| ([500 + 30 * k, 200, 515 + 30 * k, 215], if k % 2 == 0 { RED } else { BLUE }));
        assert_eq!(found(&dots.collect::<Vec<_>>()), [vec![0, 2, 4, 6], vec![1, 3, 5, 7]]);
    }

    #[test]
    fn a_hairline_is_no_layer_and_a_small_piece_that_stands_alone_is() {
        let pieces = [([100, 100, 300, 300], RED), ([0, 900, 1000, 901], BLUE), ([700, 300, 730, 330], BLUE)];
        assert_eq!(found(&pieces), [vec![0], vec![2, 1]]);
        assert_eq!(found(&pieces[1..2]), [vec![0]]);
    }
}
