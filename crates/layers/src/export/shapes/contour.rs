//! Contours of a picture's alpha at half of its height, to a fraction of a pixel (marching squares).

use image::RgbaImage;
use kurbo::{Point, Vec2};

/// A closed polygon, its inside to the right as one walks along it in the picture's coordinates: outer contours have a
/// positive area, holes a negative one.
#[derive(Debug, Clone)]
pub(super) struct Contour {
    pub(super) points: Vec<Point>,
}

/// Shares of the full alpha from which a pixel counts as inside and up to which as outside, where an edge is measured by
/// the sum of the pixels across it.
const FULL: f64 = 0.97;
const EMPTY: f64 = 0.03;

/// Crossings between two neighbouring pixels: the pixel before, and whether the other one is below it (or to its right).
type Crossing = u64;

/// Alpha as shares of the full one; 0 around the picture.
struct Coverage<'a> {
    picture: &'a RgbaImage,
    full: f64,
}

/// All contours; none where they have more than `most` points.
pub(super) fn contours(picture: &RgbaImage, alpha: u8, most: usize) -> Option<Vec<Contour>> {
    let mut steps = steps(picture, alpha, most)?;
    steps.sort_unstable();
    let coverage = Coverage { picture, full: f64::from(alpha) };
    let mut used = vec![false; steps.len()];
    let mut found = Vec::new();
    for first in 0..steps.len() {
        let mut points = Vec::new();
        let mut at = first;
        while !std::mem::replace(&mut used[at], true) {
            points.push(coverage.place(steps[at].0));
            // Every crossing is left once and entered once.
            at = steps.binary_search_by_key(&steps[at].1, |step| step.0).ok()?;
        }
        if points.len() > 2 {
            found.push(Contour { points });
        }
    }
    Some(found)
}

/// From which crossing to which the contours run, inside of each square between four pixels' centres.
fn steps(picture: &RgbaImage, alpha: u8, most: usize) -> Option<Vec<(Crossing, Crossing)>> {
    let width = picture.width() as usize;
    let mut found = Vec::new();
    let empty = vec![0; width * 4];
    let rows = picture.as_raw().chunks_exact((width * 4).max(1)).chain([&empty[..]]);
    let mut above: &[u8] = &empty;
    for (y, below) in (0_u64..).zip(rows) {
        let at = |row: &[u8], x: usize| if x == 0 || x > width { 0 } else { row[x * 4 - 1] };
        let is_in = |value: u8| u32::from(value) * 2 >= u32::from(alpha);
        // Pixels count from 1, so that the empty ones around have numbers too: the square's upper left pixel is (x, y).
        let (mut upper, mut lower) = (false, false);
        for x in 0..=width {
            let (left, right) = ((upper, lower), (is_in(at(above, x + 1)), is_in(at(below, x + 1))));
            (upper, lower) = right;
            if left == right && left.0 == left.1 {
                continue;
            }
            let sum = [at(above, x), at(below, x), at(above, x + 1), at(below, x + 1)];
            let joined = sum.map(u32::from).iter().sum::<u32>() >= 2 * u32::from(alpha);
            square(x as u64, y, [left.0, right.0, right.1, left.1], joined, &mut found);
        }
        if found.len() > most {
            return None;
        }
        above = below;
    }
    Some(found)
}

/// The steps in one square; `inside` of its pixels, clockwise from the upper left.
fn square(x: u64, y: u64, inside: [bool; 4], joined: bool, out: &mut Vec<(Crossing, Crossing)>) {
    let (top, right) = (crossing(x, y, false), crossing(x + 1, y, true));
    let (bottom, left) = (crossing(x, y + 1, false), crossing(x, y, true));
    let sides = [top, right, bottom, left];
    // A step begins on the side where one comes out of the inside, clockwise, and ends where one goes in again. The inside
    // is then to its right.
    let leaves = |side: usize| inside[side] && !inside[(side + 1) % 4];
    let enters = |side: usize| !inside[side] && inside[(side + 1) % 4];
    for from in (0..4).filter(|side| leaves(*side)) {
        let ways = [1, 2, 3].map(|n| (from + n) % 4);
        // Of two opposite pixels, each has its own corner, or the other two have.
        let to = if joined {
            ways.into_iter().find(|side| enters(*side))
        } else {
            ways.into_iter().rev().find(|side| enters(*side))
        };
        if let Some(to) = to {
            out.push((sides[from], sides[to]));
        }
    }
}

fn crossing(x: u64, y: u64, is_down: bool) -> Crossing {
    // Sides of pictures have 32 bits; those with contours much fewer.
    (y << 33) | (x << 1) | u64::from(is_down)
}

impl Coverage<'_> {
    fn at(&self, x: i64, y: i64) -> f64 {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return 0.0 };
        let alpha = self.picture.get_pixel_checked(x, y).map_or(0, |pixel| pixel[3]);
        (f64::from(alpha) / self.full).min(1.0)
    }

    /// Where a crossing is on the picture.
    fn place(&self, crossing: Crossing) -> Point {
        let (x, y) = (((crossing >> 1) & 0xffff_ffff) as i64 - 1, (crossing >> 33) as i64 - 1);
        let (along, down) =
            if crossing & 1 == 0 { ((1, 0), Vec2::new(1.0, 0.0)) } else { ((0, 1), Vec2::new(0.0, 1.0)) };
        let values = [-1, 0, 1, 2].map(|n| self.at(x + n * along.0, y + n * along.1));
        Point::new(x as f64 + 0.5, y as f64 + 0.5) + down * between(values)
    }
}

/// Where an edge crosses, 0 to 1 from the second to the third of four pixels in a row. The sum of the pixels says it
/// exactly where all of the edge is among them, as they are shares of area; otherwise it is where the line between the two
/// is at half height.
fn between([before, first, second, after]: [f64; 4]) -> f64 {
    let sum = before + first + second + after;
    let at = if before >= FULL && after <= EMPTY {
        sum - 1.5
    } else if before <= EMPTY && after >= FULL {
        2.5 - sum
    } else {
        (first - 0.5) / (first - second)
    };
    if at.is_finite() { at.clamp(0.0, 1.0) } else { 0.5 }
}

impl Contour {
    /// The edges of the polygon, as pairs of points.
    fn edges(&self) -> impl Iterator<Item = (Point, Point)> {
        self.points.iter().copied().zip(self.points.iter().copied().cycle().skip(1))
    }

    /// Area, positive for outer contours and negative for holes, in pixels; centre of gravity; variances `xx`, `xy` and
    /// `yy` about it.
    pub(super) fn moments(&self) -> (f64, Point, [f64; 3]) {
        // From the first point, so that numbers stay small.
        let origin = self.points.first().copied().unwrap_or_default();
        let (mut area, mut first, mut second) = (0.0, Vec2::ZERO, [0.0; 3]);
        for (p, q) in self.edges() {
            let (p, q) = (p - origin, q - origin);
            let cross = p.cross(q);
            area += cross / 2.0;
            first += (p + q) * (cross / 6.0);
            second[0] += (p.x * p.x + p.x * q.x + q.x * q.x) * cross / 12.0;
            second[1] += (2.0 * p.x * p.y + p.x * q.y + q.x * p.y + 2.0 * q.x * q.y) * cross / 24.0;
            second[2] += (p.y * p.y + p.y * q.y + q.y * q.y) * cross / 12.0;
        }
        if area == 0.0 {
            return (0.0, origin, [0.0; 3]);
        }
        let mean = first / area;
        let [xx, xy, yy] = second.map(|value| value / area);
        (area, origin + mean, [xx - mean.x * mean.x, xy - mean.x * mean.y, yy - mean.y * mean.y])
    }

    /// In pixels.
    pub(super) fn length(&self) -> f64 {
        self.edges().map(|(p, q)| p.distance(q)).sum()
    }
}
