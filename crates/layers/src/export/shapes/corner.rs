//! Where contours have corners, and where straight parts of them go over into curves.

use kurbo::Point;

/// The least turn at a corner, in radians.
const LEAST_TURN: f64 = 0.5;
/// The least share of the turn over 9 points that a corner makes over 4: an arc makes half of it there.
const SUDDEN: f64 = 0.7;
/// How far the sharp tip of a corner may lie from its contour, in pixels.
const FARTHEST_TIP: f64 = 4.0;
/// Points beside a corner that its antialiasing rounds off.
const ROUNDED: usize = 2;
/// A straight part of a contour has at least this part of its points, and so many: no arc is straight for as long.
const LEAST_PART: usize = 10;
const LEAST_RUN: usize = 16;
/// How far from a straight line a point of a straight part may be, in pixels.
const OFF: f64 = 0.1;

/// Where one section of a contour ends and the next begins.
pub(super) struct Corner {
    /// Of the point that is nearest.
    pub(super) index: usize,
    pub(super) tip: Point,
    /// Whether the contour goes on in another direction.
    is_sharp: bool,
}

impl Corner {
    /// From which point on the section beside counts.
    pub(super) fn rounded(&self) -> usize {
        if self.is_sharp { ROUNDED } else { 1 }
    }
}

/// Corners of a contour, sharpened.
pub(super) fn corners(points: &[Point]) -> Vec<Corner> {
    let count = points.len();
    let at = |index: usize, by: isize| points[(index + count).wrapping_add_signed(by) % count];
    let turn = |index: usize, near: isize, far: isize| {
        let before = at(index, -near) - at(index, -far);
        let after = at(index, far) - at(index, near);
        before.cross(after).atan2(before.dot(after)).abs()
    };
    // Windows that reach around a small contour say nothing.
    if count < 16 {
        return Vec::new();
    }
    let turns: Vec<f64> = (0..count)
        .map(|index| {
            let near = turn(index, 1, 3);
            if near > LEAST_TURN && near > SUDDEN * turn(index, 3, 6) { near } else { 0.0 }
        })
        .collect();
    let is_peak = |index: usize| {
        let of = |by: isize| turns[(index + count).wrapping_add_signed(by) % count];
        turns[index] > 0.0 && (1..=3).all(|by| of(-by) < turns[index] && of(by) <= turns[index])
    };
    let found: Vec<usize> = (0..count).filter(|index| is_peak(*index)).collect();
    let gap = |n: usize| (found[(n + 1) % found.len()] + count - found[n] - 1) % count + 1;
    let reach = |gap: usize| gap.saturating_sub(ROUNDED).min(7) as isize;
    found
        .iter()
        .enumerate()
        .map(|(n, &index)| {
            let (before, after) = (reach(gap((n + found.len() - 1) % found.len())), reach(gap(n)));
            let near = ROUNDED as isize;
            let tip = if before > near && after > near {
                crossing((at(index, -before), at(index, -near)), (at(index, near), at(index, after)))
            } else {
                None
            };
            let own = points[index];
            Corner { is_sharp: true, index, tip: tip.filter(|tip| tip.distance(own) < FARTHEST_TIP).unwrap_or(own) }
        })
        .collect()
}

/// Where two lines meet.
fn crossing((a, b): (Point, Point), (c, d): (Point, Point)) -> Option<Point> {
    let (u, v) = (b - a, d - c);
    let cross = u.cross(v);
    let at = (c - a).cross(v) / cross;
    at.is_finite().then(|| a + u * at)
}

/// The ends of straight parts that have no corner there.
pub(super) fn joints(points: &[Point], corners: &[Corner]) -> Vec<Corner> {
    let count = points.len();
    let least = (count / LEAST_PART).max(LEAST_RUN);
    if least + 2 * ROUNDED >= count {
        return Vec::new();
    }
    let (mut found, mut first) = (Vec::new(), 0);
    // Every part that is long enough holds one of these runs.
    while first < count {
        // Once around, so that a part may begin before the first point.
        match run(points, first + count, least) {
            Some((start, end)) => {
                found.extend([start + ROUNDED, end - ROUNDED].map(|index| index % count));
                first = (end - count).max(first + 1);
            }
            None => first += (least / 4).max(1),
        }
    }
    let distance = |a: usize, b: usize| a.abs_diff(b).min(count - a.abs_diff(b));
    found.sort_unstable();
    found.dedup_by(|one, kept| distance(*one, *kept) <= 2 * ROUNDED);
    found.retain(|index| corners.iter().all(|corner| distance(corner.index, *index) > 3 * ROUNDED));
    found.into_iter().map(|index| Corner { index, tip: points[index], is_sharp: false }).collect()
}

/// From where to where the contour is straight around a run of points that begins at `first`, once around or more.
fn run(points: &[Point], first: usize, least: usize) -> Option<(usize, usize)> {
    let count = points.len();
    let at = |index: usize| points[index % count];
    let (from, way) = (at(first), at(first + least) - at(first));
    let is_on = |index: usize| way.cross(at(index) - from).abs() <= OFF * way.hypot();
    if !(first..=first + least).all(is_on) {
        return None;
    }
    let most = count - least - 1;
    let before = (1..=most).take_while(|by| is_on(first - by)).count();
    let after = (1..=most - before).take_while(|by| is_on(first + least + by)).count();
    Some((first - before, first + least + after))
}
