//! One Bézier curve for a piece of a spline, by least squares (Schneider, "An Algorithm for Automatically Fitting
//! Digitized Curves", Graphics Gems, 1990).

use kurbo::{CubicBez, ParamCurve as _, ParamCurveDeriv as _, Point, Vec2};

/// How often points are moved to the place on the curve that is nearest to them, at most, and how much nearer the farthest
/// has to come each time.
const ROUNDS: usize = 40;
const NEARER: f64 = 0.97;
/// A first curve so many times farther off than allowed does not come near enough in the end.
const HOPELESS: f64 = 60.0;
/// The shortest handle, as a share of the chord: a shorter one leaves the direction at its end open.
const SHORTEST_HANDLE: f64 = 1e-4;

/// The curve with the ends and the directions of `spline`, if one comes within `accuracy` pixels of it.
pub(super) fn one_curve(spline: &[CubicBez], accuracy: f64) -> Option<CubicBez> {
    let (first, last) = (spline.first()?, spline.last()?);
    if spline.len() == 1 {
        return Some(*first);
    }
    let ends = [direction(first.p1 - first.p0)?, direction(last.p2 - last.p3)?];
    let points: Vec<Point> = spline.iter().flat_map(|curve| [curve.p0, curve.eval(0.5)]).chain([last.p3]).collect();
    let mut places = places_by_length(&points)?;
    let mut before = f64::INFINITY;
    for _ in 0..ROUNDS {
        let curve = least_squares(&points, &places, ends)?;
        let off = |(point, place): (&Point, &f64)| point.distance_squared(curve.eval(*place));
        let farthest = points.iter().zip(&places).map(off).fold(0.0, f64::max);
        if farthest <= accuracy * accuracy {
            return Some(curve);
        }
        if farthest > (HOPELESS * accuracy).powi(2) || farthest > NEARER * NEARER * before {
            return None;
        }
        before = farthest;
        places.iter_mut().zip(&points).for_each(|(place, point)| *place = nearer(&curve, *point, *place));
    }
    None
}

fn direction(way: Vec2) -> Option<Vec2> {
    (way.hypot() > 0.0).then(|| way.normalize())
}

/// The share of the way along the points at which each of them lies.
fn places_by_length(points: &[Point]) -> Option<Vec<f64>> {
    let mut length = 0.0;
    let mut places = vec![0.0];
    for pair in points.windows(2) {
        length += pair[0].distance(pair[1]);
        places.push(length);
    }
    (length > 0.0).then(|| places.into_iter().map(|place| place / length).collect())
}

/// The curve whose handles have the directions of its ends, and the lengths that bring it nearest to points at places.
fn least_squares(points: &[Point], places: &[f64], ends: [Vec2; 2]) -> Option<CubicBez> {
    let (from, to) = (*points.first()?, *points.last()?);
    let (mut squares, mut mixed, mut wanted) = ([0.0; 2], 0.0, [0.0; 2]);
    for (point, &t) in points.iter().zip(places) {
        let s = 1.0 - t;
        let [a, b, c, d] = [s * s * s, 3.0 * s * s * t, 3.0 * s * t * t, t * t * t];
        let pulls = [ends[0] * b, ends[1] * c];
        let rest = point.to_vec2() - from.to_vec2() * (a + b) - to.to_vec2() * (c + d);
        for k in 0..2 {
            squares[k] += pulls[k].hypot2();
            wanted[k] += pulls[k].dot(rest);
        }
        mixed += pulls[0].dot(pulls[1]);
    }
    let determinant = squares[0] * squares[1] - mixed * mixed;
    let lengths = [
        (wanted[0] * squares[1] - wanted[1] * mixed) / determinant,
        (squares[0] * wanted[1] - mixed * wanted[0]) / determinant,
    ];
    let least = SHORTEST_HANDLE * from.distance(to);
    // False for NaN, too.
    lengths.iter().all(|length| *length > least && length.is_finite()).then(|| {
        let [start, end] = [from + ends[0] * lengths[0], to + ends[1] * lengths[1]];
        CubicBez::new(from, start, end, to)
    })
}

/// A place on the curve that is nearer to a point, by one step of Newton's method.
fn nearer(curve: &CubicBez, point: Point, place: f64) -> f64 {
    let first = curve.deriv();
    let (off, slope) = (curve.eval(place) - point, first.eval(place).to_vec2());
    let bend = first.deriv().eval(place).to_vec2();
    let step = off.dot(slope) / (slope.hypot2() + off.dot(bend));
    if step.is_finite() { (place - step).clamp(0.0, 1.0) } else { place }
}

#[cfg(test)]
mod tests {
    use kurbo::ParamCurveArclen as _;

    use super::*;

    fn pieces(curve: CubicBez, count: u32) -> Vec<CubicBez> {
        let share = |k: u32| f64::from(k) / f64::from(count);
        (0..count).map(|k| curve.subsegment(share(k)..share(k + 1))).collect()
    }

    #[test]
    fn the_pieces_of_a_curve_are_that_curve() {
        let curve = CubicBez::new((0.0, 0.0), (20.0, 60.0), (90.0, 70.0), (120.0, 10.0));
        let found = one_curve(&pieces(curve, 60), 0.05).unwrap();
        assert!(found.p1.distance(curve.p1) < 3.0 && found.p2.distance(curve.p2) < 3.0, "{found:?}");
        assert!((found.arclen(1e-3) - curve.arclen(1e-3)).abs() < 0.2);
    }

    #[test]
    fn what_no_curve_can_be_has_none() {
        let wave = |k: u32| Point::new(f64::from(k), 8.0 * (f64::from(k) / 5.0).sin());
        let line = |k: u32| {
            CubicBez::new(wave(k), wave(k).lerp(wave(k + 1), 0.33), wave(k).lerp(wave(k + 1), 0.66), wave(k + 1))
        };
        let spline: Vec<CubicBez> = (0..60).map(line).collect();
        assert_eq!(one_curve(&spline, 0.2), None);
        assert_eq!(one_curve(&spline[..1], 0.2), Some(spline[0]));
        assert_eq!(one_curve(&[], 0.2), None);
        let dot = CubicBez::new((1.0, 1.0), (1.0, 1.0), (1.0, 1.0), (1.0, 1.0));
        assert_eq!(one_curve(&[dot, dot], 0.2), None);
    }
}
