//! A line around a layer, and its shadow.

use image::{Rgba, RgbaImage};
use serde::{Deserialize, Serialize};
use typeset::{Colour, Outline, Shadow};

use crate::extent::{bounding_box, crop_in_place};

/// What is drawn behind a layer's pixels, from what they cover. Lengths are in pixels of the canvas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Effects {
    /// A line of a width around the layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outline: Option<Outline>,
    /// A shadow of the layer and its outline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
}

impl Effects {
    /// The widest outline and the widest blur, in pixels.
    pub const MAX_WIDTH: f32 = 200.0;
    /// The farthest that a shadow lies from its layer along each axis, in pixels.
    pub const MAX_OFFSET: f32 = 2000.0;

    /// Whether nothing is drawn.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.outline.is_none() && self.shadow.is_none()
    }

    /// The same on a canvas that is so many times as large.
    #[must_use]
    pub fn enlarged(self, times: u32) -> Self {
        let times = times as f32;
        Self {
            outline: self.outline.map(|one| Outline { width: one.width * times, ..one }),
            shadow: self.shadow.map(|one| Shadow {
                dx: one.dx * times,
                dy: one.dy * times,
                blur: one.blur * times,
                ..one
            }),
        }
    }

    /// How many pixels a layer with these effects covers beyond its own to the left, above, to the right and below.
    #[must_use]
    pub fn margins(&self) -> [u32; 4] {
        let around = self.outline.map_or(0, |outline| outline.width.max(0.0).ceil() as u32 + 1);
        let Some(shadow) = self.shadow else { return [around; 4] };
        let (dx, dy) = offset(&shadow);
        let reach = i64::from(around) + i64::from(boxes(shadow.blur).iter().sum::<u32>());
        // As much on the other side: what a blur loses there would be missing.
        let side = |by: i32| (reach + i64::from(by.max(0))) as u32;
        [side(-dx), side(-dy), side(dx), side(dy)]
    }
}

/// Whole pixels to the right and below.
fn offset(shadow: &Shadow) -> (i32, i32) {
    ((shadow.dx + 0.5).floor() as i32, (shadow.dy + 0.5).floor() as i32)
}

/// How far to each side three averages reach that together are hardly different from a Gaussian of half of `blur` as its
/// deviation (Kovesi, "Fast Almost-Gaussian Filtering", 2010).
fn boxes(blur: f32) -> [u32; 3] {
    let variance = f64::from(blur / 2.0).powi(2);
    let small = ((((12.0 * variance / 3.0) + 1.0).sqrt() - 1.0) / 2.0).floor().max(0.0);
    let size = 2.0 * small + 1.0;
    let smaller = (12.0 * variance - 3.0 * size * size - 12.0 * size - 9.0) / (-4.0 * size - 4.0);
    std::array::from_fn(|n| small as u32 + u32::from(n as f64 >= (smaller + 0.5).floor()))
}

/// A layer's pixels with its effects, and how far the corner moved to the left and up. What is transparent around them is cut
/// off before.
pub(crate) fn apply(pixels: RgbaImage, effects: &Effects) -> (RgbaImage, (i64, i64)) {
    let Some(found) = bounding_box(&pixels).filter(|_| !effects.is_none()) else { return (pixels, (0, 0)) };
    let own = crop_in_place(pixels, found);
    let [left, above, right, below] = effects.margins();
    let (width, height) = (own.width() + left + right, own.height() + above + below);
    let mut cover = Plane::new(width, height);
    for (x, y, pixel) in own.enumerate_pixels() {
        *cover.at_mut(x + left, y + above) = f32::from(pixel[3]) / 255.0;
    }
    let mut out = vec![[0.0_f32; 4]; cover.values.len()];
    if let Some(outline) = effects.outline {
        let grown = grown(&cover, outline.width);
        put(&mut out, &grown, outline.colour, 1.0, (0, 0));
        for (cover, grown) in cover.values.iter_mut().zip(&grown.values) {
            *cover += *grown * (1.0 - *cover);
        }
    }
    if let Some(shadow) = effects.shadow {
        let line = std::mem::replace(&mut out, vec![[0.0; 4]; cover.values.len()]);
        let by = offset(&shadow);
        put(&mut out, &blurred(cover, shadow.blur), shadow.colour, shadow.opacity, by);
        out.iter_mut().zip(line).for_each(|(below, top)| over(below, top));
    }
    let mut picture = RgbaImage::new(width, height);
    for (x, y, pixel) in own.enumerate_pixels().filter(|(.., pixel)| pixel[3] > 0) {
        let alpha = f32::from(pixel[3]) / 255.0;
        let at = (y + above) as usize * width as usize + (x + left) as usize;
        let colour = |channel: usize| f32::from(pixel[channel]) / 255.0 * alpha;
        over(&mut out[at], [colour(0), colour(1), colour(2), alpha]);
    }
    for (pixel, sum) in picture.pixels_mut().zip(&out) {
        let alpha = (sum[3] * 255.0 + 0.5) as u8;
        if alpha > 0 {
            let colour = |channel: usize| (sum[channel] / sum[3] * 255.0 + 0.5).min(255.0) as u8;
            *pixel = Rgba([colour(0), colour(1), colour(2), alpha]);
        }
    }
    (picture, (i64::from(found.x) - i64::from(left), i64::from(found.y) - i64::from(above)))
}

/// How much of each pixel is covered, 0 to 1.
struct Plane {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Plane {
    fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width as usize, height as usize);
        Self { width, height, values: vec![0.0; width * height] }
    }

    fn at_mut(&mut self, x: u32, y: u32) -> &mut f32 {
        &mut self.values[y as usize * self.width + x as usize]
    }
}

/// Puts one colour over `out`, premultiplied, as far as `cover` says, moved by whole pixels.
fn put(out: &mut [[f32; 4]], cover: &Plane, colour: Colour, opacity: f32, (dx, dy): (i32, i32)) {
    let [red, green, blue, alpha] =
        [colour.red, colour.green, colour.blue, colour.alpha].map(|value| f32::from(value) / 255.0);
    for (at, below) in out.iter_mut().enumerate() {
        let (x, y) = ((at % cover.width) as i64 - i64::from(dx), (at / cover.width) as i64 - i64::from(dy));
        if x < 0 || y < 0 || x >= cover.width as i64 || y >= cover.height as i64 {
            continue;
        }
        let share = cover.values[y as usize * cover.width + x as usize] * alpha * opacity;
        over(below, [red * share, green * share, blue * share, share]);
    }
}

/// Both premultiplied, 0 to 1.
fn over(below: &mut [f32; 4], top: [f32; 4]) {
    for (below, value) in below.iter_mut().zip(top) {
        *below = value + *below * (1.0 - top[3]);
    }
}

/// What lies within `width` of what is covered: of the nearest pixel that is covered by half or more, whose edge lies as far
/// from its middle as it is covered (Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions", 2012).
fn grown(cover: &Plane, width: f32) -> Plane {
    let rows = nearest_rows(cover);
    let mut values = vec![0.0; cover.values.len()];
    let mut line = Line::default();
    for y in 0..cover.height {
        let start = y * cover.width;
        let row = &rows[start..start + cover.width];
        line.run(row.iter().map(|near| near.map_or(FAR, |near| (near.abs_diff(y) as f64).powi(2))));
        for x in 0..cover.width {
            let (column, square) = line.nearest(x);
            let Some(near) = row[column] else { continue };
            let edge = f64::from(width + cover.values[near * cover.width + column]);
            values[start + x] = (edge - square.sqrt()).clamp(0.0, 1.0) as f32;
        }
    }
    Plane { values, ..*cover }
}

/// Stands for the square of a distance where nothing is covered.
const FAR: f64 = 1e12;

/// The row of the nearest pixel of each one's column that is covered by half or more.
fn nearest_rows(cover: &Plane) -> Vec<Option<usize>> {
    let mut rows: Vec<Option<usize>> = vec![None; cover.values.len()];
    for x in 0..cover.width {
        let mut last = None;
        for y in 0..cover.height {
            last = if cover.values[y * cover.width + x] >= 0.5 { Some(y) } else { last };
            rows[y * cover.width + x] = last;
        }
        let mut next = None;
        for y in (0..cover.height).rev() {
            next = if cover.values[y * cover.width + x] >= 0.5 { Some(y) } else { next };
            let row = &mut rows[y * cover.width + x];
            *row = match (*row, next) {
                (Some(above), Some(below)) if below - y < y - above => Some(below),
                (None, below) => below,
                (above, _) => above,
            };
        }
    }
    rows
}

/// The lower envelope of the parabolas that stand in a row.
#[derive(Default)]
struct Line {
    values: Vec<f64>,
    /// Where the parabolas stand that are lowest somewhere, and from where on each of them is.
    places: Vec<usize>,
    starts: Vec<f64>,
}

impl Line {
    fn run(&mut self, values: impl Iterator<Item = f64>) {
        self.values.clear();
        self.values.extend(values);
        self.places.clear();
        self.starts.clear();
        for n in 0..self.values.len() {
            let mut start = f64::NEG_INFINITY;
            while let Some(&last) = self.places.last() {
                let height = |n: usize| self.values[n] + (n as f64).powi(2);
                start = (height(n) - height(last)) / (2.0 * (n - last) as f64);
                if self.starts.last().is_none_or(|before| start > *before) {
                    break;
                }
                self.places.pop();
                self.starts.pop();
                start = f64::NEG_INFINITY;
            }
            self.places.push(n);
            self.starts.push(start);
        }
    }

    /// The parabola that is lowest at a place, and how high it is there.
    fn nearest(&self, at: usize) -> (usize, f64) {
        let found = self.starts.partition_point(|start| *start <= at as f64).max(1) - 1;
        let place = self.places[found];
        (place, (at as f64 - place as f64).powi(2) + self.values[place])
    }
}

/// A Gaussian blur; what lies outside counts as not covered.
fn blurred(mut cover: Plane, blur: f32) -> Plane {
    let mut line = Vec::new();
    for reach in boxes(blur).into_iter().filter(|reach| *reach > 0) {
        for y in 0..cover.height {
            average(&mut cover.values, &mut line, (y * cover.width, 1, cover.width), reach as usize);
        }
        for x in 0..cover.width {
            average(&mut cover.values, &mut line, (x, cover.width, cover.height), reach as usize);
        }
    }
    cover
}

/// The mean of so many values to each side, along one row or column.
fn average(values: &mut [f32], line: &mut Vec<f32>, (first, step, length): (usize, usize, usize), reach: usize) {
    line.clear();
    line.extend((0..length).map(|n| values[first + n * step]));
    let size = (2 * reach + 1) as f64;
    let mut sum: f64 = line.iter().take(reach).map(|value| f64::from(*value)).sum();
    for n in 0..length {
        sum += line.get(n + reach).map_or(0.0, |value| f64::from(*value));
        values[first + n * step] = (sum / size) as f32;
        sum -= n.checked_sub(reach).map_or(0.0, |before| f64::from(line[before]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLACK: Colour = Colour { red: 0, green: 0, blue: 0, alpha: 255 };

    fn square() -> RgbaImage {
        let mut picture = RgbaImage::new(30, 30);
        for (x, y) in (10..20).flat_map(|y| (10..20).map(move |x| (x, y))) {
            picture.put_pixel(x, y, Rgba([200, 40, 40, 255]));
        }
        picture
    }

    #[test]
    fn an_outline_is_as_wide_as_was_asked() {
        let effects = Effects { outline: Some(Outline { width: 4.0, colour: BLACK }), shadow: None };
        let (picture, (x, y)) = apply(square(), &effects);
        assert_eq!(((x, y), picture.dimensions()), ((5, 5), (20, 20)));
        let at = |x: u32, y: u32| picture.get_pixel(x - 5, y - 5).0;
        assert_eq!(at(15, 15), [200, 40, 40, 255]);
        assert_eq!((at(6, 15), at(23, 15), at(15, 6)), ([0, 0, 0, 255], [0, 0, 0, 255], [0, 0, 0, 255]));
        assert_eq!((at(5, 15)[3], at(24, 15)[3]), (0, 0));
        // Round at the corner: from the middle of the square's pixel there, 4.24 and 5.66 pixels.
        assert_eq!((at(7, 7)[3], at(6, 6)[3]), (193, 0));
    }

    #[test]
    fn a_shadow_lies_beside_its_layer_and_keeps_its_mass() {
        let shadow = Shadow { dx: 12.0, dy: -3.4, blur: 6.0, colour: BLACK, opacity: 0.5 };
        let effects = Effects { outline: None, shadow: Some(shadow) };
        let (picture, (x, y)) = apply(square(), &effects);
        let mut alone = picture.clone();
        for (column, row, pixel) in alone.enumerate_pixels_mut() {
            let (column, row) = (i64::from(column) + x, i64::from(row) + y);
            if (10..20).contains(&column) && (10..20).contains(&row) {
                assert_eq!(pixel.0, [200, 40, 40, 255]);
                *pixel = Rgba([0; 4]);
            }
        }
        assert!(alone.pixels().all(|pixel| pixel[3] == 0 || pixel.0[..3] == [0, 0, 0]));
        let mass: f64 = alone.pixels().map(|pixel| f64::from(pixel[3]) / 255.0).sum();
        assert!((38.0..=50.0).contains(&mass), "{mass}");
        let hard = Effects { outline: None, shadow: Some(Shadow { blur: 0.0, ..shadow }) };
        let (picture, corner) = apply(square(), &hard);
        assert_eq!((corner, picture.dimensions()), ((10, 7), (22, 13)));
        assert_eq!(picture.get_pixel(21, 0).0, [0, 0, 0, 128]);
    }

    #[test]
    fn three_averages_have_the_deviation_that_was_asked() {
        for blur in [0.0, 1.0, 3.0, 10.0, 57.0, 200.0] {
            let variance: f64 = boxes(blur).iter().map(|reach| (f64::from(2 * reach + 1).powi(2) - 1.0) / 12.0).sum();
            let wanted = f64::from(blur / 2.0).powi(2);
            assert!((variance.sqrt() - wanted.sqrt()).abs() < 0.55, "{blur}: {variance} for {wanted}");
        }
    }

    #[test]
    fn nothing_has_no_effects() {
        let effects = Effects { outline: Some(Outline { width: 4.0, colour: BLACK }), shadow: None };
        assert_eq!(apply(RgbaImage::new(3, 3), &effects).0, RgbaImage::new(3, 3));
        assert_eq!(apply(square(), &Effects::default()), (square(), (0, 0)));
    }
}
